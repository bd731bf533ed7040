//! Number types of exported tables.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The number type of the tables of an exported file, which are the parameters that `aten::embedding` looks up. Rows
/// are converted to float32 after the lookup, so all arithmetic is in float32.
///
/// With k numbers per row, and x stored as x̂:
///
/// | | bytes per row | maximum of \|x̂ - x\| | range |
/// |---|---|---|---|
/// | `f32` | 4k | 0 | float32's |
/// | `f16` | 2k | 2⁻¹¹ \|x\| (0.05 %), or 2⁻²⁵ if \|x\| < 2⁻¹⁴ | ±65504 |
/// | `bf16` | 2k | 2⁻⁸ \|x\| (0.4 %) | float32's |
/// | `int8` | k + 4 | the row's largest \|x\| / 254 | float32's |
///
/// Below 2⁻¹²⁶, the smallest normal float32, `bf16` and `int8` have fewer digits. Zeros remain zeros, so that unused
/// rows still contribute nothing. A number out of range, infinite or NaN is an error.
///
/// These remain float32:
///
/// - all other parameters
/// - a table that the model also uses without a lookup, or looks up through a view
/// - with `int8`, a table with k = 1, such as the weights of the first order: with its scale, a row would take five bytes
///   instead of four
///
/// Fine-tuning in PyTorch:
///
/// - `f16` and `bf16` tables are parameters with their names and have gradients. Updates smaller than the rounding are
///   lost, and Adam's ε of 1e-8 is zero in float16. Call `module.float()` first to convert them to float32, which the same
///   graph accepts.
/// - `int8` tables are buffers, `<name>` with the scales `<name>_scale` `[n, 1]`. They are fixed; all other parameters
///   are trainable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Precision {
    /// As trained.
    #[default]
    F32,
    /// IEEE 754 binary16, with more digits than `bf16`.
    F16,
    /// The upper half of a float32, with a wider range than `f16`.
    Bf16,
    /// Integers from -127 to 127, times a float32 scale per row.
    Int8,
}

/// All precisions, by name.
const NAMES: [(Precision, &str); 4] =
    [(Precision::F32, "f32"), (Precision::F16, "f16"), (Precision::Bf16, "bf16"), (Precision::Int8, "int8")];

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(precision, _)| precision == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl From<Precision> for String {
    fn from(precision: Precision) -> String {
        precision.to_string()
    }
}

impl TryFrom<String> for Precision {
    type Error = Error;

    fn try_from(text: String) -> Result<Precision> {
        text.parse()
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Precision> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(precision, _)| *precision);
        found.ok_or_else(|| Error::unknown("precision", text, NAMES.map(|(_, name)| name)))
    }
}

#[cfg(test)]
mod tests;
