//! The formulas as plain loops over f64, and random rows and parameters to compare them with the layers. The tests of
//! the models in `tests/formulas.rs` also include this file.
#![allow(dead_code, reason = "each test uses only a part")]
#![allow(clippy::needless_range_loop, reason = "the indices are those of the formulas")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use fm_core::{Features, Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

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
            no_grad(|| variable.copy_(&tensor(&numbers, &variable.size())));
        }
        Parameters(variables)
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

/// The maps of each layer: X^{l+1}_h = Σ_{i,j} W^l_{h,i,j} (X⁰_i ⊙ X^l_j), followed by an activation.
pub fn cin_layers(p: &Parameters, path: &str, x0: &Matrix, split: bool, activation: fn(f64) -> f64) -> Vec<Matrix> {
    let mut layers = vec![];
    let mut last = x0.clone();
    while p.has(&format!("{path}.weight_{}", layers.len())) {
        let weight = p.matrix(&format!("{path}.weight_{}", layers.len()));
        let mut maps = vec![vec![0.0; x0[0].len()]; weight.len()];
        for h in 0..maps.len() {
            for d in 0..x0[0].len() {
                for i in 0..x0.len() {
                    for j in 0..last.len() {
                        maps[h][d] += weight[h][i * last.len() + j] * x0[i][d] * last[j][d];
                    }
                }
                maps[h][d] = activation(maps[h][d]);
            }
        }
        last = if split { maps[..maps.len() / 2].to_vec() } else { maps.clone() };
        layers.push(maps);
    }
    layers
}

/// Σ_d of each map: of all maps or, with `split`, of the second half of each layer except the last.
pub fn cin(p: &Parameters, path: &str, x0: &Matrix, split: bool, activation: fn(f64) -> f64) -> Vector {
    let layers = cin_layers(p, path, x0, split, activation);
    let last = layers.len() - 1;
    let shown = |(l, maps): (usize, Matrix)| maps[if split && l < last { maps.len() / 2 } else { 0 }..].to_vec();
    layers.into_iter().enumerate().flat_map(shown).map(|map| map.iter().sum()).collect()
}

/// x_{l+1} = x_0 (x_lᵀ w_l) + b_l + x_l for each layer.
pub fn vector_cross(p: &Parameters, path: &str, x0: &Vector) -> Vector {
    let (weights, biases) = (p.matrix(&format!("{path}.weight")), p.matrix(&format!("{path}.bias")));
    let mut x = x0.clone();
    for (w, b) in weights.iter().zip(&biases) {
        let along = dot(&x, w);
        x = (0..x.len()).map(|i| x0[i] * along + b[i] + x[i]).collect();
    }
    x
}

/// x_0 ⊙ (W x + b) + x
pub fn matrix_cross(p: &Parameters, path: &str, x0: &Vector, x: &Vector) -> Vector {
    sum([&product(x0, &dense(p, path, x, true)), x], x.len())
}

/// Σ_i G_i(x) x_0 ⊙ (U_i tanh(C_i tanh(V_iᵀ x)) + b) + x
pub fn mixture_cross(p: &Parameters, path: &str, experts: usize, x0: &Vector, x: &Vector) -> Vector {
    let of = |name: &str| format!("{path}.{name}");
    let (down, middle, up, bias) =
        (p.matrix(&of("down")), p.vector(&of("middle")), p.matrix(&of("up")), p.vector(&of("bias")));
    let rank = down.len() / experts;
    let gates = if experts > 1 { softmax(&dense(p, &of("gate"), x, false)) } else { vec![1.0] };
    let tanh = activation("tanh");
    let mut out = x.clone();
    for i in 0..experts {
        let projected: Vector = down[i * rank..][..rank].iter().map(|v| tanh(dot(v, x))).collect();
        let row = |r: usize| &middle[(i * rank + r) * rank..][..rank];
        let hidden: Vector = (0..rank).map(|r| tanh(dot(row(r), &projected))).collect();
        for d in 0..x.len() {
            out[d] += gates[i] * x0[d] * (dot(&up[d][i * rank..][..rank], &hidden) + bias[d]);
        }
    }
    out
}

