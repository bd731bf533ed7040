//! Rows without padding, in memory or in a memory-mapped file.

use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::file::{Sections, for_bytes};
use super::layout::{FieldLayout, RecordLayout, SlotKind};
use super::slots::{Record, Row};
use super::{RecordsBuilder, RecordsWriter, Slots};
use crate::error::{Error, Result};
use crate::mapped_file::MappedFile;
use crate::prefetch::prefetch_line;
use crate::schema::Schema;

/// The number of rows whose starts are relative to the start of the same block.
pub(super) const BLOCK: usize = 1024;

/// Encoded rows without padding, in memory or in a memory-mapped file.
///
/// A row is one contiguous *record* of 32-bit words:
///
/// | words | content |
/// |---|---|
/// | 1 | A, the number of active slots, u32 |
/// | 1 | the training target, f32 |
/// | 1 | the weight, f32, if the rows have weights |
/// | A | the ids of the slots, u32, field by field; the highest bit is set if the value of the slot follows |
/// | up to A | the values of these slots, f32, in their order |
///
/// The value of any other slot follows from the schema: 1 in a categorical field and for a missing number, and 1, 1/n
/// or 1/√n in a multi-valued field or a sequence with n slots. A row takes 4 bytes for each active slot, 4 for each
/// value that the schema does not imply, and 12 more, of which 4 are the start of its record ([`Records::save`]
/// describes the file).
///
/// ```
/// use fm_core::{Field, Label, Records, Rows, Schema, Side, Task};
///
/// let fields = vec![Field::categorical("user", Side::User, 100), Field::categorical("film", Side::Item, 50)];
/// let ratings = [5.0, 2.0, 3.5];
/// let schema = Schema::new(Label::fit("rating", Task::Regression, ratings), fields)?;
/// let rows = Records::from_indices(&schema, &[[0, 7], [0, 49], [99, 7]], &ratings)?;
/// assert_eq!(rows.labels(), ratings);
/// // The first id of a field is the out-of-vocabulary id: the users' ids are 1 to 100, the films' 102 to 151.
/// assert_eq!(rows.row(1).field(1).ids().collect::<Vec<_>>(), [151]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Records {
    pub(super) layout: Arc<RecordLayout>,
    pub(super) len: usize,
    pub(super) has_weights: bool,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Memory(Parts),
    Mapped { file: MappedFile, sections: Sections },
}

/// The parts of a set of records.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// All records.
    pub words: Vec<u32>,
    /// Where each record starts, counted from the start of its block, and where the records of each block start and end.
    pub starts: StartsBuilder,
    /// `[N]`, if groups are given.
    pub groups: Option<Vec<i64>>,
}

/// Where the records of a set start and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts<'a> {
    pub rows: &'a [u32],
    pub blocks: &'a [u64],
}

/// The starts of records that follow each other.
#[derive(Debug, Default)]
pub(super) struct StartsBuilder {
    pub rows: Vec<u32>,
    pub blocks: Vec<u64>,
}

impl StartsBuilder {
    /// Adds a record that starts after `words` words.
    pub fn push(&mut self, words: u64) {
        if self.rows.len().is_multiple_of(BLOCK) {
            self.blocks.push(words);
        }
        // The records of a block have fewer than 2³² words: a row has at most 2²⁰ slots.
        let base = self.blocks.last().copied().unwrap_or_default();
        self.rows.push((words - base) as u32);
    }

    /// Adds the records of another set, of which the first starts after `words` words.
    pub fn append(&mut self, rows: &Records, words: u64) {
        let starts = rows.starts();
        (0..rows.len).for_each(|row| self.push(words + starts.span(row).0 as u64));
    }

    /// Ends the last record after `words` words.
    pub fn finish(mut self, words: u64) -> StartsBuilder {
        self.blocks.push(words);
        self
    }
}

impl Starts<'_> {
    /// Starts to load what [`Starts::span`] reads.
    #[inline]
    pub fn prefetch(self, row: usize) {
        prefetch_line(&raw const self.rows[row]);
    }

    /// The words of a row.
    #[inline]
    pub fn span(self, row: usize) -> (usize, usize) {
        let block = row / BLOCK;
        let base = self.blocks[block];
        let end = match self.rows.get(row + 1) {
            Some(&next) if !(row + 1).is_multiple_of(BLOCK) => base + u64::from(next),
            _ => self.blocks[block + 1],
        };
        ((base + u64::from(self.rows[row])) as usize, end as usize)
    }
}

impl Records {
    pub(super) fn in_memory(layout: Arc<RecordLayout>, has_weights: bool, parts: Parts) -> Records {
        Records { layout, len: parts.starts.rows.len(), has_weights, storage: Storage::Memory(parts) }
    }

