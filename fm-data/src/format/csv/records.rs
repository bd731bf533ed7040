//! The records of a CSV file, found before parsing: Polars fills short lines with nulls, and its errors name no lines.

/// An error in a file: the line, if known, and the reason.
pub type Fault = (Option<usize>, String);

/// Iterates over the records of a CSV file.
pub struct Records<'a> {
    rest: &'a [u8],
    separator: u8,
    line: usize,
}

/// A record in its file.
pub struct Record<'a> {
    /// The line of its start, from 1.
    pub line: usize,
    /// The number of its cells.
    pub cells: usize,
    /// Its bytes, without the line end.
    pub bytes: &'a [u8],
}

const STRAY_QUOTE: &str = "has a quote inside a cell: put the cell in quotes and double those inside";
const OPEN_QUOTE: &str = "opens a quote that never closes";

impl<'a> Records<'a> {
    /// The records of `bytes`. The first starts on `line`.
    pub fn new(bytes: &'a [u8], separator: u8, line: usize) -> Records<'a> {
        Records { rest: bytes, separator, line }
    }

    /// The bytes after the last record returned.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The line of the start of the next record.
    pub fn line(&self) -> usize {
        self.line
    }

    fn fail(&mut self, line: usize, reason: &str) -> Option<<Self as Iterator>::Item> {
        self.rest = &[];
        Some(Err((Some(line), reason.to_owned())))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest;
        if bytes.is_empty() {
            return None;
        }
        let line = self.line;
        let (mut at, mut cells, mut cell_starts) = (0, 1, true);
        let end = loop {
            match bytes.get(at) {
                None => break at,
                Some(b'\n') => break at,
                Some(b'"') if cell_starts => match closing_quote(&bytes[at..], self.separator) {
                    Ok(len) => {
                        self.line += bytes[at..at + len].iter().filter(|&&byte| byte == b'\n').count();
                        at += len;
                        cell_starts = false;
                        continue;
                    }
                    Err(reason) => return self.fail(line, reason),
                },
                Some(b'"') => return self.fail(self.line, STRAY_QUOTE),
                Some(byte) => {
                    cell_starts = *byte == self.separator;
                    cells += usize::from(cell_starts);
                }
            }
            at += 1;
        };
        self.rest = &bytes[bytes.len().min(end + 1)..];
        self.line += 1;
        let bytes = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        Some(Ok(Record { line, cells, bytes }))
    }
}

/// Whether the fault is an open quote, which more of the file may close.
pub fn is_open_quote(fault: &Fault) -> bool {
    fault.1 == OPEN_QUOTE
}

/// The length of the quoted cell at the start of `bytes`.
fn closing_quote(bytes: &[u8], separator: u8) -> Result<usize, &'static str> {
    let mut at = 1;
    loop {
        match bytes[at..].iter().position(|&byte| byte == b'"') {
            None => return Err(OPEN_QUOTE),
            Some(offset) => at += offset + 1,
        }
        match &bytes[at..] {
            [b'"', ..] => at += 1,
            [] | [b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..] => return Ok(at),
            [byte, ..] if *byte == separator => return Ok(at),
            _ => return Err("has text after a closing quote"),
        }
    }
}

/// The cells of a well-formed record.
pub fn cells(record: &[u8], separator: u8) -> Vec<String> {
    let (mut quoted, mut start, mut cells) = (false, 0, Vec::new());
    for at in 0..=record.len() {
        match record.get(at) {
            Some(b'"') => quoted = !quoted,
            end if !quoted && end.is_none_or(|byte| *byte == separator) => {
                let cell = String::from_utf8_lossy(&record[start..at]);
                let inner = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"'));
                cells.push(inner.map_or_else(|| cell.to_string(), |inner| inner.replace("\"\"", "\"")));
                start = at + 1;
            }
            _ => {}
        }
    }
    cells
}

/// The bytes without trailing line ends.
pub fn without_closing_line_ends(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// The bytes without the byte-order mark that some programs write.
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}
