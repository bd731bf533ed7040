//! One vector a field, or a side.

use fm_core::{Error, Result, Schema, Side};
use tch::{Device, Kind, Tensor};

use super::{above_diagonal, check_input};

/// Sums the slots of each field: a multi-valued field becomes one vector, weighted as its values are.
///
/// # Shapes
/// `[B, S, k]` → `[B, F, k]`
///
/// Keras: `DenseFeatures` with the combiner that the field's weighting names; a field without values is a zero vector.
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
/// # let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
/// # let fields = vec![
/// #     Field::new("user", FieldKind::Categorical, Side::User, vec!["a".into()]),
/// #     Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]),
/// # ];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::FieldPooling;
///
/// // user: slot 0; genres: slots 1 to 3
/// let embeddings = Tensor::ones([8, 4, 16], (Kind::Float, Device::Cpu)); // [B, S, k]
/// let fields = FieldPooling::new(&schema).forward(&embeddings)?;
/// assert_eq!(fields.size(), [8, 2, 16]); // [B, F, k]
/// assert_eq!(fields.double_value(&[0, 1, 0]), 3.0);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FieldPooling {
    /// Runs of slots: (first slot, slots, whether they are summed).
    runs: Vec<(i64, i64, bool)>,
    slots: i64,
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
        FieldPooling { runs, slots: schema.num_slots() as i64 }
    }

    /// S.
    pub(crate) fn slots(&self) -> i64 {
        self.slots
    }

    /// F.
    pub fn fields(&self) -> i64 {
        self.runs.iter().map(|&(_, length, summed)| if summed { 1 } else { length }).sum()
    }

    /// `[S]`: the field of each slot.
    pub(crate) fn field_of_slots(&self) -> Vec<i64> {
        let mut fields: Vec<i64> = vec![];
        for &(_, length, summed) in &self.runs {
            let next = fields.last().map_or(0, |last| last + 1);
            fields.extend((0..length).map(|slot| if summed { next } else { next + slot }));
        }
        fields
    }

    /// `[S(S-1)/2]` on `device`: 1 for each pair of slots of two fields, 0 for one within a field. What these have to do with
    /// each other is gone where fields are summed before they are paired.
    pub fn is_across(&self, device: Device) -> Tensor {
        let fields = Tensor::from_slice(&self.field_of_slots()).to_device(device);
        above_diagonal(&fields.unsqueeze(0).ne_tensor(&fields.unsqueeze(1))).to_kind(Kind::Float)
    }

    /// `[S(S-1)/2]` on `device`: for each pair of slots the number of the pair of their fields in the order of
    /// [`PairwiseProduct`](super::PairwiseProduct), and 0 for one within a field.
    pub fn pair_of_fields(&self, device: Device) -> Tensor {
        let (fields, of_slots) = (self.fields(), self.field_of_slots());
        let pairs = of_slots.iter().enumerate().flat_map(|(slot, &f)| {
            let number = move |&g: &i64| if f == g { 0 } else { f * (2 * fields - f - 1) / 2 + g - f - 1 };
            of_slots[slot + 1..].iter().map(number)
        });
        Tensor::from_slice(&pairs.collect::<Vec<i64>>()).to_device(device)
    }

    /// A vector for each field `[B, F, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, S, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FieldPooling", embeddings, &[self.slots, -1])?;
        let pooled = self.runs.iter().map(|&(first, length, summed)| {
            let run = embeddings.narrow(1, first, length);
            if summed { run.sum_dim_intlist(1, true, Kind::Float) } else { run }
        });
        Ok(Tensor::cat(&pooled.collect::<Vec<_>>(), 1))
    }
}

