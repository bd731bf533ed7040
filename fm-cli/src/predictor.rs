//! A trained model for scoring: the best checkpoint of a run, or an exported file.

use std::path::Path;

use anyhow::{Result, bail};
use fm_args::flags::{Folders, MovedTables};
use fm_core::calibration::{Calibrated, Calibration};
use fm_core::device::DeviceChoice;
use fm_core::ranking::Candidates;
use fm_core::script::{Origin, SETTINGS_FILE, Scorer};
use fm_core::{Encoder, Error, Features, Rows, Schema, Score, predict};
use fm_data::catalogue::Items;
use fm_data::{MissingColumns, Moved, RankingData, RawData, encode};
use fm_models::run::{BuiltModel, Run};
use tch::{Device, Tensor};

use crate::extremes::Extremes;
use crate::probabilities::shift;
use crate::progress::during;
use crate::ranking::Ranking;
use crate::selection::Selection;
use crate::settings::{Settings, data_dir};

/// The new locations of a run's data that the flags give.
pub fn moved(data: Option<&String>, tables: &MovedTables) -> Moved {
    let MovedTables { train, valid, test } = tables;
    Moved { data: data.cloned(), train: train.clone(), valid: valid.clone(), test: test.clone() }
}

/// The model of a run, or an exported model.
pub enum AnyModel {
    Trained(BuiltModel),
    Exported(Box<Scorer>),
}

impl Score for AnyModel {
    fn score_rows(&self, features: &Features) -> fm_core::Result<Tensor> {
        match self {
            AnyModel::Trained(trained) => trained.score_rows(features),
            AnyModel::Exported(scorer) => scorer.score_rows(features),
        }
    }

    fn score_candidates(&self, candidates: &Candidates<'_>) -> fm_core::Result<Tensor> {
        match self {
            AnyModel::Trained(trained) => trained.score_candidates(candidates),
            AnyModel::Exported(scorer) => scorer.score_candidates(candidates),
        }
    }
}

/// A model with its schema and the settings of its training.
pub struct Predictor<M = AnyModel> {
    pub settings: Settings,
    pub schema: Schema,
    pub model: M,
    pub device: Device,
    /// Whether the logits are calibrated.
    pub is_calibrated: bool,
}

impl Predictor {
    /// Opens the folder of a run, or an exported file.
    pub fn open(path: &Path, device: &str) -> Result<Predictor> {
        if path.is_dir() {
            let Predictor { settings, schema, model, device, is_calibrated } =
                Predictor::of_run(&Run::open(path)?, device)?;
            return Ok(Predictor { settings, schema, model: AnyModel::Trained(model), device, is_calibrated });
        }
        let device = device.parse::<DeviceChoice>()?.resolve()?;
        let scorer = Scorer::load(path, device)?;
        let settings = Settings::parse(&scorer.extra_file(SETTINGS_FILE)?)
            .map_err(|error| Error::format("exported model", path, format!("its settings.toml: {error}")))?;
        let schema = scorer.schema().clone();
        let origin = scorer.extra_file(Origin::FILE).ok().and_then(|text| serde_json::from_str::<Origin>(&text).ok());
        let is_calibrated = origin.is_some_and(|origin| origin.calibration.is_some());
        Ok(Predictor { settings, schema, model: AnyModel::Exported(Box::new(scorer)), device, is_calibrated })
    }

    /// The exported file, if it is one.
    pub fn bundle(&self) -> Option<&Scorer> {
        match &self.model {
            AnyModel::Exported(scorer) => Some(scorer),
            AnyModel::Trained(_) => None,
        }
    }
}

impl Predictor<BuiltModel> {
    /// Opens the best checkpoint of a run, or the last one if no epoch is finished.
    pub fn of_run(run: &Run, device: &str) -> Result<Predictor<BuiltModel>> {
        let is_calibrated = run.calibration().is_some();
        Ok(Predictor { is_calibrated, ..Predictor::with(run, device, Run::load)? })
    }

    /// As [`Predictor::of_run`], without the run's calibration.
    pub fn of_run_uncalibrated(run: &Run, device: &str) -> Result<Predictor<BuiltModel>> {
        Predictor::with(run, device, Run::load_uncalibrated)
    }

