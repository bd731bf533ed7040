//! Each page equals the output of its program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::Path;
use std::process::Command;

/// Absolute and relative tolerances for numbers with decimals, because CPUs round differently.
const ABSOLUTE: f64 = 2e-4;
const RELATIVE: f64 = 1e-3;

macro_rules! pages {
    ($($name:ident),*) => { $(
        #[test]
        fn $name() {
            check(stringify!($name), env!(concat!("CARGO_BIN_EXE_", stringify!($name))));
        }
    )* };
}
pages!(fm_ffm_sequences, nfm_sequences, fm_family, deepfm_dense);

#[test]
fn fm_regression() {
    let data = fm_data::movielens::data_dir(None).and_then(|folder| fm_data::movielens::locate(&folder, "ml-100k"));
    match data {
        Ok(_) => check("fm_regression", env!("CARGO_BIN_EXE_fm_regression")),
        Err(missing) => eprintln!("SKIPPED: {missing}"),
    }
}

fn check(name: &str, executable: &str) {
    let output = Command::new(executable).output().unwrap();
    assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("pages").join(name).with_extension("md");
    let expected = std::fs::read_to_string(&page).unwrap_or_default();
    if let Some(difference) = difference(&expected, &found) {
        panic!("{} differs from the output of {name}; run `make pages`: {difference}", page.display());
    }
}

/// The first difference between two pages.
fn difference(expected: &str, found: &str) -> Option<String> {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    for number in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (Some(expected), Some(found)) if is_same(expected, found) => {}
            (expected, found) => {
                let shown = |line: Option<&str>| line.map_or("nothing".to_owned(), |line| format!("`{line}`"));
                return Some(format!("line {number} is {}, now {}", shown(expected), shown(found)));
            }
        }
    }
    None
}

/// Whether two lines have the same text, ignoring spaces, and nearly the same numbers.
fn is_same(expected: &str, found: &str) -> bool {
    let (expected, found) = (pieces(expected), pieces(found));
    expected.len() == found.len()
        && expected.iter().zip(&found).all(|pair| match pair {
            (Piece::Text(expected), Piece::Text(found)) => expected == found,
            (Piece::Number(expected), Piece::Number(found)) => {
                (expected - found).abs() <= f64::max(ABSOLUTE, RELATIVE * expected.abs()) + f64::EPSILON
            }
            _ => false,
        })
}

enum Piece {
    Text(String),
    /// A number with decimals. Others, such as counts, are compared as text.
    Number(f64),
}

fn pieces(line: &str) -> Vec<Piece> {
    let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), line);
    while let Some(first) = rest.chars().next() {
        let sign = usize::from(first == '-');
        let end = rest[sign..].find(|c| !is_of_number(c)).map_or(rest.len(), |end| sign + end);
        let run = &rest[..end.max(first.len_utf8())];
        match run.parse() {
            Ok(number) if run.contains('.') => {
                pieces.extend([Piece::Text(std::mem::take(&mut text)), Piece::Number(number)]);
            }
            _ => text.extend(run.chars().filter(|c| !c.is_whitespace())),
        }
        rest = &rest[run.len()..];
    }
    pieces.push(Piece::Text(text));
    pieces
}

#[test]
fn pages_are_equal_only_up_to_rounding() {
    assert!(is_same("loss: [-0.3000  1.2345]", "loss: [-0.3001 1.2346]"));
    assert!(is_same("[ 0.0000]", "[-0.0001]"));
    assert!(is_same("275 rows, mean 1987.75", "275 rows, mean 1987.76"));
    for (expected, found) in [
        ("loss: 0.3000", "loss: 0.3004"),
        ("loss: 0.3000", "cost: 0.3000"),
        ("loss: 0.3000", "loss: -0.3000"),
        ("275 rows", "276 rows"),
        ("| 0.1 | 0.2 |", "| 0.1 |"),
    ] {
        assert!(!is_same(expected, found), "{expected} and {found}");
    }
    let line = "line 2 is `b 1`, now nothing";
    assert_eq!(difference("a\nb 1\n", "a\n").as_deref(), Some(line));
    assert_eq!(difference("a\nb 1.50\n", "a\nb 1.5\n"), None);
}
