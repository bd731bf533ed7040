//! A table in little memory: a column with repeated texts has each of them once, and a small number for each row.

use std::sync::Arc;

use arrow::array::Array;
use polars::prelude::*;

use super::codes::NO_CODE;
use super::columns::{missing, strings};
use crate::error::{Error, Result};
use crate::threads;

/// Columns with fewer distinct texts are coded, however few rows repeat them.
const FEW: usize = 1 << 16;

/// Columns of text by their names.
pub trait TextColumns: Sync {
    /// The number of rows.
    fn height(&self) -> usize;

    /// A column as text, in one chunk.
    ///
    /// # Errors
    /// As [`strings`].
    fn texts(&self, name: &str) -> Result<StringChunked>;

    /// The same column as codes; `None` if it is not coded.
    fn coded(&self, name: &str) -> Option<Coded<'_>>;
}

impl TextColumns for DataFrame {
    fn height(&self) -> usize {
        DataFrame::height(self)
    }

    fn texts(&self, name: &str) -> Result<StringChunked> {
        strings(self, name)
    }

    fn coded(&self, _: &str) -> Option<Coded<'_>> {
        None
    }
}

/// A column of which each distinct text is stored once.
#[derive(Clone, Copy, Debug)]
pub struct Coded<'a> {
    /// `[N]`: the position of each row's text.
    pub codes: &'a CodeVec,
    /// The distinct texts, in the order of their first appearance.
    pub texts: &'a StringChunked,
}

impl<'a> Coded<'a> {
    /// The text of a row.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self.codes.get(row) {
            NO_CODE => None,
            code => self.texts.get(code as usize),
        }
    }
}

/// Numbers below the number of distinct texts, and [`NO_CODE`] for null, with as few bytes as they need.
#[derive(Clone, Debug)]
pub enum CodeVec {
    /// Fewer than 255 distinct texts.
    Bytes(Vec<u8>),
    /// Fewer than 65,535 distinct texts.
    Shorts(Vec<u16>),
    /// Any number of distinct texts.
    Words(Vec<u32>),
}

impl Default for CodeVec {
    fn default() -> CodeVec {
        CodeVec::Bytes(vec![])
    }
}

impl CodeVec {
    /// The code of a row.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn get(&self, row: usize) -> u32 {
        match self {
            CodeVec::Bytes(codes) => widened(codes[row].into(), u8::MAX.into()),
            CodeVec::Shorts(codes) => widened(codes[row].into(), u16::MAX.into()),
            CodeVec::Words(codes) => codes[row],
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            CodeVec::Bytes(codes) => codes.len(),
            CodeVec::Shorts(codes) => codes.len(),
            CodeVec::Words(codes) => codes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes of all rows.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    fn push(&mut self, code: u32) {
        match self {
            CodeVec::Bytes(codes) if code < u8::MAX.into() || code == NO_CODE => codes.push(code as u8),
            CodeVec::Shorts(codes) if code < u16::MAX.into() || code == NO_CODE => codes.push(code as u16),
            CodeVec::Words(codes) => codes.push(code),
            CodeVec::Bytes(_) => {
                *self = CodeVec::Shorts(self.iter().map(|code| code as u16).collect());
                self.push(code);
            }
            CodeVec::Shorts(_) => {
                *self = CodeVec::Words(self.iter().collect());
                self.push(code);
            }
        }
    }
}

/// A code in a wider form, in which the largest number stands for null, too.
#[inline]
fn widened(code: u32, null: u32) -> u32 {
    if code == null { NO_CODE } else { code }
}

/// A table of text.
#[derive(Clone, Debug, Default)]
pub struct CompactTable {
    height: usize,
    columns: Vec<(String, Arc<Stored>)>,
}

#[derive(Debug)]
enum Stored {
    Coded { codes: CodeVec, texts: StringChunked },
    Texts(StringChunked),
}

impl Stored {
    fn get(&self, row: usize) -> Option<&str> {
        match self {
            Stored::Coded { codes, texts } => Coded { codes, texts }.get(row),
            Stored::Texts(texts) => texts.get(row),
        }
    }

