//! Tests of the whole chain, and helpers for the tests of its parts: rows, the formula of the score, and a solver.

use std::ops::ControlFlow;

use fm_core::{Field, FieldKind, Label, List, Padded, Schema, Side, Task, TensorRows, Weighting};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::*;
use crate::oracle::{Draw, Matrix, Row, Vector, dot, features, fm, tensor};

/// Rows with a user, the user's tags, an item, and genres and a number that vary between rows.
pub struct World {
    pub schema: Schema,
    pub rows: Vec<Row>,
}

/// The fields of a [`World`].
pub const USER: usize = 0;
pub const TAGS: usize = 1;
pub const ITEM: usize = 2;
pub const GENRES: usize = 3;
pub const NUMBER: usize = 4;

impl World {
    /// `n` rows with these numbers of users and items.
    pub fn new(task: Task, [users, items]: [usize; 2], n: usize, draw: &mut Draw) -> World {
        let of_two = || FieldKind::MultiValued(List::new("|", 2, Weighting::Sum));
        let fields = [
            ("user", FieldKind::Categorical, Side::User, users),
            ("tags", of_two(), Side::User, 3),
            ("item", FieldKind::Categorical, Side::Item, items),
            ("genres", of_two(), Side::Item, 3),
            ("number", FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::Context, 0),
        ];
        let schema = schema(task, fields);
        let tags = draw.matrix(users, 2);
        let row = |at: usize| {
            let id = |field: usize, value: usize| schema.ids(field).start as usize + 1 + value;
            let (user, item, number) = (at % users, at / users % items, schema.ids(NUMBER).start as usize);
            let tag = |slot: usize| (id(TAGS, (user + slot) % 3), tags[user][slot]);
            // Some rows have only one genre.
            let second = if at % 4 == 3 { 0.0 } else { draw.number() };
            let genres = [(id(GENRES, at % 3), draw.number()), (id(GENRES, (at + 1) % 3), second)];
            vec![
                (id(USER, user), 1.0),
                tag(0),
                tag(1),
                (id(ITEM, item), 1.0),
                genres[0],
                genres[1],
                (number, draw.number()),
            ]
        };
        let rows = (0..n).map(row).collect();
        World { schema, rows }
    }

    /// Rows with only a user and an item: all pairs, user by user.
    pub fn of_pairs(task: Task, [users, items]: [usize; 2]) -> World {
        let fields =
            [("user", FieldKind::Categorical, Side::User, users), ("item", FieldKind::Categorical, Side::Item, items)];
        let pair = |at: usize| vec![(1 + at / items, 1.0), (users + 2 + at % items, 1.0)];
        World { schema: schema(task, fields), rows: (0..users * items).map(pair).collect() }
    }

    pub fn tensor_rows(&self, labels: &[f64], weights: Option<&[f64]>) -> TensorRows {
        let Padded { ids, values, .. } = features(&self.schema, &self.rows).padded().unwrap();
        let all = |numbers: &[f64]| tensor(numbers, &[self.rows.len() as i64]);
        TensorRows::new(&self.schema, ids, values, all(labels)).unwrap().with_weights(weights.map(all)).unwrap()
    }

    /// A chain over vectors of length k with a maximum number of parts per block, and the rows in its order.
    fn chain(
        &self,
        likelihood: Likelihood,
        hyperprior: Hyperprior,
        [labels, weights]: [&[f64]; 2],
        max_parts: usize,
        k: usize,
    ) -> (Chain, Vec<Row>) {
        let numbers: Vector = (0..self.rows.len()).map(|row| row as f64).collect();
        let mut layout = Layout::new(&self.tensor_rows(&numbers, Some(weights)), &self.schema, max_parts).unwrap();
        let rows = layout.labels.iter().map(|&row| self.rows[row as usize].clone()).collect();
        layout.labels.iter_mut().for_each(|label| *label = labels[*label as usize] as f32);
        let group = |field: usize| {
            let ids = self.schema.ids(field);
            Group { ids: ids.start as usize..ids.end as usize, is_exclusive: field != TAGS && field != GENRES }
        };
        let groups: Vec<Group> = (0..self.schema.num_fields()).map(group).collect();
        (Chain::new(layout, likelihood, hyperprior, &groups, k), rows)
    }

    /// Numbers in [-size, size) as parameters of vectors of length k.
    pub fn parameters(&self, k: usize, size: f64, draw: &mut Draw) -> Parameters {
        let mut number = |_| (size * draw.number()) as f32;
        Parameters { bias: number(0), ids: (0..self.schema.num_ids() as usize * (k + 1)).map(number).collect() }
    }

