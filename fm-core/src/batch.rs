//! Batches of rows as tensors, checked once where they enter.

use tch::{Kind, Tensor};

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

#[cfg(test)]
mod tests {
    use tch::Device;

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
}
