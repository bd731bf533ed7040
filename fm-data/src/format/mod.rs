//! The file formats of tables. A new format is one file that implements [`Format`], and one line in [`FORMATS`].

pub mod csv;
mod interface;
mod parquet;
pub(crate) mod text;

use std::path::Path;

use crate::error::{Error, Result};

pub use interface::{ChunkSize, Format, ReadChunks, WriteChunks};

/// All formats.
pub const FORMATS: [&dyn Format; 3] = [&csv::CSV, &csv::TSV, &parquet::Parquet];

/// The format of a file, by its extension.
///
/// # Errors
/// [`Error::Data`] for any other extension.
pub fn of(path: &Path) -> Result<&'static dyn Format> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    FORMATS.into_iter().find(|format| extension == format.extension()).ok_or_else(|| {
        let mut endings: Vec<String> = FORMATS.iter().map(|format| format!(".{}", format.extension())).collect();
        let last = endings.pop().unwrap_or_default();
        Error::data(path, None, format!("the extension of a table must be {} or {last}", endings.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_extension_in_any_case() {
        for format in FORMATS {
            let name = format!("table.{}", format.extension().to_uppercase());
            assert_eq!(of(Path::new(&name)).map(Format::extension).unwrap(), format.extension());
        }
    }

    #[test]
    fn an_unknown_extension_is_an_error_that_lists_all() {
        for name in ["t.xlsx", "csv", ""] {
            let error = of(Path::new(name)).map(Format::extension).unwrap_err().to_string();
            assert!(error.ends_with("the extension of a table must be .csv, .tsv or .parquet"), "{error}");
        }
    }
}
