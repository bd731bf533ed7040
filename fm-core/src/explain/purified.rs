//! Interactions without main effects.

use tch::{Device, Kind, Tensor};

use super::{Parts, pairs, parts};
use crate::error::Result;
use crate::features::Padded;
use crate::model::Model;
use crate::rows::Rows;
use crate::schema::Schema;

/// The number of pair terms per batch.
const BATCH_TERMS: usize = 1 << 20;

/// Takes from the term of each pair what one of its slots contributes whatever the other one is, and so belongs to the
/// first order. With the mean over the slots of the reference rows that have a value,
///
/// pure(s, t) = term(s, t) − mean_t' term(s, t') − mean_s' term(s', t) + mean_{s', t'} term(s', t')
///
/// which is 0 for a term that is a sum a(s) + b(t), exactly, whatever the reference rows are.
///
/// Source: Hooker, Generalized functional ANOVA diagnostics, Journal of Computational and Graphical Statistics 2007,
/// <https://doi.org/10.1198/106186007X237892>; Lengerich et al., Purifying interaction effects with the functional ANOVA,
/// AISTATS 2020, <https://arxiv.org/abs/1911.04974>.
pub(super) struct Purifier<'a> {
    model: &'a dyn Model,
    schema: &'a Schema,
    field_of_slots: Vec<usize>,
    device: Device,
    /// `[M, S]`
    references: Padded,
    /// `[F, F]`: the mean over the slots of two fields in the reference rows that have both.
    means: Vec<f64>,
    /// `[F]`: the number of reference rows that have a value of the field, at least 1.
    present: Vec<f64>,
}