/// Sums the slots of the item's fields, or of all others: who, and what.
///
/// # Shapes
/// `[B, S, k]` → `[B, k]`
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::SidePooling;
///
/// let (user, item) = SidePooling::user_and_item(&schema)?; // user and hour; item
/// let embeddings = Tensor::ones([8, 3, 16], (Kind::Float, Device::Cpu)); // [B, S, k]
/// let (user, item) = (user.forward(&embeddings)?, item.forward(&embeddings)?);
/// assert_eq!((user.size(), item.size()), (vec![8, 16], vec![8, 16]));
/// assert_eq!((user.double_value(&[0, 0]), item.double_value(&[0, 0])), (2.0, 1.0));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SidePooling {
    /// Runs of slots: (first slot, slots).
    runs: Vec<(i64, i64)>,
    slots: i64,
}

impl SidePooling {
    /// The pooling of the fields on the user's side, those of the context among them, and of those on the item's side.
    ///
    /// # Errors
    /// [`Error::Setting`] if the schema has no field on one of the sides.
    pub fn user_and_item(schema: &Schema) -> Result<(SidePooling, SidePooling)> {
        let side = |item: bool| {
            let mut runs: Vec<(i64, i64)> = Vec::new();
            for (position, _) in schema.fields().iter().enumerate().filter(|(_, f)| (f.side == Side::Item) == item) {
                let slots = schema.slots(position);
                let (first, length) = (slots.start as i64, slots.len() as i64);
                match runs.last_mut() {
                    Some((start, run)) if *start + *run == first => *run += length,
                    _ => runs.push((first, length)),
                }
            }
            if runs.is_empty() {
                let side = if item { "item" } else { "user" };
                let reason = format!("no field is on the {side}'s side: set `side = \"{side}\"` for one in the schema");
                return Err(Error::Setting(reason));
            }
            Ok(SidePooling { runs, slots: schema.num_slots() as i64 })
        };
        Ok((side(false)?, side(true)?))
    }

    /// The side's vector `[B, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, S, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("SidePooling", embeddings, &[self.slots, -1])?;
        let runs = self.runs.iter().map(|&(first, length)| embeddings.narrow(1, first, length));
        Ok(Tensor::cat(&runs.collect::<Vec<_>>(), 1).sum_dim_intlist(1, false, Kind::Float))
    }

    /// `[S]` on `device`: 1 for each slot of the side, 0 for all others.
    pub(crate) fn slots(&self, device: Device) -> Tensor {
        let is_of_side = Tensor::zeros([self.slots], (Kind::Float, device));
        for &(first, length) in &self.runs {
            let _ = is_of_side.narrow(0, first, length).fill_(1.0);
        }
        is_of_side
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::oracle::*;
    use super::*;

    proptest! {
        #[test]
        fn the_slots_of_a_field_are_summed_and_no_others(slots in vec(0usize..4, 1..7), k in 1usize..4, seed: u64) {
            let schema = schema(&slots);
            let vectors = Draw(seed).cube(3, schema.num_slots(), k);
            let input = tensor(&vectors.concat().concat(), &[3, schema.num_slots() as i64, k as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(|slots| field_vectors(&schema, slots)).collect();
            let found = FieldPooling::new(&schema).forward(&input).unwrap();
            prop_assert_eq!(found.size(), [3, slots.len() as i64, k as i64]);
            assert_close(&found, &expected.concat().concat(), "the fields' vectors");
        }

        #[test]
        fn the_slots_of_a_side_are_summed_and_the_context_is_on_the_users(
            slots in vec(0usize..4, 2..9), k in 1usize..4, seed: u64,
        ) {
            let schema = schema(&slots);
            let vectors = Draw(seed).cube(3, schema.num_slots(), k);
            let input = tensor(&vectors.concat().concat(), &[3, schema.num_slots() as i64, k as i64]);
            let sides: Vec<[Vector; 2]> = vectors.iter().map(|slots| side_vectors(&schema, slots)).collect();
            let (user, item) = SidePooling::user_and_item(&schema).unwrap();
            for (side, pooling) in [user, item].iter().enumerate() {
                let expected: Vector = sides.iter().flat_map(|sides| sides[side].clone()).collect();
                let found = pooling.forward(&input).unwrap();
                prop_assert_eq!(found.size(), [3, k as i64]);
                assert_close(&found, &expected, ["the user's side", "the item's side"][side]);
            }
        }
    }
}
