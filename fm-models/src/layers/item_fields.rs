//! Which fields describe the item.

use fm_core::Schema;
use tch::Tensor;

/// The fields of the item and the others, to take a score apart into a half of each.
#[derive(Debug)]
pub(crate) struct ItemFields {
    items: Vec<i64>,
    others: Vec<i64>,
}

impl ItemFields {
    pub fn new(schema: &Schema) -> ItemFields {
        let field_of_slots = schema.field_of_slots();
        let of_items: Vec<usize> = schema.item_slots().map(|slot| field_of_slots[slot]).collect();
        let (items, others) = (0..schema.num_fields()).partition::<Vec<usize>, _>(|field| of_items.contains(field));
        let numbers = |fields: Vec<usize>| fields.into_iter().map(|field| field as i64).collect();
        ItemFields { items: numbers(items), others: numbers(others) }
    }

    /// The fields of the item, of vectors of all fields in dimension `dim`.
    pub fn of_item(&self, fields: &Tensor, dim: i64) -> Tensor {
        fields.index_select(dim, &Tensor::from_slice(&self.items).to_device(fields.device()))
    }

    /// The other fields, of vectors of all fields in dimension `dim`.
    pub fn of_rest(&self, fields: &Tensor, dim: i64) -> Tensor {
        fields.index_select(dim, &Tensor::from_slice(&self.others).to_device(fields.device()))
    }
}
