//! Baselines that any model must beat.

use std::collections::BTreeMap;

use fm_core::baseline::UserItemBias;
use fm_core::metric::{Metrics, metrics_from_json, metrics_of_rows};
use fm_core::{Records, Rows};
use fm_data::Prepared;
use serde::{Deserialize, Deserializer};

/// Metrics of the baselines by name.
pub type Baselines = BTreeMap<String, Metrics>;

/// Reads the metrics of baselines, where `null` is NaN.
pub fn baselines_from_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Baselines, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Measured(#[serde(deserialize_with = "metrics_from_json")] Metrics);
    let baselines = BTreeMap::<String, Measured>::deserialize(deserializer)?;
    Ok(baselines.into_iter().map(|(name, Measured(metrics))| (name, metrics)).collect())
}

/// Test metrics of the mean label and, if user and item are declared, of their biases.
pub fn label_baselines(data: &Prepared) -> Baselines {
    let label = data.schema.label();
    let mut baselines = Baselines::new();
    if data.test.is_empty() {
        return baselines;
    }
    let mut measure = |name: &str, logits: &[f32]| {
        baselines.insert(name.to_owned(), metrics_of_rows(label, logits, &data.test));
    };
    measure("mean", &vec![label.prior_logit(); data.test.len()]);
    let is_one_value = |&field: &usize| data.schema.fields()[field].kind.list().is_none();
    let field = |role: Option<&str>| data.schema.field_index(role?).filter(is_one_value);
    if let (Some(user), Some(item)) = (field(data.schema.user()), field(data.schema.item())) {
        let unknown = data.schema.unknown_ids();
        // Values outside the vocabulary share an id, but not a bias.
        let known = |id: i32| if unknown.contains(&i64::from(id)) { -1 } else { id };
        let ids = |rows: &Records, field| rows.ids_of(field).map(known).collect::<Vec<i32>>();
        let (users, items) = (ids(&data.train, user), ids(&data.train, item));
        let weights = data.train.weights();
        let fitted = UserItemBias::fit(&users, &items, &data.train.labels(), weights.as_deref());
        let (users, items) = (ids(&data.test, user), ids(&data.test, item));
        let logits: Vec<f32> = users.iter().zip(&items).map(|(&u, &i)| fitted.logit(label, u, i)).collect();
        measure("user and item bias", &logits);
    }
    baselines
}
