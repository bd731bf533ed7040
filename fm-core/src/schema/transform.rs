//! What becomes of the numbers of a field: a value x, or a bucket.

use serde::{Deserialize, Serialize};

use crate::number::{Curve, Scale};

/// Maximum number of buckets of a field.
pub const MAX_BUCKETS: usize = 1 << 16;

/// How a number becomes a slot, in a field that does not standardise it.
///
/// Statistics and edges are those of the training rows. Bucket `i` has the numbers from edge `i - 1` to edge `i`, which is
/// not part of it: edges are compared with the number itself, so every implementation finds the same bucket.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "transform", rename_all = "kebab-case")]
pub enum Transform {
    /// x = (log(number) - mean) / std for log(number) = sign(number) ln(1 + |number|), clamped to
    /// [`MAX_DEVIATIONS`](crate::number::MAX_DEVIATIONS).
    Log {
        /// The mean of the logarithms, without those of extreme numbers.
        mean: f64,
        /// Their standard deviation; greater than 0.
        std: f64,
    },
    /// x = (number - min) / range, clamped to 0 and 1.
    MinMax {
        /// The smallest number that is not extreme.
        min: f64,
        /// The difference between the greatest one and `min`; 1 if they are equal.
        range: f64,
    },
    /// x = number, clamped to [`MAX_GIVEN`](crate::number::MAX_GIVEN).
    Identity,
    /// x = sin(2π number / period), for numbers that repeat, such as hours.
    Sin {
        /// The difference between two numbers that mean the same.
        period: f64,
    },
    /// x = cos(2π number / period), which tells apart what has the same sine.
    Cos {
        /// The difference between two numbers that mean the same.
        period: f64,
    },
    /// A category for each bucket. Buckets have about as many training rows each.
    Buckets {
        /// The ascending borders between buckets: one fewer than buckets.
        edges: Vec<f64>,
    },
    /// A category for each bucket, whose numbers have the same ⌊ln(number)²⌋ if they are greater than 2, and the same
    /// ⌊number⌋ otherwise. Numbers that training has not seen may widen a bucket.
    CriteoLog {
        /// The ascending borders between buckets: one fewer than buckets.
        edges: Vec<f64>,
    },
}

impl Transform {
    /// The name of its form.
    pub fn name(&self) -> &'static str {
        match self {
            Transform::Log { .. } => "log",
            Transform::MinMax { .. } => "min-max",
            Transform::Identity => "identity",
            Transform::Sin { .. } => "sin",
            Transform::Cos { .. } => "cos",
            Transform::Buckets { .. } => "buckets",
            Transform::CriteoLog { .. } => "criteo-log",
        }
    }

    /// How a number becomes x; `None` if it becomes a category.
    pub fn scale(&self) -> Option<Scale> {
        match self {
            Transform::Log { mean, std } => Some(Scale::log(*mean, *std)),
            Transform::MinMax { min, range } => Some(Scale::min_max(*min, *range)),
            Transform::Identity => Some(Scale::identity()),
            Transform::Sin { period } => Some(Scale::wave(Curve::Sin, *period)),
            Transform::Cos { period } => Some(Scale::wave(Curve::Cos, *period)),
            Transform::Buckets { .. } | Transform::CriteoLog { .. } => None,
        }
    }

    /// The borders between buckets; `None` without buckets.
    pub fn edges(&self) -> Option<&[f64]> {
        match self {
            Transform::Buckets { edges } | Transform::CriteoLog { edges } => Some(edges),
            Transform::Log { .. }
            | Transform::MinMax { .. }
            | Transform::Identity
            | Transform::Sin { .. }
            | Transform::Cos { .. } => None,
        }
    }

    /// What contradicts itself, if anything does.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Transform::Log { mean, std } => moments_problem(*mean, *std),
            Transform::MinMax { min, range } => {
                let is_valid = min.is_finite() && range.is_finite() && *range > 0.0;
                (!is_valid).then(|| format!("has the minimum {min} and the range {range}"))
            }
            Transform::Identity => None,
            Transform::Sin { period } | Transform::Cos { period } => {
                (!is_period(*period)).then(|| format!("has the period {period}"))
            }
            Transform::Buckets { edges } | Transform::CriteoLog { edges } => {
                let is_valid = edges.iter().all(|edge| edge.is_finite()) && edges.is_sorted_by(|a, b| a < b);
                if !is_valid {
                    return Some("has edges of buckets that do not ascend".into());
                }
                let buckets = edges.len() + 1;
                (buckets > MAX_BUCKETS).then(|| format!("has {buckets} buckets: at most {MAX_BUCKETS} are possible"))
            }
        }
    }
}

