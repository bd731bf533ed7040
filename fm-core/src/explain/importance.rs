//! How much each field moves the scores of many rows.

use serde::Serialize;
use tch::{Device, Tensor};

use super::shapley::{rows_to_score, shapley};
use crate::error::Result;
use crate::features::Features;
use crate::rows::Rows;
use crate::schema::Schema;

/// The mean magnitude of each field's [Shapley values](super::Shapley).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeanShapley {
    /// `[F]`: mean |φ| of each field, in the unit of the logit.
    pub values: Vec<f64>,
    /// `[F]`: the standard error of each mean, from the rows' differences.
    pub standard_errors: Vec<f64>,
    /// The number of explained rows.
    pub rows: usize,
}

/// The least number of rows to explain, and the most.
const LEAST: usize = 10;
const MOST: usize = 500;

/// The mean magnitude of the [Shapley values](shapley) of some rows, evenly spaced among all: as many as are explained by
/// scoring about `max_scored` rows, and at least ten.
///
/// # Errors
/// Those of `rows` and `logits`.
pub fn mean_shapley(
    schema: &Schema,
    rows: &dyn Rows,
    device: Device,
    max_scored: usize,
    logits: impl Fn(&Features) -> Result<Tensor>,
) -> Result<MeanShapley> {
    let count = (max_scored / rows_to_score(schema.num_fields())).clamp(LEAST, MOST).min(rows.len());
    let (mut sums, mut squares) = (vec![0.0; schema.num_fields()], vec![0.0; schema.num_fields()]);
    for number in 0..count {
        let row = rows.batch(&[number * rows.len() / count], device)?.features;
        let found = shapley(schema, &row, &logits)?;
        for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(found.values) {
            *sum += value.abs();
            *square += value * value;
        }
    }
    let n = count.max(1) as f64;
    let error = |(sum, square): (&f64, &f64)| {
        // Rounding may make it negative. NaN stays NaN.
        let variance = square / n - (sum / n).powi(2);
        (if variance < 0.0 { 0.0 } else { variance } / n).sqrt()
    };
    let standard_errors = sums.iter().zip(&squares).map(error).collect();
    Ok(MeanShapley { values: sums.iter().map(|sum| sum / n).collect(), standard_errors, rows: count })
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::Records;
    use crate::schema::{Field, Label, Side, Task};

    #[test]
    fn a_linear_score_has_the_mean_magnitudes_of_its_terms() {
        let field = |name: &str| Field::categorical(name, Side::Context, 4);
        let label = Label::fit("y", Task::Regression, [0.0, 1.0]);
        let schema = Schema::new(label, vec![field("strong"), field("useless"), field("weak")]).unwrap();
        let rows: Vec<[usize; 3]> = (0..48).map(|row| [row % 4, row % 3, row / 4 % 4]).collect();
        let rows = Records::from_indices(&schema, &rows, &[0.0; 48]).unwrap();
        // A value's term is its number from 0: 3 times in the first field, and never in the second.
        let logits = |features: &Features| {
            let first = Tensor::from_slice(&[1i64, 6, 11]);
            let numbers = (features.padded()?.ids - first).clamp_min(0);
            Ok((numbers * Tensor::from_slice(&[3i64, 0, 1])).sum_dim_intlist(1, false, Kind::Double))
        };
        let found = mean_shapley(&schema, &rows, Device::Cpu, 1_000_000, logits).unwrap();
        let close = |found: &[f64], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close(&found.values, [4.5, 0.0, 1.5]) && found.rows == 48, "{found:?}");
        let error = (1.25f64 / 48.0).sqrt();
        assert!(close(&found.standard_errors, [3.0 * error, 0.0, error]), "{found:?}");
        let few = mean_shapley(&schema, &rows, Device::Cpu, 8 * 12, logits).unwrap();
        assert_eq!(few.rows, 12);
    }
}
