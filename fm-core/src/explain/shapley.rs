//! The contribution of each field to a row's logit, for any model.

use serde::Serialize;
use tch::{Device, Kind, Tensor, no_grad};

use crate::error::{Error, Result};
use crate::features::{Features, Padded};
use crate::schema::Schema;
use crate::seed::permutation;

/// Maximum number of fields for which all combinations are scored: 2¹² rows.
const EXACT_FIELDS: usize = 12;
/// The number of random orders for more fields. Each is scored forwards and backwards.
const ORDERS: usize = 100;
/// The seed of the orders, so that results are reproducible.
const SEED: u64 = 0;
/// The number of rows per batch.
const BATCH: usize = 512;

/// The Shapley values of a row's fields.
///
/// v(C) is the logit of the row in which the fields of C have their values and all others are missing: they have their
/// out-of-vocabulary id or, if multi-valued, no value. φ_f is the change of v when field f becomes known, averaged over
/// all orders of fields: φ_f = Σ_{C ∌ f} |C|! (F - |C| - 1)! / F! · (v(C ∪ f) - v(C)).
///
/// The values sum to v(all) - v(none). A field without effect has 0, and fields with the same effect have the same
/// value. The fields of an interaction share it equally.
///
/// Source: Shapley, A value for n-person games, 1953; for models Štrumbelj and Kononenko, Explaining prediction models
/// and individual predictions with feature contributions, KAIS 2014, <https://doi.org/10.1007/s10115-013-0679-x>. With
/// more than 12 known fields, they are estimated as in that paper, from 100 random orders, each also in reverse
/// (antithetic sampling: Mitchell et al., Sampling permutations for Shapley value estimation, JMLR 2022,
/// <https://jmlr.org/papers/v23/21-0439.html>). Interactions of two fields are still exact; only those of three or
/// more fields are estimates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shapley {
    /// v(none), the logit if all values are missing.
    pub baseline: f64,
    /// v(all), the logit of the row.
    pub logit: f64,
    /// `[F]`: φ of each field.
    pub values: Vec<f64>,
    /// `[F]`: the standard error of each φ, if estimated.
    pub standard_errors: Option<Vec<f64>>,
    /// The number of scored rows.
    pub rows: usize,
}

impl Shapley {
    /// The same in another unit, in which all values are `unit` times what they were: [`Label::scale`](crate::Label::scale) gives
    /// those of a regression in the unit of its label.
    pub fn times(mut self, unit: f64) -> Shapley {
        let errors = self.standard_errors.iter_mut().flatten();
        let values = self.values.iter_mut().chain(errors).chain([&mut self.baseline, &mut self.logit]);
        values.for_each(|value| *value *= unit);
        self
    }
}

/// The [`Shapley`] values of a row. Its features must be on the device that `logits` expects.
///
/// # Errors
/// [`Error::Shape`] unless there is exactly one row with the schema's number of slots, and errors of `logits`.
pub fn shapley(schema: &Schema, row: &Features, logits: impl Fn(&Features) -> Result<Tensor>) -> Result<Shapley> {
    let expected = [1, schema.num_slots() as i64];
    let row = &row.padded()?;
    if row.ids.size() != expected || row.values.size() != expected {
        let found = format!("{:?} and {:?}", row.ids.size(), row.values.size());
        return Err(Error::shape("Shapley values", format!("ids and values of shape {expected:?}"), found));
    }
    let game = Game::new(schema, row, logits)?;
    let ends = game.values(&[vec![false; game.players.len()], vec![true; game.players.len()]])?;
    let (baseline, logit) = (ends[0], ends[1]);
    let n = game.players.len();
    let (of_players, errors) = if n <= EXACT_FIELDS {
        (game.exact()?, None)
    } else {
        let (means, errors) = game.sampled(baseline, logit)?;
        (means, Some(errors))
    };
    let rows = rows_to_score(n);
    let by_field = |of_players: Vec<f64>| {
        let mut all = vec![0.0; schema.num_fields()];
        game.players.iter().zip(of_players).for_each(|(&field, value)| all[field] = value);
        all
    };
    Ok(Shapley { baseline, logit, values: by_field(of_players), standard_errors: errors.map(by_field), rows })
}

