//! Combines trained models.

use std::path::PathBuf;

use anyhow::{Result, bail};
use fm_core::Schema;
use fm_core::learner::Update;
use fm_core::train::TrainConfig;
use fm_models::models::ensemble::{Config, ENTRY, prefix};
use fm_models::run::{ModelSettings, Run};
use serde_json::json;
use tch::{Device, no_grad};

use super::{Before, Built, Machine, Measured, create_run, digests, trainer};
use crate::changes::Values;
use crate::results::Results;
use crate::settings::Settings;

/// Makes a run of the mean of trained models, and measures it. Its settings are those of the first one.
pub fn assemble(
    members: &[Run],
    (path, force): (Option<PathBuf>, bool),
    machine: &Machine<'_>,
) -> Result<(Run, Results)> {
    let Some((first, others)) = members.split_first() else { bail!("an ensemble needs at least one run") };
    others.iter().try_for_each(|other| check_same_rows(first, other))?;
    let of_first = Settings::of_run(first)?;
    // With the run that the members started from, if there is one: it decides the vocabularies.
    let mut data = machine.prepare(&of_first, Some(first))?;
    // There is nothing to train, nor to resume: the only epoch is over.
    let train = TrainConfig { update: Update::Batch, epochs: 1, ..of_first.train };
    let settings = &Settings { model: model_of(members)?, init_from: None, train, ..of_first };
    data.schema = data.schema.clone().with_label_scale(first.schema().label().scale)?;
    let digests = digests(&data);
    if !first.is_of(&data.schema, &digests) {
        bail!(
            "the data has changed since {} was trained, so the ensemble cannot be measured",
            first.folder().display()
        );
    }
    let device = settings.device.resolve()?;
    let all = Built::new(settings, &data, device)?;
    let (built, ranking) = (&all.built, all.ranking.as_ref());
    let mut trainer = trainer(settings, &data.schema, &all, None)?;
    no_grad(|| -> Result<()> {
        let _ = built.model.bias().shallow_clone().f_zero_()?;
        let mut parameters = built.store.variables();
        for (number, member) in members.iter().enumerate() {
            for (name, of_member) in member.load_uncalibrated(Device::Cpu)?.store.variables() {
                let Some(parameter) = parameters.get_mut(&format!("{}.{name}", prefix(number))) else {
                    bail!("{} has the parameter `{name}`, which is unexpected", member.folder().display());
                };
                parameter.f_copy_(&of_member)?;
            }
        }
        Ok(())
    })?;
    let seconds = members.iter().map(|run| Ok(run.summary::<Results>()?.map_or(0.0, |results| results.seconds)));
    trainer.state.seconds = seconds.sum::<Result<f64>>()?;
    trainer.state.epoch = settings.train.epochs;
    let values = Values::of(&data.schema, &data.train);
    let mut run = create_run(settings, (path, force), (&data, &digests), &values, &trainer)?;
    let finish = || -> Result<Results> {
        run.files().save_best(&trainer)?;
        let before = Before::measure(&data, ranking)?;
        let measured = Measured { built: &all, model: built, valid: &data.valid, test: &data.test, device };
        let results = measured.results(settings, &data.schema, &trainer.state, before)?;
        run.save_summary(&results)?;
        Ok(results)
    };
    match finish() {
        Ok(results) => {
            run.settle();
            Ok((run, results))
        }
        Err(error) => {
            run.abandon()?;
            Err(error)
        }
    }
}

/// The ensemble of the models of runs.
fn model_of(members: &[Run]) -> Result<ModelSettings> {
    let members = members.iter().map(|run| run.model().resolved()).collect::<fm_core::Result<Vec<_>>>()?;
    let members = serde_json::to_value(Config { members })?["members"].take();
    Ok(ModelSettings {
        name: ENTRY.name.into(),
        options: [("members".to_owned(), json!(members))].into_iter().collect(),
    })
}

/// Checks that runs have the same fields and the same rows in each part: a test row of the one may not be a training row of
/// the other.
fn check_same_rows(first: &Run, other: &Run) -> Result<()> {
    let (a, b) = (first.folder().display(), other.folder().display());
    if !first.digests().eq(other.digests()) {
        bail!(
            "{b} was trained on other rows than {a}: train the members with the same --data and the same `data.seed`"
        );
    }
    if first.schema() != other.schema() {
        bail!("{b} has other fields than {a}: train the members with the same schema");
    }
    Ok(())
}

/// Checks that gradients can train the members of an ensemble.
pub fn check_members(model: &ModelSettings, schema: &Schema) -> Result<()> {
    for member in model.members()? {
        if member.build(schema, Device::Cpu)?.model.posterior_sampler().is_some() {
            bail!(
                "{} cannot be trained as a member, because it is sampled: train it alone, and combine runs with `fm ensemble`",
                member.name
            );
        }
    }
    Ok(())
}
