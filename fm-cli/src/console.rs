//! The terminal: its width and its lines.

use std::io::IsTerminal;

use fm_core::Label;

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

/// A number with six significant digits.
pub fn rounded(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

/// A number with some decimals, fewer if it has many digits before them, or in scientific notation if they would not show it.
pub fn decimal(value: f64, decimals: usize) -> String {
    let least = 10f64.powi(-(decimals as i32));
    match value.abs() {
        zero @ 0.0 => format!("{zero:.decimals$}"),
        // Not more than eight digits.
        size if (least..1e7).contains(&size) => format!("{value:.*}", decimals.min(7 - size.log10().max(0.0) as usize)),
        size if size.is_finite() => format!("{value:.3e}"),
        _ => value.to_string(),
    }
}

/// A number with some decimals and its sign. One that rounds to 0 is not negative.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:+.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|digit| b"0.".contains(&digit)) => format!("+{digits}"),
        _ => text,
    }
}

/// A share in whole percent, which is not -0 %.
pub fn percent(share: f64) -> String {
    signed(100.0 * share, 0).trim_start_matches('+').to_owned() + "%"
}

/// How many decimals show numbers in the unit of a label, where `decimals` show those of ratings.
pub fn decimals_of(label: &Label, decimals: usize) -> usize {
    let shift = label.scale.log10().round();
    (decimals as f32 - shift).clamp(0.0, 40.0) as usize
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
    fn a_number_shows_its_digits_however_small_or_great_it_is() {
        let shown = [0.87654, -0.00017, 0.0, -3.2e-7, 123_456.0, -2.5e9].map(|value| decimal(value, 4));
        assert_eq!(shown, ["0.8765", "-0.0002", "0.0000", "-3.200e-7", "123456.00", "-2.500e9"]);
        let label =
            |unit: f32| Label::fit("y", fm_core::Task::Regression, [1.0, 2.0, 4.0, 5.0].map(|stars| unit * stars));
        assert_eq!([1.0, 1e-6, 1e6].map(|unit| decimals_of(&label(unit), 4)), [4, 10, 0]);
    }

    #[test]
    fn zero_is_not_negative() {
        assert_eq!([-0.00004, -0.00006, 0.5].map(|value| signed(value, 4)), ["+0.0000", "-0.0001", "+0.5000"]);
        assert_eq!([-0.004, -0.0, -0.006, 1.0].map(percent), ["0%", "0%", "-1%", "100%"]);
        assert_eq!(decimal(-0.0, 2), "0.00");
    }

    #[test]
    fn a_long_text_takes_several_lines() {
        assert_eq!(wrapped("one two three", 9, 2, 4), "one two\n    three");
        assert_eq!(wrapped("one two", 80, 10, 4), "one two");
    }
}
