//! Built-in settings files: the best known settings for well-known data sets and models.

/// Includes the files of these names from the folder `settings` of this crate.
macro_rules! ready_made {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../settings/", $name, ".toml")))),*] };
}

/// The name and the text of each file.
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

/// The text of the file of this name.
pub fn find(name: &str) -> Option<&'static str> {
    READY_MADE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The purpose of a file: its first line.
pub fn purpose(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_start_matches("# ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_in_the_folder_is_listed_and_states_its_purpose() {
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
        assert!(READY_MADE.iter().all(|(_, text)| text.starts_with("# ")));
    }
}