/// c_0 ⊙ (W c + b) ⊙ σ(G c) + c
pub fn gated_cross(p: &Parameters, path: &str, c0: &Vector, c: &Vector) -> Vector {
    let gate: Vector = dense(p, &format!("{path}.gate"), c, false).into_iter().map(activation("sigmoid")).collect();
    let crossed = product(c0, &dense(p, &format!("{path}.cross"), c, true));
    sum([&product(&crossed, &gate), c], c.len())
}

pub fn softmax(scores: &[f64]) -> Vector {
    let total: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score.exp() / total).collect()
}

/// relu([Σ_j α_{m,j}^h W_V^h e_j for all heads h] + W_Res e_m) for each field m.
pub fn interacting(p: &Parameters, path: &str, heads: usize, e: &Matrix) -> Matrix {
    let project = |name: &str| -> Matrix { e.iter().map(|e| dense(p, &format!("{path}.{name}"), e, false)).collect() };
    let [queries, keys, values, residuals] = ["query", "key", "value", "residual"].map(project);
    let d = queries[0].len() / heads;
    let of_field = |m: usize| {
        let mut out = vec![];
        for head in (0..heads).map(|h| h * d..(h + 1) * d) {
            let scores: Vector = keys.iter().map(|key| dot(&queries[m][head.clone()], &key[head.clone()])).collect();
            let weights = softmax(&scores);
            out.extend(head.map(|i| (0..e.len()).map(|j| weights[j] * values[j][i]).sum::<f64>()));
        }
        sum([&out, &residuals[m]], heads * d).into_iter().map(activation("relu")).collect()
    };
    (0..e.len()).map(of_field).collect()
}

/// Σ_{f<g} r_{f,g} ⟨e_f, e_g⟩
pub fn fwfm(p: &Parameters, path: &str, e: &Matrix) -> f64 {
    let r = p.matrix(&format!("{path}.weight"));
    let mut sum = 0.0;
    for f in 0..e.len() {
        for g in f + 1..e.len() {
            sum += r[f][g] * dot(&e[f], &e[g]);
        }
    }
    sum
}

/// ⟨M_{f,g}ᵀ a, b⟩ for vectors of the fields f and g; M_{f,g} is `[.., .., f, g]` of the parameter `weight`.
pub fn by_field_matrix(p: &Parameters, path: &str, fields: usize, [f, g]: [usize; 2], a: &[f64], b: &[f64]) -> f64 {
    let (weight, k) = (p.vector(&format!("{path}.weight")), a.len());
    let mut sum = 0.0;
    for i in 0..k {
        for j in 0..k {
            sum += a[i] * weight[((i * k + j) * fields + f) * fields + g] * b[j];
        }
    }
    sum
}

/// Σ_{f<g} ⟨M_{f,g}ᵀ e_f, e_g⟩
pub fn fmfm(p: &Parameters, path: &str, e: &Matrix) -> f64 {
    let mut sum = 0.0;
    for f in 0..e.len() {
        for g in f + 1..e.len() {
            sum += by_field_matrix(p, path, e.len(), [f, g], &e[f], &e[g]);
        }
    }
    sum
}

/// ⟨e_i, e_j⟩ for all i and j.
pub fn inner_products(e: &Matrix) -> Vector {
    e.iter().flat_map(|a| e.iter().map(|b| dot(a, b))).collect()
}

/// The elements of Σ_i Σ_j e_i e_jᵀ.
pub fn outer_product(e: &Matrix) -> Vector {
    let k = e[0].len();
    let element = |(a, b): (usize, usize)| e.iter().flat_map(|x| e.iter().map(move |y| x[a] * y[b])).sum();
    (0..k).flat_map(|a| (0..k).map(move |b| (a, b))).map(element).collect()
}

