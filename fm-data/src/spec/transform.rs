//! What becomes of the numbers of a field, before fitting.

use fm_core::schema::{MAX_BUCKETS, Transform, TransformName, is_period};
use serde::Serialize;

/// The number of buckets of a field that declares none.
pub const BUCKETS: u32 = 32;

/// What becomes of a number in a field that does not standardise it; see [`Transform`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "transform", rename_all = "kebab-case")]
pub enum TransformSpec {
    /// Its logarithm, standardised.
    Log,
    /// A value from 0 to 1.
    MinMax,
    /// The number as it is.
    Identity,
    /// The sine of a number that repeats.
    Sin {
        /// The difference between two numbers that mean the same.
        period: f64,
    },
    /// The cosine of a number that repeats.
    Cos {
        /// The difference between two numbers that mean the same.
        period: f64,
    },
    /// A category for each of the intervals in which about as many training rows lie.
    Buckets {
        /// Their number. Fewer distinct numbers have fewer buckets.
        buckets: u32,
    },
    /// A category for each rounded square of a logarithm.
    CriteoLog,
}

impl TransformSpec {
    /// The declaration from which a field was fitted.
    pub(crate) fn of(transform: &Transform) -> TransformSpec {
        match transform {
            Transform::Log { .. } => TransformSpec::Log,
            Transform::MinMax { .. } => TransformSpec::MinMax,
            Transform::Identity => TransformSpec::Identity,
            Transform::Sin { period } => TransformSpec::Sin { period: *period },
            Transform::Cos { period } => TransformSpec::Cos { period: *period },
            // As many as there are.
            Transform::Buckets { edges } => TransformSpec::Buckets { buckets: edges.len() as u32 + 1 },
            Transform::CriteoLog { .. } => TransformSpec::CriteoLog,
        }
    }

    /// What is wrong with it, if anything is.
    pub(super) fn problem(self) -> Option<String> {
        match self {
            TransformSpec::Buckets { buckets } if buckets == 0 || buckets as usize > MAX_BUCKETS => {
                Some(format!("has {buckets} buckets: declare 1 to {MAX_BUCKETS}"))
            }
            TransformSpec::Sin { period } | TransformSpec::Cos { period } if !is_period(period) => {
                Some(format!("has the period {period}: declare a number greater than 0"))
            }
            _ => None,
        }
    }
}

/// The transform of a numeric `[[field]]`, `None` if it is standardised; or what its keys contradict.
pub(super) fn transform(
    name: Option<TransformName>,
    buckets: Option<u32>,
    period: Option<f64>,
) -> Result<Option<TransformSpec>, &'static str> {
    let name = name.unwrap_or_default();
    if buckets.is_some() && name != TransformName::Buckets {
        return Err("has buckets, which only transform = \"buckets\" uses");
    }
    let is_wave = matches!(name, TransformName::Sin | TransformName::Cos);
    if period.is_some() && !is_wave {
        return Err("has a period, which only transform = \"sin\" and \"cos\" use");
    }
    let period = period.ok_or("needs the period of its numbers, such as period = 24 for hours");
    Ok(Some(match name {
        TransformName::Standardize => return Ok(None),
        TransformName::Log => TransformSpec::Log,
        TransformName::MinMax => TransformSpec::MinMax,
        TransformName::Identity => TransformSpec::Identity,
        TransformName::Sin => TransformSpec::Sin { period: period? },
        TransformName::Cos => TransformSpec::Cos { period: period? },
        TransformName::Buckets => TransformSpec::Buckets { buckets: buckets.unwrap_or(BUCKETS) },
        TransformName::CriteoLog => TransformSpec::CriteoLog,
    }))
}
