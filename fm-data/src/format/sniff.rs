//! The format of a table without a name, by its first bytes.

use super::interface::Format;
use super::{csv, ipc, json_lines, parquet, sparse};

/// The number of bytes that tell the format.
pub(super) const START: u64 = 1 << 16;

/// The number of lines that are looked at.
const LINES: usize = 20;

/// The format of a table that starts with these bytes, after they are unpacked.
pub(super) fn sniff(start: &[u8]) -> &'static dyn Format {
    if start.starts_with(b"PAR1") {
        return &parquet::Parquet;
    }
    if start.starts_with(b"ARROW1") {
        return &ipc::ARROW;
    }
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    let is_blank = |line: &&[u8]| line.trim_ascii().is_empty();
    let lines: Vec<&[u8]> = start.split(|&byte| byte == b'\n').filter(|line| !is_blank(line)).take(LINES).collect();
    // The last line may be cut.
    let is_cut = !start.ends_with(b"\n") && lines.len() > 1 && lines.len() < LINES;
    let whole = if is_cut { &lines[..lines.len() - 1] } else { &lines };
    match whole.first() {
        Some(first) if first.trim_ascii_start().starts_with(b"{") => &json_lines::JSONL,
        _ if sparse::are_lines(whole, true) => &sparse::LIBFFM,
        _ if sparse::are_lines(whole, false) => &sparse::LIBSVM,
        _ => &csv::CSV,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_tell_the_format() {
        for (text, extension) in [
            ("a,b\n1,2\n", "csv"),
            ("a\tb\n1\t2\n", "csv"),
            ("label\n1\n0\n", "csv"),
            ("", "csv"),
            ("{a},b\n", "jsonl"),
            ("\u{FEFF}\n {\"a\":1}\n", "jsonl"),
            ("1 3:0.5 17:1\n0\n", "libsvm"),
            ("1 qid:3 17:1\n", "libsvm"),
            ("\u{FEFF}0\r\n1 2:3:1\r\n", "libffm"),
            ("1 2:3:1 # a comment\n0 2:3:0.5 4:", "libffm"),
            ("time\n12:30\n", "csv"),
            ("1\n2\n", "csv"),
            ("PAR1\0", "parquet"),
            ("ARROW1\0\0", "arrow"),
        ] {
            assert_eq!(sniff(text.as_bytes()).extension(), extension, "{text:?}");
        }
    }
}
