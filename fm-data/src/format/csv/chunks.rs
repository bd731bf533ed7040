//! CSV from any source, one chunk of whole records at a time.

use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use polars::prelude::*;
use polars_io::prelude::*;

use super::super::interface::{ChunkSize, ReadChunks};
use super::records::{Fault, Records, cells, is_open_quote, without_closing_line_ends};
use crate::error::{Error, Result, first_line};

/// Number of bytes to read at once, unless a record is longer.
const BLOCK: usize = 1 << 20;

/// Maximum length of a record, so that an open quote does not load a large file into memory.
const LONGEST_RECORD: usize = 256 << 20;

/// The chunks of a CSV file.
pub struct CsvChunks {
    source: Box<dyn Read + Send>,
    /// The file, for errors.
    path: PathBuf,
    separator: u8,
    size: ChunkSize,
    /// The minimum number of bytes read at once.
    block: usize,
    schema: SchemaRef,
    /// The header line, and the bytes read after the last returned record.
    buffer: Vec<u8>,
    /// The length of the header line in the buffer.
    header: usize,
    /// The line number of the first bytes after the header in the buffer.
    line: usize,
    /// The number of bytes of the buffer that are known to be UTF-8.
    checked: usize,
    bytes_read: u64,
    at_end: bool,
    is_first: bool,
}

/// Whole records at the start of some bytes.
struct Whole {
    len: usize,
    records: usize,
    /// The line after them.
    line: usize,
}

impl CsvChunks {
    /// Reads the header. Errors name `path`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a source without a header, or with a repeated name in the header.
    pub fn new(source: Box<dyn Read + Send>, path: PathBuf, separator: u8, size: ChunkSize) -> Result<CsvChunks> {
        CsvChunks::in_blocks(source, path, separator, size, BLOCK)
    }

    fn in_blocks(
        source: Box<dyn Read + Send>,
        path: PathBuf,
        separator: u8,
        size: ChunkSize,
        block: usize,
    ) -> Result<CsvChunks> {
        let mut chunks = CsvChunks {
            source,
            path,
            separator,
            size,
            block,
            schema: SchemaRef::default(),
            buffer: Vec::new(),
            header: 0,
            line: 1,
            checked: 0,
            bytes_read: 0,
            at_end: false,
            is_first: true,
        };
        chunks.read_header()?;
        Ok(chunks)
    }

