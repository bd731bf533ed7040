//! The terminal: its width and its lines.

use std::io::IsTerminal;

/// The width if the output is a file or a pipe.
const DEFAULT_WIDTH: usize = 80;
/// Lines wider than this are hard to read.
const MAX_WIDTH: usize = 100;

/// Maximum number of characters in a line.
pub fn width() -> usize {
    match terminal_size::terminal_size() {
        Some((terminal_size::Width(columns), _)) => usize::from(columns).min(MAX_WIDTH),
        None => DEFAULT_WIDTH,
    }
}

/// Whether standard error takes colours: <https://no-color.org>.
pub fn has_colors() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether `--verbose` is on.
pub fn is_verbose() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// Names of metrics, the main one first: all with `--verbose`, otherwise as many as fit into `room` characters with
/// columns of `column` characters.
pub fn fitting<'a>(mut names: Vec<&'a String>, main: &str, room: usize, column: usize) -> Vec<&'a String> {
    names.sort_by_key(|name| name.as_str() != main);
    if !is_verbose() {
        names.truncate((room / column).max(1));
    }
    names
}

/// Suggests the next commands, one per line.
pub fn suggest(commands: &[String]) {
    for (number, command) in commands.iter().enumerate() {
        tracing::info!("{} {command}", if number == 0 { "next:" } else { "     " });
    }
}

/// A text in lines of at most `width` characters. The first line starts at column `start`, the others at `indent`.
pub fn wrapped(text: &str, width: usize, start: usize, indent: usize) -> String {
    let (mut lines, mut length) = (String::new(), start);
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        let is_first = length == start && lines.is_empty();
        if !is_first && length + 1 + word_length > width {
            lines.push('\n');
            lines.extend(std::iter::repeat_n(' ', indent));
            length = indent;
        } else if !is_first {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_metric_comes_first_and_others_follow_if_they_fit() {
        let names = ["accuracy", "auc", "logloss", "precision"].map(str::to_owned);
        assert_eq!(fitting(names.iter().collect(), "logloss", 36, 12), ["logloss", "accuracy", "auc"]);
        assert_eq!(fitting(names.iter().collect(), "auc", 5, 12), ["auc"]);
    }

    #[test]
    fn a_long_text_takes_several_lines() {
        assert_eq!(wrapped("one two three", 9, 2, 4), "one two\n    three");
        assert_eq!(wrapped("one two", 80, 10, 4), "one two");
    }
}
