//! Encoded rows, in memory or in one memory-mapped file.
//!
//! The file holds little-endian numbers:
//!
//! | bytes | content |
//! |---|---|
//! | 0 to 8 | `FMROWS` and two zero bytes |
//! | 8 to 12 | format version, u32 |
//! | 12 to 16 | S, the slots of a row, u32 |
//! | 16 to 24 | N, the rows, u64 |
//! | 24 to 32 | V, the slots of a row that have a value, u64 |
//! | 32 to 40 | hash of the schema's JSON, u64 |
//! | 40 to 44 | whether rows have weights, u32: 0 or 1 |
//! | from 64 | ids, i32 `[N, S]` |
//! | then | values, f32 `[N, V]`: of the slots of fields that are not categorical; the others' are 1 |
//! | then | targets, f32 `[N]` |
//! | then | weights, f32 `[N]`, if rows have some |
//!
//! Each section starts at a multiple of 64 bytes.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use fm_core::atomic_file::write_atomically;
use fm_core::mapped_file::MappedFile;
use fm_core::{Batch, Encoder, FieldKind, Rows, Schema, TensorRows};
use md5::{Digest, Md5};
use polars::prelude::DataFrame;
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::fit::{Encoded, MissingColumns, encode, num_values, targets};

const MAGIC: [u8; 8] = *b"FMROWS\0\0";

/// The version of the file that this library writes, and the only one that it reads. Rows of version 1 have a slot for
/// each repetition of a value, those of version 2 no weights.
pub(crate) const FORMAT: u32 = 3;

const ALIGNMENT: usize = 64;

/// Encoded rows with their targets. The ids are those of the schema's fields: checked when it is made or opened.
#[derive(Debug)]
pub struct Dataset {
    num_rows: usize,
    num_slots: usize,
    /// The slots that have values: where they stand in a row and among its values.
    value_slots: Vec<ValueSlots>,
    num_values: usize,
    user: Option<UserSlot>,
    storage: Storage,
}

/// Where a row says who its user is.
#[derive(Clone, Copy, Debug)]
struct UserSlot {
    slot: usize,
    /// The id of users that the schema does not know.
    unknown: i32,
}

impl UserSlot {
    fn new(schema: &Schema) -> Option<UserSlot> {
        let field = schema.field_index(schema.user()?)?;
        let is_one_value = schema.fields()[field].kind == FieldKind::Categorical;
        is_one_value.then(|| UserSlot { slot: schema.slots(field).start, unknown: schema.ids(field).start as i32 })
    }
}

/// Adjacent slots that have values.
#[derive(Clone, Debug)]
struct ValueSlots {
    slots: Range<usize>,
    /// The first of their values among a row's V.
    first_value: usize,
}

#[derive(Debug)]
enum Storage {
    Memory { ids: Vec<i32>, values: Vec<f32>, targets: Vec<f32>, weights: Option<Vec<f32>> },
    Mapped { file: MappedFile, sections: Sections },
}

/// Where the parts of a file lie, in bytes.
#[derive(Clone, Debug)]
struct Sections {
    ids: Range<usize>,
    values: Range<usize>,
    targets: Range<usize>,
    weights: Option<Range<usize>>,
    /// The length of the file.
    end: usize,
}

impl Sections {
    /// `None` if the file would be larger than the address space.
    fn new(rows: usize, slots: usize, values: usize, has_weights: bool) -> Option<Sections> {
        let section = |after: usize, per_row: usize| {
            let start = after.checked_next_multiple_of(ALIGNMENT)?;
            Some(start..start.checked_add(rows.checked_mul(per_row)?.checked_mul(4)?)?)
        };
        let ids = section(ALIGNMENT, slots)?;
        let values = section(ids.end, values)?;
        let targets = section(values.end, 1)?;
        let weights = if has_weights { Some(section(targets.end, 1)?) } else { None };
        let end = weights.as_ref().map_or(targets.end, |weights| weights.end);
        Some(Sections { ids, values, targets, weights, end })
    }
}

