//! Training by comparing items.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::{Objective, TrainingBatch};
use crate::error::{Error, Result};
use crate::group::Group;
use crate::loss::weighted_mean;
use crate::metric::{MetricSet, Metrics};
use crate::predict::Score;
use crate::ranking::{
    Interactions, ItemSlots, NegativeSampler, Queries, RankingConfig, RankingLoss, bpr, evaluate, evaluate_model,
    sampled_softmax, warp,
};
use crate::rows::{Order, Rows};
use crate::seed::{Stream, generator};

/// Training compares each positive row with items drawn at random. Validation ranks the whole catalogue for the users
/// of the validation rows.
#[derive(Debug)]
pub struct Ranking {
    config: RankingConfig,
    items: ItemSlots,
    train: Interactions,
    sampler: NegativeSampler,
    rows: Vec<usize>,
    valid: Queries,
}

impl Ranking {
    /// An objective from the items (on the device of the model), the interactions of the training rows, and the queries
    /// of the validation rows.
    ///
    /// # Errors
    /// Those of [`RankingConfig::check`]; [`Error::Rows`] if no row can be trained on; [`Error::Shape`] if `items` and
    /// `train` have different numbers of items.
    pub fn new(config: &RankingConfig, items: ItemSlots, train: Interactions, valid: Queries) -> Result<Ranking> {
        config.check()?;
        if items.len() != train.num_items() {
            let found = format!("interactions with {}", train.num_items());
            return Err(Error::shape("ranking", format!("a catalogue of {} items", items.len()), found));
        }
        let sampler = NegativeSampler::new(config, &train);
        let (users, of_rows) = (train.users(), train.items());
        let can_train = |&row: &usize| sampler.has_negative(users[row], of_rows[row]);
        let rows: Vec<usize> = train.positives().filter(can_train).collect();
        if rows.is_empty() {
            let reason = "there is nothing to rank: every training row is negative, has no item, or belongs to a user \
            who has every item";
            return Err(Error::Rows(reason.into()));
        }
        Ok(Ranking { config: config.clone(), items, train, sampler, rows, valid })
    }

    /// The numbers of the rows used for training: positive rows with an item, except those of users who have every
    /// item.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }
}

