//! The parameter counts that Keras's summaries print for the third notebook's `test_model()` of each model.

use fm_core::Schema;
use fm_core::model::Options;
use fm_core::summary::Summary;
use serde_json::{Value, json};
use tch::nn::VarStore;

use super::case::{Case, Result};
use super::check::Report;
use super::ports;

/// The value after `name` in Python code: a number, a string or a list of numbers.
fn argument(code: &str, name: &str) -> Result<Value> {
    let missing = || format!("`{name}` is missing or unreadable in {code:?}");
    let rest = code.split_once(name).ok_or_else(missing)?.1.trim_start_matches(['=', ':', '\'', ' ']);
    let end = match rest.chars().next() {
        Some('[') => rest.find(']').ok_or_else(missing)? + 1,
        _ => rest.find([',', ')', '}']).ok_or_else(missing)?,
    };
    serde_json::from_str(&rest[..end].replace('\'', "\"")).map_err(|_| missing())
}

/// Compares the counts of each model, built with the arguments in its Python code.
pub fn check(case: Case, report: &mut Report) -> Result<()> {
    for (model, counts) in case.part("models")?.parts() {
        let code = counts.text("code")?;
        let (name, options) = options(model, code)?;
        let schema = schema(code)?;
        let store = VarStore::new(case.device);
        let entry = fm_models::find(name).map_err(|error| error.to_string())?;
        let built = entry.build(&options, &store.root(), &schema).map_err(|error| error.to_string())?;
        let summary = Summary::new(name, built.as_ref(), &store);
        report.count(model, summary.total(), counts.integer("all_weights_of_the_model")?);
        report.count(&format!("{model}, not trainable"), summary.fixed, counts.integer("summary_non_trainable")?);
    }
    Ok(())
}

/// The registered model and the options that give it the notebook's form.
fn options(model: &str, code: &str) -> Result<(&'static str, Options)> {
    let dim = argument(code, "'embed_dim'")?;
    let hidden_units = || argument(code, "hidden_units");
    let (name, options) = match model {
        "FM" => ("fm", json!({ "embedding_dim": argument(code, "k=")? })),
        "FFM" => ("ffm", json!({ "embedding_dim": argument(code, "k=")?, "form": "summed" })),
        "NFM" => {
            let mode = "always-batch";
            let hidden_units = hidden_units()?;
            ("nfm", json!({ "embedding_dim": dim, "hidden_units": hidden_units, "linear": false, "batch_norm": mode }))
        }
        "AFM" => {
            let width = argument(code, "att_vector")?;
            ("afm", json!({ "embedding_dim": dim, "attention_dim": width, "attention_bias": true, "linear": false }))
        }
        "DeepFM" => ("deepfm", json!({ "embedding_dim": dim, "hidden_units": hidden_units()? })),
        "xDeepFM" => {
            let (hidden_units, cin_size) = (hidden_units()?, argument(code, "cin_size")?);
            let options = json!({ "embedding_dim": dim, "part_biases": true, "hidden_units": hidden_units, "cin_size": cin_size });
            ("xdeepfm", options)
        }
        _ => return Err(format!("unknown model `{model}`")),
    };
    options.as_object().cloned().map(|options| (name, options)).ok_or_else(|| "the options are not a table".into())
}

/// The features that the code lists: `{'feat': 'user_id', 'feat_num': 100, 'embed_dim': 8}`.
fn schema(code: &str) -> Result<Schema> {
    let mut fields = Vec::new();
    for feature in code.split("{'feat'").skip(1) {
        let size = argument(feature, "'feat_num'")?.as_i64().unwrap_or_default();
        fields.push((fields.len().to_string(), size, 1));
    }
    ports::schema(&fields, &[])
}
