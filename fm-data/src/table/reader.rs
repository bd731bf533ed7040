//! Reads tables of any size, one chunk at a time.

use std::io::Read;
use std::path::Path;

use polars::prelude::DataFrame;

use crate::error::{Error, Result};
use crate::format::{self, ChunkSize, Format, Input, ReadChunks, ReadOptions, parts, standard_input};

/// Reads the rows of a table in order, one chunk at a time. Every column is text, as in
/// [`read_table`](super::read_table).
///
/// This iterator ends after the first error. A table without rows is one chunk without rows.
///
/// ```
/// use fm_data::table::{ChunkSize, TableReader};
///
/// let text = "user;item\nann;1\nbob;2\ncarl;3\n";
/// let size = ChunkSize { rows: 2, ..ChunkSize::default() };
/// let reader = TableReader::from_csv(text.as_bytes(), "the example", size)?;
/// assert_eq!(reader.names(), ["user", "item"]);
/// let heights: Vec<usize> = reader.map(|chunk| Ok(chunk?.height())).collect::<fm_data::Result<_>>()?;
/// assert_eq!(heights, [2, 1]);
/// # Ok::<(), fm_data::Error>(())
/// ```
pub struct TableReader {
    chunks: Box<dyn ReadChunks>,
    bytes: Option<u64>,
    has_failed: bool,
}

impl TableReader {
    /// Opens a table with all columns: a file, a folder of files with one format and the same columns, or a pattern
    /// that such files match. Folders that are named as in `year=2024` give a column.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Data`] for a file without a header, or whose format does not match its extension.
    pub fn open(path: impl AsRef<Path>, size: ChunkSize) -> Result<TableReader> {
        TableReader::open_with(path, &ReadOptions { size, ..ReadOptions::default() })
    }

    /// Opens a table with the columns in `options`.
    ///
    /// # Errors
    /// As [`TableReader::open`], and [`Error::Data`] for a needed column that cannot be read. A needed column that the
    /// table lacks is not an error: [`TableReader::names`] are all that there are.
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<TableReader> {
        let path = path.as_ref();
        let files = parts::files(path)?;
        let mut bytes = Some(0);
        for file in &files {
            if let Some(len) = standard_input::len(file)? {
                bytes = Some(len);
                continue;
            }
            let metadata = std::fs::metadata(file).map_err(Error::io("read", file))?;
            // A pipe has no length.
            bytes = bytes.filter(|_| metadata.is_file()).map(|sum| sum + metadata.len());
        }
        Ok(TableReader { chunks: parts::read(path, files, options)?, bytes, has_failed: false })
    }

    /// Reads CSV from any source. Errors call it `name`.
    ///
    /// # Errors
    /// Like [`TableReader::open`].
    pub fn from_csv(source: impl Read + Send + 'static, name: &str, size: ChunkSize) -> Result<TableReader> {
        TableReader::from_csv_with(source, name, &ReadOptions { size, ..ReadOptions::default() })
    }

    /// Reads CSV from any source, with the columns in `options`. Errors call it `name`.
    ///
    /// # Errors
    /// Like [`TableReader::open_with`].
    pub fn from_csv_with(source: impl Read + Send + 'static, name: &str, options: &ReadOptions) -> Result<TableReader> {
        let chunks = format::csv::CSV.read(Input::stream(source, name), options)?;
        Ok(TableReader { chunks, bytes: None, has_failed: false })
    }

    /// Reads a table of text from standard input as it arrives, with the columns in `options`. Its start shows its format.
    ///
    /// # Errors
    /// Like [`TableReader::open_with`], and [`Error::Data`] for a terminal.
    pub fn from_standard_input(options: &ReadOptions) -> Result<TableReader> {
        standard_input::check_is_no_terminal()?;
        let chunks = format::read_stream(std::io::stdin(), "-", options)?;
        Ok(TableReader { chunks, bytes: None, has_failed: false })
    }

    /// The names of all columns of the table, whether they are read or not.
    pub fn names(&self) -> &[String] {
        self.chunks.names()
    }

    /// The file of the last chunk.
    pub(crate) fn file(&self) -> &Path {
        self.chunks.file()
    }