    fn with(
        run: &Run,
        device: &str,
        load: impl FnOnce(&Run, Device) -> fm_core::Result<BuiltModel>,
    ) -> Result<Predictor<BuiltModel>> {
        let device = device.parse::<DeviceChoice>()?.resolve()?;
        let settings = Settings::of_run(run)?;
        Ok(Predictor {
            settings,
            schema: run.schema().clone(),
            model: load(run, device)?,
            device,
            is_calibrated: false,
        })
    }

    /// The same with a calibration.
    pub fn calibrated(self, calibration: &Calibration) -> Result<Predictor<BuiltModel>> {
        let BuiltModel { model, store } = self.model;
        let model = BuiltModel { model: Box::new(Calibrated::new(model, calibration)?), store };
        Ok(Predictor { model, is_calibrated: true, ..self })
    }
}

/// The positions of the `top` largest finite logits of candidates, the largest first. Equal ones keep their order.
pub fn best_of(logits: &[f32], top: usize, is_candidate: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|&row| logits[row].is_finite() && is_candidate(row)).collect();
    let by_logit = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if top < order.len() {
        order.select_nth_unstable_by(top, by_logit);
        order.truncate(top);
    }
    order.sort_unstable_by(by_logit);
    order
}

impl<M> Predictor<M> {
    /// Why scores of a binary task are not probabilities; `None` if they are.
    pub fn shift(&self) -> Option<String> {
        if self.is_calibrated { None } else { shift(&self.settings.train) }
    }
}

impl<M: Score> Predictor<M> {
    /// The rows of its training and evaluation, from the original location or from a new one.
    pub fn source(&self, moved: &Moved, folders: &Folders) -> Result<RawData> {
        let config = &self.settings.data;
        if config.reads_standard_input() && *moved == Moved::default() {
            bail!("the run was trained on rows from standard input: give them again with `--data`");
        }
        let config = config.clone().moved(moved.clone())?;
        let data_dir = data_dir(folders)?;
        let source = during("reading data", || RawData::open(&config, &data_dir))?;
        Ok(if self.settings.train.progressive { source.in_sequence() } else { source })
    }

    /// New rows with labels, all of which are test rows.
    pub fn new_rows(&self, data: &str, folders: &Folders) -> Result<RawData> {
        let data_dir = data_dir(folders)?;
        Ok(during("reading data", || RawData::open_new(&self.settings.data, &self.schema, data, &data_dir))?)
    }

    /// The ranking of all items, which measures models.
    pub fn ranking(&self, data: &RankingData) -> Result<Ranking> {
        Ranking::new(data, &self.schema, &self.settings, self.device)
    }

    /// The `top` items with the best scores, best first, without those in `exclude`, as `selection` chooses them: the
    /// row and the score of each. Items without a finite score are left out, with a warning.
    pub fn best(
        &self,
        items: &Items,
        top: usize,
        exclude: &[String],
        selection: &Selection,
    ) -> Result<Vec<(usize, f32)>> {
        let encoded = encode(&items.frame, &Encoder::new(&self.schema), None, MissingColumns::Error)?;
        let logits = self.logits(&encoded)?;
        let item = self.schema.item().and_then(|item| self.schema.field_index(item));
        let reading = item.map(|item| self.schema.reading(item)).unwrap_or_default();
        let excluded: Vec<&str> = exclude.iter().filter_map(|item| reading.value(item)).collect();
        let mut extremes = Extremes::default();
        extremes.add_rows(&encoded);
        extremes.add_logits(&logits);
        extremes.warn_of_clamped(&self.schema, "items");
        extremes.warn_of_scores(", and their items are left out");
        let best = selection.best(&logits, top, |row| !excluded.contains(&items.ids[row].as_str()));
        let label = self.schema.label();
        Ok(best.into_iter().map(|row| (row, label.score(logits[row]))).collect())
    }

    /// The logit of each row.
    pub fn logits(&self, rows: &dyn Rows) -> Result<Vec<f32>> {
        Ok(predict(&self.model, rows, self.device)?)
    }
}
