//! Tables of any size, read a chunk at a time.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use polars::prelude::DataFrame;

use super::Format;
use super::csv::CsvChunks;
use super::parquet::ParquetChunks;
use crate::error::{Error, Result};

/// How much of a table is held at once: whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize {
    /// The rows of a chunk, from 1.
    pub rows: usize,
    /// The bytes of its text, or of its columns in a Parquet file. The record that reaches them is the last.
    pub bytes: usize,
}

impl Default for ChunkSize {
    fn default() -> ChunkSize {
        ChunkSize { rows: 32_768, bytes: 64 << 20 }
    }
}

/// Reads a table's rows in their order, a chunk at a time and every column as text, as [`read_table`](super::read_table)
/// reads all of them.
///
/// An iterator that ends after the first error. A table without rows is one chunk without rows.
///
/// ```
/// use fm_data::table::{ChunkSize, TableReader};
///
/// let text = "user,item\nann,1\nbob,2\ncarl,3\n";
/// let size = ChunkSize { rows: 2, ..ChunkSize::default() };
/// let reader = TableReader::from_csv(text.as_bytes(), "the example", size)?;
/// let heights: Vec<usize> = reader.map(|chunk| Ok(chunk?.height())).collect::<fm_data::Result<_>>()?;
/// assert_eq!(heights, [2, 1]);
/// # Ok::<(), fm_data::Error>(())
/// ```
pub struct TableReader {
    chunks: Chunks,
    bytes: Option<u64>,
    has_failed: bool,
}

enum Chunks {
    Csv(CsvChunks),
    Parquet(ParquetChunks),
}

impl TableReader {
    /// Opens a `.csv`, `.tsv` or `.parquet` file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Data`] for a file without a header, or that is no Parquet.
    pub fn open(path: impl AsRef<Path>, size: ChunkSize) -> Result<TableReader> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let file = File::open(path).map_err(Error::io("read", path))?;
        // A pipe has no length.
        let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        let chunks = match format {
            Format::Csv { separator } => Chunks::Csv(CsvChunks::new(Box::new(file), path.to_owned(), separator, size)?),
            Format::Parquet => Chunks::Parquet(ParquetChunks::open(path, size)?),
        };
        Ok(TableReader { chunks, bytes, has_failed: false })
    }

    /// Reads CSV from any source, which errors call `name`.
    ///
    /// # Errors
    /// As [`TableReader::open`].
    pub fn from_csv(source: impl Read + Send + 'static, name: &str, size: ChunkSize) -> Result<TableReader> {
        let chunks = Chunks::Csv(CsvChunks::new(Box::new(source), name.into(), b',', size)?);
        Ok(TableReader { chunks, bytes: None, has_failed: false })
    }

    /// The length of the file, where it has one.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// How far the file has been read. Of Parquet, whose columns lie one after the other, the rows' share of it.
    pub fn bytes_read(&self) -> u64 {
        match &self.chunks {
            Chunks::Csv(chunks) => chunks.bytes_read(),
            Chunks::Parquet(chunks) => (chunks.part_read() * self.bytes.unwrap_or(0) as f64) as u64,
        }
    }
}

impl Iterator for TableReader {
    type Item = Result<DataFrame>;

    fn next(&mut self) -> Option<Result<DataFrame>> {
        if self.has_failed {
            return None;
        }
        let chunk = match &mut self.chunks {
            Chunks::Csv(chunks) => chunks.next_chunk(),
            Chunks::Parquet(chunks) => chunks.next_chunk(),
        };
        self.has_failed = chunk.is_err();
        chunk.transpose()
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::table::{TableWriter, read_table, write_table};

    fn rows(rows: usize) -> ChunkSize {
        ChunkSize { rows, ..ChunkSize::default() }
    }

    fn chunks(path: &Path, size: ChunkSize) -> Vec<DataFrame> {
        TableReader::open(path, size).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_is_written_in_chunks_is_what_is_written_at_once() {
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
    fn a_file_that_is_not_finished_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.parquet"] {
            let mut writer = TableWriter::create(folder.path().join(name)).unwrap();
            writer.write(&mut df!("a" => ["1"]).unwrap()).unwrap();
            drop(writer);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
