//! The files of settings that the program brings along: for data sets and models that it knows, those that came out best.

use fm_core::error::nearest;

/// The files of these names in the folder `settings` of this crate.
macro_rules! ready_made {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../settings/", $name, ".toml")))),*] };
}

/// Each by its name, with its text.
pub const READY_MADE: &[(&str, &str)] = ready_made![
    "ml-100k/bayesian_fm",
    "ml-100k/fm",
    "ml-100k/ffm",
    "ml-100k/deepfm",
    "ml-100k/ranking",
    "ml-1m/bayesian_fm",
    "frappe/lr",
    "frappe/fm",
    "frappe/ffm",
    "frappe/deepfm",
    "frappe/xdeepfm",
];

/// The text of a file of this name.
pub fn find(name: &str) -> Option<&'static str> {
    READY_MADE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// What to say of a name that is neither here nor a file.
pub fn unknown(name: &str) -> String {
    let names: Vec<&str> = READY_MADE.iter().map(|(name, _)| *name).collect();
    let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
    format!("there is no file `{name}`: {}the program brings {}", hint.unwrap_or_default(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Draft;

    #[test]
    fn every_file_of_the_folder_is_brought_along_says_what_it_is_for_and_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings");
        let mut names = Vec::new();
        for data in std::fs::read_dir(&folder).unwrap() {
            for file in std::fs::read_dir(data.unwrap().path()).unwrap() {
                let path = file.unwrap().path().with_extension("");
                names.push(path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned());
            }
        }
        let mut known: Vec<&str> = READY_MADE.iter().map(|(name, _)| *name).collect();
        names.sort();
        known.sort_unstable();
        assert_eq!(names, known);
        for (name, text) in READY_MADE {
            assert!(text.starts_with("# "), "{name}");
            Draft::open(name).unwrap().settle().unwrap();
        }
    }
}