    fn read_header(&mut self) -> Result<()> {
        // Read at least the whole byte-order mark.
        self.fill(self.block.max(3))?;
        if self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.buffer.drain(..3);
            self.checked -= 3;
        }
        let Whole { len, line, .. } = self.whole_records(ChunkSize { rows: 1, bytes: usize::MAX }, None)?;
        let Some(Ok(header)) = Records::new(&self.buffer[..len], self.separator, 1).next() else {
            return Err(self.error((None, "is empty: expected a header line and rows".into())));
        };
        if header.bytes.is_empty() {
            return Err(self.error((Some(1), "is blank: expected the names of the columns".into())));
        }
        let names = cells(header.bytes, self.separator);
        if let Some((_, twice)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(self.error((Some(1), format!("the column name `{twice}` occurs twice"))));
        }
        self.schema = Arc::new(names.iter().map(|name| Field::new(name.into(), DataType::String)).collect());
        (self.header, self.line) = (len, line);
        Ok(())
    }

    /// Finds the records of the next chunk, and reads as many bytes as they need. Each record must have `width` cells.
    fn whole_records(&mut self, size: ChunkSize, width: Option<usize>) -> Result<Whole> {
        let mut whole = Whole { len: 0, records: 0, line: self.line };
        loop {
            self.find_records(&mut whole, size, width).map_err(|fault| self.error(fault))?;
            if self.at_end || whole.records == size.rows || whole.len >= size.bytes {
                return Ok(whole);
            }
            let begun = self.buffer.len() - self.header - whole.len;
            if begun > LONGEST_RECORD {
                let reason = format!("a record of more than {} MiB: is a quote left open?", LONGEST_RECORD >> 20);
                return Err(self.error((Some(whole.line), reason)));
            }
            // The buffer doubles for a long record. The search then starts again at its beginning.
            self.fill(begun.max(self.block))?;
        }
    }

    /// Adds the complete records of the buffer.
    fn find_records(&self, whole: &mut Whole, size: ChunkSize, width: Option<usize>) -> Result<(), Fault> {
        // Line ends at the end of the file are not records. Whether this is the end is known after the next read.
        let bytes = without_closing_line_ends(&self.buffer[self.header + whole.len..]);
        let mut records = Records::new(bytes, self.separator, whole.line);
        let start = whole.len;
        while whole.records < size.rows && whole.len < size.bytes {
            let record = match records.next() {
                None => break,
                Some(Err(fault)) if !self.at_end && is_open_quote(&fault) => break,
                Some(record) => record?,
            };
            if records.rest().is_empty() && !self.at_end {
                break;
            }
            if let Some(width) = width.filter(|&width| width != record.cells) {
                let found =
                    if record.bytes.is_empty() { "is blank".into() } else { format!("has {} cells", record.cells) };
                return Err((Some(record.line), format!("{found}, but the header has {width}")));
            }
            whole.len = start + bytes.len() - records.rest().len();
            whole.records += 1;
            whole.line = records.line();
        }
        Ok(())
    }

    /// Reads up to `len` more bytes, and checks that they are UTF-8.
    fn fill(&mut self, len: usize) -> Result<()> {
        let read = (&mut self.source).take(len as u64).read_to_end(&mut self.buffer);
        let read = read.map_err(Error::io("read", &self.path))?;
        self.bytes_read += read as u64;
        self.at_end = read < len;
        match std::str::from_utf8(&self.buffer[self.checked..]) {
            Ok(_) => self.checked = self.buffer.len(),
            Err(error) => {
                self.checked += error.valid_up_to();
                // The end of the buffer may cut a character.
                if error.error_len().is_some() || self.at_end {
                    let before = self.buffer[self.header..self.checked].iter();
                    let line = self.line + before.filter(|&&byte| byte == b'\n').count();
                    return Err(
                        self.error((Some(line), "is not UTF-8: convert the file, for example with iconv".into()))
                    );
                }
            }
        }
        Ok(())
    }

    fn error(&self, (line, reason): Fault) -> Error {
        Error::data(&self.path, line, reason)
    }
}

impl ReadChunks for CsvChunks {
    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        let whole = self.whole_records(self.size, Some(self.schema.len()))?;
        let is_first = std::mem::take(&mut self.is_first);
        if whole.records == 0 {
            return Ok(is_first.then(|| DataFrame::empty_with_schema(&self.schema)));
        }
        let end = self.header + whole.len;
        let table = parse(&self.buffer[..end], &self.schema, self.separator)
            .map_err(|error| self.error((None, first_line(&error))))?;
        if table.height() != whole.records {
            let reason = format!("{} records were read as {} rows", whole.records, table.height());
            return Err(self.error((None, format!("lines {} to {}: {reason}", self.line, whole.line - 1))));
        }
        self.buffer.drain(self.header..end);
        self.checked -= whole.len;
        self.line = whole.line;
        Ok(Some(table))
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read
    }
}

