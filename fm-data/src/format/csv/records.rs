//! The records of a CSV file and their cells.

use std::borrow::Cow;
use std::ops::Range;

/// An error in a file: the line, if known, and the reason.
pub type Fault = (Option<usize>, String);

/// The characters between cells and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between cells.
    pub separator: u8,
    /// At the end of a record: `\n`, before which `\r` is allowed, or only `\r`.
    pub line_end: u8,
}

impl Dialect {
    /// Commas and line feeds.
    pub const COMMAS: Dialect = Dialect { separator: b',', line_end: b'\n' };
}

/// Reads the records of some bytes one after the other.
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    line: usize,
}

/// A cell, by its position in the bytes of its records. Quotes are not part of it.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    start: u32,
    end: u32,
    is_quoted: bool,
    /// Whether it has doubled quotes.
    has_quotes: bool,
}

const STRAY_QUOTE: &str = "has a quote inside a cell: put the cell in quotes and double those inside";
const OPEN_QUOTE: &str = "opens a quote that never closes";
const AFTER_QUOTE: &str = "has text after a closing quote";
const TOO_LONG: &str = "follows more than 4 GiB of text";

impl<'a> Records<'a> {
    /// The records of `bytes`. The first starts on `line`.
    pub fn new(bytes: &'a [u8], dialect: Dialect, line: usize) -> Records<'a> {
        Records { bytes, at: 0, dialect, line }
    }

    /// The position of the next record.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The line of the start of the next record.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Puts the cells of the next record into `cells`, and returns the line of its start; `None` after the last one. A
    /// blank line is a record of one empty cell.
    ///
    /// # Errors
    /// Misplaced quotes, with their line; more than 4 GiB. No records follow.
    pub fn read(&mut self, cells: &mut Vec<Cell>) -> Result<Option<usize>, Fault> {
        cells.clear();
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let line = self.line;
        if self.bytes.len() > u32::MAX as usize {
            return Err(self.fail(line, TOO_LONG));
        }
        loop {
            let (cell, more) = match self.bytes.get(self.at) {
                Some(b'"') => self.quoted_cell(line)?,
                _ => self.bare_cell()?,
            };
            cells.push(cell);
            if !more {
                self.line += 1;
                return Ok(Some(line));
            }
        }
    }

    /// The cell at the current position, and whether the separator follows.
    fn bare_cell(&mut self) -> Result<(Cell, bool), Fault> {
        let Dialect { separator, line_end } = self.dialect;
        let start = self.at;
        let rest = &self.bytes[start..];
        let len = position(rest, [separator, line_end, b'"']);
        let end = start + len.unwrap_or(rest.len());
        let ending = self.bytes.get(end).copied();
        if ending == Some(b'"') {
            return Err(self.fail(self.line, STRAY_QUOTE));
        }
        self.at = end + 1;
        let is_last = ending != Some(separator);
        let is_carriage_return = is_last && line_end == b'\n' && self.bytes[start..end].ends_with(b"\r");
        let end = end - usize::from(is_carriage_return);
        Ok((Cell { start: start as u32, end: end as u32, is_quoted: false, has_quotes: false }, !is_last))
    }

    /// As [`Records::bare_cell`], at a quote.
    fn quoted_cell(&mut self, line: usize) -> Result<(Cell, bool), Fault> {
        let Dialect { separator, line_end } = self.dialect;
        let start = self.at + 1;
        let (mut at, mut has_quotes) = (start, false);
        let end = loop {
            match self.bytes[at..].iter().position(|&byte| byte == b'"') {
                None => return Err(self.fail(line, OPEN_QUOTE)),
                Some(len) => at += len,
            }
            if self.bytes.get(at + 1) != Some(&b'"') {
                break at;
            }
            has_quotes = true;
            at += 2;
        };
        self.line += self.bytes[start..end].iter().filter(|&&byte| byte == line_end).count();
        let is_line_feed = line_end == b'\n';
        let (len, more) = match &self.bytes[end + 1..] {
            [byte, ..] if *byte == separator => (1, true),
            [byte, ..] if *byte == line_end => (1, false),
            [b'\r', b'\n', ..] if is_line_feed => (2, false),
            [b'\r'] if is_line_feed => (1, false),
            [] => (0, false),
            _ => return Err(self.fail(line, AFTER_QUOTE)),
        };
        self.at = end + 1 + len;
        Ok((Cell { start: start as u32, end: end as u32, is_quoted: true, has_quotes }, more))
    }

    fn fail(&mut self, line: usize, reason: &str) -> Fault {
        self.at = self.bytes.len();
        (Some(line), reason.to_owned())
    }
}

impl Cell {
    /// The bytes of the cell in those of the records.
    pub fn bytes(self, records: &[u8]) -> &[u8] {
        records.get(self.range()).unwrap_or_default()
    }

    /// The text of the cell in that of the records.
    pub fn text(self, records: &str) -> Cow<'_, str> {
        self.without_quotes(records.get(self.range()).unwrap_or_default().into())
    }

