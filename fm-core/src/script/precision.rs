//! The types that exported tables are stored in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What an exported file stores its tables in: the parameters that `aten::embedding` looks rows up in. Rows are
/// converted to float32 after the lookup, and so all arithmetic is float32's.
///
/// With k numbers a row, x̂ for what x comes back as:
///
/// | | bytes a row | \|x̂ - x\| is at most | range |
/// |---|---|---|---|
/// | `f32` | 4k | 0 | float32's |
/// | `f16` | 2k | 2⁻¹¹ \|x\| (0.05 %), or 2⁻²⁵ where \|x\| < 2⁻¹⁴ | ±65504 |
/// | `bf16` | 2k | 2⁻⁸ \|x\| (0.4 %) | float32's |
/// | `int8` | k + 4 | the row's largest \|x\| / 254 | float32's |
///
/// Below 2⁻¹²⁶, the smallest normal float32, `bf16` and `int8` keep fewer digits. Zeros stay zeros: a value which added
/// nothing still adds nothing. A number out of the range, an infinity or a NaN is an error.
///
/// What stays float32:
///
/// - all other parameters
/// - a table that the model uses otherwise, too, or looks rows up in a view of
/// - for `int8`, a table with k = 1, such as the weights of the first order: with the scale, a row would take five
///   bytes for four
///
/// Fine-tuning in PyTorch:
///
/// - `f16` and `bf16` tables are parameters under their names, and gradients reach them; yet an update smaller than the
///   rounding is lost, and Adam's ε of 1e-8 is zero in float16. `module.float()` before makes float32 tables of them,
///   which the same graph takes.
/// - `int8` tables are buffers, `<name>` and its scales `<name>_scale` `[n, 1]`: they stay as they are; all else learns
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As trained.
    #[default]
    F32,
    /// IEEE 754's binary16: the more digits.
    F16,
    /// The upper half of a float32: the wider range.
    Bf16,
    /// Whole numbers from -127 to 127, times a float32 scale for each row.
    Int8,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Precision> {
        [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8]
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| Error::unknown("precision", text, ["f32", "f16", "bf16", "int8"]))
    }
}

#[cfg(test)]
mod tests;