    /// The length of the files; `None` for a pipe.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The bytes read so far, before they are unpacked. For a Parquet file, which stores columns one after the other,
    /// this follows from the share of rows read.
    pub fn bytes_read(&self) -> u64 {
        self.chunks.bytes_read()
    }
}

impl Iterator for TableReader {
    type Item = Result<DataFrame>;

    fn next(&mut self) -> Option<Result<DataFrame>> {
        if self.has_failed {
            return None;
        }
        let chunk = self.chunks.next_chunk();
        self.has_failed = chunk.is_err();
        chunk.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars::prelude::*;
    use polars_io::prelude::*;

    use super::*;
    use crate::table::{TableWriter, read_table, write_table};

    fn rows(rows: usize) -> ChunkSize {
        ChunkSize { rows, ..ChunkSize::default() }
    }

    fn chunks(path: &Path, size: ChunkSize) -> Vec<DataFrame> {
        TableReader::open(path, size).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_table_written_in_chunks_equals_one_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let id: Vec<String> = (0..100).map(|row| format!("{row:03}")).collect();
        let text: Vec<Option<&str>> = [Some("a\n\"b\""), None, Some(""), Some("é,")].repeat(25);
        let mut table = df!("id" => id, "text" => text).unwrap();
        for input in ["t.csv", "t.tsv", "t.parquet"] {
            let input = folder.path().join(input);
            write_table(&input, &mut table).unwrap();
            for output in ["copy.csv", "copy.tsv", "copy.parquet"] {
                let (copy, whole) = (folder.path().join(output), folder.path().join(format!("whole-{output}")));
                write_table(&whole, &mut read_table(&input).unwrap()).unwrap();
                for size in [1, 7, 100] {
                    let mut writer = TableWriter::create(&copy).unwrap();
                    for mut chunk in chunks(&input, rows(size)) {
                        assert!(chunk.height() <= size);
                        writer.write(&mut chunk).unwrap();
                    }
                    writer.finish().unwrap();
                    assert!(read_table(&copy).unwrap().equals_missing(&read_table(&whole).unwrap()));
                    if !output.ends_with("parquet") {
                        assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&whole).unwrap());
                    }
                }
            }
        }
    }

    #[test]
    fn parquet_is_read_across_row_groups_and_within_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let numbers: Vec<i64> = (0..1000).collect();
        let mut table = df!("n" => &numbers).unwrap();
        let file = File::create(&path).unwrap();
        ParquetWriter::new(file)
            .with_row_group_size(Some(300))
            .with_data_page_size(Some(64))
            .finish(&mut table)
            .unwrap();
        for size in [1, 64, 450, 5000] {
            let chunks = chunks(&path, rows(size));
            let of_chunk = |chunk: &DataFrame| -> Vec<i64> {
                chunk.column("n").unwrap().str().unwrap().iter().map(|cell| cell.unwrap().parse().unwrap()).collect()
            };
            assert_eq!(chunks.iter().flat_map(of_chunk).collect::<Vec<_>>(), numbers);
            assert_eq!(chunks.len(), 1000_usize.div_ceil(size));
        }
        let few_bytes = ChunkSize { bytes: 80, ..ChunkSize::default() };
        assert!(chunks(&path, few_bytes).len() > 50);
    }

    #[test]
    fn a_parquet_table_without_rows_is_one_chunk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write_table(&path, &mut df!("a" => Vec::<String>::new()).unwrap()).unwrap();
        let chunks = chunks(&path, rows(10));
        assert_eq!((chunks.len(), chunks[0].height(), chunks[0].width()), (1, 0, 1));
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut reader = TableReader::from_csv(&b"a,b\n1,2\n1\n1,2\n"[..], "the input", rows(1)).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().height(), 1);
        assert_eq!(
            reader.next().unwrap().unwrap_err().to_string(),
            "the input, line 3: has 1 cells, but the header has 2"
        );
        assert!(reader.next().is_none());
    }

    #[test]
    fn an_unfinished_file_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.parquet"] {
            let mut writer = TableWriter::create(folder.path().join(name)).unwrap();
            writer.write(&mut df!("a" => ["1"]).unwrap()).unwrap();
            drop(writer);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
