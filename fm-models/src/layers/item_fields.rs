//! Which fields describe the item.

use fm_core::Schema;
use tch::Tensor;

/// The fields of the item and the others, to take a score apart into a half of each.
#[derive(Debug)]
pub(crate) struct ItemFields {
    items: Runs,
    others: Runs,
}

/// Runs of consecutive fields: the first one and their number.
type Runs = Vec<(i64, i64)>;

impl ItemFields {
    pub fn new(schema: &Schema) -> ItemFields {
        let field_of_slots = schema.field_of_slots();
        let of_items: Vec<usize> = schema.item_slots().map(|slot| field_of_slots[slot]).collect();
        let runs = |is_of_item: bool| {
            let mut runs = Runs::new();
            for field in (0..schema.num_fields()).filter(|field| of_items.contains(field) == is_of_item) {
                match runs.last_mut() {
                    Some((first, length)) if *first + *length == field as i64 => *length += 1,
                    _ => runs.push((field as i64, 1)),
                }
            }
            runs
        };
        ItemFields { items: runs(true), others: runs(false) }
    }

    /// The number of fields of the item, and of the others.
    pub fn counts(&self) -> [i64; 2] {
        [&self.items, &self.others].map(|runs| runs.iter().map(|(_, length)| length).sum())
    }

    /// The fields of the item, of vectors of all fields in dimension `dim`.
    pub fn of_item(&self, fields: &Tensor, dim: i64) -> Tensor {
        select(&self.items, fields, dim)
    }

    /// The other fields, of vectors of all fields in dimension `dim`.
    pub fn of_rest(&self, fields: &Tensor, dim: i64) -> Tensor {
        select(&self.others, fields, dim)
    }
}

/// Not by a tensor of indices: it would be a constant of an exported graph, and stay on its device.
fn select(runs: &Runs, fields: &Tensor, dim: i64) -> Tensor {
    match runs[..] {
        [] => fields.narrow(dim, 0, 0),
        [(first, length)] => fields.narrow(dim, first, length),
        _ => {
            Tensor::cat(&runs.iter().map(|&(first, length)| fields.narrow(dim, first, length)).collect::<Vec<_>>(), dim)
        }
    }
}
