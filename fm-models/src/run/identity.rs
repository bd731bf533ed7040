//! What a run is recognised by: digests of all that was there before training.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use fm_core::atomic_file::write_atomically;
use fm_core::{Error, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::ModelSettings;

/// `rows.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// The time of creation in UTC, as in RFC 3339. Equal runs differ in it, so it does not count.
    pub created: String,
    /// Digests of the text of the settings, of the model in them, and of the text of the schema.
    files: Digests,
    /// A digest of the rows of each part.
    pub rows: BTreeMap<String, String>,
    /// A digest of the text of `values.json`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<String>,
    /// A digest of the text of the results, once there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    settings: String,
    model: String,
    schema: String,
}

impl Identity {
    pub fn new(rows: &BTreeMap<String, String>, schema: &str, settings: &str, model: &ModelSettings) -> Identity {
        let files = Digests { settings: hash(settings), model: hash_of(model), schema: hash(schema) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Identity { created: date(now), files, rows: rows.clone(), values: None, summary: None }
    }

    pub fn load(path: &Path) -> Result<Identity> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        serde_json::from_str(&text).map_err(|error| Error::format("list of digests", path, error.to_string()))
    }

    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| Ok(serde_json::to_writer_pretty(file, self)?))
    }

    /// The same with the digest of `values.json`.
    pub fn with_values(self, text: Option<&str>) -> Identity {
        Identity { values: text.map(hash), ..self }
    }

    pub fn has_values(&self, text: &str) -> bool {
        self.values == Some(hash(text))
    }

    /// The same with the digest of results.
    pub fn with_summary(self, text: &str) -> Identity {
        Identity { summary: Some(hash(text)), ..self }
    }

    pub fn has_summary(&self, text: &str) -> bool {
        self.summary == Some(hash(text))
    }

    /// The digest that checkpoints carry: of the model, the schema and the rows. It is equal for equal runs, wherever their data
    /// is, so it leaves out the other settings.
    pub fn digest(&self) -> String {
        hash_of(&(&self.files.model, &self.files.schema, &self.rows))
    }

    /// The digest of the schema.
    pub fn schema(&self) -> &str {
        &self.files.schema
    }

    pub fn has_schema(&self, text: &str) -> bool {
        self.files.schema == hash(text)
    }

    pub fn has_settings(&self, text: &str) -> bool {
        self.files.settings == hash(text)
    }

    pub fn has_model(&self, model: &ModelSettings) -> bool {
        self.files.model == hash_of(model)
    }
}

/// The XXH3 of a text, as 16 hexadecimal digits.
fn hash(text: &str) -> String {
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

fn hash_of(value: &impl Serialize) -> String {
    hash(&serde_json::to_string(value).expect("settings and digests hold only what JSON can hold"))
}

/// Seconds since 1970 as a date in UTC, as in RFC 3339.
fn date(seconds: u64) -> String {
    let date = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    format!("{:?}", date.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