    /// The records in a file, which are valid.
    pub(super) fn mapped(layout: Arc<RecordLayout>, file: MappedFile, sections: Sections) -> Records {
        let Sections { rows: len, has_weights, .. } = sections;
        Records { layout, len, has_weights, storage: Storage::Mapped { file, sections } }
    }

    /// Opens a file that [`Records::save`] wrote with the same schema. Reads it once to check every record.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if the file is truncated, has another format, version or schema, or contains
    /// invalid ids, values or numbers.
    pub fn open(path: impl AsRef<Path>, schema: &Schema) -> Result<Records> {
        let (file, layout) = (MappedFile::open(&path)?, Arc::new(RecordLayout::new(schema)));
        let opened = Sections::read(file.bytes(), schema).and_then(|sections| {
            let records = Records::mapped(layout, file, sections);
            records.check()?;
            Ok(records)
        });
        opened.map_err(|reason| Error::format("file of encoded rows", path, reason))
    }

    /// Writes the rows to a file atomically.
    ///
    /// All numbers are little-endian. Each section starts at a multiple of 64 bytes, after zero bytes.
    ///
    /// | bytes | content |
    /// |---|---|
    /// | 0 to 8 | `FMROWS` and two zero bytes |
    /// | 8 to 12 | format version, u32: 4 |
    /// | 12 to 16 | flags, u32: bit 0 if rows have weights, bit 1 if groups are given |
    /// | 16 to 24 | N, the number of rows, u64 |
    /// | 24 to 32 | W, the number of words of all records, u64 |
    /// | 32 to 40 | XXH3-64 hash of the schema's JSON, u64 |
    /// | 40 to 64 | zero |
    /// | from 64 | the records, in the order of their rows, u32 `[W]` |
    /// | then | the start of each record, counted in words from the start of its block of 1024 rows, u32 `[N]` |
    /// | then | the start of each block, counted in words from the first record, and W, u64 `[⌈N / 1024⌉ + 1]` |
    /// | then | the group of each row, i64 `[N]`, if groups are given |
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Shape`] if the rows were not encoded with this schema.
    pub fn save(&self, path: impl AsRef<Path>, schema: &Schema) -> Result<()> {
        if *self.layout != RecordLayout::new(schema) {
            return Err(Error::shape("rows", "the schema that they were encoded with", "another schema"));
        }
        let mut writer = RecordsWriter::create(path, schema, self.has_weights)?;
        writer.append(self)?;
        writer.finish(schema, self.given_groups()).map(drop)
    }

    /// Fails unless the rows have this layout, and weights or not.
    pub(super) fn check_kind(&self, layout: &RecordLayout, has_weights: bool) -> Result<()> {
        match *self.layout == *layout && self.has_weights == has_weights {
            true => Ok(()),
            false => Err(Error::shape("rows", "rows of one schema, with or without weights", "rows of two kinds")),
        }
    }

    /// Checks every record, and that they follow each other without gaps.
    fn check(&self) -> Result<(), String> {
        let starts = self.starts();
        let blocks = self.len.div_ceil(BLOCK);
        let total = self.words().len() as u64;
        if starts.blocks.first() != Some(&0) || starts.blocks[blocks] != total || !starts.blocks.is_sorted() {
            return Err("its blocks do not cover its records".into());
        }
        let mut at = 0;
        for row in 0..self.len {
            let (start, end) = starts.span(row);
            let words = if start == at { self.words().get(start..end) } else { None };
            let record = words.and_then(|words| Record::read(words, self.has_weights));
            let record = record.ok_or_else(|| format!("row {row} has no whole record"))?;
            record.check(row, &self.layout).map_err(|error| error.to_string())?;
            at = end;
        }
        Ok(())
    }

    /// A row.
    ///
    /// # Panics
    /// If `row` is not below [`Rows::len`](super::Rows::len).
    pub fn row(&self, row: usize) -> Row<'_> {
        assert!(row < self.len, "row {row} of {}", self.len);
        Row { layout: &self.layout, record: self.record(self.starts().span(row)) }
    }

    /// The number of rows of the table that the ids refer to.
    pub fn table_rows(&self) -> usize {
        let end = |field: &FieldLayout| (i64::from(field.end) - i64::from(field.shift)) as usize;
        self.layout.fields.iter().map(end).max().unwrap_or(0)
    }

    /// All rows, in their order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len).map(|row| self.row(row))
    }

    /// `[N]`: the id of each row in a field with one value per row.
    ///
    /// # Panics
    /// If `field` is not a field of the schema, or is multi-valued or a sequence.
    pub fn ids_of(&self, field: usize) -> impl ExactSizeIterator<Item = i32> + '_ {
        let FieldLayout { name, kind, .. } = &self.layout.fields[field];
        assert!(!matches!(kind, SlotKind::Several { .. }), "field `{name}` may have several ids in a row");
        self.rows().map(move |row| row.field(field).ids().next().expect("a record has one slot of the field"))
    }

    /// The same rows with weights `[N]`, in memory; see [`Rows::weights`](super::Rows::weights).
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of weights is not N, or one is negative or not finite.
    pub fn with_weights(self, weights: Option<&[f32]>) -> Result<Records> {
        if weights.is_some_and(|weights| weights.len() != self.len) {
            let found = weights.map_or(0, <[f32]>::len).to_string();
            return Err(Error::shape("weights", format!("a weight for each of {} rows", self.len), found));
        }
        let mut builder = RecordsBuilder::of(Arc::clone(&self.layout), weights.is_some());
        let mut slots = Slots::default();
        for (row, Row { record, .. }) in self.rows().enumerate() {
            slots.clear();
            slots.words.extend_from_slice(record.ids);
            slots.given.extend_from_slice(record.given);
            builder.push(&slots, record.label, weights.map(|weights| weights[row]))?;
        }
        builder.finish().with_groups(self.given_groups().map(<[i64]>::to_vec))
    }

    /// The same rows with groups `[N]`, such as their users, in memory; see [`Rows::groups`](super::Rows::groups).
    /// Without given groups, the groups are the ids of the field that identifies the user.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of groups is not N.
    pub fn with_groups(self, groups: Option<Vec<i64>>) -> Result<Records> {
        if let Some(groups) = groups.as_ref().filter(|groups| groups.len() != self.len) {
            let expected = format!("a group for each of {} rows", self.len);
            return Err(Error::shape("groups", expected, groups.len().to_string()));
        }
        let Starts { rows, blocks } = self.starts();
        let parts = match self.storage {
            Storage::Memory(parts) => Parts { groups, ..parts },
            Storage::Mapped { .. } => {
                let starts = StartsBuilder { rows: rows.to_vec(), blocks: blocks.to_vec() };
                Parts { words: self.words().to_vec(), starts, groups }
            }
        };
        Ok(Records { storage: Storage::Memory(parts), ..self })
    }

    /// A digest of the ids, values, targets, weights and groups of all rows in their order: 32 hexadecimal digits that
    /// reveal changed rows.
    pub fn digest(&self) -> String {
        let mut hash = Xxh3::new();
        for field in &self.layout.fields {
            // The values that records leave out.
            let implied = match field.kind {
                SlotKind::One | SlotKind::Number { .. } => 0,
                SlotKind::Several { weighting, .. } => 1 + weighting as u32,
            };
            hash.update(&field.end.to_le_bytes());
            hash.update(&field.shift.to_le_bytes());
            hash.update(&implied.to_le_bytes());
        }
        let groups = self.given_groups().unwrap_or_default();
        for number in [self.len, usize::from(self.has_weights), groups.len()] {
            hash.update(&(number as u64).to_le_bytes());
        }
        for_bytes(self.words(), u32::to_le_bytes, |bytes| hash.update(bytes));
        for_bytes(groups, i64::to_le_bytes, |bytes| hash.update(bytes));
        format!("{:032x}", hash.digest128())
    }

    /// Says that rows will be read in random order from now on; see [`MappedFile::expect_random_reads`]. What reads all rows in
    /// their order comes before.
    pub(crate) fn expect_random_reads(&self) {
        if let Storage::Mapped { file, .. } = &self.storage {
            file.expect_random_reads();
        }
    }

    /// The number of bytes of all records, in memory or in a file.
    pub fn bytes(&self) -> usize {
        size_of_val(self.words())
    }

    pub(super) fn words(&self) -> &[u32] {
        match &self.storage {
            Storage::Memory(parts) => &parts.words,
            Storage::Mapped { file, sections } => sections.words.of(file),
        }
    }

    pub(super) fn starts(&self) -> Starts<'_> {
        match &self.storage {
            Storage::Memory(parts) => Starts { rows: &parts.starts.rows, blocks: &parts.starts.blocks },
            Storage::Mapped { file, sections } => {
                Starts { rows: sections.row_starts.of(file), blocks: sections.block_starts.of(file) }
            }
        }
    }

    pub(super) fn given_groups(&self) -> Option<&[i64]> {
        match &self.storage {
            Storage::Memory(parts) => parts.groups.as_deref(),
            Storage::Mapped { file, sections } => Some(sections.groups.as_ref()?.of(file)),
        }
    }

    /// The record at some words of a set that has been checked.
    #[inline]
    pub(super) fn record(&self, (start, end): (usize, usize)) -> Record<'_> {
        Record::read(&self.words()[start..end], self.has_weights)
            .expect("records are checked when they are made or opened")
    }
}
