//! The files of settings that the program brings along: for data sets and models that it knows, those that came out best.

use fm_core::error::nearest;

/// Each by its name, which is its path in the folder `settings` of this crate.
pub const READY_MADE: &[(&str, &str)] = &[];

/// The text of a file of this name.
pub fn find(name: &str) -> Option<&'static str> {
    READY_MADE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// What to say of a name that is neither here nor a file.
pub fn unknown(name: &str) -> String {
    let names: Vec<&str> = READY_MADE.iter().map(|(name, _)| *name).collect();
    let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
    format!("--config: there is no file `{name}`: {}the program brings {}", hint.unwrap_or_default(), names.join(", "))
}
