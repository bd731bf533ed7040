//! Divides records between threads.

use memchr::{memchr_iter, memrchr2};

use super::records::Dialect;

/// Up to `n` parts of about the same length, one after the other, each of whole records with their line ends. The text starts
/// with a record, and what follows its last record is left out. This relies on quotes in pairs: a reader of a part notices if
/// they are not.
pub(super) fn parts(text: &[u8], dialect: Dialect, n: usize) -> Vec<&[u8]> {
    let (mut parts, mut start) = (Vec::with_capacity(n), 0);
    for part in 1..=n {
        let end = start + last_end(&text[start..text.len() * part / n], dialect);
        if end > start {
            parts.push(&text[start..end]);
        }
        start = end;
    }
    parts
}

/// The end of the last record that ends in the text, which starts with a record; 0 if there is none.
fn last_end(text: &[u8], Dialect { line_end, .. }: Dialect) -> usize {
    let mut is_quoted = memchr_iter(b'"', text).count() % 2 == 1;
    let mut rest = text;
    while let Some(at) = memrchr2(b'"', line_end, rest) {
        match rest[at] {
            b'"' => is_quoted = !is_quoted,
            _ if !is_quoted => return at + 1,
            _ => {}
        }
        rest = &rest[..at];
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(text: &str, n: usize) -> Vec<&str> {
        let parts = parts(text.as_bytes(), Dialect::COMMAS, n);
        parts.into_iter().map(|part| std::str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn parts_end_with_a_record_and_not_inside_quotes() {
        assert_eq!(divided("a,b\nc,d\ne,f\ng", 1), ["a,b\nc,d\ne,f\n"]);
        assert_eq!(divided("a,b\nc,d\ne,f\ng", 2), ["a,b\n", "c,d\ne,f\n"]);
        assert_eq!(divided("a,b\nc,d\ne,f\ng", 9), ["a,b\n", "c,d\n", "e,f\n"]);
        assert_eq!(divided("a\n\"x\n\n\"\"\n\"\nb\n\"y\n", 2), ["a\n", "\"x\n\n\"\"\n\"\nb\n"]);
        assert_eq!(divided("\"x\n\n\n\n\",1", 3), [""; 0]);
        assert_eq!(divided("", 2), [""; 0]);
    }
}