impl Dataset {
    /// Takes rows to score, whose targets nobody knows.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn unlabelled(schema: &Schema, encoded: Encoded) -> fm_core::Result<Dataset> {
        let targets = vec![0.0; encoded.num_rows];
        Dataset::new(schema, encoded, targets)
    }

    /// Takes rows in memory and the target of each.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for another number of ids, values or targets than the schema's, or numbers that are
    /// not finite; [`fm_core::Error::IdOutOfRange`].
    pub fn new(schema: &Schema, encoded: Encoded, targets: Vec<f32>) -> fm_core::Result<Dataset> {
        let Encoded { num_rows, ids, values } = encoded;
        let found = (ids.len(), values.len(), targets.len());
        let expected = (num_rows * schema.num_slots(), num_rows * num_values(schema), num_rows);
        if found != expected {
            let text = |(ids, values, targets)| format!("{ids} ids, {values} values and {targets} targets");
            return Err(fm_core::Error::shape("data set", text(expected), text(found)));
        }
        let dataset = Dataset::over(schema, num_rows, Storage::Memory { ids, values, targets, weights: None });
        dataset.check(schema)?;
        Ok(dataset)
    }

    /// The same rows with the weight of each; see [`Rows::weights`]. Rows of a file have those of the file.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for another number of weights than rows, or one that is negative or not finite.
    pub fn with_weights(mut self, given: Option<Vec<f32>>) -> fm_core::Result<Dataset> {
        if let Storage::Memory { weights, .. } = &mut self.storage {
            *weights = given;
        }
        self.check_weights()?;
        Ok(self)
    }

    /// Encodes rows of a table. `labels` are those of all its rows, before the task's threshold.
    ///
    /// # Errors
    /// [`crate::Error::MissingColumn`]; [`crate::Error::Spec`] if labels or rows are not the table's.
    pub fn encode(table: &DataFrame, schema: &Schema, labels: &[f32], rows: &[u32]) -> Result<Dataset> {
        let targets = targets(table, schema, labels, rows)?;
        let encoded = encode(table, &Encoder::new(schema), Some(rows), MissingColumns::Error)?;
        Ok(Dataset::new(schema, encoded, targets)?)
    }

    /// Opens a file that [`Dataset::save`] wrote with the same schema. Reads it once, to check it.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`], or [`fm_core::Error::Format`] for a file that is cut, of another kind, version or
    /// schema, or that holds ids outside their field.
    pub fn open(path: impl AsRef<Path>, schema: &Schema) -> fm_core::Result<Dataset> {
        let invalid = |reason: String| fm_core::Error::format("data set", &path, reason);
        let file = MappedFile::open(&path)?;
        let bytes = file.bytes();
        let field = |range: Range<usize>| bytes.get(range).unwrap_or_default();
        let u32_at = |at| field(at..at + 4).try_into().map_or(0, u32::from_le_bytes);
        let u64_at = |at| field(at..at + 8).try_into().map_or(0, u64::from_le_bytes);
        if field(0..8) != MAGIC || bytes.len() < ALIGNMENT {
            return Err(invalid("it does not start as one".into()));
        }
        if u32_at(8) != FORMAT {
            return Err(invalid(format!("its format is {}, and this version reads {FORMAT}", u32_at(8))));
        }
        if u64_at(32) != schema_hash(schema) {
            return Err(invalid("it was encoded with another schema".into()));
        }
        let rows = usize::try_from(u64_at(16)).ok().filter(|&rows| u32::try_from(rows).is_ok());
        let has_weights = match u32_at(40) {
            flag @ (0 | 1) => flag == 1,
            flag => return Err(invalid(format!("its header says {flag} of whether rows have weights"))),
        };
        let sections = rows.and_then(|rows| Sections::new(rows, schema.num_slots(), num_values(schema), has_weights));
        let shape = (u64::from(u32_at(12)), u64_at(24));
        let (Some(rows), Some(sections)) = (rows, sections) else {
            return Err(invalid(format!("its header names {} rows", u64_at(16))));
        };
        if shape != (schema.num_slots() as u64, num_values(schema) as u64) {
            return Err(invalid(format!("its rows have {} slots and {} values", shape.0, shape.1)));
        }
        if bytes.len() != sections.end {
            return Err(invalid(format!("it has {} bytes instead of {}", bytes.len(), sections.end)));
        }
        let dataset = Dataset::over(schema, rows, Storage::Mapped { file, sections });
        dataset.check(schema).map_err(|error| invalid(error.to_string()))?;
        Ok(dataset)
    }

    /// Writes the rows to a file, whole or not at all.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>, schema: &Schema) -> fm_core::Result<()> {
        let too_many = || fm_core::Error::shape("data set", "rows that fit into a file", format!("{}", self.num_rows));
        let weights = self.row_weights();
        let sections = Sections::new(self.num_rows, self.num_slots, self.num_values, weights.is_some());
        let sections = sections.ok_or_else(too_many)?;
        write_atomically(path, |file| {
            let mut header = Vec::with_capacity(ALIGNMENT);
            header.extend(MAGIC);
            header.extend(FORMAT.to_le_bytes());
            header.extend((self.num_slots as u32).to_le_bytes());
            header.extend((self.num_rows as u64).to_le_bytes());
            header.extend((self.num_values as u64).to_le_bytes());
            header.extend(schema_hash(schema).to_le_bytes());
            header.extend(u32::from(weights.is_some()).to_le_bytes());
            let mut written = header.len();
            file.write_all(&header)?;
            let mut pad_to = |file: &mut dyn Write, section: &Range<usize>| {
                file.write_all(&[0; ALIGNMENT][..section.start - written])?;
                written = section.end;
                Ok::<(), std::io::Error>(())
            };
            pad_to(file, &sections.ids)?;
            self.ids().iter().try_for_each(|id| file.write_all(&id.to_le_bytes()))?;
            pad_to(file, &sections.values)?;
            self.values().iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?;
            pad_to(file, &sections.targets)?;
            self.targets().iter().try_for_each(|target| file.write_all(&target.to_le_bytes()))?;
            if let (Some(section), Some(weights)) = (&sections.weights, weights) {
                pad_to(file, section)?;
                weights.iter().try_for_each(|weight| file.write_all(&weight.to_le_bytes()))?;
            }
            Ok(())
        })
    }

    fn over(schema: &Schema, num_rows: usize, storage: Storage) -> Dataset {
        let mut value_slots: Vec<ValueSlots> = Vec::new();
        let mut num_values = 0;
        for (position, field) in schema.fields().iter().enumerate() {
            if field.kind == FieldKind::Categorical {
                continue;
            }
            let slots = schema.slots(position);
            match value_slots.last_mut().filter(|last| last.slots.end == slots.start) {
                Some(last) => last.slots.end = slots.end,
                None => value_slots.push(ValueSlots { slots: slots.clone(), first_value: num_values }),
            }
            num_values += slots.len();
        }
        let (num_slots, user) = (schema.num_slots(), UserSlot::new(schema));
        Dataset { num_rows, num_slots, value_slots, num_values, user, storage }
    }

    fn check(&self, schema: &Schema) -> fm_core::Result<()> {
        let field_of = schema.field_of_slots();
        let (first, last): (Vec<i32>, Vec<i32>) =
            field_of.iter().map(|&field| (schema.ids(field).start as i32, schema.ids(field).end as i32 - 1)).unzip();
        for (row, ids) in self.ids().chunks_exact(self.num_slots).enumerate() {
            // Without a branch for each id: there are hundreds of millions of them, and all are good.
            let bad = ids.iter().zip(&first).zip(&last).fold(false, |bad, ((id, f), l)| bad | (id < f) | (id > l));
            if let Some(slot) = bad.then(|| (0..ids.len()).find(|&s| ids[s] < first[s] || ids[s] > last[s])).flatten() {
                return Err(fm_core::Error::IdOutOfRange {
                    row,
                    slot,
                    id: i64::from(ids[slot]),
                    field: schema.fields()[field_of[slot]].name.clone(),
                    first: i64::from(first[slot]),
                    last: i64::from(last[slot]),
                });
            }
        }
        for (what, numbers) in [("values", self.values()), ("targets", self.targets())] {
            if let Some(at) = numbers.iter().position(|x| !x.is_finite()) {
                let row = at / (numbers.len() / self.num_rows);
                return Err(fm_core::Error::shape(
                    "data set",
                    format!("finite {what}"),
                    format!("{} in row {row}", numbers[at]),
                ));
            }
        }
        self.check_weights()
    }

    fn check_weights(&self) -> fm_core::Result<()> {
        let Some(weights) = self.row_weights() else { return Ok(()) };
        if weights.len() != self.num_rows {
            let expected = format!("a weight for each of {} rows", self.num_rows);
            return Err(fm_core::Error::shape("data set", expected, weights.len().to_string()));
        }
        match weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            None => Ok(()),
            Some(row) => {
                let found = format!("{} in row {row}", weights[row]);
                Err(fm_core::Error::shape("data set", "finite weights of at least 0", found))
            }
        }
    }

    /// `[N, S]`: the ids of all rows.
    pub fn ids(&self) -> &[i32] {
        match &self.storage {
            Storage::Memory { ids, .. } => ids,
            Storage::Mapped { file, sections } => file.numbers(sections.ids.clone()).unwrap_or_default(),
        }
    }

    /// `[N, V]`: the values of the slots that have some.
    fn values(&self) -> &[f32] {
        match &self.storage {
            Storage::Memory { values, .. } => values,
            Storage::Mapped { file, sections } => file.numbers(sections.values.clone()).unwrap_or_default(),
        }
    }

    /// `[N]`: the targets, after the threshold of a binary task.
    pub fn targets(&self) -> &[f32] {
        match &self.storage {
            Storage::Memory { targets, .. } => targets,
            Storage::Mapped { file, sections } => file.numbers(sections.targets.clone()).unwrap_or_default(),
        }
    }

    /// `[N]`: the weights, if rows have some.
    fn row_weights(&self) -> Option<&[f32]> {
        match &self.storage {
            Storage::Memory { weights, .. } => weights.as_deref(),
            Storage::Mapped { file, sections } => file.numbers(sections.weights.clone()?),
        }
    }

    /// The ids in one slot of all rows.
    ///
    /// # Panics
    /// If `slot` is not below S.
    pub fn ids_of_slot(&self, slot: usize) -> impl ExactSizeIterator<Item = i32> + '_ {
        assert!(slot < self.num_slots, "slot {slot} of rows with {} slots", self.num_slots);
        self.ids().chunks_exact(self.num_slots).map(move |ids| ids[slot])
    }

    /// Whether two rows have the same ids and values in the slots of one field.
    pub(crate) fn are_slots_equal(&self, a: usize, b: usize, slots: Range<usize>) -> bool {
        let ids = |row: usize| &self.ids()[row * self.num_slots..][slots.clone()];
        let with_values = self.value_slots.iter().find(|of_fields| of_fields.slots.contains(&slots.start));
        let values = |row: usize| {
            with_values.map(|of_fields| {
                let first = row * self.num_values + of_fields.first_value + slots.start - of_fields.slots.start;
                &self.values()[first..first + slots.len()]
            })
        };
        ids(a) == ids(b) && values(a) == values(b)
    }

    /// A digest of the ids, targets and weights of all rows in their order, which tells whether they are still the same.
    pub fn digest(&self) -> String {
        let mut digest = Md5::new();
        let mut bytes: Vec<u8> = Vec::with_capacity(4 * self.num_slots);
        for ids in self.ids().chunks_exact(self.num_slots) {
            bytes.clear();
            bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            digest.update(&bytes);
        }
        let numbers = self.targets().iter().chain(self.row_weights().unwrap_or_default());
        numbers.for_each(|number| digest.update(number.to_le_bytes()));
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// All rows as tensors on `device`.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if the device's memory does not suffice.
    pub fn to_tensor_rows(&self, schema: &Schema, device: Device) -> fm_core::Result<TensorRows> {
        let (rows, slots) = (self.num_rows as i64, self.num_slots as i64);
        // They travel as 32 bits and are widened on the device.
        let ids = Tensor::f_from_slice(self.ids())?.f_to_device(device)?.f_to_kind(Kind::Int64)?;
        let values = Tensor::f_ones([rows, slots], (Kind::Float, device))?;
        let given = Tensor::f_from_slice(self.values())?.f_to_device(device)?.view([rows, self.num_values as i64]);
        for ValueSlots { slots, first_value } in &self.value_slots {
            let len = slots.len() as i64;
            values.narrow(1, slots.start as i64, len).f_copy_(&given.narrow(1, *first_value as i64, len))?;
        }
        let targets = Tensor::f_from_slice(self.targets())?;
        let weights = self.row_weights().map(Tensor::f_from_slice).transpose()?;
        TensorRows::new(schema, ids.view([rows, slots]), values, targets)?
            .with_weights(weights)?
            .with_groups(self.groups())
    }
}