impl<'a> Purifier<'a> {
    /// Uses these rows as references.
    pub fn new(
        model: &'a dyn Model,
        schema: &'a Schema,
        rows: &dyn Rows,
        numbers: &[usize],
        device: Device,
    ) -> Result<Purifier<'a>> {
        let references = rows.batch(numbers, device)?.features.padded()?;
        let field_of_slots = schema.field_of_slots();
        let (slots, fields) = (field_of_slots.len(), schema.num_fields());
        let filled = filled(&references)?;
        let mut present = vec![0.0; fields];
        for filled in filled.chunks(slots) {
            let mut of_row: Vec<usize> = positions(filled).into_iter().map(|slot| field_of_slots[slot]).collect();
            of_row.dedup();
            of_row.into_iter().for_each(|field| present[field] += 1.0);
        }
        let present = present.into_iter().map(|count: f64| count.max(1.0)).collect();
        let mut purifier = Purifier { model, schema, field_of_slots, device, references, means: vec![], present };
        let mut means = vec![0.0; fields * fields];
        let own =
            Padded { ids: purifier.references.ids.shallow_clone(), values: purifier.references.values.shallow_clone() };
        for (of_row, filled) in purifier.with_references(&own)?.iter().zip(filled.chunks(slots)) {
            let counts = purifier.counts(filled);
            for slot in (0..slots).filter(|slot| filled[*slot]) {
                let field = purifier.field_of_slots[slot];
                for other in 0..fields {
                    means[field * fields + other] += of_row[slot * fields + other] / counts[field];
                }
            }
        }
        let mean = |field: usize, other: usize| means[field * fields + other] / purifier.present[field];
        // Both orders are the same mean, up to attention and rounding.
        let both = |at: usize| (mean(at / fields, at % fields) + mean(at % fields, at / fields)) / 2.0;
        purifier.means = (0..fields * fields).map(both).collect();
        Ok(purifier)
    }

    /// The number of hybrid rows for each row.
    pub fn cost(fields: usize, references: usize) -> usize {
        references * 2 * bits(fields) as usize
    }

    /// The purified terms of rows, given their parts. Those of pairs within a field are 0: they have no main effects to
    /// compare with.
    pub fn purify(&self, rows: &Padded, parts: &[Parts]) -> Result<Vec<Vec<f32>>> {
        let (slots, fields) = (self.field_of_slots.len(), self.schema.num_fields());
        let filled = filled(rows)?;
        let with_references = self.with_references(rows)?;
        let rows = parts.iter().zip(with_references).zip(filled.chunks(slots));
        Ok(rows
            .map(|((parts, with), filled)| {
                let terms = parts.pairs.as_deref().unwrap_or_default();
                let pure = |((s, t), term): ((usize, usize), &f32)| {
                    let (f, g) = (self.field_of_slots[s], self.field_of_slots[t]);
                    match f != g && filled[s] && filled[t] {
                        true => {
                            let of_one = with[s * fields + g] + with[t * fields + f];
                            (f64::from(*term) - of_one + self.means[f * fields + g]) as f32
                        }
                        false => 0.0,
                    }
                };
                pairs(slots).zip(terms).map(pure).collect()
            })
            .collect())
    }

    /// For each row, `[S, F]`: the mean term of each of its slots with the slots of each other field in the reference
    /// rows.
    ///
    /// A hybrid row has some fields of the row and the others of a reference, which gives the terms of all pairs between
    /// both. The fields are divided by each bit of their numbers, so that any two of them are apart in one division.
    fn with_references(&self, rows: &Padded) -> Result<Vec<Vec<f64>>> {
        let (slots, fields) = (self.field_of_slots.len(), self.schema.num_fields());
        let (n, m) = (rows.ids.size()[0], self.references.ids.size()[0]);
        let row_filled = filled(rows)?;
        let reference_filled = filled(&self.references)?;
        let mut sums = vec![vec![0.0; slots * fields]; n as usize];
        let at_once = (BATCH_TERMS / (slots * slots / 2 * m as usize).max(1)).max(1) as i64;
        for bit in 0..bits(fields) {
            for side in [0, 1] {
                let is_own = |slot: usize| self.field_of_slots[slot] >> bit & 1 == side;
                let mask: Vec<bool> = (0..slots).map(is_own).collect();
                let mask = Tensor::from_slice(&mask).to_device(self.device);
                for first in (0..n).step_by(at_once as usize) {
                    let count = at_once.min(n - first);
                    let hybrid = |own: &Tensor, reference: &Tensor| -> Result<Tensor> {
                        let own = own.narrow(0, first, count).f_repeat_interleave_self_int(m, 0, None)?;
                        Ok(own.f_where_self(&mask, &reference.f_repeat([count, 1])?)?)
                    };
                    let ids = hybrid(&rows.ids, &self.references.ids)?;
                    let values = hybrid(&rows.values, &self.references.values)?;
                    let hybrids = parts(self.model, &Padded { ids, values }.into())?;
                    for (number, parts) in hybrids.iter().enumerate() {
                        let (row, reference) = (first as usize + number / m as usize, number % m as usize);
                        let terms = parts.pairs.as_deref().unwrap_or_default();
                        let row_filled = &row_filled[row * slots..(row + 1) * slots];
                        let reference_filled = &reference_filled[reference * slots..(reference + 1) * slots];
                        self.add(terms, (bit, side), row_filled, reference_filled, &mut sums[row]);
                    }
                }
            }
        }
        let present = self.present.iter().cycle();
        sums.iter_mut().for_each(|sums| sums.iter_mut().zip(present.clone()).for_each(|(sum, count)| *sum /= count));
        Ok(sums)
    }

    /// Adds the terms of a hybrid row between the slots of the row and those of the reference.
    fn add(&self, terms: &[f32], (bit, side): (u32, usize), row: &[bool], reference: &[bool], sums: &mut [f64]) {
        let fields = self.schema.num_fields();
        let counts = self.counts(reference);
        let (row, reference): (Vec<usize>, Vec<usize>) = (positions(row), positions(reference));
        let slots = self.field_of_slots.len();
        for &own in row.iter().filter(|&&slot| self.field_of_slots[slot] >> bit & 1 == side) {
            let field = self.field_of_slots[own];
            for &other in &reference {
                let with = self.field_of_slots[other];
                // The first bit in which two fields differ is the division that counts.
                if (field ^ with).trailing_zeros() != bit {
                    continue;
                }
                let (s, t) = (own.min(other), own.max(other));
                let place = s * (2 * slots - s - 1) / 2 + t - s - 1;
                sums[own * fields + with] += f64::from(terms[place]) / counts[with];
            }
        }
    }

    /// The number of filled slots of each field, at least 1.
    fn counts(&self, filled: &[bool]) -> Vec<f64> {
        let mut counts = vec![0.0; self.schema.num_fields()];
        positions(filled).into_iter().for_each(|slot| counts[self.field_of_slots[slot]] += 1.0);
        counts.into_iter().map(|count: f64| count.max(1.0)).collect()
    }
}

/// The number of bits in the numbers of fields.
fn bits(fields: usize) -> u32 {
    usize::BITS - fields.saturating_sub(1).leading_zeros()
}

/// `[B · S]`: whether each slot has a value.
fn filled(rows: &Padded) -> Result<Vec<bool>> {
    let filled = rows.values.f_ne(0.0)?.to_kind(Kind::Bool).to_device(Device::Cpu).f_flatten(0, -1)?;
    Ok(Vec::<bool>::try_from(filled)?)
}

