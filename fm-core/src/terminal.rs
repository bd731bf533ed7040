//! Text from data in a terminal. A terminal obeys control characters, and shows text in another order after a direction
//! override: a title must not move the cursor, change the window's name, or look like another one. Files keep such text.

use std::borrow::Cow;
use std::fmt::Write;

/// Takes the place of a character that a terminal obeys.
const INSTEAD: char = '\u{fffd}';

/// Whether a terminal obeys a character: the control characters of ASCII and Latin-1, the ends of lines and paragraphs,
/// and those that override, embed or isolate a direction.
fn is_command(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn replaced(text: &str, replace: impl Fn(char) -> char) -> Cow<'_, str> {
    match text.chars().any(|c| replace(c) != c) {
        true => Cow::Owned(text.chars().map(replace).collect()),
        false => Cow::Borrowed(text),
    }
}

/// A text as one line that a terminal only shows. Line ends and tabs become spaces.
///
/// ```
/// use fm_core::terminal::line;
///
/// assert_eq!(line("Heat\n(1995)"), "Heat (1995)");
/// assert_eq!(line("\u{1b}[31mHeat\u{7}"), "\u{fffd}[31mHeat\u{fffd}");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_command(c) => INSTEAD,
        c => c,
    })
}

/// The same for a page of text, which keeps its line ends and tabs.
pub fn page(text: &str) -> Cow<'_, str> {
    replaced(text, |c| if is_command(c) && !matches!(c, '\n' | '\t') { INSTEAD } else { c })
}

/// JSON whose texts a terminal only shows: they stay the same, in escapes.
pub fn json(text: &str) -> Cow<'_, str> {
    // In JSON, line ends are between values only.
    let is_escaped = |c: char| is_command(c) && c != '\n';
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            // Writing to a string does not fail.
            c if is_escaped(c) => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A text as a [`line`](line()) of at most `most` characters and an ellipsis, cut between words if that keeps half of it.
///
/// ```
/// use fm_core::terminal::shortened;
///
/// assert_eq!(shortened("The Postman\u{7}", 20), "The Postman\u{fffd}");
/// assert_eq!(shortened("The Postman Always Rings Twice (1946)", 20), "The Postman Always…");
/// ```
pub fn shortened(text: &str, most: usize) -> String {
    let text = text.trim();
    let Some((end, next)) = text.char_indices().nth(most) else { return line(text).into_owned() };
    let start = &text[..end];
    let words = if next.is_whitespace() { Some(end) } else { start.rfind(char::is_whitespace) };
    let words = words.filter(|words| 2 * words >= end).map(|words| &start[..words]);
    let kept = words.map_or(start, |words| words.trim_end_matches([' ', ',', ':', '(', '.']));
    format!("{}…", line(kept))
}

/// A number with thousands separators.
///
/// ```
/// assert_eq!(fm_core::terminal::grouped(1234567), "1,234,567");
/// ```
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    /// What terminals obey: a bell, a colour, a title of the window, a cursor in eight bits, a delete, an override and an
    /// isolate of direction, a line end of Unicode.
    const HOSTILE: &str = "\u{7}\u{1b}[31m\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{202e}txt\u{2066}\u{2028}\r\n\0";

    #[test]
    fn a_terminal_only_shows_what_is_left() {
        assert_eq!(line(HOSTILE), "�\u{fffd}[31m�]0;x��2J��txt��  �");
        assert_eq!(page(HOSTILE), "��[31m�]0;x��2J��txt���\n�");
        assert!(!shortened(HOSTILE, 100).contains(is_command));
    }

    #[test]
    fn text_of_any_language_stays() {
        for text in ["Amélie", "千と千尋", "דברים", "نص\u{200f}", "👩\u{200d}🚀", "می\u{200c}خواهم", "a\u{301}"]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
            assert_eq!((page(text), json(text)), (Cow::Borrowed(text), Cow::Borrowed(text)));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_words_or_else_between_characters() {
        assert_eq!(shortened("George of the Jungle (1997)", 26), "George of the Jungle…");
        assert_eq!(shortened("Les Misérables (1995)", 26), "Les Misérables (1995)");
        assert_eq!(shortened(&"é🎬".repeat(20), 26), format!("{}…", "é🎬".repeat(13)));
        assert_eq!(shortened(&format!("a {}", "b".repeat(90)), 10), "a bbbbbbbb…");
        assert_eq!(shortened("  4.5 ", 26), "4.5");
    }

    proptest! {
        #[test]
        fn json_keeps_its_texts(text in "\\PC{0,5}|[\u{0}-\u{20}\u{7f}-\u{9f}\u{202a}-\u{202e}\u{2066}-\u{2069}\"\\\\]{0,9}") {
            let plain = serde_json::to_string_pretty(&[&text]).unwrap();
            let escaped = json(&plain);
            prop_assert!(!escaped.replace('\n', "").contains(is_command));
            prop_assert_eq!(serde_json::from_str::<[String; 1]>(&escaped).unwrap(), [text]);
        }
    }
}