impl Rows for Dataset {
    fn len(&self) -> usize {
        self.num_rows
    }

    fn batch(&self, rows: &[usize], device: Device) -> fm_core::Result<Batch> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.num_rows) {
            let expected = format!("row numbers below {}", self.num_rows);
            return Err(fm_core::Error::shape("batch", expected, row.to_string()));
        }
        let (all_ids, all_values, all_targets) = (self.ids(), self.values(), self.targets());
        let (s, v) = (self.num_slots, self.num_values);
        let mut ids: Vec<i64> = Vec::with_capacity(rows.len() * s);
        let mut values = vec![1f32; rows.len() * s];
        for (i, row) in rows.iter().copied().enumerate() {
            ids.extend(all_ids[row * s..(row + 1) * s].iter().map(|&id| i64::from(id)));
            let (given, values) = (&all_values[row * v..(row + 1) * v], &mut values[i * s..(i + 1) * s]);
            for ValueSlots { slots, first_value } in &self.value_slots {
                values[slots.clone()].copy_from_slice(&given[*first_value..first_value + slots.len()]);
            }
        }
        let pick = |all: &[f32]| {
            let picked: Vec<f32> = rows.iter().map(|&row| all[row]).collect();
            Tensor::f_from_slice(&picked)?.f_to_device(device)
        };
        let shape = [rows.len() as i64, s as i64];
        let ids = Tensor::f_from_slice(&ids)?.f_view(shape)?.f_to_device(device)?;
        let values = Tensor::f_from_slice(&values)?.f_view(shape)?.f_to_device(device)?;
        let (labels, weights) = (pick(all_targets)?, self.row_weights().map(pick).transpose()?);
        Ok(Batch { features: fm_core::Features::unchecked(ids, values), labels, weights })
    }

    fn labels(&self) -> Vec<f32> {
        self.targets().to_vec()
    }

    fn weights(&self) -> Option<Vec<f32>> {
        self.row_weights().map(<[f32]>::to_vec)
    }

    /// The ids of the rows' users, where the schema says which field, of one value a row, is the user. Users that it does
    /// not know share an id, but are not one user: their rows are of no group. Users who share a hash bucket are one.
    fn groups(&self) -> Option<Vec<i64>> {
        let UserSlot { slot, unknown } = self.user?;
        let group = |id: i32| if id == unknown { -1 } else { i64::from(id) };
        Some(self.ids_of_slot(slot).map(group).collect())
    }
}

