//! Reading metrics from JSON, which writes a number that is not finite as `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Metrics;

/// Reads metrics, of which `null` is NaN: for `#[serde(deserialize_with)]`.
///
/// # Errors
/// Those of the deserializer.
///
/// ```
/// use fm_core::metric::metrics_from_json;
///
/// let metrics = metrics_from_json(&mut serde_json::Deserializer::from_str(r#"{ "auc": null, "logloss": 0.5 }"#))?;
/// assert!(metrics["auc"].is_nan() && metrics["logloss"] == 0.5);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn metrics_from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
    let metrics = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(metrics.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// Reads a number, of which `null` is NaN: for `#[serde(deserialize_with)]`.
///
/// # Errors
/// Those of the deserializer.
pub fn number_from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
