//! Rows with every slot of the schema.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::schema::{FieldKind, Schema};

/// Every slot of `B` rows. Slots without a value are padding, with the value 0.
///
/// # Shapes
/// `ids` `[B, S]` int64 and `values` `[B, S]` float32, on one device.
#[derive(Debug)]
#[non_exhaustive]
pub struct Padded {
    /// Rows of the embedding table.
    pub ids: Tensor,
    /// The value x of each slot; 0 is padding.
    pub values: Tensor,
}

impl Padded {
    /// Checks tensors from outside against the schema.
    ///
    /// # Errors
    /// [`Error::Shape`] if shapes, kinds or devices do not match the schema and each other, or if values are not
    /// finite; [`Error::IdOutOfRange`] for an id that its field does not have.
    ///
    /// ```
    /// use fm_core::features::Padded;
    /// use fm_core::tch::{Device, Kind, Tensor};
    /// use fm_core::{Field, FieldKind, Label, Schema, Side, Task};
    ///
    /// let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into()]);
    /// let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
    /// let schema = Schema::new(Label::fit("rating", Task::Regression, [1.0, 5.0]), vec![user, item])?;
    ///
    /// let row = |user: i64, item: i64| Tensor::from_slice(&[user, item]).view([1, 2]);
    /// let values = || Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
    /// assert_eq!(Padded::new(&schema, row(1, 4), values())?.len(), 1);
    /// let error = Padded::new(&schema, row(1, 5), values()).unwrap_err();
    /// assert_eq!(error.to_string(), "slot 1 of row 0 has id 5, but field `item` has the ids 2 to 4");
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn new(schema: &Schema, ids: Tensor, values: Tensor) -> Result<Padded> {
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
        let rows = Padded { ids, values };
        rows.check_ids(schema)?;
        Ok(rows)
    }

    /// Takes tensors that are known to match the schema, such as parts of other features.
    ///
    /// Layers still report a wrong number of slots and, on the CPU, an id outside their table. They do not detect an id
    /// of another field. On a CUDA device, an id outside the table makes the device unusable for the process.
    pub fn unchecked(ids: Tensor, values: Tensor) -> Padded {
        Padded { ids, values }
    }

    /// One row of missing values, as encoded by the [`Encoder`](crate::Encoder).
    pub fn missing(schema: &Schema) -> Padded {
        let slots = schema.field_of_slots();
        let ids: Vec<i64> = slots.iter().map(|&field| schema.ids(field).start).collect();
        let value = |&field: &usize| match schema.fields()[field].kind {
            FieldKind::MultiValued(_) | FieldKind::Sequence(_) => 0.0,
            FieldKind::Categorical | FieldKind::Numeric { .. } | FieldKind::Transformed(_) => 1.0,
        };
        let values: Vec<f32> = slots.iter().map(value).collect();
        Padded::unchecked(Tensor::from_slice(&ids).unsqueeze(0), Tensor::from_slice(&values).unsqueeze(0))
    }

    fn check_ids(&self, schema: &Schema) -> Result<()> {
        let field_of_slots = schema.field_of_slots();
        let bound = |which: fn(&Range<i64>) -> i64| {
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

    /// The number of rows B.
    pub fn len(&self) -> usize {
        self.ids.size()[0] as usize
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same rows, sharing their tensors.
    pub fn shallow_clone(&self) -> Padded {
        Padded { ids: self.ids.shallow_clone(), values: self.values.shallow_clone() }
    }

    /// The same rows on another device.
    pub fn to_device(&self, device: Device) -> Padded {
        Padded { ids: self.ids.to_device(device), values: self.values.to_device(device) }
    }

    /// Rows `range`, sharing their tensors.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn narrow(&self, range: Range<usize>) -> Padded {
        let part = |tensor: &Tensor| tensor.narrow(0, range.start as i64, range.len() as i64);
        Padded { ids: part(&self.ids), values: part(&self.values) }
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
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
        Schema::new(label, vec![field("user", &["a"]), field("item", &["x", "y"])]).unwrap()
    }

    fn ids(ids: &[i64]) -> Tensor {
        Tensor::from_slice(ids).view([-1, 2])
    }

    #[test]
    fn an_id_of_another_field_is_named() {
        let error = Padded::new(&schema(), ids(&[1, 2, 2, 3]), Tensor::ones([2, 2], (Kind::Float, Device::Cpu)));
        let expected = "slot 0 of row 1 has id 2, but field `user` has the ids 0 to 1";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn shapes_kinds_and_values_are_checked() {
        let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let fails = |ids: Tensor, values: Tensor| Padded::new(&schema(), ids, values).unwrap_err().to_string();
        assert!(fails(ids(&[0, 2]).view([2, 1]), ones(&[2, 1])).contains("ids of shape [B, 2]"));
        assert!(fails(ids(&[0, 2]), ones(&[2, 2])).contains("values of shape [1, 2]"));
        assert!(fails(ids(&[0, 2]), ones(&[1, 2]) / 0.0).contains("finite values"));
        assert!(Padded::new(&schema(), ids(&[]), ones(&[0, 2])).unwrap().is_empty());
    }
}