/// Whether numbers can repeat after this difference.
pub fn is_period(period: f64) -> bool {
    period.is_normal() && period > 0.0
}

/// What is wrong with a mean and a standard deviation, if anything is.
pub(super) fn moments_problem(mean: f64, std: f64) -> Option<String> {
    let is_valid = mean.is_finite() && std.is_finite() && std > 0.0;
    (!is_valid).then(|| format!("has mean {mean} and standard deviation {std}"))
}

/// A numeric field in `schema.json`. One without a `transform` is standardised.
#[derive(Deserialize)]
pub(super) struct NumericFile {
    #[serde(default)]
    transform: TransformName,
    mean: Option<f64>,
    std: Option<f64>,
    min: Option<f64>,
    range: Option<f64>,
    edges: Option<Vec<f64>>,
    period: Option<f64>,
}

/// The name of what becomes of the numbers of a field, in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransformName {
    /// (number - mean) / std; not a [`Transform`].
    #[default]
    Standardize,
    /// [`Transform::Log`]
    Log,
    /// [`Transform::MinMax`]
    MinMax,
    /// [`Transform::Identity`]
    Identity,
    /// [`Transform::Sin`]
    Sin,
    /// [`Transform::Cos`]
    Cos,
    /// [`Transform::Buckets`]
    Buckets,
    /// [`Transform::CriteoLog`]
    CriteoLog,
}

/// What becomes of the numbers of a numeric field.
pub(super) enum Numeric {
    Standardized { mean: f64, std: f64 },
    Transformed(Transform),
}

