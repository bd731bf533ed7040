//! The values of an object as text.

use serde_json::value::RawValue;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `null`
    Missing,
    /// A text, a number or a truth value.
    One,
    List,
    Object,
}

/// What the value with this JSON text is.
pub(super) fn kind(json: &str) -> Kind {
    match json.as_bytes().first() {
        Some(b'n') => Kind::Missing,
        Some(b'[') => Kind::List,
        Some(b'{') => Kind::Object,
        _ => Kind::One,
    }
}

/// Appends the text of a value of [`Kind::One`].
///
/// The error is about a string that is not Unicode, unless such strings keep their escapes.
pub(super) fn push_one(text: &mut String, json: &str, is_strict: bool) -> Result<(), String> {
    let Some(quoted) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        match json {
            "true" | "false" => text.push_str(json),
            number => push_number(text, number),
        }
        return Ok(());
    };
    if !quoted.contains('\\') {
        text.push_str(quoted);
        return Ok(());
    }
    match serde_json::from_str::<String>(json) {
        Ok(unescaped) => text.push_str(&unescaped),
        Err(_) if !is_strict => text.push_str(quoted),
        Err(_) => return Err("has a string with half a character, such as `\\ud83d` alone".into()),
    }
    Ok(())
}

/// Appends a number with all its digits, but without those that do not count: `4.0` is `4`, as in other formats, since
/// programs store ids as floats if some are missing.
fn push_number(text: &mut String, number: &str) {
    if number.contains(['e', 'E']) {
        match number.parse::<f64>() {
            Ok(float) if float.is_finite() => text.push_str(&float.to_string()),
            _ => text.push_str(number),
        }
        return;
    }
    text.push_str(match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    });
}

/// The values of a list as text; `None` if it has lists or objects. Those that are null are left out.
pub(super) fn items(json: &str, is_strict: bool) -> Result<Option<Vec<String>>, String> {
    // The line has been parsed before.
    let values: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let mut items = Vec::with_capacity(values.len());
    for value in values {
        match kind(value.get()) {
            Kind::Missing => {}
            Kind::One => {
                let mut text = String::new();
                push_one(&mut text, value.get(), is_strict)?;
                items.push(text);
            }
            Kind::List | Kind::Object => return Ok(None),
        }
    }
    Ok(Some(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let mut text = String::new();
        push_one(&mut text, json, true).unwrap();
        text
    }

    #[test]
    fn numbers_keep_the_digits_that_count() {
        for (json, expected) in [
            ("5", "5"),
            ("-0", "-0"),
            ("4.0", "4"),
            ("-4.50", "-4.5"),
            ("0.1", "0.1"),
            ("100", "100"),
            ("100.00", "100"),
            ("1e3", "1000"),
            ("25E-1", "2.5"),
            ("1e999", "1e999"),
            ("340282366920938463463374607431768211455", "340282366920938463463374607431768211455"),
            ("12345678901234567890.0", "12345678901234567890"),
            ("true", "true"),
        ] {
            assert_eq!(text(json), expected, "{json}");
        }
    }

    #[test]
    fn strings_are_unescaped() {
        assert_eq!(text(r#""a \"b\" \\ \n \u00e9 \ud83d\ude00 é""#), "a \"b\" \\ \n é 😀 é");
        assert_eq!(text(r#""""#), "");
        let half = r#""x \ud83d""#;
        assert!(push_one(&mut String::new(), half, true).unwrap_err().contains("half a character"));
        let mut kept = String::new();
        push_one(&mut kept, half, false).unwrap();
        assert_eq!(kept, r"x \ud83d");
    }

    #[test]
    fn lists_have_items_unless_they_are_nested() {
        assert_eq!(items(r#" [ "a", 1.0, null, true, "\n" ]"#, true).unwrap().unwrap(), ["a", "1", "true", "\n"]);
        assert_eq!(items("[]", true).unwrap().unwrap(), [""; 0]);
        assert_eq!(items("[1,[2]]", true).unwrap(), None);
        assert_eq!(items(r#"[{"a":1}]"#, true).unwrap(), None);
    }
}
