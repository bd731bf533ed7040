//! The header line: the line end, the separator, and the names of the columns.

use super::records::{Dialect, Fault, Records};

/// The separators that are tried.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The length of the header line, and the byte that ends it; `None` if the line does not end in these bytes.
pub(super) fn line_end(bytes: &[u8]) -> Option<(usize, u8)> {
    let mut is_quoted = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => return Some((at, b'\n')),
            // Before a line feed, a carriage return is part of the line end. At the end of the bytes, that is unknown.
            b'\r' if !is_quoted => match bytes.get(at + 1) {
                Some(b'\n') => return Some((at, b'\n')),
                Some(_) => return Some((at, b'\r')),
                None => return None,
            },
            _ => {}
        }
    }
    None
}

/// The separator and the names in a header line: of the separators, the one with which most of the needed columns are
/// there, then the declared one, then one that occurs, then the usual one of the extension.
pub(super) fn separator_and_names<'a>(
    line: &[u8],
    declared: Option<u8>,
    usual: u8,
    needed: impl Iterator<Item = &'a str> + Clone,
) -> Result<(u8, Vec<String>), Fault> {
    let order: Vec<u8> = declared.into_iter().chain([usual]).chain(SEPARATORS).collect();
    let rate = |separator: u8| {
        let Ok(names) = names(line, separator) else { return (0, false, false) };
        let there: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
        let found = needed.clone().filter(|name| there.contains(name)).count();
        (found, declared == Some(separator), names.len() > 1)
    };
    let best = order.iter().map(|&separator| rate(separator)).max().unwrap_or_default();
    let separator = order.into_iter().find(|&separator| rate(separator) == best).unwrap_or(usual);
    Ok((separator, names(line, separator)?))
}

fn names(line: &[u8], separator: u8) -> Result<Vec<String>, Fault> {
    let mut cells = Vec::new();
    // The line has no other line ends than those in quotes.
    Records::new(line, Dialect { separator, line_end: b'\n' }, 1).read(&mut cells)?;
    Ok(cells.iter().map(|cell| cell.lossy_text(line).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str, declared: Option<u8>, usual: u8, needed: &[&str]) -> (char, usize) {
        let (separator, names) = separator_and_names(line.as_bytes(), declared, usual, needed.iter().copied()).unwrap();
        (char::from(separator), names.len())
    }

    #[test]
    fn the_separator_is_the_one_with_which_the_needed_columns_are_there() {
        assert_eq!(found("user,item", None, b',', &[]), (',', 2));
        assert_eq!(found("user;item", None, b',', &[]), (';', 2));
        assert_eq!(found("user\titem", None, b',', &[]), ('\t', 2));
        assert_eq!(found("user|item", None, b'\t', &["user"]), ('|', 2));
        assert_eq!(found("price, EUR;item;x,y", None, b',', &["item", "price, EUR"]), (';', 3));
        assert_eq!(found("\"a\";\"b\"", None, b',', &["b"]), (';', 2));
        assert_eq!(found("a,b", None, b'\t', &["a,b"]), ('\t', 1));
        assert_eq!(found("a", None, b',', &["b"]), (',', 1));
        assert_eq!(found("a:b,c", Some(b':'), b',', &["a"]), (':', 2));
        // The declared separator is that of other files.
        assert_eq!(found("a,b", Some(b';'), b',', &["a"]), (',', 2));
        let fault = separator_and_names(b"\"a\"x,b", None, b',', std::iter::empty()).unwrap_err();
        assert_eq!(fault, (Some(1), "has text after a closing quote".into()));
    }

    #[test]
    fn the_line_end_is_that_of_the_header() {
        assert_eq!(line_end(b"a,b\n1"), Some((3, b'\n')));
        assert_eq!(line_end(b"a,b\r\n1"), Some((3, b'\n')));
        assert_eq!(line_end(b"a,b\r1,2\r"), Some((3, b'\r')));
        assert_eq!(line_end(b"\"a\r\nb\",c\n"), Some((8, b'\n')));
        assert_eq!((line_end(b"a,b\r"), line_end(b"a,b"), line_end(b"")), (None, None, None));
    }
}
