//! Batches of rows as tensors, checked once where they enter.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::schema::Schema;

/// The slots of `B` rows: checked against a schema, by [`Features::new`] or by having been encoded with it.
///
/// # Shapes
/// `ids` `[B, S]` int64 and `values` `[B, S]` float32, on one device.
#[derive(Debug)]
#[non_exhaustive]
pub struct Features {
    /// Rows of the global table.
    pub ids: Tensor,
    /// The value x of each slot; 0 is padding.
    pub values: Tensor,
}

impl Features {
    /// Checks tensors from outside against the schema.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, kind or device than the schema and each other's, or values that are not
    /// finite; [`Error::IdOutOfRange`] for an id that is not its field's.
    ///
    /// ```
    /// use fm_core::tch::{Device, Kind, Tensor};
    /// use fm_core::{Features, Field, FieldKind, Label, Schema, Side, Task};
    ///
    /// let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into()]);
    /// let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
    /// let schema = Schema::new(Label::fit("rating", Task::Regression, [1.0, 5.0]), vec![user, item])?;
    ///
    /// let row = |user: i64, item: i64| Tensor::from_slice(&[user, item]).view([1, 2]);
    /// let values = || Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
    /// assert_eq!(Features::new(&schema, row(1, 4), values())?.len(), 1);
    /// let error = Features::new(&schema, row(1, 5), values()).unwrap_err();
    /// assert_eq!(error.to_string(), "slot 1 of row 0 holds id 5, but field `item` has the ids 2 to 4");
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn new(schema: &Schema, ids: Tensor, values: Tensor) -> Result<Features> {
        let slots = schema.num_slots() as i64;
        let (found_ids, found_values) = (ids.size(), values.size());
        if found_ids.len() != 2 || found_ids[1] != slots || ids.kind() != Kind::Int64 {
            let found = format!("{found_ids:?} {:?}", ids.kind());
            return Err(Error::shape("features", format!("ids of shape [B, {slots}] and kind Int64"), found));
        }
        if found_values != found_ids || values.kind() != Kind::Float || values.device() != ids.device() {
            let expected = format!("values of shape {found_ids:?} and kind Float on {:?}", ids.device());
            let found = format!("{found_values:?} {:?} on {:?}", values.kind(), values.device());
            return Err(Error::shape("features", expected, found));
        }
        if values.isfinite().all().int64_value(&[]) == 0 {
            return Err(Error::shape("features", "finite values", "an infinite one or NaN"));
        }
        let features = Features { ids, values };
        features.check_ids(schema)?;
        Ok(features)
    }

    /// Takes tensors that are known to fit the schema: rows that an [`Encoder`](crate::Encoder) made, or parts of other
    /// features. A layer notices another number of slots, and on the CPU an id outside its table. It does not notice an id
    /// of another field; and on a CUDA device an id outside the table ends the process's use of the device.
    pub fn unchecked(ids: Tensor, values: Tensor) -> Features {
        Features { ids, values }
    }

    fn check_ids(&self, schema: &Schema) -> Result<()> {
        let field_of_slots = schema.field_of_slots();
        let bound = |which: fn(&std::ops::Range<i64>) -> i64| {
            let per_slot: Vec<i64> = field_of_slots.iter().map(|&field| which(&schema.ids(field))).collect();
            Tensor::from_slice(&per_slot).to_device(self.ids.device())
        };
        let outside =
            self.ids.lt_tensor(&bound(|ids| ids.start)).logical_or(&self.ids.ge_tensor(&bound(|ids| ids.end)));
        let at = outside.nonzero();
        if at.size()[0] == 0 {
            return Ok(());
        }
        let (row, slot) = (at.int64_value(&[0, 0]), at.int64_value(&[0, 1]));
        let field = field_of_slots[slot as usize];
        Err(Error::IdOutOfRange {
            row: row as usize,
            slot: slot as usize,
            id: self.ids.int64_value(&[row, slot]),
            field: schema.fields()[field].name.clone(),
            first: schema.ids(field).start,
            last: schema.ids(field).end - 1,
        })
    }

    /// B, the number of rows.
    pub fn len(&self) -> usize {
        self.ids.size()[0] as usize
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows with their labels.
#[derive(Debug)]
pub struct Batch {
    /// What the model sees.
    pub features: Features,
    /// `[B]` float32: the target, after the threshold of a binary task.
    pub labels: Tensor,
}

/// A set of rows that batches are taken from.
pub trait Rows {
    /// The number of rows.
    fn len(&self) -> usize;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of these numbers, in this order, on `device`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a number is not below [`Rows::len`].
    fn batch(&self, rows: &[u32], device: Device) -> Result<Batch>;

    /// `[N]`: the targets of all rows, in their order.
    fn labels(&self) -> Vec<f32>;

    /// `[N]`: the weight of each row, finite and not negative; `None` if all count alike.
    fn weights(&self) -> Option<Vec<f32>> {
        None
    }

    /// `[N]`: the group of each row, such as its user, for metrics within groups: any number that is not negative; a
    /// negative one is no group. `None` if rows have no groups.
    fn groups(&self) -> Option<Vec<i64>> {
        None
    }
}

/// Rows held as tensors, on any device.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_core::{Field, FieldKind, Label, Rows, Schema, Side, Task, TensorRows};
///
/// let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0, 2.0]), vec![item])?;
/// let ids = Tensor::from_slice(&[1i64, 2]).view([2, 1]);
/// let values = Tensor::ones([2, 1], (Kind::Float, Device::Cpu));
/// let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&[4f32, 2.0]))?;
/// assert_eq!(rows.labels(), [4.0, 2.0]);
/// assert_eq!(rows.batch(&[1, 0, 1], Device::Cpu)?.features.ids.size(), [3, 1]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorRows {
    ids: Tensor,
    values: Tensor,
    labels: Tensor,
    groups: Option<Vec<i64>>,
}

impl TensorRows {
    /// Takes all rows at once: `ids` `[N, S]` int64, `values` `[N, S]` and `labels` `[N]` float32. The labels are
    /// targets: 0 or 1 for a binary task ([`Label::target`](crate::Label::target)).
    ///
    /// # Errors
    /// As [`Features::new`]; [`Error::Shape`] for labels of another length or kind, or that are not finite.
    pub fn new(schema: &Schema, ids: Tensor, values: Tensor, labels: Tensor) -> Result<TensorRows> {
        let Features { ids, values } = Features::new(schema, ids, values)?;
        if labels.size() != [ids.size()[0]] || labels.kind() != Kind::Float {
            let found = format!("{:?} {:?}", labels.size(), labels.kind());
            return Err(Error::shape("labels", format!("shape [{}] and kind Float", ids.size()[0]), found));
        }
        if labels.isfinite().all().int64_value(&[]) == 0 {
            return Err(Error::shape("labels", "finite labels", "an infinite one or NaN"));
        }
        let labels = labels.to_device(ids.device());
        Ok(TensorRows { ids, values, labels, groups: None })
    }

