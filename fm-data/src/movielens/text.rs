//! The releases' text files: lines, fields, encodings.

use std::borrow::Cow;
use std::path::Path;

use fm_core::terminal::shortened;

use crate::error::{Error, Result};

/// Reads a file, which must not be empty.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::data(path, None, "the file is empty: download the release again"));
    }
    Ok(bytes)
}

/// The text of a file without a declared encoding. The early releases are ISO-8859-1. Valid UTF-8 counts as UTF-8,
/// since accented ISO-8859-1 text is practically never valid UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// The text of a UTF-8 file; the error names the first line that is not UTF-8.
pub(super) fn decode_utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Error::data(path, line, "the text is not UTF-8: download the release again, or convert the file")
    })?;
    Ok(text.trim_start_matches('\u{feff}'))
}

/// The lines that are not blank, with their numbers from 1 and without their ends.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    (1..).zip(lines).filter(|(_, line)| !line.is_empty())
}

/// Like [`lines`], for text.
pub(super) fn text_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    (1..).zip(lines).filter(|(_, line)| !line.is_empty())
}

/// The fields of a line, if there are exactly `N`.
pub(super) fn fields<'a, const N: usize>(line: &'a [u8], separator: &[u8]) -> Option<[&'a [u8]; N]> {
    let mut fields = [&line[..0]; N];
    let mut rest = line;
    for field in &mut fields[..N - 1] {
        let end = rest.windows(separator.len()).position(|bytes| bytes == separator)?;
        *field = &rest[..end];
        rest = &rest[end + separator.len()..];
    }
    if rest.windows(separator.len()).any(|bytes| bytes == separator) {
        return None;
    }
    fields[N - 1] = rest;
    Some(fields)
}

/// Text for an error message: in one line, cut to 40 characters.
pub(super) fn shown(field: impl AsRef<[u8]>) -> String {
    format!("`{}`", shortened(&String::from_utf8_lossy(field.as_ref()), 40))
}

/// An id: a whole number of up to 64 bits, kept as text.
pub(super) fn parse_id(field: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(field).ok()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    is_number.then_some(text)
}

/// The error for an id that [`parse_id`] rejects.
pub(super) fn id_reason(what: &str, field: impl AsRef<[u8]>) -> String {
    format!("{what} id {} is not a whole number of up to 64 bits", shown(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        let found: Vec<_> = lines(b"a\r\n\n\r\nb\nc").collect();
        assert_eq!(found, [(1, &b"a"[..]), (4, b"b"), (5, b"c")]);
        assert_eq!(text_lines("a\r\n\n\r\nb\nc").collect::<Vec<_>>(), [(1, "a"), (4, "b"), (5, "c")]);
    }

    #[test]
    fn a_line_has_exactly_its_fields() {
        assert_eq!(fields::<3>(b"1::::x", b"::"), Some([&b"1"[..], b"", b"x"]));
        assert_eq!(fields::<3>(b"1::2", b"::"), None);
        assert_eq!(fields::<2>(b"1,2,3", b","), None);
    }

    #[test]
    fn text_is_utf8_if_it_can_be_and_latin_1_otherwise() {
        assert_eq!(decode("Misérables".as_bytes()), "Misérables");
        assert_eq!(decode(b"Mis\xe9rables"), "Misérables");
        assert_eq!(decode("\u{feff}1|x".as_bytes()), "1|x");
    }

    #[test]
    fn an_id_is_a_whole_number_that_fits() {
        assert_eq!(parse_id(b"18446744073709551615"), Some("18446744073709551615"));
        for malformed in [&b"18446744073709551616"[..], b"", b"-1", b"+1", b"1.0", b" 1", b"x", b"\xff"] {
            assert_eq!(parse_id(malformed), None);
        }
    }

    #[test]
    fn text_in_errors_is_short_and_on_one_line() {
        assert_eq!(shown("a\nb\u{7}"), "`a b\u{fffd}`");
        assert_eq!(shown([b'x'; 100]), format!("`{}…`", "x".repeat(40)));
    }
}