    fn texts(&self, name: &str) -> StringChunked {
        match self {
            Stored::Coded { codes, .. } => {
                StringChunked::from_iter_options(name.into(), (0..codes.len()).map(|row| self.get(row)))
            }
            Stored::Texts(texts) => texts.clone().with_name(name.into()),
        }
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

    /// A column as text.
    ///
    /// # Errors
    /// [`Error::MissingColumn`].
    pub fn texts(&self, name: &str) -> Result<StringChunked> {
        Ok(self.stored(name)?.texts(name))
    }

    /// A cell.
    ///
    /// # Errors
    /// [`Error::MissingColumn`].
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    pub fn cell(&self, name: &str, row: usize) -> Result<Option<&str>> {
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
            let stored = self.stored(name)?;
            let cells = rows.iter().map(|&row| stored.get(row as usize));
            Ok(StringChunked::from_iter_options(name.into(), cells).into_column())
        };
        let columns = names.iter().map(|name| column(name.as_ref())).collect::<Result<Vec<_>>>()?;
        Ok(DataFrame::new(rows.len(), columns)?)
    }

    /// Adds a column of texts, or replaces the one of its name.
    ///
    /// # Errors
    /// [`Error::Spec`] for a column of another height.
    pub(crate) fn with_column(&mut self, column: StringChunked) -> Result<()> {
        if column.len() != self.height {
            return Err(Error::Spec(format!("a column of {} cells for {} rows", column.len(), self.height)));
        }
        let (name, mut coding) = (column.name().to_string(), Coding::default());
        coding.push(&column);
        self.put(name, Arc::new(coding.finish()));
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

    fn texts(&self, name: &str) -> Result<StringChunked> {
        CompactTable::texts(self, name)
    }

    fn coded(&self, name: &str) -> Option<Coded<'_>> {
        match &**self.stored(name).ok()? {
            Stored::Coded { codes, texts } => Some(Coded { codes, texts }),
            Stored::Texts(_) => None,
        }
    }
}

impl TryFrom<&DataFrame> for CompactTable {
    type Error = Error;

    /// The same table; its columns must have a text form.
    fn try_from(table: &DataFrame) -> Result<CompactTable> {
        let mut builder = CompactBuilder::default();
        builder.push(table)?;
        Ok(builder.finish())
    }
}

/// Makes a table of chunks.
#[derive(Default)]
pub(crate) struct CompactBuilder {
    height: usize,
    columns: Vec<(String, Coding)>,
}

impl CompactBuilder {
    /// The number of rows so far.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Adds the rows of a chunk, which has the columns of the first one.
    ///
    /// # Errors
    /// As [`strings`]; [`Error::MissingColumn`].
    pub fn push(&mut self, chunk: &DataFrame) -> Result<()> {
        if self.columns.is_empty() {
            let names = chunk.get_column_names();
            self.columns = names.into_iter().map(|name| (name.to_string(), Coding::default())).collect();
        }
        let cells = chunk.height() * self.columns.len();
        let push = |(name, coding): &mut (String, Coding)| -> Result<()> {
            coding.push(&strings(chunk, name)?);
            Ok(())
        };
        threads::map(&mut self.columns, cells, push).into_iter().collect::<Result<()>>()?;
        self.height += chunk.height();
        Ok(())
    }