fn positions(filled: &[bool]) -> Vec<usize> {
    (0..filled.len()).filter(|slot| filled[*slot]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Encoder;
    use crate::explain::Explanation;
    use crate::features::Features;
    use crate::rows::TensorRows;
    use crate::schema::{Field, FieldKind, Label, List, Side, Task, Weighting};

    /// The term of a pair of slots is a function of their ids, times their values.
    struct Terms {
        bias: Tensor,
        term: fn(f64, f64) -> f64,
    }

    impl Model for Terms {
        fn logits(&self, features: &Features, _train: bool) -> Result<Tensor> {
            Ok(Tensor::zeros([features.len() as i64], (Kind::Float, Device::Cpu)))
        }

        fn bias(&self) -> &Tensor {
            &self.bias
        }

        fn explain(&self, features: &Features) -> Result<Explanation> {
            let Padded { ids, values } = features.padded()?;
            let slots = ids.size()[1] as usize;
            let mut terms = vec![];
            for row in 0..ids.size()[0] {
                for (s, t) in pairs(slots) {
                    let at = |tensor: &Tensor, slot: usize| tensor.double_value(&[row, slot as i64]);
                    let term = (self.term)(at(&ids, s), at(&ids, t)) * at(&values, s) * at(&values, t);
                    terms.push(term as f32);
                }
            }
            let terms = Tensor::from_slice(&terms).view([ids.size()[0], -1]);
            Ok(Explanation { pairs: Some(terms), ..Explanation::new(&self.bias) })
        }
    }

    /// The purified terms of all rows, with all of them as references.
    fn purified(term: fn(f64, f64) -> f64, rows: &[[Option<&str>; 3]]) -> Vec<Vec<f32>> {
        let tags = FieldKind::MultiValued(List::new("|", 2, Weighting::Sum));
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&value| value.into()).collect())
        };
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
        let fields = vec![
            field("user", FieldKind::Categorical, &["ann", "bob"]),
            field("tags", tags, &["a", "b"]),
            field("shop", FieldKind::Categorical, &["x", "y"]),
        ];
        let schema = Schema::new(label, fields).unwrap();
        let Padded { ids, values } = Encoder::new(&schema).features(rows).unwrap().padded().unwrap();
        let labels = Tensor::zeros([rows.len() as i64], (Kind::Float, Device::Cpu));
        let rows = TensorRows::new(&schema, ids, values, labels).unwrap();
        let model = Terms { bias: Tensor::zeros([1], (Kind::Float, Device::Cpu)), term };
        let numbers: Vec<usize> = (0..rows.len()).collect();
        let purifier = Purifier::new(&model, &schema, &rows, &numbers, Device::Cpu).unwrap();
        let features = rows.batch(&numbers, Device::Cpu).unwrap().features.padded().unwrap();
        let own = parts(&model, &Padded { ids: features.ids.copy(), values: features.values.copy() }.into()).unwrap();
        purifier.purify(&features, &own).unwrap()
    }

    const ROWS: [[Option<&str>; 3]; 4] = [
        [Some("ann"), Some("a|b"), Some("x")],
        [Some("bob"), Some("b"), Some("x")],
        [Some("ann"), Some("a"), Some("y")],
        [Some("bob"), Some("a"), Some("y")],
    ];

    #[test]
    fn a_sum_of_main_effects_is_no_interaction() {
        let mut sparse = ROWS;
        (sparse[0][1], sparse[3][1]) = (None, None);
        for rows in [ROWS, sparse] {
            for terms in purified(|a, b| 3.0 * a - b * b, &rows) {
                assert!(terms.iter().all(|term| term.abs() < 1e-4), "{terms:?}");
            }
        }
    }

    #[test]
    fn a_product_is_that_of_the_deviations_from_the_means() {
        let found = purified(|a, b| a * b, &ROWS);
        // Ids: ann 1, bob 2; a 4, b 5; x 7, y 8. Means over rows: user 1.5, tags (4.5 + 5 + 4 + 4) / 4, shop 7.5.
        let (user, tags, shop) = (1.5, 17.5 / 4.0, 7.5);
        // Slots: user, two tags, shop; so pairs (0,1), (0,2), (0,3), (1,2), (1,3), (2,3).
        let first = [
            (1.0 - user) * (4.0 - tags),
            (1.0 - user) * (5.0 - tags),
            (1.0 - user) * (7.0 - shop),
            0.0,
            (4.0 - tags) * (7.0 - shop),
            (5.0 - tags) * (7.0 - shop),
        ];
        let last =
            [(2.0 - user) * (4.0 - tags), 0.0, (2.0 - user) * (8.0 - shop), 0.0, (4.0 - tags) * (8.0 - shop), 0.0];
        for (found, expected) in [(&found[0], first), (&found[3], last)] {
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }

    #[test]
    fn any_two_fields_are_apart_in_some_division() {
        assert_eq!([1, 2, 3, 4, 5, 39].map(bits), [0, 1, 2, 2, 3, 6]);
    }
}