    /// The ids of a field that occur in the rows.
    fn seen(&self, field: usize) -> impl Iterator<Item = usize> + Clone {
        let has = |id: usize| self.rows.iter().flatten().any(|&(other, x)| other == id && x != 0.0);
        let ids: Vec<usize> = (self.schema.ids(field).start as usize..self.schema.ids(field).end as usize)
            .filter(|&id| has(id))
            .collect();
        ids.into_iter()
    }
}

fn schema<const N: usize>(task: Task, fields: [(&str, FieldKind, Side, usize); N]) -> Schema {
    let field = |(name, kind, side, values): (&str, FieldKind, Side, usize)| {
        Field::new(name, kind, side, (0..values).map(|value| value.to_string()).collect())
    };
    Schema::new(Label { scale: 1.0, ..Label::fit("label", task, [0.0, 1.0]) }, fields.map(field).into()).unwrap()
}

/// w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t, with vectors of length k.
pub fn score(parameters: &Parameters, k: usize, row: &Row) -> f64 {
    let numbers =
        |&(id, x): &(usize, f64)| parameters.ids[id * (k + 1)..][..=k].iter().map(|&v| f64::from(v) * x).collect();
    let terms: Matrix = row.iter().map(numbers).collect();
    let first_order: f64 = terms.iter().map(|term| term[k]).sum();
    f64::from(parameters.bias) + first_order + fm(&terms.iter().map(|term| term[..k].to_vec()).collect())
}

/// a⁻¹ b by elimination, for a symmetric and positive definite matrix a.
pub fn solve(a: &Matrix, b: &[f64]) -> Vector {
    let mut rows: Matrix = a.iter().zip(b).map(|(row, &b)| row.iter().copied().chain([b]).collect()).collect();
    let d = rows.len();
    for i in 0..d {
        for j in (0..d).filter(|&j| j != i) {
            let (factor, pivot) = (rows[j][i] / rows[i][i], rows[i].clone());
            rows[j].iter_mut().zip(&pivot).for_each(|(number, pivot)| *number -= factor * pivot);
        }
    }
    (0..d).map(|i| rows[i][d] / rows[i][i]).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// One sweep: its loss and the parameters with conditional means.
fn sweep(chain: &mut Chain, parameters: &mut Parameters, rng: &mut Pcg64) -> (f64, Parameters) {
    match chain.sweep(parameters, rng, &mut |_, _| ControlFlow::Continue(())) {
        ControlFlow::Continue(done) => done,
        ControlFlow::Break(()) => panic!("nothing breaks the sweep"),
    }
}

#[test]
fn the_loss_is_that_of_the_parameters_before_the_sweep() {
    for (likelihood, k) in [(Likelihood::Gaussian, 1), (Likelihood::Gaussian, 7), (Likelihood::Logistic, 6)] {
        let mut draw = Draw(k as u64);
        let world = World::new(Task::Regression, [6, 5], 60, &mut draw);
        let labels: Vector = (0..60).map(|row| f64::from(row % 3 == 0)).collect();
        let weights: Vector = match likelihood {
            Likelihood::Gaussian => (0..60).map(|row| f64::from(row % 4)).collect(),
            Likelihood::Logistic => vec![1.0; 60],
        };
        let (mut chain, _) = world.chain(likelihood, Hyperprior::default(), [&labels, &weights], 8, k);
        assert_eq!(chain.blocks.len(), 3, "users with tags, items, and fields that do not repeat");
        let (mut parameters, mut rng) = (world.parameters(k, 1.0, &mut draw), Pcg64::seed_from_u64(1));
        for _ in 0..3 {
            let losses = world.rows.iter().zip(&labels).zip(&weights).map(|((row, label), weight)| {
                let score = score(&parameters, k, row);
                weight
                    * match likelihood {
                        Likelihood::Gaussian => (label - score).powi(2),
                        Likelihood::Logistic => -(label * sigmoid(score) + (1.0 - label) * sigmoid(-score)).ln(),
                    }
            });
            let expected = losses.sum::<f64>() / weights.iter().sum::<f64>();
            let (found, _) = sweep(&mut chain, &mut parameters, &mut rng);
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected), "{likelihood:?}: {found}, not {expected}");
        }
    }
}