    /// The text of the cell in records that are not all UTF-8. Characters take the place of bytes that are not.
    pub fn lossy_text(self, records: &[u8]) -> Cow<'_, str> {
        self.without_quotes(String::from_utf8_lossy(self.bytes(records)))
    }

    fn without_quotes(self, text: Cow<'_, str>) -> Cow<'_, str> {
        if self.has_quotes { Cow::Owned(text.replace("\"\"", "\"")) } else { text }
    }

    /// The position of the text in the records, unless it has doubled quotes.
    pub fn unquoted_range(self) -> Option<Range<usize>> {
        (!self.has_quotes).then(|| self.range())
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether there is nothing between the separators, not even quotes.
    pub fn is_empty(self) -> bool {
        !self.is_quoted && self.start == self.end
    }
}

/// The position of the first byte that is one of three. Most cells are short: eight bytes are compared at once, without a branch.
fn position(bytes: &[u8], of: [u8; 3]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xFF;
    let words = (ONES * u64::from(of[0]), ONES * u64::from(of[1]), ONES * u64::from(of[2]));
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk() {
        // The lowest byte that equals one of three is where the lowest bit is set.
        let word = u64::from_le_bytes(*word);
        let found = (zeros(word ^ words.0) | zeros(word ^ words.1) | zeros(word ^ words.2)) & (ONES << 7);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes[at..].iter().position(|byte| of.contains(byte)).map(|rest| at + rest)
}

/// Whether the fault is an open quote, which more of the file may close.
pub fn is_open_quote(fault: &Fault) -> bool {
    fault.1 == OPEN_QUOTE
}

/// The bytes without trailing line ends.
pub fn without_closing_line_ends(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, dialect: Dialect) -> Result<Vec<(usize, Vec<String>)>, Fault> {
        let (mut records, mut cells, mut all) = (Records::new(text.as_bytes(), dialect, 1), vec![], vec![]);
        while let Some(line) = records.read(&mut cells)? {
            let texts = cells.iter().map(|cell| cell.text(text).into_owned());
            all.push((line, texts.collect()));
        }
        Ok(all)
    }

    fn record(line: usize, cells: &[&str]) -> (usize, Vec<String>) {
        (line, cells.iter().map(|&cell| cell.to_owned()).collect())
    }

    #[test]
    fn quotes_line_ends_and_blank_lines_are_parsed() {
        let text = "a,b\r\n\n\"x, \"\"y\"\"\",\"1\n2\"\r\n,\nlast,é";
        let third = record(3, &["x, \"y\"", "1\n2"]);
        let expected =
            [record(1, &["a", "b"]), record(2, &[""]), third, record(5, &["", ""]), record(6, &["last", "é"])];
        assert_eq!(read(text, Dialect::COMMAS).unwrap(), expected);
        assert_eq!(read("", Dialect::COMMAS).unwrap(), []);
        let returns = Dialect { separator: b';', line_end: b'\r' };
        assert_eq!(read("a;\"b\r\"\r1,5;", returns).unwrap(), [record(1, &["a", "b\r"]), record(3, &["1,5", ""])]);
    }

    #[test]
    fn misplaced_quotes_are_errors_with_a_line() {
        let fault = |text: &str| read(text, Dialect::COMMAS).unwrap_err();
        assert_eq!(fault("a\nb,\"c\nd\n"), (Some(2), OPEN_QUOTE.into()));
        assert_eq!(fault("\"a\"b,c\n"), (Some(1), AFTER_QUOTE.into()));
        assert_eq!(fault("\"a\n\",b\"\n"), (Some(2), STRAY_QUOTE.into()));
    }

    proptest! {
        #[test]
        fn positions_are_those_of_the_first_of_three_bytes(
            bytes in prop::collection::vec(prop::sample::select(vec![b',', b'\n', b'"', 0, 1, 11, 35, 45, 0x80, 0xFF]), 0..40),
            from in 0usize..40,
        ) {
            let bytes: Vec<u8> = bytes.into_iter().enumerate().map(|(at, byte)| if at < from { byte | 1 } else { byte }).collect();
            let expected = bytes.iter().position(|byte| b",\n\"".contains(byte));
            prop_assert_eq!(position(&bytes, [b',', b'\n', b'"']), expected);
        }

        #[test]
        fn quoted_cells_are_read_back(
            table in prop::collection::vec(prop::collection::vec("[a,\"\n\ré]{0,5}", 2..4), 0..5),
        ) {
            let quoted = |cells: &Vec<String>| {
                let cells = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
                cells.collect::<Vec<_>>().join(",") + "\n"
            };
            let text: String = table.iter().map(quoted).collect();
            let found: Vec<_> = read(&text, Dialect::COMMAS).unwrap().into_iter().map(|(_, cells)| cells).collect();
            prop_assert_eq!(found, table);
        }

        #[test]
        fn any_text_is_read_to_its_end(text in "[a,\"\n\r]{0,30}") {
            prop_assert!(read(&text, Dialect::COMMAS).is_ok_and(|records| records.len() <= text.len()) || text.contains('"'));
        }
    }
}
