//! One line of a sparse file: a label, and numbers by their index.

use std::ops::Range;

use fm_core::number::number;

/// The largest index, as in files that other programs read into 32-bit integers.
const MAX_INDEX: u64 = i32::MAX as u64;

/// The largest number of a field.
pub(super) const MAX_FIELD: u64 = u16::MAX as u64;

/// A number in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    /// 0 in a line without fields.
    pub field: u16,
    pub index: u32,
    /// The position of the number's text in the line; empty if it is 1.
    pub value: Range<usize>,
}

/// A row: what stands where in its line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub label: Range<usize>,
    /// The query that the row belongs to, in files for rankings.
    pub query: Option<Range<usize>>,
    pub features: Vec<Feature>,
}

/// The text of a line without its comment.
///
/// The error is the reason why it is not text.
pub(super) fn without_comment(line: &[u8]) -> Result<&str, String> {
    let end = line.iter().position(|&byte| byte == b'#').unwrap_or(line.len());
    std::str::from_utf8(&line[..end]).map_err(|error| format!("is not UTF-8 at column {}", error.valid_up_to() + 1))
}

/// Reads `label index:value …`, or `label field:index:value …` if the text `has_fields`, into `line`. Returns whether
/// there is a row: a blank line has none.
///
/// The error is the reason why the line is invalid, with the column.
pub(super) fn parse(text: &str, has_fields: bool, line: &mut Line) -> Result<bool, String> {
    let Line { label, query, features } = line;
    features.clear();
    let column = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let range = |word: &str| column(word)..column(word) + word.len();
    let fault = |word: &str, reason: &str| format!("`{}` at column {} {reason}", shown(word), column(word) + 1);
    let mut words = text.split_ascii_whitespace().peekable();
    let Some(first) = words.next() else { return Ok(false) };
    if number(first).is_none() {
        return Err(fault(first, "is not a label: each line starts with a number"));
    }
    *label = range(first);
    *query = words.next_if(|word| !has_fields && word.starts_with("qid:")).map(|word| range(&word["qid:".len()..]));
    for word in words {
        let form = if has_fields { "is not of the form field:index:value" } else { "is not of the form index:value" };
        let malformed = || fault(word, form);
        let (field, rest) = if has_fields { word.split_once(':').ok_or_else(malformed)? } else { ("0", word) };
        let (index, value) = rest.split_once(':').ok_or_else(malformed)?;
        let whole = |text: &str, what: &str, most: u64| {
            let reason = |reason: &str| fault(word, &format!("has the {what} `{}`, which {reason}", shown(text)));
            match text.parse::<u64>() {
                Ok(number) if number <= most && !text.starts_with('+') => Ok(number),
                Ok(number) if number <= most => Err(reason("is not a whole number")),
                Err(_) if text.strip_prefix('-').is_some_and(is_digits) => Err(reason("is negative")),
                Err(_) if !is_digits(text) => Err(reason("is not a whole number")),
                _ => Err(reason(&format!("is beyond {most}"))),
            }
        };
        let field = whole(field, "field", MAX_FIELD)? as u16;
        let index = whole(index, "index", MAX_INDEX)? as u32;
        if number(value).is_none() {
            return Err(fault(word, &format!("has the value `{}`, which is not a finite number", shown(value))));
        }
        let value = if value == "1" { 0..0 } else { range(value) };
        features.push(Feature { field, index, value });
    }
    match repeated(features) {
        Some(Feature { field, index, .. }) if has_fields => Err(format!("has index {index} of field {field} twice")),
        Some(Feature { index, .. }) => Err(format!("has index {index} twice")),
        None => Ok(true),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// The start of a word, for errors.
fn shown(word: &str) -> String {
    fm_core::terminal::shortened(word, 40)
}

/// A feature whose index occurs twice in its field. Most files are sorted by index.
fn repeated(features: &[Feature]) -> Option<Feature> {
    let key = |feature: &Feature| (feature.field, feature.index);
    if features.is_sorted_by(|a, b| key(a) < key(b)) {
        return None;
    }
    let mut sorted: Vec<&Feature> = features.iter().collect();
    sorted.sort_unstable_by_key(|feature| key(feature));
    sorted.windows(2).find(|pair| key(pair[0]) == key(pair[1])).map(|pair| pair[1].clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parsed<'a> = Option<(&'a str, Option<&'a str>, Vec<(u16, u32, &'a str)>)>;

    fn read(text: &str, has_fields: bool) -> Result<Parsed<'_>, String> {
        let mut line = Line::default();
        let has_row = parse(text, has_fields, &mut line)?;
        let features = line.features.into_iter().map(|feature| (feature.field, feature.index, &text[feature.value]));
        Ok(has_row.then(|| (&text[line.label], line.query.map(|query| &text[query]), features.collect())))
    }

    #[test]
    fn a_line_has_a_label_and_numbers_by_index() {
        assert_eq!(read("-1 3:0.5\t17:1 \r", false), Ok(Some(("-1", None, vec![(0, 3, "0.5"), (0, 17, "")]))));
        assert_eq!(read("2.5 qid:8 9:1e-3", false), Ok(Some(("2.5", Some("8"), vec![(0, 9, "1e-3")]))));
        assert_eq!(read("1 2:7:1 0:7:-3", true), Ok(Some(("1", None, vec![(2, 7, ""), (0, 7, "-3")]))));
        assert_eq!((read("0", true), read(" \r", false)), (Ok(Some(("0", None, vec![]))), Ok(None)));
        assert_eq!(without_comment(b"1 3:1 # a comment: \xFF"), Ok("1 3:1 "));
    }

    #[test]
    fn a_damaged_line_is_an_error_that_names_the_column() {
        let reason = |line: &str, has_fields| read(line, has_fields).unwrap_err();
        for (line, expected) in [
            ("x 1:2", "`x` at column 1 is not a label: each line starts with a number"),
            ("nan 1:2", "`nan` at column 1 is not a label: each line starts with a number"),
            ("1,2 1:2", "`1,2` at column 1 is not a label: each line starts with a number"),
            ("1 3", "`3` at column 3 is not of the form index:value"),
            ("1 1:1 3:4:5", "`3:4:5` at column 7 has the value `4:5`, which is not a finite number"),
            ("1 -3:1", "`-3:1` at column 3 has the index `-3`, which is negative"),
            ("1 +3:1", "`+3:1` at column 3 has the index `+3`, which is not a whole number"),
            ("1 1a:1", "`1a:1` at column 3 has the index `1a`, which is not a whole number"),
            ("1 2147483648:1", "`2147483648:1` at column 3 has the index `2147483648`, which is beyond 2147483647"),
            (
                "1 99999999999999999999:1",
                "`99999999999999999999:1` at column 3 has the index `99999999999999999999`, which is beyond 2147483647",
            ),
            ("1 3:inf", "`3:inf` at column 3 has the value `inf`, which is not a finite number"),
            ("1 3:", "`3:` at column 3 has the value ``, which is not a finite number"),
            ("1 7:1 3:1 7:2", "has index 7 twice"),
        ] {
            assert_eq!(reason(line, false), expected, "{line}");
        }
        assert_eq!(reason("1 3:1", true), "`3:1` at column 3 is not of the form field:index:value");
        assert_eq!(reason("1 qid:1", true), "`qid:1` at column 3 is not of the form field:index:value");
        assert_eq!(reason("1 65536:1:1", true), "`65536:1:1` at column 3 has the field `65536`, which is beyond 65535");
        assert_eq!(reason("1 0:3:1 1:3:1 0:3:1", true), "has index 3 of field 0 twice");
        assert_eq!(without_comment(b"1 3:\xFF"), Err("is not UTF-8 at column 5".into()));
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_an_error(line in "[0-9:.+ #qid-]{0,30}") {
            for has_fields in [false, true] {
                let _ = read(&line, has_fields);
            }
        }
    }
}