    /// The same rows with the group of each, such as its user; see [`Rows::groups`].
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of groups than rows.
    pub fn with_groups(self, groups: Option<Vec<i64>>) -> Result<TensorRows> {
        match &groups {
            Some(groups) if groups.len() != self.len() => {
                let expected = format!("a group for each of {} rows", self.len());
                Err(Error::shape("groups", expected, groups.len().to_string()))
            }
            _ => Ok(TensorRows { groups, ..self }),
        }
    }

    /// The same rows on another device.
    pub fn to_device(&self, device: Device) -> TensorRows {
        let to = |tensor: &Tensor| tensor.to_device(device);
        let groups = self.groups.clone();
        TensorRows { ids: to(&self.ids), values: to(&self.values), labels: to(&self.labels), groups }
    }
}

impl Rows for TensorRows {
    fn len(&self) -> usize {
        self.labels.size()[0] as usize
    }

    fn batch(&self, rows: &[u32], device: Device) -> Result<Batch> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= self.len()) {
            return Err(Error::shape("batch", format!("row numbers below {}", self.len()), row.to_string()));
        }
        let rows: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
        let index = Tensor::from_slice(&rows).to_device(self.ids.device());
        let pick = |tensor: &Tensor| tensor.index_select(0, &index).to_device(device);
        let features = Features { ids: pick(&self.ids), values: pick(&self.values) };
        Ok(Batch { features, labels: pick(&self.labels) })
    }

    fn labels(&self) -> Vec<f32> {
        Vec::try_from(self.labels.to_device(Device::Cpu)).expect("labels are one-dimensional floats")
    }

    fn groups(&self) -> Option<Vec<i64>> {
        self.groups.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, FieldKind, Label, Side, Task};

    fn schema() -> Schema {
        let field = |name: &str, values: &[&str]| {
            let vocabulary = values.iter().map(|&v| v.into()).collect();
            Field::new(name, FieldKind::Categorical, Side::Context, vocabulary)
        };
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5 };
        Schema::new(label, vec![field("user", &["a"]), field("item", &["x", "y"])]).unwrap()
    }

    fn ids(ids: &[i64]) -> Tensor {
        Tensor::from_slice(ids).view([-1, 2])
    }

    #[test]
    fn an_id_of_another_field_is_named() {
        let error = Features::new(&schema(), ids(&[1, 2, 2, 3]), Tensor::ones([2, 2], (Kind::Float, Device::Cpu)));
        let expected = "slot 0 of row 1 holds id 2, but field `user` has the ids 0 to 1";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn shapes_kinds_and_values_are_checked() {
        let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let fails = |ids: Tensor, values: Tensor| Features::new(&schema(), ids, values).unwrap_err().to_string();
        assert!(fails(ids(&[0, 2]).view([2, 1]), ones(&[2, 1])).contains("ids of shape [B, 2]"));
        assert!(fails(ids(&[0, 2]), ones(&[2, 2])).contains("values of shape [1, 2]"));
        assert!(fails(ids(&[0, 2]), ones(&[1, 2]) / 0.0).contains("finite values"));
        assert!(Features::new(&schema(), ids(&[]), ones(&[0, 2])).unwrap().is_empty());
    }

    #[test]
    fn rows_are_taken_in_the_order_asked_for() {
        let labels = Tensor::from_slice(&[0f32, 1.0, 2.0]);
        let values = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
        let rows = TensorRows::new(&schema(), ids(&[0, 2, 1, 3, 1, 4]), values, labels).unwrap();
        let batch = rows.batch(&[2, 0, 2], Device::Cpu).unwrap();
        assert_eq!(Vec::<f32>::try_from(&batch.labels).unwrap(), [2.0, 0.0, 2.0]);
        assert_eq!(Vec::<i64>::try_from(batch.features.ids.flatten(0, -1)).unwrap(), [1, 4, 0, 2, 1, 4]);
        assert!(rows.batch(&[3], Device::Cpu).is_err());
        assert_eq!(rows.groups(), None);
        let rows = rows.with_groups(Some(vec![7, 7, -1])).unwrap();
        assert_eq!(rows.to_device(Device::Cpu).groups(), Some(vec![7, 7, -1]));
        let error = rows.with_groups(Some(vec![7])).unwrap_err().to_string();
        assert_eq!(error, "groups: expected a group for each of 3 rows, found 1");
    }
}
