//! Lists as text: the same in every format that has lists.

use super::selection::ListText;

/// The error about lists in a column of single values.
pub(super) const IS_LIST: &str =
    "holds lists, but is declared to hold single values: declare a multi-valued field or a sequence";

/// Appends the text of a list: its values are joined by the separator where that is unambiguous, and are a JSON list
/// otherwise, or if there is no separator.
///
/// The error says that the separator would divide a value.
pub(super) fn push_list(text: &mut String, values: &[String], list: Option<&ListText>) -> Result<(), String> {
    match list {
        Some(list) if !list.separator.is_empty() => join(text, values, list)?,
        _ => text.push_str(&json(values)),
    }
    Ok(())
}

/// Joins values so that they are divided in the same way again.
fn join(text: &mut String, values: &[String], list: &ListText) -> Result<(), String> {
    let divides = |value: &String| value.contains(&list.separator) || value.is_empty();
    match values.iter().find(|value| divides(value)) {
        None if list.is_exact || !values.first().is_some_and(|value| value.trim_ascii_start().starts_with('[')) => {
            text.push_str(&values.join(&list.separator));
        }
        Some(value) if list.is_exact && !value.is_empty() => {
            return Err(format!("has a value with the separator `{}` in it, which would divide it", list.separator));
        }
        _ if list.is_exact => {
            let values: Vec<&str> = values.iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
            text.push_str(&values.join(&list.separator));
        }
        _ => text.push_str(&json(values)),
    }
    Ok(())
}

/// A JSON list of strings.
fn json(values: &[String]) -> String {
    // Strings have a JSON form, so this cannot fail.
    serde_json::to_string(values).unwrap_or_default()
}
