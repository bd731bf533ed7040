//! The formulas as plain loops over f64, and random rows and parameters to compare them with the layers. The tests of
//! the models in `tests/formulas.rs` also include this file.
#![allow(dead_code, reason = "each test uses only a part")]
#![allow(clippy::needless_range_loop, reason = "the indices are those of the formulas")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unused_imports, reason = "each test uses only a part")]

mod interactions;
mod sequences;

use std::collections::BTreeMap;

use fm_core::{Features, Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

pub use interactions::*;
pub use sequences::*;

pub type Vector = Vec<f64>;
pub type Matrix = Vec<Vector>;
/// The id and the value of each slot.
pub type Row = Vec<(usize, f64)>;

/// Random numbers that do not use libtorch's global generator: SplitMix64.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n as u64) as usize
    }

    /// A number in [-1, 1) that is exact in float32.
    pub fn number(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 19) - 1.0
    }

    pub fn vector(&mut self, n: usize) -> Vector {
        (0..n).map(|_| self.number()).collect()
    }

    pub fn matrix(&mut self, rows: usize, columns: usize) -> Matrix {
        (0..rows).map(|_| self.vector(columns)).collect()
    }

    pub fn cube(&mut self, depth: usize, rows: usize, columns: usize) -> Vec<Matrix> {
        (0..depth).map(|_| self.matrix(rows, columns)).collect()
    }

    /// Rows with random ids of their fields, including unknown ones, and random values. A third of the slots is
    /// padding.
    pub fn rows(&mut self, schema: &Schema, n: usize) -> Vec<Row> {
        let mut slot = |field: usize| {
            let ids = schema.ids(field);
            let id = ids.start as usize + self.below((ids.end - ids.start) as usize);
            (id, if self.below(3) == 0 { 0.0 } else { self.number() })
        };
        let mut rows: Vec<Row> = (0..n).map(|_| schema.field_of_slots().into_iter().map(&mut slot).collect()).collect();
        let is_sequence = |field: &usize| matches!(schema.fields()[*field].kind, FieldKind::Sequence(_));
        for field in (0..schema.num_fields()).filter(is_sequence) {
            // The padding of a sequence is at its end.
            rows.iter_mut().for_each(|row| row[schema.slots(field)].sort_by_key(|&(_, x)| x == 0.0));
        }
        rows
    }
}

/// A schema with these numbers of slots per field; 0 stands for a numeric field. The second, the fifth, ... field is on
/// the item's side.
pub fn schema(slots: &[usize]) -> Schema {
    let field = |(position, &slots): (usize, &usize)| {
        let kind = match slots {
            0 => FieldKind::Numeric { mean: 0.0, std: 1.0 },
            1 => FieldKind::Categorical,
            max_len => FieldKind::MultiValued(List::new("|", max_len, Weighting::Sum)),
        };
        let side = [Side::User, Side::Item, Side::Context][position % 3];
        let values = if slots == 0 { vec![] } else { vec!["a".into(), "b".into(), "c".into()] };
        Field::new(position.to_string(), kind, side, values)
    };
    let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.0, scale: 1.0 };
    Schema::new(label, slots.iter().enumerate().map(field).collect()).unwrap()
}

/// [`schema`], with the items that the user has seen if a model needs this history. They share the table of the second field
/// or, if that has not one value, of a field of their own.
pub fn schema_with(needs_history: bool, slots: &[usize]) -> Schema {
    let schema = schema(slots);
    if !needs_history {
        return schema;
    }
    let mut fields = schema.fields().to_vec();
    if slots.get(1) != Some(&1) {
        fields.push(Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]));
    }
    let item = if slots.get(1) == Some(&1) { "1" } else { "item" };
    let seen = FieldKind::Sequence(List::new("|", 3, Weighting::Sum));
    fields.push(Field::new("seen", seen, Side::User, vec![]).sharing(item));
    Schema::new(schema.label().clone(), fields).unwrap()
}

pub fn features(schema: &Schema, rows: &[Row]) -> Features {
    let (ids, values): (Vec<i64>, Vector) = rows.iter().flatten().map(|&(id, x)| (id as i64, x)).unzip();
    let shape = [rows.len() as i64, schema.num_slots() as i64];
    Features::new(schema, Tensor::from_slice(&ids).view(shape), tensor(&values, &shape)).unwrap()
}

/// The rows padded, and the same rows ragged.
pub fn both_forms(schema: &Schema, rows: &[Row]) -> [Features; 2] {
    let padded = features(schema, rows);
    let ragged = padded.ragged(&schema.layout()).unwrap().into();
    [padded, ragged]
}

pub fn tensor(numbers: &[f64], shape: &[i64]) -> Tensor {
    Tensor::from_slice(numbers).to_kind(Kind::Float).view(shape)
}

