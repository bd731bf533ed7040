//! A table in little memory: a column with repeated texts has each of them once, and a small number for each row. The rows
//! of a large table are in files.

mod builder;
mod column;
mod segment;

use std::path::Path;
use std::sync::Arc;

use polars::prelude::*;

use self::builder::{Coding, Overflow};
use self::segment::Segment;
use super::columns::{missing, strings};
use crate::error::{Error, Result};

pub(crate) use self::builder::CompactBuilder;
pub use self::column::TextColumn;

/// Columns of text by their names.
pub trait TextColumns: Sync {
    /// The number of rows.
    fn height(&self) -> usize;

    /// A column as text.
    ///
    /// # Errors
    /// As [`strings`].
    fn column(&self, name: &str) -> Result<TextColumn<'_>>;

    /// The same column, to be kept.
    ///
    /// # Errors
    /// As [`strings`].
    fn texts(&self, name: &str) -> Result<StringChunked> {
        Ok(self.column(name)?.into_strings(name))
    }
}

impl TextColumns for DataFrame {
    fn height(&self) -> usize {
        DataFrame::height(self)
    }

    fn column(&self, name: &str) -> Result<TextColumn<'_>> {
        Ok(strings(self, name)?.into())
    }
}

/// A table of text.
#[derive(Clone, Debug)]
pub struct CompactTable {
    height: usize,
    columns: Vec<(String, Arc<Stored>)>,
    overflow: Overflow,
}

#[derive(Debug)]
struct Stored {
    segments: Vec<Segment>,
    /// The distinct texts that codes stand for, in the order of their first appearance.
    texts: StringChunked,
}

impl Stored {
    fn get(&self, row: usize) -> Option<&str> {
        self.segments[row / segment::ROWS].cells().get(row % segment::ROWS, &self.texts)
    }
}

impl CompactTable {
    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The folder for data of this size, or `None` if they are small enough for memory or there is no folder.
    pub(crate) fn folder_for(&self, bytes: usize) -> Option<&Path> {
        self.overflow.folder.as_deref().filter(|_| bytes > self.overflow.max_bytes)
    }

    /// A cell.
    ///
    /// # Errors
    /// [`Error::MissingColumn`].
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    pub fn cell(&self, name: &str, row: usize) -> Result<Option<&str>> {
        assert!(row < self.height, "row {row} of {}", self.height);
        Ok(self.stored(name)?.get(row))
    }

    /// The rows with these numbers, in this order, with some columns.
    ///
    /// # Errors
    /// [`Error::MissingColumn`]; [`Error::Spec`] for a row outside the table.
    pub fn take(&self, rows: &[u32], names: &[impl AsRef<str>]) -> Result<DataFrame> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= self.height) {
            return Err(Error::Spec(format!("there is no row {row}: the table has {} rows", self.height)));
        }
        let column = |name: &str| -> Result<Column> {
            let column = TextColumns::column(self, name)?;
            let cells = rows.iter().map(|&row| column.get(row as usize));
            Ok(StringChunked::from_iter_options(name.into(), cells).into_column())
        };
        let columns = names.iter().map(|name| column(name.as_ref())).collect::<Result<Vec<_>>>()?;
        Ok(DataFrame::new(rows.len(), columns)?)
    }

    /// Adds a column of texts, given in chunks, or replaces the one of its name.
    ///
    /// # Errors
    /// [`Error::Spec`] for a column of another height.
    pub(crate) fn with_column(&mut self, name: &str, chunks: impl Iterator<Item = StringChunked>) -> Result<()> {
        let (mut coding, mut height) = (Coding::default(), 0);
        for chunk in chunks {
            coding.push(&chunk);
            height += chunk.len();
            self.overflow.relieve(std::iter::once(&mut coding));
        }
        if height != self.height {
            return Err(Error::Spec(format!("a column of {height} cells for {} rows", self.height)));
        }
        self.put(name.to_owned(), Arc::new(coding.finish()));
        Ok(())
    }

    /// Adds a column of another table of as many rows, which takes no memory.
    ///
    /// # Errors
    /// [`Error::MissingColumn`].
    pub(crate) fn with_copy(&mut self, name: &str, table: &CompactTable, column: &str) -> Result<()> {
        let stored = Arc::clone(table.stored(column)?);
        self.put(name.to_owned(), stored);
        Ok(())
    }

    /// Removes a column, if it is there.
    pub(crate) fn remove(&mut self, name: &str) {
        self.columns.retain(|(other, _)| other != name);
    }

    fn put(&mut self, name: String, stored: Arc<Stored>) {
        match self.columns.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = stored,
            None => self.columns.push((name, stored)),
        }
    }

    fn stored(&self, name: &str) -> Result<&Arc<Stored>> {
        let found = self.columns.iter().find(|(other, _)| other == name).map(|(_, stored)| stored);
        found.ok_or_else(|| missing(name, self.names()))
    }
}

impl TextColumns for CompactTable {
    fn height(&self) -> usize {
        self.height
    }

    fn column(&self, name: &str) -> Result<TextColumn<'_>> {
        let Stored { segments, texts } = &**self.stored(name)?;
        Ok(TextColumn::of(segments, texts, self.height))
    }
}

impl TryFrom<&DataFrame> for CompactTable {
    type Error = Error;

