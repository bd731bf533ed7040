//! The file formats of tables. A new format is one file that implements [`Format`], and one line in [`FORMATS`].

mod arrow_columns;
mod bad_rows;
mod cells;
pub mod csv;
mod input;
mod interface;
mod ipc;
mod json_lines;
mod list;
mod output;
mod parquet;
pub mod parts;
pub(crate) mod pattern;
mod quiet;
mod selection;
mod sniff;
pub(crate) mod sparse;
pub mod standard_input;
pub(crate) mod text;

use std::io::{Cursor, Read};
use std::path::Path;

use fm_core::atomic_file::AtomicFile;

use self::output::{Output, Packing};
use crate::error::{Error, Result};

pub use bad_rows::{BadRows, OnBadRow, Skipped};
pub use input::Input;
pub use interface::{ChunkSize, Format, ReadChunks, ReadOptions, WriteChunks};
pub(crate) use parquet::Parquet;
pub use selection::{ListText, Needed, Selection};

/// All formats.
pub const FORMATS: [&dyn Format; 13] = [
    &csv::CSV,
    &csv::TSV,
    &csv::TXT,
    &json_lines::JSONL,
    &json_lines::NDJSON,
    &Parquet,
    &ipc::ARROW,
    &ipc::FEATHER,
    &ipc::IPC,
    &sparse::LIBSVM,
    &sparse::SVM,
    &sparse::LIBFFM,
    &sparse::FFM,
];

/// The format of a file, by its extension. The name of a text file may also end in `.gz` or `.zst`.
///
/// # Errors
/// [`Error::Data`] for any other extension.
pub fn of(path: &Path) -> Result<&'static dyn Format> {
    Ok(format_and_packing(path)?.0)
}

/// Reads a table of text from a stream, whose start shows its format.
///
/// # Errors
/// As [`Format::read`].
pub fn read_stream(
    source: impl Read + Send + 'static,
    name: &str,
    options: &ReadOptions,
) -> Result<Box<dyn ReadChunks>> {
    let mut text = Input::stream(source, name).into_text()?.source;
    let mut start = vec![];
    (&mut text).take(sniff::START).read_to_end(&mut start).map_err(Error::io("read", name))?;
    let format = sniff::sniff(&start);
    format.read(Input::stream(Cursor::new(start).chain(text), name), options)
}

/// Starts a file in the format of its extension.
///
/// # Errors
/// [`Error::Data`] for an unknown extension; [`Error::Io`] or [`fm_core::Error::Io`].
pub fn create(path: &Path) -> Result<Box<dyn WriteChunks>> {
    let (format, packing) = format_and_packing(path)?;
    let output = Output::file(AtomicFile::create(path)?, packing).map_err(Error::io("write", path))?;
    Ok(format.write(output))
}

/// Starts CSV on standard output.
pub fn to_stdout() -> Box<dyn WriteChunks> {
    csv::CSV.write(Output::stdout())
}

fn format_and_packing(path: &Path) -> Result<(&'static dyn Format, Option<Packing>)> {
    if standard_input::is_standard_input(path) {
        return Ok((standard_input::table()?.format, None));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let packing = Packing::of_name(&name);
    let extension = Path::new(packing.map_or(name.as_str(), |(_, inner)| inner)).extension().unwrap_or_default();
    match FORMATS.into_iter().find(|format| extension == format.extension()) {
        Some(format) if packing.is_some() && !format.is_text() => {
            let reason = format!("unpack it: a .{} file is compressed inside", format.extension());
            Err(Error::data(path, None, reason))
        }
        Some(format) => Ok((format, packing.map(|(packing, _)| packing))),
        None => {
            let all = extensions(|_| true);
            let reason = format!("the extension of a table must be {all}, or as in .csv.gz and .csv.zst");
            Err(Error::data(path, None, reason))
        }
    }
}

/// The extensions of some formats, as in ".csv, .tsv or .parquet".
fn extensions(of: impl Fn(&dyn Format) -> bool) -> String {
    let formats = FORMATS.into_iter().filter(|&format| of(format));
    let mut all: Vec<String> = formats.map(|format| format!(".{}", format.extension())).collect();
    let last = all.pop().unwrap_or_default();
    format!("{} or {last}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_by_its_extension_in_any_case() {
        for format in FORMATS {
            let name = format!("table.{}", format.extension().to_uppercase());
            assert_eq!(of(Path::new(&name)).map(Format::extension).unwrap(), format.extension());
            let packed = format!("table.1.{}.gz", format.extension());
            assert_eq!(of(Path::new(&packed)).is_ok(), format.is_text());
        }
        assert_eq!(format_and_packing(Path::new("t.TSV.zst")).unwrap().1, Some(Packing::Zstd));
    }

    #[test]
    fn an_unknown_extension_is_an_error_that_lists_all() {
        for name in ["t.xlsx", "csv", "", "t.gz", "t.csv.bz2"] {
            let error = of(Path::new(name)).map(Format::extension).unwrap_err().to_string();
            assert!(error.contains("the extension of a table must be .csv, .tsv, .txt, "), "{error}");
            assert!(error.ends_with(" or .ffm, or as in .csv.gz and .csv.zst"), "{error}");
        }
        let error = of(Path::new("t.parquet.gz")).map(Format::extension).unwrap_err().to_string();
        assert!(error.ends_with("unpack it: a .parquet file is compressed inside"), "{error}");
    }
}