    pub fn finish(self) -> CompactTable {
        let cells = self.height * self.columns.len();
        let columns = threads::map(self.columns, cells, |(name, coding)| (name, Arc::new(coding.finish())));
        CompactTable { height: self.height, columns }
    }
}

/// A column that grows.
#[derive(Default)]
struct Coding {
    codes: CodeVec,
    /// The code of each text of up to twelve bytes, whose view contains it with its length.
    short: PlHashMap<u128, u32>,
    /// The code of each longer text.
    long: PlHashMap<Box<str>, u32>,
    /// The distinct texts, a chunk for each chunk of rows with new ones.
    texts: Option<StringChunked>,
    /// All texts instead, in a column that hardly repeats any.
    plain: Option<StringChunked>,
}

impl Coding {
    fn push(&mut self, column: &StringChunked) {
        if let Some(plain) = &mut self.plain {
            append(plain, column);
            return;
        }
        let mut new = StringChunkedBuilder::new(column.name().clone(), 0);
        let mut distinct = self.distinct();
        for array in column.downcast_iter() {
            for (row, view) in array.views().iter().enumerate() {
                if array.is_null(row) {
                    self.codes.push(NO_CODE);
                    continue;
                }
                let mut add = |text: &str| {
                    new.append_value(text);
                    distinct += 1;
                    distinct as u32 - 1
                };
                let code = if view.is_inline() {
                    *self.short.entry(view.as_u128()).or_insert_with(|| add(array.value(row)))
                } else {
                    match self.long.get(array.value(row)) {
                        Some(&code) => code,
                        None => *self.long.entry(array.value(row).into()).or_insert(add(array.value(row))),
                    }
                };
                self.codes.push(code);
            }
        }
        let new = new.finish();
        match &mut self.texts {
            None => self.texts = Some(new),
            Some(texts) => append(texts, &new),
        }
        if distinct > FEW && 2 * distinct > self.codes.len() {
            let coded = std::mem::take(self).finish();
            self.plain = Some(coded.texts(column.name()));
        }
    }

    fn distinct(&self) -> usize {
        self.short.len() + self.long.len()
    }

    fn finish(self) -> Stored {
        let one_chunk = |texts: StringChunked| texts.rechunk().into_owned();
        match self.plain {
            Some(texts) => Stored::Texts(one_chunk(texts)),
            None => Stored::Coded { codes: self.codes, texts: one_chunk(self.texts.unwrap_or_default()) },
        }
    }
}

/// Appends texts to others.
fn append(texts: &mut StringChunked, more: &StringChunked) {
    // Fails only for columns that are longer than Polars can count.
    #[expect(clippy::expect_used, reason = "a column of a chunk is short")]
    texts.append(more).expect("a column of fewer than 2^32 rows");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compact(chunks: &[DataFrame]) -> CompactTable {
        let mut builder = CompactBuilder::default();
        chunks.iter().for_each(|chunk| builder.push(chunk).unwrap());
        builder.finish()
    }

    #[test]
    fn a_column_of_repeated_texts_is_coded_and_one_of_unique_texts_is_not() {
        let n = 2 * FEW + 3;
        let of = |text: &dyn Fn(usize) -> String| (0..n).map(text).collect::<Vec<String>>();
        let table = df!(
            "few" => of(&|row| (row % 3).to_string()),
            "some" => of(&|row| (row % 300).to_string()),
            "many" => of(&|row| format!("a long text {}", row % (n / 3))),
            "unique" => of(&|row| format!("{row}")),
        )
        .unwrap();
        let compact = compact(&[table.slice(0, FEW), table.slice(FEW as i64, n)]);
        let width = |name: &str| match compact.coded(name) {
            None => 0,
            Some(Coded { codes: CodeVec::Bytes(_), .. }) => 1,
            Some(Coded { codes: CodeVec::Shorts(_), .. }) => 2,
            Some(Coded { codes: CodeVec::Words(_), .. }) => 4,
        };
        assert_eq!(["few", "some", "many", "unique"].map(width), [1, 2, 2, 0]);
        let all: Vec<u32> = (0..n as u32).collect();
        assert!(compact.take(&all, &compact.names()).unwrap().equals_missing(&table));
    }

    #[test]
    fn a_missing_column_or_row_is_an_error() {
        let compact = compact(&[df!("a" => ["x"]).unwrap()]);
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
            let mut compact = compact(&[table.slice(0, at), table.slice(at as i64, cells.len())]);
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
