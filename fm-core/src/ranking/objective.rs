//! What a ranking is trained on.

use tch::{Kind, Tensor};

use super::config::{RankingConfig, RankingLoss};
use super::evaluation::{Queries, Query, evaluate, evaluate_logits};
use super::interactions::Interactions;
use super::items::ItemSlots;
use super::loss::{bpr, sampled_softmax};
use super::sampler::Sampler;
use crate::batch::{Batch, Features, Rows};
use crate::error::{Error, Result};
use crate::loss::weighted_mean;
use crate::metric::Metrics;
use crate::model::Model;
use crate::seed::{Stream, generator};

/// The training rows of a ranking, as comparisons of their items with others, and what the best epoch is chosen by.
#[derive(Debug)]
pub struct Objective {
    config: RankingConfig,
    items: ItemSlots,
    train: Interactions,
    sampler: Sampler,
    rows: Vec<u32>,
    valid: Queries,
}

impl Objective {
    /// Takes the items, on the device that the model trains on, the interactions of the training rows, and what is looked for
    /// in the validation rows.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`RankingConfig::check`], or if no row can be trained on; [`Error::Shape`] for items that are not
    /// those of `train`.
    pub fn new(config: &RankingConfig, items: ItemSlots, train: Interactions, valid: Queries) -> Result<Objective> {
        config.check()?;
        if items.len() != train.num_items() {
            let found = format!("interactions with {}", train.num_items());
            return Err(Error::shape("ranking", format!("a catalogue of {} items", items.len()), found));
        }
        let sampler = Sampler::new(config, &train);
        let (users, of_rows) = (train.users(), train.items());
        let can_train = |&row: &u32| sampler.has_negative(users[row as usize], of_rows[row as usize]);
        let rows: Vec<u32> = train.positives().filter(can_train).collect();
        if rows.is_empty() {
            return Err(Error::Setting(
                "no training row is positive, names an item, and is of a user who does not have every item: there is nothing \
                 to rank"
                    .into(),
            ));
        }
        Ok(Objective { config: config.clone(), items, train, sampler, rows, valid })
    }

    /// The interactions of all training rows.
    pub fn train(&self) -> &Interactions {
        &self.train
    }

    /// The numbers of the rows that are trained on: positive ones that name an item, but those of a user who has every item.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// How many rows the model is given for each row that is trained on: 1 + n.
    pub fn candidates_per_row(&self) -> usize {
        1 + self.config.negatives
    }

    /// The mean loss of a batch, as a scalar that gradients are taken of. `rows` `[B]` are the numbers of its rows. The negatives
    /// depend on the seed and on the number of the batch alone.
    ///
    /// # Errors
    /// What the model returns.
    pub fn loss(&self, model: &dyn Model, batch: &Batch, rows: &[u32], seed: u64, number: u64) -> Result<Tensor> {
        let of_rows = |all: &[u32]| -> Vec<u32> { rows.iter().map(|&row| all[row as usize]).collect() };
        let (users, items) = (of_rows(self.train.users()), of_rows(self.train.items()));
        let n = self.config.negatives;
        let negatives = self.sampler.draw(&users, &items, n, &mut generator(seed, Stream::Negatives(number)));
        let of_row = |row: usize| std::iter::once(items[row]).chain(negatives[row * n..][..n].iter().copied());
        let candidates: Vec<u32> = (0..rows.len()).flat_map(of_row).collect();

        let (shape, device) = ([rows.len() as i64, 1 + n as i64], batch.features.ids.device());
        let tensor = |items: &[i64]| Tensor::from_slice(items).view(shape).to_device(device);
        let places: Vec<i64> = candidates.iter().map(|&item| i64::from(item)).collect();
        let features = self.items.candidates(&batch.features, &tensor(&places))?;
        let scores = model.logits(&features, true)?.f_view(shape)?;
        let losses = match self.config.loss {
            RankingLoss::Bpr => bpr(&scores)?,
            RankingLoss::SampledSoftmax => {
                let log_q: Vec<f32> = candidates.iter().map(|&item| self.sampler.log_q(item)).collect();
                let log_q = Tensor::from_slice(&log_q).view(shape).to_device(device);
                sampled_softmax(&scores, &log_q)?
            }
        };
        Ok(match &batch.weights {
            Some(weights) => weighted_mean(&losses, weights),
            None => losses.mean(Kind::Float),
        })
    }

    /// What is looked for in the validation rows.
    pub fn valid(&self) -> &Queries {
        &self.valid
    }

    /// The metrics of a model over the validation rows; none if nothing is looked for there.
    ///
    /// # Errors
    /// What `rows` and the model return.
    pub fn evaluate(&self, model: &dyn Model, rows: &dyn Rows) -> Result<Metrics> {
        let logits = |features: &Features| model.logits(features, false);
        evaluate_logits(&self.valid, &self.config.cutoffs, logits, rows, &self.items)
    }

    /// The metrics of any scores of the items, as [`evaluate`] takes them, over the validation rows.
    ///
    /// # Errors
    /// What `scores` returns.
    pub fn measure(&self, scores: impl FnMut(Query) -> Result<Vec<f32>>) -> Result<Metrics> {
        evaluate(&self.valid, &self.config.cutoffs, scores)
    }
}