/// Geweke, Getting it right: joint distribution tests of posterior simulators, JASA 2004. If the labels are drawn again
/// from the parameters after each sweep, sweeps and labels are a chain over both, and the parameters keep their prior
/// distribution.
#[test]
fn if_labels_are_drawn_from_the_parameters_these_keep_their_prior() {
    const SWEEPS: usize = 20_000;
    const BATCHES: usize = 40;
    let (k, n) = (2, 8);
    let hyperprior = Hyperprior { alpha_0: 12.0, beta_0: 8.0, gamma_0: 2.0 };
    for likelihood in [Likelihood::Gaussian, Likelihood::Logistic] {
        let mut draw = Draw(5);
        let world = World::new(Task::Regression, [3, 2], n, &mut draw);
        let weights: Vector = match likelihood {
            // Their mean is 1, so the rows count as many as there are.
            Likelihood::Gaussian => (0..n).map(|row| if row % 2 == 0 { 0.5 } else { 1.5 }).collect(),
            Likelihood::Logistic => vec![1.0; n],
        };
        let (mut chain, rows) = world.chain(likelihood, hyperprior, [&vec![0.0; n], &weights], 4, k);
        assert_eq!(chain.blocks.len(), 3, "users with tags, items, and fields that do not repeat");
        let (mut parameters, mut rng) = (world.parameters(k, 1.0, &mut draw), Pcg64::seed_from_u64(1));
        let mut alpha = 1.0;

        // The expected value of each monitored number under the prior: E[1/λ] = β₀ / (α₀ - 2).
        let variance = hyperprior.beta_0 / (hyperprior.alpha_0 - 2.0);
        let mut expected = vec![("w₀".to_owned(), 0.0), ("w₀²".into(), 1.0 / hyperprior.gamma_0)];
        if likelihood == Likelihood::Gaussian {
            expected.push(("α".into(), hyperprior.alpha_0 / hyperprior.beta_0));
        }
        for field in [USER, TAGS, ITEM, GENRES, NUMBER] {
            for of in ["v", "w"] {
                expected.push((format!("{of} of field {field}"), 0.0));
                expected.push((format!("{of}² of field {field}"), variance * (1.0 + 1.0 / hyperprior.gamma_0)));
                if field != NUMBER {
                    expected.push((format!("{of} of two ids of field {field}"), variance / hyperprior.gamma_0));
                }
            }
        }
        let seen: Vec<Vec<usize>> = (0..5).map(|field| world.seen(field).collect()).collect();
        let mut batches = vec![vec![0.0; expected.len()]; BATCHES];
        for at in 0..SWEEPS {
            for (row, label) in rows.iter().zip(0..) {
                let score = score(&parameters, k, row);
                chain.labels[label] = match likelihood {
                    Likelihood::Gaussian => {
                        let z: f64 = StandardNormal.sample(&mut rng);
                        (score + z / (alpha * f64::from(chain.weights[label])).sqrt()) as f32
                    }
                    Likelihood::Logistic => f32::from(u8::from(rng.random::<f64>() < sigmoid(score))),
                };
            }
            sweep(&mut chain, &mut parameters, &mut rng);
            let bias = f64::from(parameters.bias);
            let mut found = vec![bias, bias * bias];
            if likelihood == Likelihood::Gaussian {
                alpha = f64::from(chain.targets[0].scale).powi(2) / f64::from(chain.weights[0]);
                found.push(alpha);
            }
            for ids in &seen {
                for place in [0, k] {
                    let number = |id: &usize| f64::from(parameters.ids[id * (k + 1) + place]);
                    let count = ids.len() as f64;
                    let (sum, squares) = ids.iter().map(number).fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
                    found.extend([sum / count, squares / count]);
                    if ids.len() > 1 {
                        found.push((sum * sum - squares) / (count * (count - 1.0)));
                    }
                }
            }
            let batch = &mut batches[at * BATCHES / SWEEPS];
            batch.iter_mut().zip(&found).for_each(|(sum, found)| *sum += found * BATCHES as f64 / SWEEPS as f64);
        }
        for (at, (of, expected)) in expected.iter().enumerate() {
            let mean = batches.iter().map(|batch| batch[at]).sum::<f64>() / BATCHES as f64;
            let spread = batches.iter().map(|batch| (batch[at] - mean).powi(2)).sum::<f64>() / (BATCHES - 1) as f64;
            let error = (spread / BATCHES as f64).sqrt();
            assert!(
                (mean - expected).abs() < 5.0 * error,
                "{likelihood:?}: the mean of {of} is {mean} ± {error}, not {expected}"
            );
            assert!(error < 0.1, "{likelihood:?}: too few sweeps to know {of}: ± {error}");
        }
    }
}