impl NumericFile {
    pub(super) fn read(self) -> Result<Numeric, String> {
        let NumericFile { transform, mean, std, min, range, edges, period } = self;
        let given = |name: &str, number: Option<f64>| number.ok_or_else(|| format!("missing field `{name}`"));
        let (mean, std, min, range) =
            (|| given("mean", mean), || given("std", std), || given("min", min), || given("range", range));
        let period = || given("period", period);
        let edges = || edges.ok_or_else(|| "missing field `edges`".to_owned());
        Ok(Numeric::Transformed(match transform {
            TransformName::Standardize => return Ok(Numeric::Standardized { mean: mean()?, std: std()? }),
            TransformName::Log => Transform::Log { mean: mean()?, std: std()? },
            TransformName::MinMax => Transform::MinMax { min: min()?, range: range()? },
            TransformName::Identity => Transform::Identity,
            TransformName::Sin => Transform::Sin { period: period()? },
            TransformName::Cos => Transform::Cos { period: period()? },
            TransformName::Buckets => Transform::Buckets { edges: edges()? },
            TransformName::CriteoLog => Transform::CriteoLog { edges: edges()? },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, FieldKind, Label, Schema, Side, Task};

    fn schema(kind: FieldKind) -> crate::Result<Schema> {
        let field = Field::new("price", kind, Side::Item, vec![]);
        Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), vec![field])
    }

    fn transformed(transform: Transform) -> crate::Result<Schema> {
        schema(FieldKind::Transformed(transform))
    }

    #[test]
    fn a_transformed_field_is_written_and_read_as_a_numeric_one_with_a_transform() {
        // An edge that needs all digits.
        let edges = vec![-0.1, 2.0f64.next_up(), 1e300];
        for (transform, json, ids) in [
            (Transform::Log { mean: 1.5, std: 0.25 }, r#""transform":"log","mean":1.5,"std":0.25"#, 2),
            (Transform::MinMax { min: -1.0, range: 3.0 }, r#""transform":"min-max","min":-1.0,"range":3.0"#, 2),
            (Transform::Identity, r#""transform":"identity""#, 2),
            (Transform::Sin { period: 24.0 }, r#""transform":"sin","period":24.0"#, 2),
            (Transform::Cos { period: 0.5 }, r#""transform":"cos","period":0.5"#, 2),
            (
                Transform::Buckets { edges: edges.clone() },
                r#""transform":"buckets","edges":[-0.1,2.0000000000000004,1e+300]"#,
                5,
            ),
            (Transform::CriteoLog { edges }, r#""transform":"criteo-log","edges":[-0.1,2.0000000000000004,1e+300]"#, 5),
        ] {
            let schema = transformed(transform).unwrap();
            let text = schema.to_json();
            assert!(text.contains(&format!(r#""name":"price","kind":"numeric",{json},"side""#)), "{text}");
            let format = if json.contains("period") { 4 } else { 3 };
            assert!(text.starts_with(&format!(r#"{{"format":{format},"#)), "{text}");
            assert_eq!(Schema::from_json(&text).unwrap(), schema);
            assert_eq!(schema.num_ids(), ids);
        }
    }

    #[test]
    fn a_field_without_a_transform_is_standardised_and_its_format_is_an_earlier_one() {
        let standardised = schema(FieldKind::Numeric { mean: 1.0, std: 2.0 }).unwrap();
        let text = standardised.to_json();
        assert!(text.starts_with(r#"{"format":2,"#) && !text.contains("transform"), "{text}");
        assert_eq!(Schema::from_json(&text).unwrap(), standardised);
        let named = text.replace(r#""kind":"numeric""#, r#""kind":"numeric","transform":"standardize""#);
        assert_eq!(Schema::from_json(&named).unwrap(), standardised);
    }

    #[test]
    fn statistics_that_are_missing_or_contradict_themselves_are_errors() {
        let json = schema(FieldKind::Numeric { mean: 1.0, std: 2.0 }).unwrap().to_json();
        for (transform, missing) in [
            ("buckets", "edges"),
            ("criteo-log", "edges"),
            ("min-max", "min"),
            ("sin", "period"),
            ("square", "unknown variant `square`"),
        ] {
            let named = json.replace(r#""kind":"numeric""#, &format!(r#""kind":"numeric","transform":"{transform}""#));
            let error = Schema::from_json(&named).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
        let refused = |transform| transformed(transform).unwrap_err().to_string();
        let end = "field `price` has edges of buckets that do not ascend";
        for edges in [vec![1.0, 1.0], vec![2.0, 1.0], vec![f64::NAN], vec![f64::INFINITY]] {
            assert!(refused(Transform::Buckets { edges: edges.clone() }).ends_with(end));
            assert!(refused(Transform::CriteoLog { edges }).ends_with(end));
        }
        let many = (0..MAX_BUCKETS).map(|edge| edge as f64).collect();
        assert!(refused(Transform::Buckets { edges: many }).contains("has 65537 buckets: at most 65536"));
        assert!(refused(Transform::MinMax { min: 0.0, range: 0.0 }).contains("the minimum 0 and the range 0"));
        assert!(refused(Transform::Sin { period: -1.0 }).contains("the period -1"));
        assert!(refused(Transform::Log { mean: 0.0, std: f64::NAN }).contains("standard deviation NaN"));
        assert_eq!(transformed(Transform::Buckets { edges: vec![] }).unwrap().num_ids(), 2);
    }
}
