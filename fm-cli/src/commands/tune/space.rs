//! The search space: a settings file in which some values are ranges or choices.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::settings::Draft;

/// The values of one setting to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
pub enum Range {
    /// One of these values.
    Choices {
        /// Numbers, text or lists.
        choices: Vec<Value>,
    },
    /// A number between two bounds, inclusive.
    Between {
        min: Value,
        max: Value,
        #[serde(default)]
        scale: Scale,
    },
}

/// The scale on which numbers are uniformly distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    #[default]
    Linear,
    Log,
}

/// A setting to search: its dotted key and its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    pub key: String,
    pub range: Range,
}

/// The fixed settings, and the ranges of the others in the order of their keys.
pub struct Space {
    pub fixed: Draft,
    pub dimensions: Vec<Dimension>,
}

impl Space {
    /// Reads a file and separates the ranges from the fixed settings.
    pub fn open(path: &Path) -> Result<Space> {
        let mut dimensions = Vec::new();
        let name = path.to_string_lossy();
        let fixed = Draft::open_after(&name, |table| take_ranges(table, "", &mut dimensions))?;
        if dimensions.is_empty() {
            bail!(
                "{name} has no range to search: write, for example, lr = {{ min = 0.001, max = 0.1, scale = \"log\" }} \
                 in [train], or embedding_dim = {{ choices = [8, 16] }} in [model.options]"
            );
        }
        for dimension in &dimensions {
            dimension.check().map_err(|error| anyhow!("{name}: `{}`: {error}", dimension.key))?;
        }
        Ok(Space { fixed, dimensions })
    }
}

/// Moves the ranges out of a table.
fn take_ranges(table: &mut Table, path: &str, dimensions: &mut Vec<Dimension>) -> Result<()> {
    for (name, value) in std::mem::take(table) {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Table(range) if ["min", "max", "choices", "scale"].iter().any(|part| range.contains_key(*part)) => {
                let form = "{ min, max }, optionally with scale = \"log\", or { choices }";
                let range = range.try_into().map_err(|_| anyhow!("`{key}` must be {form}"))?;
                dimensions.push(Dimension { key, range });
            }
            Value::Table(mut below) => {
                take_ranges(&mut below, &key, dimensions)?;
                table.insert(name, Value::Table(below));
            }
            value => drop(table.insert(name, value)),
        }
    }
    Ok(())
}

impl Dimension {
    fn check(&self) -> Result<()> {
        match &self.range {
            Range::Choices { choices } if choices.is_empty() => bail!("`choices` is empty"),
            Range::Choices { .. } => Ok(()),
            Range::Between { min, max, scale } => match (number(min), number(max)) {
                (Some(min), Some(max)) if !(min.is_finite() && max.is_finite() && min < max) => {
                    bail!("min must be less than max")
                }
                (Some(min), Some(_)) if *scale == Scale::Log && min <= 0.0 => {
                    bail!("min must be greater than 0 with scale = \"log\"")
                }
                (Some(_), Some(_)) => Ok(()),
                _ => bail!("min and max must be numbers"),
            },
        }
    }

    /// The interval of positions: logarithms on a log scale; for choices, from 0 to their number.
    pub fn interval(&self) -> (f64, f64) {
        match &self.range {
            Range::Choices { choices } => (0.0, choices.len() as f64),
            Range::Between { min, max, scale } => {
                let (min, max) = (number(min).unwrap_or(0.0), number(max).unwrap_or(1.0));
                // The first and the last whole number are as likely as the others.
                let (min, max) = if self.is_whole() { (min - 0.5, max + 0.5) } else { (min, max) };
                match scale {
                    Scale::Linear => (min, max),
                    Scale::Log => (min.max(f64::MIN_POSITIVE).ln(), max.ln()),
                }
            }
        }
    }

    /// Whether the values have no order.
    pub fn is_choice(&self) -> bool {
        matches!(self.range, Range::Choices { .. })
    }

    fn is_whole(&self) -> bool {
        matches!(&self.range, Range::Between { min: Value::Integer(_), max: Value::Integer(_), .. })
    }

    /// A position drawn uniformly.
    pub fn draw(&self, random: &mut impl Rng) -> f64 {
        let (low, high) = self.interval();
        random.random_range(low..high)
    }

    /// The value of the setting at a position.
    pub fn value(&self, position: f64) -> Value {
        match &self.range {
            Range::Choices { choices } => choices[(position.max(0.0) as usize).min(choices.len() - 1)].clone(),
            Range::Between { min, max, scale } => {
                let x = if *scale == Scale::Log { position.exp() } else { position };
                match (min, max) {
                    (&Value::Integer(min), &Value::Integer(max)) => Value::Integer((x.round() as i64).clamp(min, max)),
                    _ => Value::Float(x.clamp(number(min).unwrap_or(x), number(max).unwrap_or(x))),
                }
            }
        }
    }

    /// Representative values of the range. If one of them is invalid, the range is.
    pub fn samples(&self) -> Vec<Value> {
        match &self.range {
            Range::Choices { choices } => choices.clone(),
            Range::Between { min, max, .. } => vec![min.clone(), max.clone()],
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}