/// If the precisions are known, w₀, μ and the weights of rows with one field are jointly Gaussian.
#[test]
fn the_means_of_draws_and_of_their_conditional_means_are_those_of_ridge_regression() {
    let (precision, gamma_0, sweeps) = (2.0, 0.5, 20_000);
    let hyperprior = Hyperprior { alpha_0: 1e9, beta_0: 1e9 / precision, gamma_0 };
    let schema = schema(Task::Regression, [("item", FieldKind::Categorical, Side::Item, 4)]);
    // No row has the last value.
    let world = World { schema, rows: [1, 1, 1, 1, 2, 2, 3].map(|id| vec![(id, 1.0)]).into() };
    let (labels, weights) = ([1.0, 2.0, 1.5, 1.2, -1.0, -2.0, 4.0], [1.0, 1.0, 2.0, 0.5, 1.0, 3.0, 1.0]);

    // θ = [w₀, μ, w_1, w_2, w_3]
    let (mut p, mut b) = (vec![vec![0.0; 5]; 5], vec![0.0; 5]);
    p[0][0] = gamma_0;
    p[1][1] = gamma_0 * precision;
    for id in 1..=3 {
        let slopes: Vector = (0..5).map(|at| f64::from(at == 1 + id) - f64::from(at == 1)).collect();
        (0..5).for_each(|i| (0..5).for_each(|j| p[i][j] += precision * slopes[i] * slopes[j]));
    }
    for ((row, label), weight) in world.rows.iter().zip(labels).zip(weights) {
        let slopes: Vector = (0..5).map(|at| f64::from(at == 0 || at == 1 + row[0].0)).collect();
        (0..5).for_each(|i| (0..5).for_each(|j| p[i][j] += precision * weight * slopes[i] * slopes[j]));
        (0..5).for_each(|i| b[i] += precision * weight * label * slopes[i]);
    }
    let theta = solve(&p, &b);

    for max_parts in [0, 10] {
        let (mut chain, _) = world.chain(Likelihood::Gaussian, hyperprior, [&labels, &weights], max_parts, 1);
        let (mut parameters, mut rng) = (world.parameters(1, 0.1, &mut Draw(1)), Pcg64::seed_from_u64(1));
        let (mut drawn, mut expected) = ([[0.0; 2]; 4], [[0.0; 2]; 4]);
        for _ in 0..sweeps {
            let (_, means) = sweep(&mut chain, &mut parameters, &mut rng);
            for (sums, parameters) in [(&mut drawn, &parameters), (&mut expected, &means)] {
                for (sums, id) in sums.iter_mut().zip([4, 1, 2, 3]) {
                    let score = score(parameters, 1, &vec![(id, 1.0)]) / f64::from(sweeps);
                    *sums = [sums[0] + score, sums[1] + score * score];
                }
            }
        }
        for (at, (drawn, expected)) in drawn.iter().zip(expected).enumerate() {
            let score = theta[0] + theta[1 + at];
            assert!((drawn[0] - score).abs() < 0.015, "{at}: draws have the mean {}, not {score}", drawn[0]);
            assert!(
                (expected[0] - score).abs() < 0.015,
                "{at}: their means have the mean {}, not {score}",
                expected[0]
            );
            assert!(at == 0 || expected[1] < drawn[1], "{at}: the conditional means are not less noisy");
        }
    }
}

#[test]
fn only_the_ids_of_the_last_exclusive_field_have_their_conditional_means() {
    let k = 3;
    let mut draw = Draw(1);
    let world = World::new(Task::Regression, [6, 5], 60, &mut draw);
    let (labels, weights) = (draw.vector(60), vec![1.0; 60]);
    for max_parts in [0, 8] {
        let (mut chain, _) =
            world.chain(Likelihood::Gaussian, Hyperprior::default(), [&labels, &weights], max_parts, k);
        let mut parameters = world.parameters(k, 1.0, &mut draw);
        let (_, expected) = sweep(&mut chain, &mut parameters, &mut Pcg64::seed_from_u64(1));
        assert_eq!(expected.bias, parameters.bias);
        let (found, drawn) = (expected.ids.chunks(k + 1), parameters.ids.chunks(k + 1));
        let differ: Vec<usize> =
            found.zip(drawn).enumerate().filter(|(_, (found, drawn))| found != drawn).map(|(id, _)| id).collect();
        assert_eq!(differ, world.seen(USER).collect::<Vec<_>>());
    }
}

