//! A trained model to score with: a run's best checkpoint, or an exported file.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use fm_args::flags::Folders;
use fm_core::device::DeviceChoice;
use fm_core::script::Scorer;
use fm_core::train::{RunDir, checkpoint, predict};
use fm_core::{Encoder, Error, Features, Model, Rows, Schema};
use fm_data::catalogue::Items;
use fm_data::{Dataset, Encoded, MissingColumns, RankingData, RawData, encode};
use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::progress::during;
use crate::ranking::Ranking;
use crate::settings::{Settings, data_dir};

/// A model, its schema and the settings that it was trained with.
pub struct Predictor {
    pub settings: Settings,
    pub schema: Schema,
    pub model: Box<dyn Model>,
    /// Holds the parameters; empty for an exported file.
    pub store: VarStore,
    /// The exported file, if it is one.
    pub bundle: Option<Rc<Scorer>>,
    pub device: Device,
}

impl Predictor {
    /// Opens a run's folder, or an exported file.
    pub fn open(path: &Path, device: DeviceChoice) -> Result<Predictor> {
        if path.is_dir() {
            Predictor::open_run(&RunDir::open(path)?, device)
        } else {
            Predictor::open_bundle(path, device)
        }
    }

    /// Opens the best checkpoint of a run; the last one if no epoch was finished.
    pub fn open_run(run: &RunDir, device: DeviceChoice) -> Result<Predictor> {
        let settings = Settings::load(&run.settings())?;
        let schema = Schema::load(run.schema())?;
        let device = device.resolve()?;
        let store = VarStore::new(device);
        let model = settings.model.entry()?.build(&settings.model.options, &store.root(), &schema)?;
        checkpoint::load(&run.checkpoint(), &store, None)?;
        Ok(Predictor { settings, schema, model, store, bundle: None, device })
    }

    fn open_bundle(path: &Path, device: DeviceChoice) -> Result<Predictor> {
        let device = device.resolve()?;
        let scorer = Rc::new(Scorer::load(path, device)?);
        let settings = Settings::parse(&scorer.extra_file("settings.toml")?)
            .map_err(|error| Error::format("exported model", path, format!("its settings.toml: {error}")))?;
        let schema = scorer.schema().clone();
        let model = Box::new(Exported(Rc::clone(&scorer)));
        Ok(Predictor { settings, schema, model, store: VarStore::new(device), bundle: Some(scorer), device })
    }

    /// The rows that it was trained and measured on, from where they lay then, or from `moved` if they have moved.
    pub fn source(&self, moved: Option<String>, folders: &Folders) -> Result<RawData> {
        let config = self.settings.data.clone().moved(moved);
        let data_dir = data_dir(folders)?;
        Ok(during("reading data", || RawData::open(&config, &data_dir))?)
    }

    /// What a ranking of all items is measured by.
    pub fn ranking(&self, data: &RankingData) -> Result<Ranking> {
        Ranking::new(data, &self.schema, &self.settings, self.device)
    }

    /// The prediction of each encoded row, in their order: a probability, a label within its range, or the score of a ranking.
    pub fn scores(&self, rows: Encoded) -> Result<Vec<f32>> {
        let label = self.schema.label();
        Ok(self.encoded_logits(rows)?.into_iter().map(|logit| label.prediction(logit)).collect())
    }

    /// The logit of each encoded row, in their order.
    pub fn encoded_logits(&self, rows: Encoded) -> Result<Vec<f32>> {
        self.logits(&Dataset::unlabelled(&self.schema, rows)?)
    }

    /// The `top` items with the best predictions, best first, without those that `exclude` names: the row of each and its
    /// prediction.
    pub fn best(&self, items: &Items, top: usize, exclude: &[String]) -> Result<Vec<(usize, f32)>> {
        let encoded = encode(&items.frame, &Encoder::new(&self.schema), None, MissingColumns::Error)?;
        // Ranked by logit: predictions stop at the best label, where several would be equal.
        let logits = self.encoded_logits(encoded)?;
        let mut order: Vec<usize> = (0..logits.len()).filter(|&row| !exclude.contains(&items.ids[row])).collect();
        // Equal scores keep the catalogue's order.
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let label = self.schema.label();
        Ok(order.into_iter().take(top).map(|row| (row, label.prediction(logits[row]))).collect())
    }

    /// In how many rows, `[N, S]` ids, the user or the item is none that training has seen: by field, where there are
    /// any. Of a hashed field, only missing ones are known to be none.
    pub fn unknown(&self, ids: &[i32]) -> BTreeMap<String, usize> {
        let schema = &self.schema;
        let count = |role: Option<&str>| {
            let (name, field) = (role?, schema.field_index(role?)?);
            let (slot, unknown) = (schema.slots(field).start, schema.ids(field).start);
            let of_field = ids.iter().skip(slot).step_by(schema.num_slots());
            let rows = of_field.filter(|id| i64::from(**id) == unknown).count();
            (rows > 0).then(|| (name.to_owned(), rows))
        };
        [schema.user(), schema.item()].into_iter().filter_map(count).collect()
    }

    /// The logit of each row.
    pub fn logits(&self, rows: &dyn Rows) -> Result<Vec<f32>> {
        Ok(predict(self.model.as_ref(), rows, self.device)?)
    }
}

/// An exported file in the place of a model that was built here.
struct Exported(Rc<Scorer>);

impl Model for Exported {
    fn logits(&self, features: &Features, _train: bool) -> fm_core::Result<Tensor> {
        self.0.logits(features)
    }

    fn bias(&self) -> &Tensor {
        unreachable!("an exported model is not trained")
    }
}