    /// The same table; its columns must have a text form.
    fn try_from(table: &DataFrame) -> Result<CompactTable> {
        let mut builder = CompactBuilder::new("");
        builder.push(table)?;
        Ok(builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::builder::FEW;
    use super::segment::ROWS;
    use super::*;

    fn compact(chunks: &[DataFrame], overflow: Overflow) -> CompactTable {
        let mut builder = CompactBuilder::with(overflow);
        chunks.iter().for_each(|chunk| builder.push(chunk).unwrap());
        builder.finish()
    }

    fn in_memory() -> Overflow {
        Overflow { folder: None, max_bytes: 0 }
    }

    /// Columns with few, more, many and only distinct texts, in more rows than a segment has.
    fn table() -> DataFrame {
        let n = 3 * ROWS + 5;
        let of = |text: &dyn Fn(usize) -> Option<String>| (0..n).map(text).collect::<Vec<Option<String>>>();
        df!(
            "few" => of(&|row| (row % 7 > 0).then(|| (row % 3).to_string())),
            "some" => of(&|row| Some((row % 300).to_string())),
            "many" => of(&|row| Some(format!("a long text {}", row % (n / 4)))),
            "unique" => of(&|row| (row % 5 > 0).then(|| format!("é{row}"))),
        )
        .unwrap()
    }

    #[test]
    fn a_column_of_repeated_texts_is_coded_and_one_of_unique_texts_is_not() {
        let table = table();
        let chunks: Vec<DataFrame> = (0..table.height()).step_by(FEW).map(|at| table.slice(at as i64, FEW)).collect();
        let compact = compact(&chunks, in_memory());
        let distinct = |name: &str| compact.column(name).unwrap().texts().map(|texts| texts.len());
        assert_eq!(
            ["few", "some", "many", "unique"].map(distinct),
            [Some(3), Some(300), Some(table.height() / 4), None]
        );
        let all: Vec<u32> = (0..table.height() as u32).collect();
        assert!(compact.take(&all, &compact.names()).unwrap().equals_missing(&table));
        let few = compact.column("few").unwrap();
        assert_eq!((few.code(0), few.code(1), few.code(2), few.code(3)), (super::super::NO_CODE, 0, 1, 2));
    }

    #[test]
    fn rows_in_files_are_those_in_memory_and_the_files_have_no_name() {
        let (table, folder) = (table(), tempfile::tempdir().unwrap());
        let chunks: Vec<DataFrame> =
            (0..table.height()).step_by(10_000).map(|at| table.slice(at as i64, 10_000)).collect();
        let place = folder.path().join("new/folder");
        let mut compact = compact(&chunks, Overflow { folder: Some(place.clone()), max_bytes: 100_000 });
        let texts = chunks.iter().map(|chunk| strings(chunk, "unique").unwrap());
        compact.with_column("copy", texts).unwrap();
        let are_in_files = |name: &str| {
            let segments = &compact.stored(name).unwrap().segments;
            segments[..3].iter().map(Segment::in_memory).sum::<usize>() == 0
        };
        assert!(["few", "some", "many", "unique", "copy"].into_iter().all(are_in_files));
        let all: Vec<u32> = (0..table.height() as u32).collect();
        assert!(compact.take(&all, &["few", "some", "many", "unique"]).unwrap().equals_missing(&table));
        assert!(compact.texts("copy").unwrap().iter().eq(strings(&table, "unique").unwrap().iter()));
        assert_eq!(std::fs::read_dir(place).unwrap().count(), 0);
    }

    #[test]
    fn rows_stay_in_memory_if_there_is_no_place_for_files() {
        let (table, folder) = (table(), tempfile::tempdir().unwrap());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let compact = compact(std::slice::from_ref(&table), Overflow { folder: Some(file), max_bytes: 0 });
        assert!(compact.texts("unique").unwrap().iter().eq(strings(&table, "unique").unwrap().iter()));
    }

    #[test]
    fn equal_values_have_equal_codes_however_a_column_is_stored() {
        let table = df!("a" => [Some("4.0"), Some("4"), None, Some(" "), Some("5")]).unwrap();
        let compact = CompactTable::try_from(&table).unwrap();
        for column in [TextColumns::column(&table, "a").unwrap(), compact.column("a").unwrap()] {
            let codes = column.codes_of_values(fm_core::schema::Reading::default(), [0, 1, 2, 3, 4, 0].into_iter());
            assert!(codes[0] == codes[1] && codes[0] == codes[5] && codes[0] != codes[4], "{codes:?}");
            assert_eq!(codes[2..4], [super::super::NO_CODE; 2]);
        }
    }

    #[test]
    fn a_missing_column_or_row_is_an_error() {
        let compact = compact(&[df!("a" => ["x"]).unwrap()], in_memory());
        assert_eq!(compact.texts("b").unwrap_err().to_string(), "there is no column `b`; available: a");
        assert!(compact.take(&[1], &["a"]).unwrap_err().to_string().contains("there is no row 1"));
    }

    proptest! {
        #[test]
        fn a_table_is_that_of_its_chunks(
            cells in prop::collection::vec(prop::option::of("[a-c]{0,2}|a long text [a-z]"), 1..40),
            at in 0..40_usize,
        ) {
            let table = df!("a" => &cells, "b" => (0..cells.len() as i32).collect::<Vec<_>>()).unwrap();
            let at = at.min(cells.len());
            let mut compact = compact(&[table.slice(0, at), table.slice(at as i64, cells.len())], in_memory());
            let own = compact.clone();
            compact.with_copy("c", &own, "a").unwrap();
            let texts: Vec<Option<String>> = compact.texts("c").unwrap().iter().map(|cell| cell.map(str::to_owned)).collect();
            prop_assert_eq!(&texts, &cells);
            for (row, cell) in cells.iter().enumerate() {
                prop_assert_eq!(compact.cell("a", row).unwrap(), cell.as_deref());
            }
        }
    }
}
