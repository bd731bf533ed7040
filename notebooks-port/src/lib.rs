//! Code that the ported notebooks share: Markdown on standard output, tensors in the notebooks' layout, and checks.
//!
//! Each program prints one page. With the same seed the numbers are the same on every CPU up to rounding, so they are
//! printed with four decimals.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use anyhow::{Context, Result, bail, ensure};
use fm_core::farmhash::bucket;
use fm_core::seed::{Stream, seed_torch};
use fm_core::summary::Summary;
use fm_core::{Model, Schema};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// Starts the page of a program with its heading. The operations are small, so libtorch uses one thread.
pub fn begin(program: &str, heading: &str) {
    tch::set_num_threads(1);
    println!("# {heading}\n");
    println!("The output of [{program}.rs](../src/bin/{program}.rs):\n");
    println!("```sh\ncargo run --release -p notebooks-port --bin {program}\n```\n");
}

/// Prints Markdown that is indented in the source: the indentation of the first line is removed from every line.
pub fn markdown(text: &str) {
    let text = text.trim_matches('\n').trim_end();
    let indentation = text.len() - text.trim_start().len();
    for line in text.lines() {
        println!("{}", line.get(indentation..).unwrap_or_default());
    }
    println!();
}

/// Prints tensors in one block, each with its name, kind, shape and elements, in the notebooks' layout of arrays.
pub fn show(tensors: &[(&str, &Tensor)]) {
    println!("```");
    for (place, (name, tensor)) in tensors.iter().enumerate() {
        let kind = if tensor.kind() == Kind::Int64 { "int64" } else { "float32" };
        println!("{}{name}: {kind} {:?}\n{}", if place > 0 { "\n" } else { "" }, tensor.size(), array(tensor, 0));
    }
    println!("```\n");
}

/// A tensor as nested brackets, at the given depth of nesting.
fn array(tensor: &Tensor, depth: usize) -> String {
    let size = tensor.size();
    let Some((&first, rest)) = size.split_first() else { return number(tensor) };
    let elements = (0..first).map(|i| array(&tensor.get(i), depth + 1)).collect::<Vec<_>>();
    let separator = match rest.len() {
        0 => " ".to_owned(),
        lines => format!("{}{}", "\n".repeat(lines), " ".repeat(depth + 1)),
    };
    format!("[{}]", elements.join(&separator))
}

fn number(scalar: &Tensor) -> String {
    if scalar.kind() == Kind::Int64 {
        return format!("{:>2}", scalar.int64_value(&[]));
    }
    let text = format!("{:.4}", scalar.double_value(&[]));
    // The sign of a rounded zero differs between CPUs.
    format!("{:>7}", if text == "-0.0000" { "0.0000" } else { &text })
}

/// Prints a model's summary, and checks that its number of parameters equals that of Keras.
///
/// # Errors
/// If the numbers differ.
pub fn show_summary(name: &str, model: &dyn Model, store: &VarStore, keras: i64) -> Result<()> {
    let summary = Summary::new(name, model, store);
    println!("```\n{summary}```\n");
    ensure!(summary.total() == keras, "{name} has {} parameters, but {keras} in Keras", summary.total());
    Ok(())
}

/// Checks that two tensors have the same shape, and the same elements up to rounding.
///
/// # Errors
/// If the shapes differ, or the elements by more than rounding.
pub fn ensure_equal(what: &str, found: &Tensor, expected: &Tensor) -> Result<()> {
    let (shape, expected_shape) = (found.size(), expected.size());
    ensure!(shape == expected_shape, "{what}: expected the shape {expected_shape:?}, found {shape:?}");
    let difference = (found - expected).abs().max().double_value(&[]);
    let scale = expected.abs().max().double_value(&[]).max(1.0);
    ensure!(difference <= 2e-6 * scale, "{what}: the elements differ by up to {difference:e}");
    Ok(())
}

/// All (i, j) with i < j < `n`, for the double sums of the formulas.
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// ⟨a, b⟩ of each row: `[B, k]` and `[B, k]` → `[B]`
pub fn dot(a: &Tensor, b: &Tensor) -> Tensor {
    (a * b).sum_dim_intlist(-1, false, Kind::Float)
}

/// The parameter with this name, detached.
///
/// # Errors
/// If there is no such parameter.
pub fn parameter(store: &VarStore, name: &str) -> Result<Tensor> {
    let tensor = store.variables().remove(name).with_context(|| format!("there is no parameter `{name}`"))?;
    Ok(tensor.detach())
}

/// Overwrites the parameter with this name.
///
/// # Errors
/// Those of [`parameter`].
pub fn set_parameter(store: &VarStore, name: &str, values: &Tensor) -> Result<()> {
    parameter(store, name)?.copy_(&values.detach());
    Ok(())
}

/// Seeds the random generator for weights.
pub fn seed(seed: u64) {
    seed_torch(seed, Stream::Parameters);
}

/// Draws every trainable parameter from N(0, 0.5²), so that every term of a formula is visible in four decimals.
pub fn draw_weights(store: &VarStore) {
    let init = Init::Randn { mean: 0.0, stdev: 0.5 };
    let mut parameters: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    no_grad(|| {
        for (_, mut parameter) in parameters.into_iter().filter(|(_, parameter)| parameter.requires_grad()) {
            parameter.copy_(&tch::nn::init(init, &parameter.size(), Device::Cpu));
        }
    });
}

/// Vectors `[n, k]` like those of Keras's `embedding_column`: from N(0, 1/k), truncated at two standard deviations.
pub fn embedding_column(n: i64, k: i64) -> Tensor {
    let probability = 0.954_499_736_103_642; // of a value within two standard deviations
    let uniform = Tensor::rand([n, k], (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
    (uniform * probability).erfinv() * (2.0 / k as f64).sqrt()
}

/// The rows of a table for values of a hashed field.
///
/// # Errors
/// If the field is not hashed.
pub fn rows_of(schema: &Schema, field: usize, values: &[&str]) -> Result<Vec<i64>> {
    let Some(buckets) = schema.fields()[field].hash_buckets else {
        bail!("field `{}` is not hashed", schema.fields()[field].name)
    };
    // The first row of a field is for missing values.
    Ok(values.iter().map(|value| schema.ids(field).start + 1 + i64::from(bucket(value, buckets))).collect())
}

/// Overwrites the vectors for values of a hashed field in a [`parameter`] `[n, k]`.
///
/// # Errors
/// Those of [`rows_of`].
pub fn set_vectors<const K: usize>(
    table: &Tensor,
    schema: &Schema,
    field: usize,
    vectors: &[(&str, [f32; K])],
) -> Result<()> {
    let values: Vec<&str> = vectors.iter().map(|(value, _)| *value).collect();
    for (row, (_, vector)) in rows_of(schema, field, &values)?.into_iter().zip(vectors) {
        table.get(row).copy_(&Tensor::from_slice(vector));
    }
    Ok(())
}