/// A hash that is the same for equal schemas, on every machine.
fn schema_hash(schema: &Schema) -> u64 {
    let digest: [u8; 16] = Md5::digest(schema.to_json()).into();
    u64::from_le_bytes(*digest.first_chunk().expect("16 bytes hold 8"))
}

#[cfg(test)]
mod tests {
    use fm_core::{Field, Label, Side, Task, Weighting};
    use proptest::prelude::*;

    use super::*;

    fn schema() -> Schema {
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&v| v.into()).collect())
        };
        let list = FieldKind::MultiValued { separator: "|".into(), max_len: 2, weighting: Weighting::Sum };
        let fields = vec![
            field("price", FieldKind::Numeric { mean: 0.0, std: 1.0 }, &[]),
            field("user", FieldKind::Categorical, &["a", "b"]),
            field("tags", list, &["x"]),
            field("age", FieldKind::Numeric { mean: 0.0, std: 1.0 }, &[]),
        ];
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5 };
        Schema::new(label, fields).unwrap()
    }

    /// Ids: price 0 to 1, user 2 to 4, tags 5 to 6, age 7 to 8.
    fn dataset() -> Dataset {
        let encoded = Encoded {
            num_rows: 2,
            ids: vec![1, 3, 6, 5, 8, 0, 4, 6, 6, 7],
            values: vec![0.5, 1.0, 0.0, -2.0, 1.0, 1.0, 1.0, 1.0],
        };
        Dataset::new(&schema(), encoded, vec![0.25, 0.75]).unwrap()
    }

    fn saved(folder: &tempfile::TempDir) -> std::path::PathBuf {
        let path = folder.path().join("rows");
        dataset().save(&path, &schema()).unwrap();
        path
    }

    fn floats(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_batch_has_the_rows_asked_for_and_one_where_no_value_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        for rows in [dataset(), Dataset::open(saved(&folder), &schema()).unwrap()] {
            let batch = rows.batch(&[1, 0, 1], Device::Cpu).unwrap();
            assert_eq!(batch.features.padded().unwrap().ids.size(), [3, 5]);
            assert_eq!(Vec::<i64>::try_from(batch.features.padded().unwrap().ids.get(1)).unwrap(), [1, 3, 6, 5, 8]);
            assert_eq!(floats(&batch.features.padded().unwrap().values.get(1)), [0.5, 1.0, 1.0, 0.0, -2.0]);
            assert_eq!(floats(&batch.features.padded().unwrap().values.get(0)), [1.0; 5]);
            assert_eq!(floats(&batch.labels), [0.75, 0.25, 0.75]);
            assert!(rows.batch(&[2], Device::Cpu).unwrap_err().to_string().contains("row numbers below 2"));
            assert_eq!(rows.batch(&[], Device::Cpu).unwrap().features.len(), 0);
        }
    }

    #[test]
    fn tensor_rows_are_the_same_rows() {
        let rows = dataset().to_tensor_rows(&schema(), Device::Cpu).unwrap();
        let (a, b) = (rows.batch(&[1, 0], Device::Cpu).unwrap(), dataset().batch(&[1, 0], Device::Cpu).unwrap());
        assert_eq!(a.labels, b.labels);
        let (a, b) = (a.features.padded().unwrap(), b.features.padded().unwrap());
        assert_eq!((a.ids, a.values), (b.ids, b.values));
    }

    #[test]
    fn weights_are_kept_in_the_file_and_reach_batches_and_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let weighted = || dataset().with_weights(Some(vec![0.5, 2.0])).unwrap();
        weighted().save(&path, &schema()).unwrap();
        let opened = Dataset::open(&path, &schema()).unwrap();
        assert_eq!(opened.digest(), weighted().digest());
        assert_ne!(opened.digest(), dataset().digest());
        let tensors = opened.to_tensor_rows(&schema(), Device::Cpu).unwrap();
        for rows in [&opened as &dyn Rows, &weighted(), &tensors] {
            assert_eq!(rows.weights(), Some(vec![0.5, 2.0]));
            let batch = rows.batch(&[1, 0, 1], Device::Cpu).unwrap();
            assert_eq!(floats(batch.weights.as_ref().unwrap()), [2.0, 0.5, 2.0]);
            assert_eq!(batch.weight(), 4.5);
        }
        assert!(dataset().weights().is_none() && dataset().batch(&[0], Device::Cpu).unwrap().weights.is_none());
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&(-1f32).to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let error = Dataset::open(&path, &schema()).unwrap_err().to_string();
        assert!(error.ends_with("expected finite weights of at least 0, found -1 in row 1"), "{error}");
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        let refused = |weights: Vec<f32>| dataset().with_weights(Some(weights)).unwrap_err().to_string();
        assert!(refused(vec![1.0]).contains("a weight for each of 2 rows, found 1"));
        assert!(refused(vec![1.0, f32::NAN]).contains("finite weights of at least 0, found NaN in row 1"));
        assert!(refused(vec![-0.5, 1.0]).contains("found -0.5 in row 0"));
    }

    #[test]
    fn slots_and_targets_can_be_looked_at() {
        assert_eq!(dataset().ids_of_slot(1).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(dataset().targets(), [0.25, 0.75]);
    }

    #[test]
    fn rows_are_grouped_by_their_users_and_those_of_unknown_users_are_of_no_group() {
        let with_user = |user: &str| schema().with_roles(Some(user.into()), None).unwrap();
        let encoded =
            Encoded { num_rows: 3, ids: vec![1, 3, 6, 5, 8, 0, 2, 6, 6, 7, 1, 4, 5, 5, 7], values: vec![1.0; 12] };
        let rows = |schema: &Schema| Dataset::new(schema, encoded.clone(), vec![0.0; 3]).unwrap();
        assert_eq!(rows(&with_user("user")).groups(), Some(vec![3, -1, 4]));
        let resident = rows(&with_user("user")).to_tensor_rows(&with_user("user"), Device::Cpu).unwrap();
        assert_eq!(resident.groups(), Some(vec![3, -1, 4]));
        assert_eq!(rows(&schema()).groups(), None);
        assert_eq!(rows(&with_user("tags")).groups(), None); // several values are not one user
    }

    #[test]
    fn an_id_of_another_field_is_refused() {
        let encoded = Encoded { num_rows: 1, ids: vec![1, 5, 6, 5, 8], values: vec![0.0; 4] };
        let error = Dataset::new(&schema(), encoded, vec![0.0]).unwrap_err().to_string();
        assert_eq!(error, "slot 1 of row 0 holds id 5, but field `user` has the ids 2 to 4");
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let rows = |value, target| {
            let encoded = Encoded { num_rows: 1, ids: vec![1, 3, 6, 5, 8], values: vec![0.0, 0.0, 0.0, value] };
            Dataset::new(&schema(), encoded, vec![target])
        };
        assert!(rows(f32::NAN, 0.0).unwrap_err().to_string().contains("finite values"));
        assert!(rows(0.0, f32::INFINITY).unwrap_err().to_string().contains("finite targets, found inf in row 0"));
    }

    #[test]
    fn a_foreign_cut_or_grown_file_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder);
        let good = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = Dataset::open(&path, &schema()).unwrap_err().to_string();
            error.split_once("not a usable data set: ").unwrap().1.to_owned()
        };
        let with = |at: usize, bytes: &[u8]| {
            let mut file = good.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        assert_eq!(refused(b""), "it does not start as one");
        assert_eq!(refused(b"user,item\n1,2\n"), "it does not start as one");
        assert_eq!(refused(&good[..good.len() - 1]), "it has 199 bytes instead of 200");
        assert_eq!(refused(&[&good[..], b"x"].concat()), "it has 201 bytes instead of 200");
        assert_eq!(refused(&with(8, &[9])), "its format is 9, and this version reads 3");
        assert_eq!(refused(&with(12, &[6])), "its rows have 6 slots and 4 values");
        assert_eq!(refused(&with(16, &[255; 8])), "its header names 18446744073709551615 rows");
        assert_eq!(refused(&with(32, &[0; 8])), "it was encoded with another schema");
        assert_eq!(refused(&with(40, &[2])), "its header says 2 of whether rows have weights");
        assert_eq!(refused(&with(40, &[1])), "it has 200 bytes instead of 264");
        assert_eq!(refused(&with(64, &[7])), "slot 0 of row 0 holds id 7, but field `price` has the ids 0 to 1");
    }

    proptest! {
        #[test]
        fn no_change_of_a_file_is_read_out_of_bounds(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut: prop::sample::Index,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = saved(&folder);
            let mut bytes = std::fs::read(&path).unwrap();
            changes.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(rows) = Dataset::open(&path, &schema()) {
                rows.batch(&[0, 1], Device::Cpu).unwrap();
            }
            std::fs::write(&path, &bytes[..cut.index(bytes.len())]).unwrap();
            prop_assert!(Dataset::open(&path, &schema()).is_err());
        }
    }
}
