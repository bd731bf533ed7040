//! Lists as JSON and Python write them: `["a", "b"]`, `['a', 'b']`, `[1, 2]`.

use std::borrow::Cow;

/// Bare words for a missing value.
const NULLS: [&str; 4] = ["None", "null", "nan", "NaN"];

/// The values of a list in brackets; `None` if the text is not a list.
///
/// A value is a string in single or double quotes with the escapes of JSON and Python, or a bare text without quotes and brackets
/// that ends at a comma. Commas are between values; between strings, spaces suffice, as in NumPy's output. Bare words for a missing
/// value are skipped.
pub(super) fn bracketed(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let inside = text.trim_ascii().strip_prefix('[')?.strip_suffix(']')?;
    let mut rest = inside.trim_ascii();
    let mut values = vec![];
    while !rest.is_empty() {
        if rest.starts_with(['\'', '"']) {
            let (value, after) = quoted(rest)?;
            values.push(value);
            rest = after.trim_ascii_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_ascii_start(),
                None if rest.is_empty() || rest.starts_with(['\'', '"']) => {}
                None => return None,
            }
        } else {
            let (value, after) = rest.split_once(',').unwrap_or((rest, ""));
            let value = value.trim_ascii_end();
            if value.is_empty() || value.contains(['[', ']', '\'', '"']) {
                return None;
            }
            if !NULLS.contains(&value) {
                values.push(Cow::Borrowed(value));
            }
            rest = after.trim_ascii_start();
        }
    }
    Some(values)
}

/// The string at the start of a text, and what follows its closing quote.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let quote = char::from(*text.as_bytes().first()?);
    let mut rest = &text[1..];
    let mut unescaped = String::new();
    loop {
        let at = rest.find([quote, '\\'])?;
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if rest[at..].starts_with(quote) {
            let value = if unescaped.is_empty() { Cow::Borrowed(before) } else { Cow::Owned(unescaped + before) };
            return Some((value, after));
        }
        unescaped.push_str(before);
        let (character, after) = escape(after)?;
        unescaped.push(character);
        rest = after;
    }
}

/// The character of an escape after its backslash, and what follows.
fn escape(text: &str) -> Option<(char, &str)> {
    let kind = *text.as_bytes().first()?;
    let character = match kind {
        b'"' | b'\'' | b'\\' | b'/' => char::from(kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'x' => return code_point(&text[1..], 2),
        b'u' => return code_point(&text[1..], 4),
        b'U' => return code_point(&text[1..], 8),
        _ => return None,
    };
    Some((character, &text[1..]))
}

/// The character with a hexadecimal number of this many digits. JSON writes one beyond 16 bits as two numbers.
fn code_point(text: &str, digits: usize) -> Option<(char, &str)> {
    let (code, after) = hexadecimal(text, digits)?;
    if digits == 4 && (0xd800..0xdc00).contains(&code) {
        let (low, after) = hexadecimal(after.strip_prefix("\\u")?, 4)?;
        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        return Some((char::from_u32(0x10000 + ((code - 0xd800) << 10) + low)?, after));
    }
    Some((char::from_u32(code)?, after))
}

fn hexadecimal(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, after) = text.split_at_checked(digits)?;
    // `from_str_radix` also accepts a sign.
    let is_number = number.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((is_number.then(|| u32::from_str_radix(number, 16).ok())??, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Option<Vec<String>> {
        bracketed(text).map(|values| values.into_iter().map(Cow::into_owned).collect())
    }

    #[test]
    fn lists_of_json_python_and_numpy_are_read() {
        for (text, expected) in [
            (r#"["a", "b c"]"#, &["a", "b c"][..]),
            ("['a', 'b|c']", &["a", "b|c"]),
            (" [ 'a' ,\t\"it's\" ,] ", &["a", "it's"]),
            ("['a' 'b'\n 'c']", &["a", "b", "c"]),
            ("[1, 2.0, True, None, null, nan]", &["1", "2.0", "True"]),
            ("[New York, Rome]", &["New York", "Rome"]),
            ("[]", &[]),
            ("[ ]", &[]),
            ("['']", &[""]),
            (r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"]"#, &["\"\\/\u{8}\u{c}\n\r\té😀"]),
            (r"['it\'s \x41\U0001f600']", &["it's A😀"]),
            ("['é日']", &["é日"]),
        ] {
            assert_eq!(
                values(text).as_deref().map(|found| found.iter().map(String::as_str).collect()),
                Some(expected.to_vec()),
                "{text}"
            );
        }
    }

    #[test]
    fn other_texts_are_no_lists() {
        for text in [
            "",
            "[",
            "]",
            "a",
            "[a]|[b]",
            "[a",
            "a]",
            "['a', 'b'",
            "['a]",
            "['a' b]",
            "[a 'b']",
            "[,]",
            "[a,,b]",
            "['a',,'b']",
            "[[1], [2]]",
            "['a'] x",
            r"['\q']",
            r"['\x4']",
            r"['\x+4']",
            r"['\ud83d']",
            r"['\ud83dA']",
            r"['\udc00']",
            r"['\U00110000']",
            "['\\",
            "[it's]",
            r"['\é']",
        ] {
            assert_eq!(values(text), None, "{text}");
        }
    }
}
