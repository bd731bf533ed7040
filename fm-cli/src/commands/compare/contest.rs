//! The contestants of a comparison, and their seeds or folds.

use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Compare;
use fm_data::Split;
use toml::Value;

use crate::settings::{Draft, Settings};

/// Named settings, before a seed or a fold is set.
pub struct Contestant {
    pub name: String,
    draft: Draft,
}

/// A seed, a fold, or a fold with a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Variation {
    pub name: String,
    seed: Option<i64>,
    /// The seed of the split.
    rows_seed: Option<i64>,
    /// The number of folds, and the index of the test fold.
    fold: Option<(u32, u32)>,
}

impl Contestant {
    /// All contestants: each of these models with each settings file of the command line.
    pub fn all(args: &Compare, models: &[String]) -> Result<Vec<Contestant>> {
        let mut bases: Vec<(Option<String>, Draft)> = Vec::new();
        for name in &args.configs {
            bases.push((Some(plain_name(name)), Draft::open(name)?));
        }
        if bases.is_empty() {
            bases.push((None, Draft::default()));
        }
        let models: Vec<Option<&str>> = match models {
            [] => vec![None],
            models => models.iter().map(|model| Some(model.as_str())).collect(),
        };
        let mut contestants = Vec::new();
        for (base, mut draft) in bases {
            draft.apply([args.rows.keys(), args.device.keys(), args.set.keys()].concat())?;
            draft.declare()?;
            for model in &models {
                let mut draft = draft.clone();
                let model_key = model.map(|model| ("model.name".to_owned(), Value::String(model.to_owned())));
                let keys = model_key.into_iter().chain(args.options.keys());
                draft.apply(keys.chain(args.set.keys()).collect())?;
                let name = match (&base, model) {
                    (Some(base), None) => base.clone(),
                    (None, Some(model)) => (*model).to_owned(),
                    (Some(base), Some(model)) => format!("{base}-{model}"),
                    (None, None) => bail!("nothing to compare: name models with --models, or files with --configs"),
                };
                if contestants.iter().any(|other: &Contestant| other.name == name) {
                    bail!("`{name}` is given twice: each contestant needs a name of its own");
                }
                contestants.push(Contestant { name, draft });
            }
        }
        Ok(contestants)
    }

    /// The settings of one run.
    pub fn settings(&self, variation: &Variation) -> Result<Settings> {
        let mut draft = self.draft.clone();
        let seeds = [("data.seed", variation.rows_seed), ("train.seed", variation.seed)];
        let seeds = seeds.into_iter().filter_map(|(key, seed)| Some((key.to_owned(), Value::Integer(seed?))));
        draft.apply(seeds.collect())?;
        let mut settings = draft.resolve()?;
        if let Some((k, index)) = variation.fold {
            settings.data.split = settings.data.split.parse::<Split>()?.fold(k, index).to_string();
        }
        Ok(settings)
    }
}

/// The name of a contestant's folder: the file name without its extension, or the name of a built-in file.
fn plain_name(config: &str) -> String {
    let path = Path::new(config);
    let name = if path.is_file() { path.file_stem().unwrap_or_default().to_string_lossy() } else { config.into() };
    name.replace(['/', '\\'], "-")
}

impl Variation {
    /// Each fold with each seed; seed 1 if neither is given.
    pub fn all(args: &Compare) -> Vec<Variation> {
        let seeds: Vec<Option<i64>> = match (&args.seeds[..], args.folds) {
            ([], None) => vec![Some(args.rows.seed().unwrap_or(1))],
            ([], Some(_)) => vec![None],
            (seeds, _) => seeds.iter().copied().map(Some).collect(),
        };
        let folds: Vec<Option<u32>> = args.folds.map_or(vec![None], |folds| (0..folds).map(Some).collect());
        let mut variations = Vec::new();
        for seed in &seeds {
            for fold in &folds {
                let names = [fold.map(|fold| format!("fold-{fold}")), seed.map(|seed| format!("seed-{seed}"))];
                let name = names.into_iter().flatten().collect::<Vec<_>>().join("-");
                // The mean of several models is measured on rows that none of them was trained on.
                let rows_seed = if args.ensemble { seeds[0] } else { *seed };
                variations.push(Variation { name, seed: *seed, rows_seed, fold: args.folds.zip(*fold) });
            }
        }
        variations
    }
}