/// a_f e_f with a = relu(W_2 relu(W_1 z)), where z_f is the mean of e_f.
pub fn senet(p: &Parameters, path: &str, e: &Matrix) -> Matrix {
    let relu = activation("relu");
    let means: Vector = e.iter().map(|e| e.iter().sum::<f64>() / e.len() as f64).collect();
    let hidden: Vector = dense(p, &format!("{path}.squeeze"), &means, false).into_iter().map(relu).collect();
    let weights = dense(p, &format!("{path}.excite"), &hidden, false).into_iter().map(relu);
    e.iter().zip(weights).map(|(e, a)| e.iter().map(|e| a * e).collect()).collect()
}

/// (W_{i,j}ᵀ e_i) ⊙ e_j for all i < j, with one W for all pairs, for each i, or for each pair.
pub fn bilinear(p: &Parameters, path: &str, e: &Matrix, form: &str) -> Matrix {
    let (weight, k) = (p.vector(&format!("{path}.weight")), e[0].len());
    let columns = weight.len() / k;
    let (mut pairs, mut pair) = (vec![], 0);
    for i in 0..e.len() {
        for j in i + 1..e.len() {
            let element = |a: usize, b: usize| match form {
                "all" => weight[a * k + b],
                "each" => weight[(i * k + a) * k + b],
                _ => weight[a * columns + pair * k + b],
            };
            pairs.push((0..k).map(|b| (0..k).map(|a| e[i][a] * element(a, b)).sum::<f64>() * e[j][b]).collect());
            pair += 1;
        }
    }
    pairs
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

/// activation(LN(W (m ⊙ x))) with m = W_2 relu(W_1 v + b_1) + b_2
pub fn mask_block(p: &Parameters, path: &str, v: &[f64], x: &[f64], activation: fn(f64) -> f64) -> Vector {
    let of = |name: &str| format!("{path}.{name}");
    let aggregated: Vector =
        dense(p, &of("aggregation"), v, true).into_iter().map(|x| if x > 0.0 { x } else { 0.0 }).collect();
    let mask = dense(p, &of("projection"), &aggregated, true);
    let hidden = dense(p, &of("hidden"), &product(&mask, x), false);
    layer_norm(p, &of("norm"), &vec![hidden]).concat().into_iter().map(activation).collect()
}

/// 2 σ(W_2 relu(W_1 c + b_1) + b_2)
pub fn feature_gate(p: &Parameters, path: &str, context: &[f64]) -> Vector {
    let hidden: Vector =
        dense(p, &format!("{path}.hidden"), context, true).into_iter().map(activation("relu")).collect();
    let output = dense(p, &format!("{path}.output"), &hidden, true);
    output.into_iter().map(|x| 2.0 * activation("sigmoid")(x)).collect()
}

/// ⟨w_1, a⟩ + ⟨w_2, b⟩ + Σ_h a_hᵀ W_h b_h
pub fn bilinear_fusion(p: &Parameters, path: &str, heads: usize, a: &[f64], b: &[f64]) -> f64 {
    let (weight, n, m) = (p.vector(&format!("{path}.weight")), a.len() / heads, b.len() / heads);
    let mut y = dense(p, &format!("{path}.first"), a, false)[0] + dense(p, &format!("{path}.second"), b, false)[0];
    for h in 0..heads {
        for i in 0..n {
            for j in 0..m {
                y += a[h * n + i] * weight[(h * n + i) * m + j] * b[h * m + j];
            }
        }
    }
    y
}

/// Σ_{i_1<...<i_m} Σ_d e_{i_1,d} ... e_{i_m,d}: each vector is in a set of m or not.
pub fn anova(vectors: &Matrix, order: usize) -> f64 {
    let sets = (0..1usize << vectors.len()).filter(|set| set.count_ones() as usize == order);
    let element = |set: usize, d: usize| -> f64 {
        (0..vectors.len()).filter(|i| set >> i & 1 == 1).map(|i| vectors[i][d]).product()
    };
    sets.map(|set| (0..vectors[0].len()).map(|d| element(set, d)).sum::<f64>()).sum()
}

/// W X, for vectors in the rows of X.
fn mixed(w: &Matrix, x: &Matrix) -> Matrix {
    let component = |w: &Vector, d: usize| (0..x.len()).map(|i| w[i] * x[i][d]).sum();
    w.iter().map(|w| (0..x[0].len()).map(|d| component(w, d)).collect()).collect()
}

/// LN(X Xᵀ Y), one row after another.
pub fn wukong_products(p: &Parameters, path: &str, x: &Matrix) -> Vector {
    let y = p.matrix(&format!("{path}.projection"));
    let product = |a: &Vector, r: usize| (0..x.len()).map(|j| dot(a, &x[j]) * y[j][r]).sum();
    let products = x.iter().flat_map(|a| (0..y[0].len()).map(move |r| product(a, r))).collect();
    layer_norm(p, &format!("{path}.product_norm"), &vec![products]).concat()
}

/// LN([F; W_L X] + W_R X), with the vectors F of a dense layer over the hidden layer of the products.
pub fn wukong(p: &Parameters, path: &str, x: &Matrix, hidden: &[f64]) -> Matrix {
    let of = |name: &str| format!("{path}.{name}");
    let machine = dense(p, &of("fmb"), hidden, true).chunks(x[0].len()).map(<[f64]>::to_vec).collect();
    let both: Matrix = [machine, mixed(&p.matrix(&of("compression")), x)].concat();
    let residual = if p.has(&of("residual")) { mixed(&p.matrix(&of("residual")), x) } else { x.clone() };
    let sums: Matrix = both.iter().zip(&residual).map(|(a, b)| sum([a, b], a.len())).collect();
    layer_norm(p, &of("norm"), &sums)
}

/// [a; a ⊙ b] with [a; b] = W x + c
pub fn factorized(p: &Parameters, path: &str, x: &[f64]) -> Vector {
    let sums = dense(p, path, x, true);
    let (a, b) = sums.split_at(sums.len() / 2);
    [a.to_vec(), product(a, b)].concat()
}

/// p s + (1 - p) α s with p = σ((s - E) / √(Var + 1e-8)), where E and Var are over the places that are there, or moving.
pub fn dice(p: &Parameters, path: &str, input: &[Matrix], is_there: &Matrix, train: bool) -> Vec<Matrix> {
    let [alpha, mut mean, mut variance] =
        ["alpha", "moving_mean", "moving_variance"].map(|name| p.vector(&format!("{path}.{name}")));
    if train {
        let places = input.concat().into_iter().zip(is_there.concat());
        let there: Matrix = places.filter(|(_, there)| *there == 1.0).map(|(s, _)| s).collect();
        let n = alpha.len();
        (mean, variance) = if there.is_empty() { (vec![0.0; n], vec![0.0; n]) } else { mean_and_variance(&there) };
    }
    let one = |s: f64, c: usize| {
        let p = activation("sigmoid")((s - mean[c]) / (variance[c] + 1e-8).sqrt());
        p * s + (1.0 - p) * alpha[c] * s
    };
    let vector = |s: &Vector| s.iter().enumerate().map(|(c, &s)| one(s, c)).collect();
    input.iter().map(|row| row.iter().map(vector).collect()).collect()
}

/// ⟨w, DNN([q; k_j; q - k_j; q ⊙ k_j])⟩ + b for each key of each row.
pub fn activation_unit(
    p: &Parameters,
    path: &str,
    act: &str,
    queries: &Matrix,
    keys: &[Matrix],
    is_there: &Matrix,
    train: bool,
) -> Matrix {
    let pair = |q: &Vector, k: &Vector| {
        let difference: Vector = q.iter().zip(k).map(|(q, k)| q - k).collect();
        [q.clone(), k.clone(), difference, product(q, k)].concat()
    };
    let mut h: Vec<Matrix> =
        queries.iter().zip(keys).map(|(q, keys)| keys.iter().map(|k| pair(q, k)).collect()).collect();
    for l in 0.. {
        let of = |name: &str| format!("{path}.{name}_{l}");
        if !p.has(&(of("linear") + ".weight")) {
            break;
        }
        h = h.iter().map(|row| row.iter().map(|x| dense(p, &of("linear"), x, true)).collect()).collect();
        if act == "dice" {
            h = dice(p, &of("dice"), &h, is_there, train);
        } else {
            h.iter_mut().flatten().flatten().for_each(|x| *x = activation(act)(*x));
        }
    }
    h.iter().map(|row| row.iter().map(|x| dense(p, &format!("{path}.output"), x, true)[0]).collect()).collect()
}

/// x' = x + drop(MH(LN(x))), y = x' + drop(FFN(LN(x'))) with relu, or x' = LN(x + drop(MH(x))), y = LN(x' + drop(FFN(x'))) with
/// a leaky relu. `drop` gets a row of numbers for each row of the batch.
pub fn transformer_block(
    p: &Parameters,
    path: &str,
    (heads, norm_first): (usize, bool),
    x: &[Matrix],
    sees: &[Matrix],
    drop: &mut dyn FnMut(Matrix) -> Matrix,
) -> Vec<Matrix> {
    let of = |name: &str| format!("{path}.{name}");
    let norm = |name: &str, x: &Matrix| -> Matrix {
        x.iter().map(|x| layer_norm(p, &of(name), &vec![x.clone()]).concat()).collect()
    };
    let k = x.first().map_or(0, |row| row[0].len());
    let mut dropped = |x: Vec<Matrix>| -> Vec<Matrix> {
        let flat = drop(x.iter().map(|row| row.concat()).collect());
        flat.iter().map(|row| row.chunks(k).map(<[f64]>::to_vec).collect()).collect()
    };
    let attention = |x: &Matrix, sees: &Matrix| -> Matrix {
        let project = |name: &str| -> Matrix { x.iter().map(|x| dense(p, &of(name), x, false)).collect() };
        let [query, key, value] = ["query", "key", "value"].map(project);
        let d = k / heads;
        let of_place = |j: usize| {
            let mut all = vec![];
            for h in 0..heads {
                let part = h * d..(h + 1) * d;
                let seen: Vec<usize> = (0..x.len()).filter(|&i| sees[j][i] != 0.0).collect();
                let score = |&i: &usize| dot(&query[j][part.clone()], &key[i][part.clone()]) / (d as f64).sqrt();
                let weights = softmax(&seen.iter().map(score).collect::<Vector>());
                all.extend(part.map(|c| seen.iter().zip(&weights).map(|(&i, w)| w * value[i][c]).sum::<f64>()));
            }
            dense(p, &of("output"), &all, false)
        };
        (0..x.len()).map(of_place).collect()
    };
    let network = |x: &Matrix| -> Matrix {
        let act = |x: f64| {
            if x > 0.0 {
                x
            } else if norm_first {
                0.0
            } else {
                0.01 * x
            }
        };
        let of_place = |x: &Vector| {
            let hidden: Vector = dense(p, &of("hidden"), x, true).into_iter().map(act).collect();
            dense(p, &of("feed_forward"), &hidden, true)
        };
        x.iter().map(of_place).collect()
    };
    let add = |a: &[Matrix], b: Vec<Matrix>| -> Vec<Matrix> {
        let both = |(a, b): (&Matrix, &Matrix)| a.iter().zip(b).map(|(a, b)| sum([a, b], k)).collect();
        a.iter().zip(&b).map(both).collect()
    };
    let all = |name: &str, x: &[Matrix]| -> Vec<Matrix> { x.iter().map(|x| norm(name, x)).collect() };
    let attended = |x: &[Matrix]| -> Vec<Matrix> { x.iter().zip(sees).map(|(x, sees)| attention(x, sees)).collect() };
    let networked = |x: &[Matrix]| -> Vec<Matrix> { x.iter().map(network).collect() };
    if norm_first {
        let x = add(x, dropped(attended(&all("attention_norm", x))));
        add(&x, dropped(networked(&all("feed_forward_norm", &x))))
    } else {
        let x = all("attention_norm", &add(x, dropped(attended(x))));
        all("feed_forward_norm", &add(&x, dropped(networked(&x))))
    }
}