/// The number of rows that are scored to explain one with this number of known fields.
pub(super) fn rows_to_score(fields: usize) -> usize {
    if fields <= EXACT_FIELDS { 1 << fields } else { 2 * ORDERS * (fields - 1) + 2 }
}

/// A game whose players are the known fields.
struct Game<'a, L> {
    row: &'a Padded,
    missing: Padded,
    /// `[S]`: the field of each slot.
    field_of_slots: Tensor,
    num_fields: usize,
    players: Vec<usize>,
    logits: L,
}

impl<L: Fn(&Features) -> Result<Tensor>> Game<'_, L> {
    fn new<'a>(schema: &Schema, row: &'a Padded, logits: L) -> Result<Game<'a, L>> {
        let missing = Padded::missing(schema).to_device(row.ids.device());
        let differs = row.ids.ne_tensor(&missing.ids).logical_or(&row.values.ne_tensor(&missing.values));
        let differs = Vec::<bool>::try_from(differs.to_device(Device::Cpu).flatten(0, -1))?;
        let players = (0..schema.num_fields()).filter(|&field| differs[schema.slots(field)].contains(&true)).collect();
        let field_of_slots: Vec<i64> = schema.field_of_slots().into_iter().map(|field| field as i64).collect();
        let field_of_slots = Tensor::from_slice(&field_of_slots).to_device(row.ids.device());
        Ok(Game { row, missing, field_of_slots, num_fields: schema.num_fields(), players, logits })
    }

    /// v of each coalition, which marks the players that take part.
    fn values(&self, coalitions: &[Vec<bool>]) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(coalitions.len());
        for coalitions in coalitions.chunks(BATCH) {
            let mut is_known = vec![false; coalitions.len() * self.num_fields];
            for (coalition, is_known) in coalitions.iter().zip(is_known.chunks_mut(self.num_fields)) {
                self.players.iter().zip(coalition).for_each(|(&field, &takes_part)| is_known[field] = takes_part);
            }
            let is_known = Tensor::from_slice(&is_known).view([-1, self.num_fields as i64]);
            let is_known = is_known.to_device(self.row.ids.device()).index_select(1, &self.field_of_slots);
            let ids = self.row.ids.where_self(&is_known, &self.missing.ids);
            let features = Features::unchecked(ids, self.row.values.where_self(&is_known, &self.missing.values));
            let logits = no_grad(|| (self.logits)(&features))?.to_device(Device::Cpu).to_kind(Kind::Double);
            values.extend(Vec::<f64>::try_from(logits)?);
        }
        Ok(values)
    }

    /// φ of each player, from all coalitions.
    fn exact(&self) -> Result<Vec<f64>> {
        let n = self.players.len();
        let coalitions: Vec<Vec<bool>> =
            (0..1usize << n).map(|members| (0..n).map(|player| members >> player & 1 == 1).collect()).collect();
        let v = self.values(&coalitions)?;
        // |C|! (n - |C| - 1)! / n! = 1 / (n · (n - 1 over |C|))
        let mut weights = vec![1.0 / n as f64; n];
        for size in 1..n {
            weights[size] = weights[size - 1] * size as f64 / (n - size) as f64;
        }
        let of_player = |player: usize| {
            let without = (0..v.len()).filter(|members| members >> player & 1 == 0);
            without
                .map(|members| weights[members.count_ones() as usize] * (v[members | 1 << player] - v[members]))
                .sum()
        };
        Ok((0..n).map(of_player).collect())
    }

    /// φ of each player and its standard error, from random orders. `none` and `all` are v of no player and of all
    /// players.
    fn sampled(&self, none: f64, all: f64) -> Result<(Vec<f64>, Vec<f64>)> {
        let n = self.players.len();
        let (mut sums, mut squares) = (vec![0.0; n], vec![0.0; n]);
        for number in 0..ORDERS {
            let forwards: Vec<usize> = permutation(SEED, number, n).into_iter().map(|player| player as usize).collect();
            let backwards = forwards.iter().rev().copied().collect();
            let mut added = vec![0.0; n];
            for order in [forwards, backwards] {
                let mut members = vec![false; n];
                let coalitions = order[..n - 1].iter().map(|&player| {
                    members[player] = true;
                    members.clone()
                });
                let mut v = self.values(&coalitions.collect::<Vec<_>>())?;
                v.push(all);
                let before = std::iter::once(none).chain(v.iter().copied());
                order.iter().zip(&v).zip(before).for_each(|((&player, v), before)| added[player] += 0.5 * (v - before));
            }
            for (player, added) in added.into_iter().enumerate() {
                sums[player] += added;
                squares[player] += added * added;
            }
        }
        let orders = ORDERS as f64;
        let mean = |sum: &f64| sum / orders;
        let error = |(sum, square): (&f64, &f64)| {
            let variance = (square - sum * sum / orders) / (orders - 1.0);
            (variance.max(0.0) / orders).sqrt()
        };
        Ok((sums.iter().map(mean).collect(), sums.iter().zip(&squares).map(error).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encoder::Encoder;
    use crate::schema::{Field, FieldKind, Label, List, Side, Task, Weighting};

    /// Fields with one value each.
    fn schema(fields: usize) -> Schema {
        let field =
            |name: usize| Field::new(name.to_string(), FieldKind::Categorical, Side::Context, vec!["known".into()]);
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
        Schema::new(label, (0..fields).map(field).collect()).unwrap()
    }

    /// The Shapley values of a game with one player per field. `v` receives the players that take part.
    fn play(players: usize, v: impl Fn(&[bool]) -> f64) -> Shapley {
        let schema = schema(players);
        let row = Encoder::new(&schema).features(&[vec![Some("known"); players]]).unwrap();
        let logits = |features: &Features| {
            let ids = Vec::<Vec<i64>>::try_from(&features.padded()?.ids)?;
            let of_row = |ids: &Vec<i64>| {
                let members: Vec<bool> =
                    ids.iter().zip(schema.unknown_ids()).map(|(id, unknown)| id > unknown).collect();
                v(&members)
            };
            Ok(Tensor::from_slice(&ids.iter().map(of_row).collect::<Vec<f64>>()))
        };
        shapley(&schema, &row, logits).unwrap()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        let close = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close, "found {found:?}, expected {expected:?}");
    }

    /// v is an arbitrary function of the coalition: a table of numbers.
    fn table(players: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1.0..1.0f64, 1 << players)
    }

    fn members(coalition: &[bool]) -> usize {
        coalition.iter().enumerate().map(|(player, &takes_part)| usize::from(takes_part) << player).sum()
    }

    #[test]
    fn a_pair_is_shared_equally_and_single_terms_are_their_fields() {
        let found = play(3, |is_in| {
            let [a, b, c] = [0, 1, 2].map(|player| f64::from(u8::from(is_in[player])));
            1.0 + 2.0 * a + 3.0 * b + 5.0 * a * b + 7.0 * b * c
        });
        assert_eq!((found.baseline, found.logit, found.rows), (1.0, 18.0, 8));
        assert_close(&found.values, &[2.0 + 2.5, 3.0 + 2.5 + 3.5, 3.5]);
        assert!(found.standard_errors.is_none());
    }

    /// The textbook game of three gloves, one left and two right, where a pair is worth 1.
    #[test]
    fn the_only_left_glove_is_worth_four_times_a_right_one() {
        let found = play(3, |is_in| f64::from(u8::from(is_in[0] && (is_in[1] || is_in[2]))));
        assert_close(&found.values, &[2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn shapley_values_are_the_mean_over_all_orders(v in table(4)) {
            let found = play(4, |is_in| v[members(is_in)]);
            let mut expected = vec![0.0; 4];
            let orders: Vec<[usize; 4]> = (0..256)
                .map(|n| [n % 4, n / 4 % 4, n / 16 % 4, n / 64])
                .filter(|order| (0..4).all(|player| order.contains(&player)))
                .collect();
            prop_assert_eq!(orders.len(), 24);
            for order in &orders {
                let mut is_in = 0;
                for player in order {
                    expected[*player] += (v[is_in | 1 << player] - v[is_in]) / 24.0;
                    is_in |= 1 << player;
                }
            }
            assert_close(&found.values, &expected);
        }

        #[test]
        fn shapley_values_add_up_to_the_change_by_all_fields(v in table(6)) {
            let found = play(6, |is_in| v[members(is_in)]);
            assert_close(&[found.baseline + found.values.iter().sum::<f64>()], &[found.logit]);
            assert_close(&[found.baseline, found.logit], &[v[0], v[63]]);
        }

        #[test]
        fn a_field_that_changes_nothing_has_zero_and_equal_fields_have_equal_values(v in table(4)) {
            // Player 4 changes nothing; 5 and 6 are interchangeable.
            let found = play(7, |is_in| v[members(&is_in[..4])] * (1.0 + f64::from(u8::from(is_in[5] ^ is_in[6]))));
            assert_close(&[found.values[4], found.values[5]], &[0.0, found.values[6]]);
        }
    }

    /// With 14 fields, not all combinations are scored.
    #[test]
    fn with_many_fields_pairs_are_exact_and_triples_are_estimated_within_their_error() {
        let term = |is_in: &[bool], players: &[usize]| f64::from(u8::from(players.iter().all(|&player| is_in[player])));
        let pairs = play(14, |is_in| 3.0 * term(is_in, &[0]) + 4.0 * term(is_in, &[0, 13]) - term(is_in, &[5, 6]));
        let expected = [5.0, 0.0, 0.0, 0.0, 0.0, -0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0];
        assert_close(&pairs.values, &expected);
        assert_close(&pairs.standard_errors.unwrap(), &[0.0; 14]);
        assert_eq!(pairs.rows, 2 * 100 * 13 + 2);

        let triple = play(14, |is_in| term(is_in, &[1, 2, 3]));
        assert_close(&[triple.values.iter().sum()], &[1.0]);
        let errors = triple.standard_errors.unwrap();
        for (player, (value, error)) in triple.values.iter().zip(errors).enumerate() {
            let expected = if (1..4).contains(&player) { 1.0 / 3.0 } else { 0.0 };
            let off = (value - expected).abs();
            assert!(off <= 4.0 * error && error < 0.05, "{player}: {off} {error}");
            assert_eq!(error > 0.0, expected > 0.0);
        }
    }

    #[test]
    fn missing_fields_do_not_take_part_and_the_baseline_is_a_row_of_missing_values() {
        let tags = FieldKind::MultiValued(List::new("|", 3, Weighting::Sum));
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&value| value.into()).collect())
        };
        let fields = vec![
            field("user", FieldKind::Categorical, &["ann"]),
            field("tags", tags, &["a", "b"]),
            field("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, &[]),
            field("hour", FieldKind::Categorical, &["1"]),
        ];
        let schema = Schema::new(schema(1).label().clone(), fields).unwrap();
        let encoder = Encoder::new(&schema);
        let row = encoder.features(&[[Some("carl"), Some("b|a"), Some("30"), None]]).unwrap().padded().unwrap();
        let none = encoder.features(&[[None; 4]]).unwrap().padded().unwrap();
        let missing = Padded::missing(&schema);
        assert!(missing.ids.equal(&none.ids) && missing.values.equal(&none.values));
        let sum = |features: &Features| Ok(features.padded()?.values.sum_dim_intlist(1, false, Kind::Float));
        let found = shapley(&schema, &row.into(), sum);
        let found = found.unwrap();
        // The tags have two values of 1; the age is known and 0, while a missing age is 1.
        assert_eq!((found.values.clone(), found.rows), (vec![0.0, 2.0, -1.0, 0.0], 4));
        assert_eq!((found.baseline, found.logit), (3.0, 4.0));
    }

    #[test]
    fn more_than_one_row_is_an_error() {
        let schema = schema(2);
        let rows = Encoder::new(&schema).features(&[[None, None], [None, None]]).unwrap();
        let error = shapley(&schema, &rows, |_| Ok(Tensor::zeros([2], (Kind::Float, Device::Cpu)))).unwrap_err();
        assert!(error.to_string().contains("Shapley values: expected ids and values of shape [1, 2]"), "{error}");
    }
}