impl Objective for Ranking {
    fn metrics(&self) -> &'static MetricSet {
        &MetricSet::RANKING
    }

    /// A constant does not change a ranking.
    fn prior_logit(&self) -> f32 {
        0.0
    }

    fn check(&self, train: &dyn Rows) -> Result<()> {
        if self.train.len() != train.len() {
            let found = format!("interactions of {}", self.train.len());
            return Err(Error::shape("ranking", format!("{} training rows", train.len()), found));
        }
        Ok(())
    }

    fn order(&self, seed: u64, epoch: usize, _train: &dyn Rows) -> Order {
        Order::new(seed, epoch, self.rows.len())
    }

    fn rows_at(&self, positions: Range<usize>, order: &mut Order) -> Vec<usize> {
        order.get(positions).into_iter().map(|at| self.rows[at]).collect()
    }

    fn scored_per_row(&self) -> usize {
        1 + self.config.negatives
    }

    fn loss(
        &self,
        model: &dyn Score,
        TrainingBatch { batch, rows, part, seed, number }: TrainingBatch<'_>,
    ) -> Result<Tensor> {
        let of_rows = |all: &[u32]| -> Vec<u32> { rows.iter().map(|&row| all[row]).collect() };
        let (users, items) = (of_rows(self.train.users()), of_rows(self.train.items()));
        let n = self.config.negatives;
        let negatives = self.sampler.draw(&users, &items, n, &mut generator(seed, Stream::Negatives(number)));
        let of_row = |row: usize| std::iter::once(items[row]).chain(negatives[row * n..][..n].iter().copied());
        let (len, device) = (part.len() as i64, batch.features.device());
        // Draws are those of the whole batch, so that they do not depend on the number of processes.
        let candidates: Vec<u32> = part.flat_map(of_row).collect();

        let shape = [len, 1 + n as i64];
        let tensor = |items: &[i64]| Tensor::from_slice(items).view(shape).to_device(device);
        let places: Vec<i64> = candidates.iter().map(|&item| i64::from(item)).collect();
        let scores = model.score_candidates(&self.items.candidates(&batch.features, &tensor(&places))?)?;
        let losses = match self.config.loss {
            RankingLoss::Bpr => bpr(&scores)?,
            RankingLoss::Warp => warp(&scores, self.items.len())?,
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

    fn can_validate(&self, valid: &dyn Rows) -> bool {
        !valid.is_empty() && !self.valid.queries().is_empty()
    }

    fn constant_metrics(&self, _valid: &dyn Rows) -> Result<Metrics> {
        evaluate(&self.valid, &self.config.cutoffs, |_| Ok(vec![0.0; self.train.num_items()]))
    }

    fn validate(&self, model: &dyn Score, valid: &dyn Rows, _: Device, _: Option<&Group>) -> Result<Metrics> {
        evaluate_model(&self.valid, &self.config.cutoffs, model, valid, &self.items)
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::{Init, VarStore};
    use tch::no_grad;

    use super::*;
    use crate::encoder::Encoder;
    use crate::features::{Features, Padded};
    use crate::model::Model;
    use crate::ranking::SamplerKind;
    use crate::rows::{Batch, TensorRows};
    use crate::schema::{Field, FieldKind, Label, Schema, Side, Task};
    use crate::train::{EpochRecord, TrainConfig, Trainer};

    const USERS: usize = 3;
    const ITEMS: usize = 4;

    /// s = w_u · w_i, which depends on both.
    struct Product {
        weight: Tensor,
        bias: Tensor,
    }

    impl Model for Product {
        fn logits(&self, features: &Features, _train: bool) -> Result<Tensor> {
            let weights = Tensor::embedding(&self.weight, &features.padded()?.ids, -1, false, false).squeeze_dim(-1);
            Ok(weights.select(1, 0) * weights.select(1, 1))
        }

        fn bias(&self) -> &Tensor {
            &self.bias
        }
    }

    fn schema() -> Schema {
        let names = |n: usize| (0..n).map(|name| name.to_string()).collect();
        let user = Field::new("user", FieldKind::Categorical, Side::User, names(USERS));
        let item = Field::new("item", FieldKind::Categorical, Side::Item, names(ITEMS));
        Schema::new(Label::fit("seen", Task::Ranking { threshold: None }, [1.0]), vec![user, item]).unwrap()
    }

    /// The ids of the schema's table: an unknown user, the users, an unknown item, the items.
    const FIRST_ITEM: usize = USERS + 2;

    fn features(schema: &Schema, pairs: &[(u32, u32)]) -> Features {
        let texts: Vec<[String; 2]> = pairs.iter().map(|(user, item)| [user.to_string(), item.to_string()]).collect();
        let rows: Vec<[Option<&str>; 2]> =
            texts.iter().map(|[user, item]| [Some(&user[..]), Some(&item[..])]).collect();
        Encoder::new(schema).features(&rows).unwrap()
    }

    fn interactions(pairs: &[(u32, u32)]) -> Interactions {
        let (users, items) = pairs.iter().copied().unzip();
        Interactions::new(ITEMS, users, items, &vec![1.0; pairs.len()]).unwrap()
    }

    fn objective(config: &RankingConfig, train: &[(u32, u32)], valid: &[(u32, u32)]) -> Result<Ranking> {
        let schema = schema();
        let all: Vec<(u32, u32)> = (0..ITEMS as u32).map(|item| (0, item)).collect();
        let items = ItemSlots::new(&schema, &features(&schema, &all)).unwrap();
        let train = interactions(train);
        let queries = Queries::new(&interactions(valid), &[&train]);
        Ranking::new(config, items, train, queries)
    }

    /// Weights 0.1, 0.2, ... of all ids.
    fn model(store: &VarStore) -> Product {
        let ids = 2 + USERS + ITEMS;
        let weight = store.root().var("weight", &[ids as i64, 1], Init::Const(0.0));
        let values: Vec<f32> = (1..=ids).map(|id| id as f32 / 10.0).collect();
        no_grad(|| weight.shallow_clone().copy_(&Tensor::from_slice(&values).view([-1, 1])));
        Product { weight, bias: store.root().var("bias", &[1], Init::Const(0.0)) }
    }

    fn score(user: u32, item: u32) -> f64 {
        (user as f64 + 2.0) / 10.0 * ((item as usize + FIRST_ITEM) as f64 + 1.0) / 10.0
    }

    #[test]
    fn the_loss_compares_each_row_with_the_only_item_that_its_user_lacks() {
        // User 0 lacks item 3, user 1 lacks item 0, so the negatives are known.
        let train = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)];
        let store = VarStore::new(Device::Cpu);
        let model = model(&store);
        let negative = |user: u32| if user == 0 { 3 } else { 0 };
        let rows = [0, 4, 5];
        let pairs = rows.map(|row: usize| train[row]);
        let weights = [1.0, 0.5, 2.0];
        // Items 0 and 3 have one row, the others two.
        let log_q = |item: u32| if [0, 3].contains(&item) { 0.0 } else { 2f64.ln() };
        for (loss, sampler) in [
            (RankingLoss::Bpr, SamplerKind::Uniform),
            (RankingLoss::Bpr, SamplerKind::InBatch),
            (RankingLoss::SampledSoftmax, SamplerKind::Uniform),
            (RankingLoss::SampledSoftmax, SamplerKind::InBatch),
            (RankingLoss::Warp, SamplerKind::Uniform),
        ] {
            let config = RankingConfig { loss, sampler, negatives: 2, ..RankingConfig::default() };
            let objective = objective(&config, &train, &[]).unwrap();
            assert_eq!((objective.rows(), objective.scored_per_row()), (&[0, 1, 2, 3, 4, 5][..], 3));
            let corrected = |user: u32, item: u32| {
                score(user, item) - if sampler == SamplerKind::InBatch { log_q(item) } else { 0.0 }
            };
            let of_row = |&(user, item): &(u32, u32)| match loss {
                RankingLoss::Bpr => (score(user, negative(user)) - score(user, item)).exp().ln_1p(),
                RankingLoss::SampledSoftmax => {
                    let [own, other] = [item, negative(user)].map(|item| corrected(user, item).exp());
                    -(own / (own + 2.0 * other)).ln()
                }
                // The first negative is within the margin, so that the rank is that of all other items.
                RankingLoss::Warp => {
                    (1.0 + 1.0 / 2.0 + 1.0 / 3.0) * (1.0 - score(user, item) + score(user, negative(user)))
                }
            };
            let losses: Vec<f64> = pairs.iter().map(of_row).collect();
            for weights in [None, Some(weights)] {
                let batch = Batch {
                    features: features(&schema(), &pairs),
                    labels: Tensor::ones([3], (Kind::Float, Device::Cpu)),
                    weights: weights.map(|weights| Tensor::from_slice(&weights).to_kind(Kind::Float)),
                };
                let weights = weights.unwrap_or([1.0; 3]);
                let sum: f64 = losses.iter().zip(weights).map(|(loss, weight)| loss * weight).sum();
                let expected = sum / weights.iter().sum::<f64>();
                let batch = TrainingBatch { batch: &batch, rows: &rows, part: 0..rows.len(), seed: 1, number: 1 };
                let found = objective.loss(&model, batch).unwrap().double_value(&[]);
                assert!((found - expected).abs() < 1e-5, "{loss:?} {sampler:?}: {found} and {expected}");
            }
        }
    }

    #[test]
    fn a_user_who_has_every_item_is_not_trained_on() {
        let train = [(0, 0), (1, 0), (0, 1), (0, 2), (0, 3)];
        let config = RankingConfig::default();
        assert_eq!(objective(&config, &train, &[]).unwrap().rows(), [1]);
        let error = objective(&config, &[(0, 0), (0, 1), (0, 2), (0, 3)], &[]).unwrap_err().to_string();
        assert!(error.contains("there is nothing to rank"), "{error}");
        let error = objective(&RankingConfig { negatives: 0, ..config }, &train, &[]).unwrap_err().to_string();
        assert!(error.contains("number of negatives"), "{error}");
    }

    fn rows(pairs: &[(u32, u32)]) -> TensorRows {
        let schema = schema();
        let Padded { ids, values } = features(&schema, pairs).padded().unwrap();
        let labels = Tensor::ones([pairs.len() as i64], (Kind::Float, Device::Cpu));
        TensorRows::new(&schema, ids, values, labels).unwrap()
    }

    #[test]
    fn the_epoch_with_the_highest_ndcg_is_the_best() {
        let (train, valid) = ([(0, 0), (0, 1), (1, 1), (1, 3), (2, 2)], [(0, 2), (1, 2), (2, 3)]);
        let objective = objective(&RankingConfig::default(), &train, &valid).unwrap();
        let store = VarStore::new(Device::Cpu);
        let model = model(&store);
        let config = TrainConfig { epochs: 30, batch_size: 2, lr: 0.1, patience: 0, ..TrainConfig::default() };
        let mut trainer = Trainer::with_objective(&model, &store, Box::new(objective), config.clone()).unwrap();
        let mut best = 0.0;
        let mut observer = |record: &EpochRecord| {
            let ndcg = record.valid["ndcg@10"];
            assert_eq!(record.best, ndcg > best);
            best = f64::max(best, ndcg);
        };
        trainer.fit(&rows(&train), &rows(&valid), &mut observer).unwrap();
        assert_eq!(trainer.state.best.unwrap().1, best);

        let error = trainer.fit(&rows(&train[1..]), &rows(&valid), &mut ()).unwrap_err().to_string();
        assert!(error.contains("expected 4 training rows, found interactions of 5"), "{error}");
        let error = Trainer::new(&model, &store, schema().label(), config).err().unwrap().to_string();
        assert!(error.contains("compares items"), "{error}");
    }

    #[test]
    fn validation_ranks_by_the_scores_of_the_model() {
        // The higher an item's number, the higher its score; user 0 has seen item 3.
        let valid = [(0, 2), (1, 2)];
        let objective = objective(&RankingConfig::default(), &[(0, 3)], &valid).unwrap();
        let rows = rows(&valid);
        let metrics = objective.validate(&model(&VarStore::new(Device::Cpu)), &rows, Device::Cpu, None).unwrap();
        assert_eq!((metrics["mrr"], metrics["hr@5"]), ((1.0 + 0.5) / 2.0, 1.0));
    }
}
