//! One vector a field.

use fm_core::Schema;
use tch::nn::Module;
use tch::{Kind, Tensor};

/// Sums the slots of each field: a multi-valued field becomes one vector, weighted as its values are.
///
/// # Shapes
/// `[B, S, k]` → `[B, F, k]`
#[derive(Debug)]
pub struct FieldPooling {
    /// Runs of slots: (first slot, slots, whether they are summed).
    runs: Vec<(i64, i64, bool)>,
}

impl FieldPooling {
    /// Reads off the schema which slots belong together.
    pub fn new(schema: &Schema) -> FieldPooling {
        let mut runs: Vec<(i64, i64, bool)> = Vec::new();
        for field in 0..schema.num_fields() {
            let slots = schema.slots(field);
            let (first, length) = (slots.start as i64, slots.len() as i64);
            match runs.last_mut() {
                // Neighbouring fields of one slot are taken together.
                Some((_, run, false)) if length == 1 => *run += 1,
                _ => runs.push((first, length, length > 1)),
            }
        }
        FieldPooling { runs }
    }
}

impl Module for FieldPooling {
    fn forward(&self, embeddings: &Tensor) -> Tensor {
        let pooled = self.runs.iter().map(|&(first, length, summed)| {
            let run = embeddings.narrow(1, first, length);
            if summed { run.sum_dim_intlist(1, true, Kind::Float) } else { run }
        });
        Tensor::cat(&pooled.collect::<Vec<_>>(), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::{Field, FieldKind, Label, Side, Task, Weighting};

    #[test]
    fn the_slots_of_a_field_are_summed_and_others_stay() {
        let field = |name: &str, kind| Field { name: name.into(), kind, side: Side::Context, vocabulary: vec![] };
        let several = |max_len| FieldKind::MultiValued { separator: "|".into(), max_len, weighting: Weighting::Sum };
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.0 };
        let fields = vec![
            field("a", FieldKind::Categorical),
            field("b", FieldKind::Categorical),
            field("c", several(3)),
            field("d", several(2)),
            field("e", FieldKind::Categorical),
        ];
        let schema = Schema::new(label, fields).unwrap();
        let slots = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).view([1, 8, 1]);
        let pooled = FieldPooling::new(&schema).forward(&slots);
        assert_eq!(pooled.size(), [1, 5, 1]);
        assert_eq!(Vec::<f32>::try_from(pooled.flatten(0, -1)).unwrap(), [1.0, 2.0, 12.0, 13.0, 8.0]);
    }
}
