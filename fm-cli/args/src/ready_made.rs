//! The settings files that the program brings along: the best known ones for data sets and models that it knows.

/// The files of these names in the folder `settings` of this crate.
macro_rules! ready_made {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../settings/", $name, ".toml")))),*] };
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
    fn every_file_of_the_folder_is_listed_and_says_what_it_is_for() {
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