/// The prior of its field is N(Σ θ / (n + γ₀), ...), with the sum over the n ids of the field that occur in rows.
#[test]
fn an_id_without_rows_has_the_expected_value_of_its_field() {
    let (k, gamma_0) = (2, 0.5);
    let mut draw = Draw(2);
    let world = World::new(Task::Regression, [6, 5], 60, &mut draw);
    let (labels, weights) = (draw.vector(60), vec![1.0; 60]);
    let hyperprior = Hyperprior { gamma_0, ..Hyperprior::default() };
    let (mut chain, _) = world.chain(Likelihood::Gaussian, hyperprior, [&labels, &weights], 8, k);
    let mut parameters = world.parameters(k, 1.0, &mut draw);
    let (_, expected) = sweep(&mut chain, &mut parameters, &mut Pcg64::seed_from_u64(1));
    for field in [USER, TAGS, ITEM, GENRES] {
        let unseen = world.schema.ids(field).start as usize;
        for place in 0..=k {
            let number = |id: usize| parameters.ids[id * (k + 1) + place];
            let sum: f32 = world.seen(field).map(number).sum();
            let mean = sum / (world.seen(field).count() as f32 + gamma_0 as f32);
            assert!((number(unseen) - mean).abs() < 1e-6, "field {field}: {}, not {mean}", number(unseen));
            assert_eq!(expected.ids[unseen * (k + 1) + place], number(unseen));
        }
    }
}

#[test]
fn a_row_of_weight_two_equals_the_row_twice() {
    let k = 2;
    let mut draw = Draw(3);
    let World { schema, rows } = World::new(Task::Regression, [3, 2], 20, &mut draw);
    let labels = draw.vector(20);
    let once = World { schema: schema.clone(), rows: rows.clone() };
    let twice = World { schema, rows: rows.iter().chain(&rows[..10]).cloned().collect() };
    let (counts, labels_twice) = ([[2.0; 10], [1.0; 10]].concat(), [&labels[..], &labels[..10]].concat());
    for max_parts in [0, 4] {
        let of = |world: &World, labels: &[f64], weights: &[f64]| {
            let (mut chain, _) =
                world.chain(Likelihood::Gaussian, Hyperprior::default(), [labels, weights], max_parts, k);
            let (mut parameters, mut rng) = (once.parameters(k, 1.0, &mut Draw(4)), Pcg64::seed_from_u64(1));
            let losses: Vector = (0..3).map(|_| sweep(&mut chain, &mut parameters, &mut rng).0).collect();
            (losses, parameters)
        };
        let (losses, expected) = of(&twice, &labels_twice, &[1.0; 30]);
        let (found_losses, found) = of(&once, &labels, &counts);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-3 * (1.0 + b.abs());
        assert!(losses.iter().zip(&found_losses).all(|(&a, &b)| close(a, b)), "{losses:?} {found_losses:?}");
        assert!(found.ids.iter().zip(&expected.ids).all(|(&a, &b)| close(f64::from(a), f64::from(b))));
    }
}

#[test]
fn the_mean_score_of_unseen_pairs_is_close_to_the_planted_score() {
    let k = 2;
    for (likelihood, copies, limit) in [(Likelihood::Gaussian, 1, 0.1), (Likelihood::Logistic, 8, 0.45)] {
        let (mut draw, mut rng) = (Draw(1), Pcg64::seed_from_u64(1));
        let world = World::of_pairs(Task::Regression, [20, 20]);
        let planted = world.parameters(k, 2.0, &mut draw);
        let (unseen, seen): (Vec<Row>, Vec<Row>) = world.rows.iter().cloned().partition(|_| draw.below(3) == 0);
        let rows: Vec<Row> = (0..copies).flat_map(|_| seen.clone()).collect();
        let label = |row: &Row| match likelihood {
            Likelihood::Gaussian => score(&planted, k, row) + 0.3 * draw.number(),
            Likelihood::Logistic => f64::from(draw.number() < 2.0 * sigmoid(score(&planted, k, row)) - 1.0),
        };
        let labels: Vector = rows.iter().map(label).collect();
        let train = World { schema: world.schema.clone(), rows };
        let (mut chain, _) =
            train.chain(likelihood, Hyperprior::default(), [&labels, &vec![1.0; labels.len()]], 50, k + 1);
        let mut parameters = train.parameters(k + 1, 0.1, &mut draw);
        let mut scores = vec![0.0; unseen.len()];
        for at in 0..200 {
            let (_, expected) = sweep(&mut chain, &mut parameters, &mut rng);
            if at >= 100 {
                scores.iter_mut().zip(&unseen).for_each(|(sum, row)| *sum += score(&expected, k + 1, row) / 100.0);
            }
        }
        let planted: Vector = unseen.iter().map(|row| score(&planted, k, row)).collect();
        let mean = planted.iter().sum::<f64>() / planted.len() as f64;
        let distance = |scores: Vector| {
            let differences: Vector = scores.iter().zip(&planted).map(|(score, planted)| score - planted).collect();
            dot(&differences, &differences).sqrt()
        };
        let (found, of_mean) = (distance(scores), distance(vec![mean; planted.len()]));
        assert!(found < limit * of_mean, "{likelihood:?}: {found}, and {of_mean} by the mean alone");
    }
}

