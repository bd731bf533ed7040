//! The sources of rows: a MovieLens release, a table, or a table for each part. A new source is one file, and one line
//! in `SOURCES`.

#[cfg(test)]
mod bad_rows;
mod interface;
mod movielens;
mod table;
mod tables;

use std::path::{Path, PathBuf};

use self::interface::Source;
use crate::config::DataConfig;
use crate::error::{Error, Result};

pub(crate) use interface::{DeclaredTable, Division, Reader};

/// All sources. The first one that applies to the settings reads the rows.
const SOURCES: [Source; 3] = [tables::SOURCE, table::SOURCE, movielens::SOURCE];

fn source(config: &DataConfig) -> Option<Source> {
    SOURCES.into_iter().find(|source| (source.applies)(config))
}

/// Finds the rows that the settings name. `data_dir` is the folder of downloaded data.
///
/// # Errors
/// [`Error::NoData`], or the errors of the source about the settings.
pub(crate) fn reader(config: &DataConfig, data_dir: &Path) -> Result<Box<dyn Reader>> {
    (source(config).ok_or(Error::NoData)?.open)(config, data_dir)
}

/// The table that the settings name, or the training table if each part has a table. `None` for other data.
pub(crate) fn table_of(config: &DataConfig) -> Option<PathBuf> {
    let is_table = config.train.is_some() || (table::SOURCE.applies)(config);
    config.train.clone().or_else(|| config.data.clone().map(PathBuf::from)).filter(|_| is_table)
}

/// The terms of use of the data, with the citation that they ask for. `None` if unknown.
pub fn terms_of_use(config: &DataConfig) -> Option<&'static str> {
    source(config)?.terms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(data: &str) -> DataConfig {
        DataConfig { data: Some(data.into()), ..DataConfig::default() }
    }

    fn message(config: &DataConfig, data_dir: &Path) -> String {
        reader(config, data_dir).and_then(|reader| reader.read(config, false)).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn settings_without_data_or_with_two_kinds_of_data_are_errors() {
        let nowhere = Path::new("nowhere");
        let error = |config: &DataConfig| reader(config, nowhere).map(|_| ()).unwrap_err();
        assert!(matches!(error(&DataConfig::default()), Error::NoData));
        let test = Some("test.csv".into());
        assert!(matches!(error(&DataConfig { test: test.clone(), ..DataConfig::default() }), Error::NoTrainingTable));
        let both = DataConfig { train: test, ..named("ml-100k") };
        assert!(matches!(error(&both), Error::AmbiguousData));
    }

    #[test]
    fn a_file_is_a_table_and_other_names_are_releases_or_folders() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(place("rows.csv"), "a\n1\n").unwrap();
        std::fs::create_dir(place("folder.csv")).unwrap();
        let error = message(&named(&place("rows.csv")), folder.path());
        assert!(error.contains("rows.csv has no column with a usual name for a label"), "{error}");
        assert!(message(&named(&place("folder.csv")), folder.path()).contains("does not contain a MovieLens release"));
        assert!(message(&named("ml-1m"), folder.path()).starts_with("ml-1m is not in "));
        assert!(message(&named("ml-1x"), folder.path()).contains("did you mean `ml-1m`?"));
    }

    #[test]
    fn the_terms_of_movielens_are_known_without_its_files_and_those_of_tables_are_not() {
        assert!(terms_of_use(&named("ml-1m")).unwrap().contains("Harper and Konstan"));
        assert_eq!(terms_of_use(&named("gone.csv")), None);
        assert_eq!(terms_of_use(&DataConfig { train: Some("gone.csv".into()), ..DataConfig::default() }), None);
    }
}