/// Parses the header and checked records.
fn parse(bytes: &[u8], schema: &SchemaRef, separator: u8) -> PolarsResult<DataFrame> {
    CsvReadOptions::default()
        .with_has_header(true)
        .with_schema(Some(Arc::clone(schema)))
        .with_rechunk(true)
        .map_parse_options(|options| options.with_separator(separator))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Cells = Vec<Vec<Option<String>>>;

    const WHOLE: ChunkSize = ChunkSize { rows: usize::MAX, bytes: usize::MAX };

    /// The columns' cells, with their names, and the rows of each chunk.
    fn read(bytes: &[u8], size: ChunkSize, block: usize) -> Result<(Cells, Vec<usize>)> {
        let source = Box::new(Cursor::new(bytes.to_vec()));
        let mut chunks = CsvChunks::in_blocks(source, "t.csv".into(), b',', size, block)?;
        let (mut cells, mut heights) = (Cells::new(), Vec::new());
        while let Some(chunk) = chunks.next_chunk()? {
            heights.push(chunk.height());
            cells.resize(chunk.width(), Vec::new());
            for (cells, column) in cells.iter_mut().zip(chunk.columns()) {
                if cells.is_empty() {
                    cells.push(Some(column.name().to_string()));
                }
                cells.extend(column.str().unwrap().iter().map(|cell| cell.map(str::to_owned)));
            }
        }
        assert_eq!(chunks.bytes_read(), bytes.len() as u64);
        Ok((cells, heights))
    }

    fn rows(rows: usize) -> ChunkSize {
        ChunkSize { rows, ..WHOLE }
    }

    #[test]
    fn chunks_end_after_a_record_and_not_inside_a_quoted_cell() {
        let text = "a,b\r\n\"x\n\"\"1,\",1\r\n,é\r\n\"\",\"\n\n\"\r\n4,4\r\n\r\n\n".as_bytes();
        let whole = read(text, WHOLE, BLOCK).unwrap().0;
        let cell = |text: &str| Some(text.to_owned());
        assert_eq!(whole[0], [cell("a"), cell("x\n\"1,"), None, cell(""), cell("4")]);
        assert_eq!(whole[1], [cell("b"), cell("1"), cell("é"), cell("\n\n"), cell("4")]);
        for block in 1..text.len() + 2 {
            assert_eq!(read(text, rows(3), block).unwrap(), (whole.clone(), vec![3, 1]), "block {block}");
            let bytes = ChunkSize { bytes: 9, ..WHOLE };
            assert_eq!(read(text, bytes, block).unwrap(), (whole.clone(), vec![1, 2, 1]), "block {block}");
        }
    }

    #[test]
    fn a_table_without_rows_is_one_chunk() {
        for text in ["a,b", "a,b\n", "\u{FEFF}a,b\r\n\r\n"] {
            let (cells, heights) = read(text.as_bytes(), rows(1), 1).unwrap();
            assert_eq!((cells.len(), heights), (2, vec![0]), "{text:?}");
        }
    }

    #[test]
    fn a_fault_in_a_late_row_has_its_line() {
        let before = "1,\"x\ny\"\n".repeat(1000);
        for (fault, says) in [
            ("1\n", "line 2002: has 1 cells, but the header has 2"),
            ("\n2,2", "line 2002: is blank, but the header has 2"),
            ("1,x\"\n", "line 2002: has a quote inside a cell"),
            ("\"1,x\n2,2\n", "line 2002: opens a quote that never closes"),
            ("\"1\"1,x\n2,2\n", "line 2002: has text after a closing quote"),
        ] {
            let text = format!("a,b\n{before}{fault}");
            for block in [7, 100, BLOCK] {
                let error = read(text.as_bytes(), rows(100), block).unwrap_err().to_string();
                assert!(error.starts_with(&format!("t.csv, {says}")), "{error}");
            }
        }
        let text = [b"a,b\n", before.as_bytes(), b"1,\xFF\n"].concat();
        for block in [7, 100, BLOCK] {
            let error = read(&text, rows(100), block).unwrap_err().to_string();
            assert!(error.starts_with("t.csv, line 2002: is not UTF-8"), "{error}");
        }
    }

    #[test]
    fn characters_that_a_block_cuts_are_read_correctly() {
        let text = "ä,b\n日本,é\n𝄞,x\n";
        let whole = read(text.as_bytes(), WHOLE, BLOCK).unwrap().0;
        for block in 1..10 {
            assert_eq!(read(text.as_bytes(), rows(1), block).unwrap().0, whole);
        }
        let error = read(&text.as_bytes()[..text.len() - 5], rows(1), 2).unwrap_err().to_string();
        assert!(error.starts_with("t.csv, line 3: is not UTF-8"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_rows_or_error_in_chunks_of_any_size(
            bytes in prop::collection::vec(prop::sample::select(b"a\",,\n\n\r1".to_vec()), 0..60),
            size in 1usize..5,
            block in 1usize..20,
        ) {
            let text = |read: Result<(Cells, Vec<usize>)>| read.map(|(cells, _)| cells).map_err(|error| error.to_string());
            let whole = text(read(&bytes, WHOLE, BLOCK));
            prop_assert_eq!(&text(read(&bytes, rows(size), block)), &whole);
            prop_assert_eq!(&text(read(&bytes, ChunkSize { bytes: 3 * size, ..WHOLE }, block)), &whole);
        }
    }
}