/// Labels follow the weights alone, and four of six fields have few values. Maximum likelihood of d weights loses about
/// d/2n against the true probabilities of new rows. With β₀ = 1, vectors of length 22 lose more, and more with each
/// sweep.
#[test]
fn vectors_that_have_nothing_to_learn_do_not_learn_chance() {
    let (k, n, unseen, sweeps) = (22, 4000, 1000, 120);
    let names = ["user", "item", "hour", "place", "device", "kind"];
    let sizes = [150, 60, 24, 5, 3, 8];
    let mut draw = Draw(8);
    let fields: [_; 6] = std::array::from_fn(|at| (names[at], FieldKind::Categorical, Side::Context, sizes[at]));
    let schema = schema(Task::Binary { threshold: 1.0 }, fields);
    let weights = draw.vector(schema.num_ids() as usize);
    let mut row = |_| -> Row {
        (0..6).map(|field| (schema.ids(field).start as usize + 1 + draw.below(sizes[field]), 1.0)).collect()
    };
    let (train, test): (Vec<Row>, Vec<Row>) = ((0..n).map(&mut row).collect(), (0..unseen).map(&mut row).collect());
    let truth = |row: &Row| sigmoid(row.iter().map(|&(id, _)| weights[id]).sum());
    let mut rng = Pcg64::seed_from_u64(1);
    let labels: Vector = train.iter().map(|row| f64::from(rng.random::<f64>() < truth(row))).collect();
    let world = World { schema, rows: train };
    let mut lost = |hyperprior: Hyperprior| {
        let counts = vec![1.0; n];
        let (mut chain, _) = world.chain(Likelihood::Logistic, hyperprior, [&labels, &counts], 0, k);
        let mut parameters = world.parameters(k, 0.1, &mut Draw(9));
        let mut scores = vec![0.0; unseen];
        for at in 0..sweeps {
            let (_, expected) = sweep(&mut chain, &mut parameters, &mut rng);
            if at >= sweeps / 2 {
                let share = 2.0 / f64::from(sweeps);
                scores.iter_mut().zip(&test).for_each(|(sum, row)| *sum += share * score(&expected, k, row));
            }
        }
        let divergence = |(row, score): (&Row, &f64)| {
            let (p, q) = (truth(row), sigmoid(*score));
            p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln()
        };
        test.iter().zip(&scores).map(divergence).sum::<f64>() / unseen as f64
    };
    let limit = sizes.iter().sum::<usize>() as f64 / (2 * n) as f64;
    let (large, default) = (lost(Hyperprior { beta_0: 1.0, ..Hyperprior::default() }), lost(Hyperprior::default()));
    assert!(default < limit && limit < large, "lost {default}, with a large β₀ {large}, by weights alone {limit}");
}

#[test]
fn parameters_that_are_not_finite_stay_unchanged_and_have_a_loss_of_nan() {
    let world = World::of_pairs(Task::Regression, [2, 2]);
    let (mut chain, _) =
        world.chain(Likelihood::Gaussian, Hyperprior::default(), [&[1.0, 2.0, 3.0, 4.0], &[1.0; 4]], 0, 1);
    let mut parameters = world.parameters(1, 1.0, &mut Draw(1));
    parameters.ids[3] = f32::INFINITY;
    let before = parameters.clone();
    let (loss, expected) = sweep(&mut chain, &mut parameters, &mut Pcg64::seed_from_u64(1));
    assert!(loss.is_nan() && parameters == before && expected == before);
}
