//! The numbers of numeric fields.

use fm_core::schema::Layout;
use fm_core::{Features, Padded, Result, Schema};
use tch::{Device, Tensor};

use super::check_features;

/// x: the numbers of the numeric fields of a row, without embeddings. A missing number is 0, the mean.
///
/// # Shapes
/// B rows with N numeric fields → `[B, N]`
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind, Label, Schema, Side, Task, tch::Device};
/// # let price = Field::new("price", FieldKind::Numeric { mean: 20.0, std: 10.0 }, Side::Item, vec![]);
/// # let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), vec![item, price])?;
/// use fm_models::layers::Numbers;
///
/// let features = Encoder::new(&schema).features(&[[Some("a"), Some("35")], [Some("b"), None]])?;
/// let numbers = Numbers::new(&schema, Device::Cpu).forward(&features)?;
/// assert_eq!(Vec::<Vec<f32>>::try_from(numbers)?, [[1.5], [0.0]]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Numbers {
    layout: Layout,
    device: Device,
    /// The slot of each numeric field, and its id for a number.
    numeric: Vec<(i64, i64)>,
}

impl Numbers {
    /// The numbers of rows of a schema on a device.
    pub fn new(schema: &Schema, device: Device) -> Numbers {
        let numeric = (0..schema.num_fields()).filter(|&field| schema.fields()[field].kind.is_dense());
        let number = |field: usize| (schema.slots(field).start as i64, schema.ids(field).start + 1);
        Numbers { layout: schema.layout(), device, numeric: numeric.map(number).collect() }
    }

    /// N, the number of numeric fields.
    pub fn output(&self) -> i64 {
        self.numeric.len() as i64
    }

    /// Whether a slot is that of a numeric field.
    pub(crate) fn has_slot(&self, slot: i64) -> bool {
        self.numeric.iter().any(|&(numeric, _)| numeric == slot)
    }

    /// The numbers `[B, N]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for features of another schema or device.
    pub fn forward(&self, features: &Features) -> Result<Tensor> {
        check_features("Numbers", features, &self.layout, self.device)?;
        let Padded { ids, values, .. } = features.padded()?;
        let numbers = self.numeric.iter().map(|&(slot, id)| {
            // Not `to_kind`, which would write this device into the exported graph.
            values.narrow(1, slot, 1).masked_fill(&ids.narrow(1, slot, 1).ne(id), 0.0)
        });
        let numbers: Vec<Tensor> = numbers.collect();
        Ok(if numbers.is_empty() { values.narrow(1, 0, 0) } else { Tensor::cat(&numbers, 1) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_reads_the_numbers_that_are_known(slots in vec(0usize..3, 1..6), seed: u64) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let rows = draw.rows(&schema, 3);
            let expected: Matrix = rows.iter().map(|row| numbers_of(&schema, row)).collect();
            let layer = Numbers::new(&schema, Device::Cpu);
            prop_assert_eq!(layer.output() as usize, expected[0].len());
            for features in both_forms(&schema, &rows) {
                assert_close(&layer.forward(&features).unwrap(), &expected.concat(), "the numbers");
            }
        }
    }
}
