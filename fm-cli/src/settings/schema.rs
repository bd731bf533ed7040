//! The JSON schema of the settings, derived from their types. It checks files, and documents settings for
//! `--print-config` and the command line.

use fm_core::ModelEntry;
use fm_core::model::describe;
use fm_data::TaskName;
#[cfg(test)]
use fm_data::movielens::Release;
use serde_json::Value as Json;
#[cfg(test)]
use serde_json::{Map, json};

use super::{Settings, default_l2};

/// The path of the model's options.
const OPTIONS: &str = "/properties/model/properties/options";

/// Ways to split, for completion.
#[cfg(test)]
const SPLITS: [&str; 6] = ["random", "random:0.1:0.1", "leave-last-out", "time", "fold:u1", "kfold:5:0"];

/// The schema of settings with this model; an unknown model allows any options.
pub fn with_model(entry: Option<&ModelEntry>) -> Json {
    let mut schema = describe::<Settings>().to_value();
    if let (Some(entry), Some(options)) = (entry, schema.pointer_mut(OPTIONS)) {
        *options = entry.describe().to_value();
    }
    if let Some(l2) = schema.pointer_mut("/properties/train/properties/l2").and_then(Json::as_object_mut) {
        let [regression, binary, ranking] = [TaskName::Regression, TaskName::Binary, TaskName::Ranking].map(default_l2);
        let text = l2.get("description").and_then(Json::as_str).unwrap_or_default();
        let text = format!(
            "{text} By default {regression} for a regression, {binary} for a binary task and {ranking} for a ranking; 0 for a model \
             with a penalty of its own."
        );
        l2.insert("description".into(), text.into());
        l2.remove("default");
    }
    schema
}

/// The schema for all models: the options of each, the models' names, and examples of values. A test writes it to
/// `fm-cli/args/settings.schema.json`, from which the command line takes it.
#[cfg(test)]
fn of_all_models() -> Json {
    let mut schema = with_model(None);
    let mut options = Map::new();
    for entry in fm_models::MODELS {
        let described = entry.describe().to_value();
        for (name, option) in described["properties"].as_object().into_iter().flatten() {
            match options.get_mut(name) {
                None => drop(options.insert(name.clone(), option.clone())),
                // An option has no default if models differ in it.
                Some(Json::Object(known)) if known.get("default") != option.get("default") => {
                    drop(known.remove("default"));
                }
                Some(_) => {}
            }
        }
    }
    if let Some(all) = schema.pointer_mut(OPTIONS).and_then(Json::as_object_mut) {
        all.insert("properties".into(), Json::Object(options));
    }
    let mut add = |path: &str, key: &str, value: Json| {
        if let Some(setting) = schema.pointer_mut(path).and_then(Json::as_object_mut) {
            setting.insert(key.into(), value);
        }
    };
    let model = |entry: &ModelEntry| json!({ "const": entry.name, "description": entry.title });
    add("/properties/model/properties/name", "anyOf", fm_models::MODELS.iter().map(model).collect());
    add("/properties/data/properties/data", "examples", Release::ALL.iter().map(|release| release.name()).collect());
    add("/properties/data/properties/split", "examples", SPLITS.iter().copied().collect());
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fm_data::Split;

    use super::*;

    #[test]
    fn the_command_line_documents_the_settings_as_they_are() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("args/settings.schema.json");
        let schema = of_all_models();
        if std::env::var_os("FM_UPDATE_SCHEMA").is_some() {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            std::fs::write(&file, text).unwrap();
        }
        let found: Json = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert!(found == schema, "fm-cli/args/settings.schema.json is out of date: `make schema` regenerates it");
    }

    #[test]
    fn every_suggested_split_is_valid() {
        for split in SPLITS {
            split.parse::<Split>().unwrap();
        }
    }
}