/// All numbers of a tensor, row by row.
pub fn numbers(tensor: &Tensor) -> Vector {
    Vector::try_from(tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

pub fn assert_close(found: &Tensor, expected: &[f64], of: &str) {
    assert_within(2e-5, found, expected, of);
}

/// Like [`assert_close`], with another tolerance.
pub fn assert_within(tolerance: f64, found: &Tensor, expected: &[f64], of: &str) {
    let found = numbers(found);
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * (1.0 + b.abs());
    let all_close = found.len() == expected.len() && found.iter().zip(expected).all(close);
    assert!(all_close, "{of} is {found:?}, but by the formula {expected:?}");
}

/// The parameters of a store by name.
pub struct Parameters(BTreeMap<String, Tensor>);

impl Parameters {
    /// Sets every variable to random numbers.
    pub fn draw(store: &VarStore, draw: &mut Draw) -> Parameters {
        let mut variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        for (name, variable) in &mut variables {
            let mut numbers = draw.vector(variable.numel());
            if name.ends_with("moving_variance") {
                numbers.iter_mut().for_each(|x| *x = x.abs() + 0.5);
            }
            // Powers of small numbers, and with them rounding, would be large.
            if name.ends_with("exponents") {
                numbers.iter_mut().for_each(|x| *x *= 0.25);
            }
            no_grad(|| variable.copy_(&tensor(&numbers, &variable.size())));
        }
        Parameters(variables)
    }

    /// Those of a part of the model, under their names without `prefix`.
    pub fn of_part(&self, prefix: &str) -> Parameters {
        let name = |name: &String| name.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        Parameters(self.0.iter().filter_map(|(full, tensor)| Some((name(full)?, tensor.shallow_clone()))).collect())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn vector(&self, name: &str) -> Vector {
        numbers(self.0.get(name).unwrap_or_else(|| panic!("there is no `{name}` among {:?}", self.0.keys())))
    }

    pub fn matrix(&self, name: &str) -> Matrix {
        let numbers = self.vector(name);
        numbers.chunks(self.0[name].size()[1] as usize).map(<[f64]>::to_vec).collect()
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// a ⊙ b
pub fn product(a: &[f64], b: &[f64]) -> Vector {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// The sum of vectors of length k.
pub fn sum<'a>(vectors: impl IntoIterator<Item = &'a Vector>, k: usize) -> Vector {
    vectors.into_iter().fold(vec![0.0; k], |sum, vector| sum.iter().zip(vector).map(|(a, b)| a + b).collect())
}

/// Σ_s w_{id_s} x_s
pub fn first_order(weights: &Matrix, row: &Row) -> f64 {
    row.iter().map(|&(id, x)| weights[id][0] * x).sum()
}

/// x_s v_{id_s} of each slot.
pub fn slot_vectors(table: &Matrix, row: &Row) -> Matrix {
    row.iter().map(|&(id, x)| table[id].iter().map(|v| v * x).collect()).collect()
}

/// The sum of the slots' vectors of each field.
pub fn field_vectors(schema: &Schema, slots: &Matrix) -> Matrix {
    (0..schema.num_fields()).map(|field| sum(&slots[schema.slots(field)], slots[0].len())).collect()
}

fn is_numeric(schema: &Schema, field: usize) -> bool {
    matches!(schema.fields()[field].kind, FieldKind::Numeric { .. })
}

/// The numbers of the numeric fields of a row; 0 for one that is missing.
pub fn numbers_of(schema: &Schema, row: &Row) -> Vector {
    let number = |field: usize| {
        let (id, x) = row[schema.slots(field).start];
        if id as i64 == schema.ids(field).start + 1 { x } else { 0.0 }
    };
    (0..schema.num_fields()).filter(|&field| is_numeric(schema, field)).map(number).collect()
}

/// The vectors of the fields that are not numeric, from a table of only these, one after another.
pub fn sparse_field_vectors(schema: &Schema, table: &Matrix, row: &Row) -> Matrix {
    let (mut fields, mut first_of_table) = (vec![], 0);
    for field in (0..schema.num_fields()).filter(|&field| !is_numeric(schema, field)) {
        let ids = schema.ids(field);
        let vector = |&(id, x): &(usize, f64)| -> Vector {
            table[first_of_table + id - ids.start as usize].iter().map(|v| v * x).collect()
        };
        fields.push(sum(&row[schema.slots(field)].iter().map(vector).collect::<Matrix>(), table[0].len()));
        first_of_table += (ids.end - ids.start) as usize;
    }
    assert_eq!(first_of_table, table.len());
    fields
}

/// The sum of the slots' vectors of the fields of user and context, and that of the fields of the item.
pub fn side_vectors(schema: &Schema, slots: &Matrix) -> [Vector; 2] {
    [false, true].map(|item| {
        let fields = (0..schema.num_fields()).filter(|&field| (schema.fields()[field].side == Side::Item) == item);
        sum(fields.flat_map(|field| &slots[schema.slots(field)]), slots[0].len())
    })
}

/// e_i ⊙ e_j for all i < j.
pub fn pairs(vectors: &Matrix) -> Matrix {
    let mut pairs = vec![];
    for i in 0..vectors.len() {
        for j in i + 1..vectors.len() {
            pairs.push(product(&vectors[i], &vectors[j]));
        }
    }
    pairs
}

/// Σ_{i<j} ⟨e_i, e_j⟩
pub fn fm(vectors: &Matrix) -> f64 {
    pairs(vectors).concat().iter().sum()
}

/// Σ_{i<j} ⟨e_{i,f_j}, e_{j,f_i}⟩
pub fn ffm(schema: &Schema, slots: &Matrix) -> f64 {
    let (fields, k) = (schema.field_of_slots(), slots[0].len() / schema.num_fields());
    let vector = |slot: usize, partner: usize| &slots[slot][partner * k..][..k];
    let mut sum = 0.0;
    for i in 0..slots.len() {
        for j in i + 1..slots.len() {
            sum += dot(vector(i, fields[j]), vector(j, fields[i]));
        }
    }
    sum
}

/// Σ_{f<g} ⟨Σ_i e_{i,f}, Σ_i e_{i,g}⟩
pub fn summed_ffm(fields: usize, slots: &Matrix) -> f64 {
    let summed = sum(slots, slots[0].len());
    fm(&summed.chunks(summed.len() / fields).map(<[f64]>::to_vec).collect())
}

/// W x + b, or W x if the formula has no b.
pub fn dense(p: &Parameters, path: &str, x: &[f64], has_bias: bool) -> Vector {
    let bias = format!("{path}.bias");
    assert_eq!(p.has(&bias), has_bias, "`{bias}` in the parameters, and in the formula");
    let weight = p.matrix(&format!("{path}.weight"));
    let bias = if has_bias { p.vector(&bias) } else { vec![0.0; weight.len()] };
    weight.iter().zip(bias).map(|(w, b)| dot(w, x) + b).collect()
}

/// An activation by Keras's name.
pub fn activation(name: &str) -> fn(f64) -> f64 {
    match name {
        "linear" => |x| x,
        "relu" => |x| if x > 0.0 { x } else { 0.0 },
        "tanh" => |x| (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()),
        "sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
        _ => panic!("there is no activation `{name}`"),
    }
}

/// softmax_p(⟨h, relu(W e_p + b)⟩), with or without a bias added to all scores.
pub fn attention(p: &Parameters, path: &str, pairs: &Matrix, score_bias: bool) -> Vector {
    let score = |pair: &Vector| {
        let hidden = dense(p, &format!("{path}.hidden"), pair, true).into_iter().map(activation("relu"));
        dense(p, &format!("{path}.score"), &hidden.collect::<Vector>(), score_bias)[0]
    };
    softmax(&pairs.iter().map(score).collect::<Vector>())
}

/// The mean and the biased variance of each column.
pub fn mean_and_variance(x: &Matrix) -> (Vector, Vector) {
    let n = x.len() as f64;
    let column = |c: usize| {
        let mean = x.iter().map(|row| row[c]).sum::<f64>() / n;
        (mean, x.iter().map(|row| (row[c] - mean).powi(2)).sum::<f64>() / n)
    };
    (0..x[0].len()).map(column).unzip()
}

/// γ (x - μ) / √(σ² + 0.001) + β, with the batch's statistics or the moving ones.
pub fn batch_norm(p: &Parameters, path: &str, x: &Matrix, of_batch: bool) -> Matrix {
    let [gamma, beta, mean, variance] =
        ["gamma", "beta", "moving_mean", "moving_variance"].map(|name| p.vector(&format!("{path}.{name}")));
    let (mean, variance) = if of_batch { mean_and_variance(x) } else { (mean, variance) };
    let normed = |row: &Vector| {
        (0..row.len()).map(|c| gamma[c] * (row[c] - mean[c]) / (variance[c] + 0.001).sqrt() + beta[c]).collect()
    };
    x.iter().map(normed).collect()
}

pub fn softmax(scores: &[f64]) -> Vector {
    let total: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score.exp() / total).collect()
}

/// γ ⊙ (x - μ) / √(σ² + 1e-5) + β for each vector, with one γ and β, or one for each vector.
pub fn layer_norm(p: &Parameters, path: &str, vectors: &Matrix) -> Matrix {
    let [gamma, beta] = ["gamma", "beta"].map(|name| p.vector(&format!("{path}.{name}")));
    let normed = |(at, x): (usize, &Vector)| -> Vector {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let own = |d: usize| at * x.len() + d;
        (0..x.len()).map(|d| gamma[own(d)] * (x[d] - mean) / (variance + 1e-5).sqrt() + beta[own(d)]).collect()
    };
    vectors.iter().enumerate().map(normed).collect()
}
