//! Measures the rankings of models, exported files and baselines.

use anyhow::Result;
use fm_args::flags::Part;
use fm_core::baseline::popularity;
use fm_core::metric::{MetricSet, Metrics};
use fm_core::objective;
use fm_core::ranking::{
    Interactions, ItemSets, ItemSlots, NONE, Queries, Query, RankingConfig, evaluate, evaluate_model, metrics_of_users,
    ranks_of_relevant, score_items,
};
use fm_core::{Records, Rows, Schema, Score};
use fm_data::RankingData;
use tch::Device;

use crate::baselines::Baselines;
use crate::ranking_baselines::{RankingBaseline, best_of, ranking_baselines};
use crate::settings::Settings;

/// The ranked items and their interactions.
pub struct Ranking {
    items: ItemSlots,
    config: RankingConfig,
    seed: u64,
    train: Interactions,
    valid: Interactions,
    test: Interactions,
}

impl Ranking {
    pub fn new(data: &RankingData, schema: &Schema, settings: &Settings, device: Device) -> Result<Ranking> {
        let items = data.item_slots(schema)?.to_device(device);
        let [train, valid, test] = data.interactions()?;
        Ok(Ranking { items, config: settings.train.ranking.clone(), seed: settings.train.seed, train, valid, test })
    }

    /// The relevant items of a part's users. In the training rows, no items count as already seen.
    fn queries(&self, part: Part) -> Queries {
        match part {
            Part::Train => Queries::new(&self.train, &[]),
            Part::Valid => Queries::new(&self.valid, &[&self.train]),
            Part::Test => Queries::new(&self.test, &[&self.train, &self.valid]),
        }
    }

    /// The queries that choose the best epoch.
    fn choosing_queries(&self) -> Queries {
        self.queries(Part::Valid).sample(self.config.valid_users, self.seed)
    }

    /// The training objective, which also validates epochs.
    pub fn objective(&self) -> Result<objective::Ranking> {
        let items = self.items.shallow_clone();
        Ok(objective::Ranking::new(&self.config, items, self.train.clone(), self.choosing_queries())?)
    }

    /// The metrics of a model over all users of a part.
    pub fn evaluate(&self, part: Part, rows: &dyn Rows, model: &dyn Score) -> Result<Metrics> {
        Ok(evaluate_model(&self.queries(part), &self.config.cutoffs, model, rows, &self.items)?)
    }

    /// The lengths of lists that metrics use.
    pub fn cutoffs(&self) -> &[usize] {
        &self.config.cutoffs
    }

    /// The ranks of each user's relevant items in a part, by a model of these rows and items.
    pub fn ranks(&self, part: Part, rows: &dyn Rows, items: &ItemSlots, model: &dyn Score) -> Result<Vec<Vec<u32>>> {
        Ok(ranks_of_relevant(&self.queries(part), |query| score_items(query, model, rows, items))?)
    }

    /// The ranks of the relevant items of the test rows, by a model and by popularity.
    pub fn test_ranks(&self, rows: &dyn Rows, model: &dyn Score) -> Result<TestRanks> {
        let queries = self.queries(Part::Test);
        let (users, items) = (counts(self.train.users()), counts(self.train.items()));
        let rows_of = |counts: &[usize], number: u32| counts.get(number as usize).copied().unwrap_or(0) as f64;
        let of_items = |query: &Query| {
            let relevant = queries.relevant(query.user);
            relevant.iter().map(|&item| rows_of(&items, item)).sum::<f64>() / relevant.len() as f64
        };
        let popularity = popularity(&self.train);
        Ok(TestRanks {
            user_rows: queries.queries().iter().map(|query| rows_of(&users, query.user)).collect(),
            item_rows: queries.queries().iter().map(of_items).collect(),
            model: ranks_of_relevant(&queries, |query| score_items(query, model, rows, &self.items))?,
            popularity: ranks_of_relevant(&queries, |_| Ok(popularity.clone()))?,
            cutoffs: self.config.cutoffs.clone(),
        })
    }

    /// The metrics of [`RankingBaseline`]s over all users, on the validation and on the test rows.
    pub fn baselines(&self) -> Result<[Baselines; 2]> {
        let chosen = ItemSets::new(self.train.positive_pairs());
        let queries = self.choosing_queries();
        let mut measured = [Baselines::new(), Baselines::new()];
        for (name, candidates) in ranking_baselines(&self.train) {
            let choose = |baseline: &RankingBaseline| -> Result<f64> {
                let metrics = evaluate(&queries, &[], |query| baseline(chosen.of(query.user)))?;
                Ok(metrics.get(MetricSet::RANKING.monitored).copied().unwrap_or_default())
            };
            let Some(best) = best_of(name, candidates, choose)? else { continue };
            for (part, measured) in [Part::Valid, Part::Test].into_iter().zip(&mut measured) {
                let scores = |query: Query| best(chosen.of(query.user));
                measured.insert(name.to_owned(), evaluate(&self.queries(part), &self.config.cutoffs, scores)?);
            }
        }
        Ok(measured)
    }
}

/// The ranks of the relevant items of the test rows, and the numbers of training rows of users and items. Each list has
/// one entry per user with a relevant item.
pub struct TestRanks {
    /// The training rows of the user.
    pub user_rows: Vec<f64>,
    /// The training rows of the relevant item, or the mean over several items.
    pub item_rows: Vec<f64>,
    /// The ranks of the relevant items by the model.
    pub model: Vec<Vec<u32>>,
    /// The ranks by popularity.
    pub popularity: Vec<Vec<u32>>,
    cutoffs: Vec<usize>,
}

impl TestRanks {
    /// The metrics over some of the users.
    pub fn metrics(&self, ranks: &[Vec<u32>], users: &[usize]) -> Metrics {
        let ranks: Vec<Vec<u32>> = users.iter().map(|&user| ranks[user].clone()).collect();
        metrics_of_users(&ranks, &self.cutoffs)
    }
}

/// The number of occurrences of each number, except [`NONE`].
fn counts(numbers: &[u32]) -> Vec<usize> {
    let mut counts = vec![];
    for number in numbers.iter().filter(|&&number| number != NONE).map(|&number| number as usize) {
        counts.resize(counts.len().max(number + 1), 0);
        counts[number] += 1;
    }
    counts
}

/// Warns about fields that give away the relevant item.
pub fn warn_of_leaks(data: &RankingData, schema: &Schema, train: &Records) {
    for field in data.fields_that_tell_the_item(schema, train) {
        tracing::warn!(
            "all rows of an item have the same `{field}`, which is not declared as a field of the item: if it is one, \
             add side = \"item\" in schema.toml; otherwise it gives away the item to be ranked"
        );
    }
}
