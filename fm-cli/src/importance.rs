//! Which fields a model needs: how much worse a metric gets without each of them.

use anyhow::{Result, bail};
use fm_args::flags::Part;
use fm_core::explain::mean_shapley;
use fm_core::metric::{metric, standard_errors};
use fm_core::ranking::{ItemSlots, metrics_of_users};
use fm_core::rows::{Replaced, Replacement};
use fm_core::seed::permutation;
use fm_core::{Records, Rows, Score, predict};
use fm_data::{RankingData, RawData};
use fm_models::run::BuiltModel;
use serde::Serialize;
use tch::Device;

use crate::evaluation::rows_of;
use crate::metric::Metric;
use crate::predictor::Predictor;
use crate::progress::during;
use crate::ranking::Ranking;
use crate::targets::Targets;

/// Maximum number of rows to measure, except for a ranking.
const ROWS: usize = 10_000;
/// The number of rows to score for Shapley values.
const SCORED: usize = 100_000;
/// Total number of shuffles over all fields: each field is shuffled one to three times, or once in a ranking, which takes
/// longer.
const SHUFFLES: usize = 60;
/// The seed of the orders, so that results are reproducible.
const SEED: u64 = 0;

/// How much a model needs each field.
#[derive(Serialize)]
pub struct Importance {
    /// The metric that chooses the best epoch, and its value.
    pub metric: String,
    pub value: f64,
    /// What is measured, such as `test rows`, and how many there are.
    pub measured: &'static str,
    pub count: usize,
    /// The number of rows that the Shapley values explain.
    pub explained: usize,
    /// The fields, those that the metric needs most first.
    pub fields: Vec<FieldImportance>,
}

/// How much a model needs a field.
#[derive(Serialize)]
pub struct FieldImportance {
    pub field: String,
    /// By how much the metric gets worse if the values of the field are shuffled between rows.
    pub shuffled: Estimate,
    /// By how much it gets worse if they are missing.
    pub missing: Estimate,
    /// The mean magnitude of the field's Shapley values, in the unit of the label for a regression.
    pub mean_shapley: Estimate,
}

/// An estimate and its standard error.
#[derive(Clone, Copy, Serialize)]
pub struct Estimate {
    pub value: f64,
    /// `None` if it cannot be estimated.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// Half the width of the 95% interval around the estimate.
    pub fn margin(self) -> Option<f64> {
        self.standard_error.map(|error| 1.96 * error)
    }
}

/// How much the model of a run needs each field, on a part of its data.
pub fn importance(predictor: &Predictor<BuiltModel>, source: &RawData, part: Part) -> Result<Importance> {
    during("measuring the fields", || {
        let measurement = Measurement::new(predictor, source, part)?;
        measurement.importance()
    })
}

/// What a model makes of some rows.
enum Outcome {
    Logits(Vec<f32>),
    /// The metric of each user's ranking, whose mean is that of all users.
    Users(Vec<f64>),
}

/// Some rows, on which a model is measured with and without a field.
struct Measurement<'a> {
    predictor: &'a Predictor<BuiltModel>,
    part: Part,
    rows: Records,
    targets: Targets,
    ranking: Option<(Ranking, RankingData)>,
    metric: Metric,
}

impl<'a> Measurement<'a> {
    fn new(predictor: &'a Predictor<BuiltModel>, source: &RawData, part: Part) -> Result<Measurement<'a>> {
        let schema = &predictor.schema;
        let is_ranking = schema.label().task.is_ranking();
        let all = rows_of(source, part);
        if all.is_empty() {
            bail!("there are no {} rows to measure the fields on: choose another `--part`", part.name());
        }
        let metric = predictor.settings.monitored()?;
        if metric.is_within_groups() {
            bail!(
                "{} is measured within groups of rows, of which samples of rows would lose some: choose another metric",
                metric.name
            );
        }
        // The queries of a ranking refer to all rows.
        let step = if is_ranking { 1 } else { all.len().div_ceil(ROWS) };
        let sample: Vec<u32> = all.iter().step_by(step).copied().collect();
        let rows = source.encode(schema, &sample)?;
        let ranking = match is_ranking {
            true => {
                let data = source.ranking(schema)?;
                Some((predictor.ranking(&data)?, data))
            }
            false => None,
        };
        let targets = Targets::of(&rows);
        Ok(Measurement { predictor, part, rows, targets, ranking, metric })
    }

    fn importance(&self) -> Result<Importance> {
        let Predictor { schema, model, device, .. } = self.predictor;
        let whole = match &self.ranking {
            None => self.outcome(&self.rows, None)?,
            Some((_, data)) => self.outcome(&self.rows, Some(&data.item_slots(schema)?))?,
        };
        let count = match &whole {
            Outcome::Logits(logits) => logits.len(),
            Outcome::Users(values) => values.len(),
        };
        let all: Vec<usize> = (0..count).collect();
        let Some(value) = self.value(&whole, &all) else {
            bail!("{} is undefined on the {} rows", self.metric.name, self.part.name());
        };
        let scale = f64::from(schema.label().scale);
        let shapley = mean_shapley(schema, &self.rows, *device, SCORED, |features| model.score_rows(features))?;
        let mut fields = vec![];
        for (number, field) in schema.fields().iter().enumerate() {
            let [shuffled, missing] = self.without(number, &whole, &all)?;
            let mean_shapley = Estimate {
                value: scale * shapley.values[number],
                standard_error: Some(scale * shapley.standard_errors[number]),
            };
            fields.push(FieldImportance { field: field.name.clone(), shuffled, missing, mean_shapley });
        }
        fields.sort_by(|a, b| b.shuffled.value.total_cmp(&a.shuffled.value));
        let measured = match (&whole, self.part) {
            (Outcome::Users(_), _) => "users",
            (Outcome::Logits(_), Part::Train) => "training rows",
            (Outcome::Logits(_), Part::Valid) => "validation rows",
            (Outcome::Logits(_), Part::Test) => "test rows",
        };
        Ok(Importance { metric: self.metric.name.clone(), value, measured, count, explained: shapley.rows, fields })
    }

    /// By how much the metric gets worse if the values of a field are shuffled, and if they are missing.
    fn without(&self, field: usize, whole: &Outcome, all: &[usize]) -> Result<[Estimate; 2]> {
        let shuffles = match self.ranking {
            Some(_) => 1,
            None => (SHUFFLES / self.predictor.schema.num_fields()).clamp(1, 3),
        };
        let shuffled = (0..shuffles).map(|number| {
            let order = |n| permutation(SEED, number, n).into_iter().map(|row| row as usize).collect();
            self.replaced(field, |n| Replacement::Of(order(n)))
        });
        let shuffled = shuffled.collect::<Result<Vec<Outcome>>>()?;
        let missing = self.replaced(field, |_| Replacement::Missing)?;
        let worse = |units: &[usize]| -> Option<[f64; 2]> {
            let cost = |outcome| Some(self.metric.cost(self.value(outcome, units)?));
            let whole = cost(whole)?;
            let of_shuffled = shuffled.iter().map(cost).sum::<Option<f64>>()? / shuffles as f64;
            Some([of_shuffled - whole, cost(&missing)? - whole])
        };
        let values = worse(all).unwrap_or([f64::NAN; 2]);
        let errors = standard_errors(all.len(), worse);
        Ok([0, 1].map(|at| Estimate { value: values[at], standard_error: errors.map(|errors| errors[at]) }))
    }

    /// The outcome with other values of a field: those of the rows, or of the items if it describes them in a ranking.
    fn replaced(&self, field: usize, by: impl Fn(usize) -> Replacement) -> Result<Outcome> {
        let Predictor { schema, .. } = self.predictor;
        let Some((_, data)) = &self.ranking else {
            return self.outcome(&Replaced::new(&self.rows, schema, field, by(self.rows.len()))?, None);
        };
        let of_slots = schema.field_of_slots();
        if schema.item_slots().any(|slot| of_slots[slot] == field) {
            let items = Replaced::new(&data.items, schema, field, by(data.items.len()))?;
            let all: Vec<usize> = (0..items.len()).collect();
            let items = ItemSlots::new(schema, &items.batch(&all, Device::Cpu)?.features)?;
            return self.outcome(&self.rows, Some(&items));
        }
        let rows = Replaced::new(&self.rows, schema, field, by(self.rows.len()))?;
        self.outcome(&rows, Some(&data.item_slots(schema)?))
    }

    /// What the model makes of these rows and, in a ranking, of these items.
    fn outcome(&self, rows: &dyn Rows, items: Option<&ItemSlots>) -> Result<Outcome> {
        let Predictor { model, device, .. } = self.predictor;
        Ok(match (&self.ranking, items) {
            (Some((ranking, _)), Some(items)) => {
                let items = items.shallow_clone().to_device(*device);
                let ranks = ranking.ranks(self.part, rows, &items, model)?;
                let of_user = |ranks: &Vec<u32>| {
                    let metrics = metrics_of_users(std::slice::from_ref(ranks), ranking.cutoffs());
                    metrics.get(&self.metric.name).copied()
                };
                let values: Option<Vec<f64>> = ranks.iter().map(of_user).collect();
                let Some(values) = values else {
                    bail!("{} is not a mean over users, so fields cannot be measured by it", self.metric.name);
                };
                Outcome::Users(values)
            }
            _ => Outcome::Logits(predict(model, rows, *device)?),
        })
    }

    /// The metric on some rows or users.
    fn value(&self, outcome: &Outcome, units: &[usize]) -> Option<f64> {
        match outcome {
            Outcome::Users(values) => {
                let sum: f64 = units.iter().map(|&user| values[user]).sum();
                (!units.is_empty()).then(|| sum / units.len() as f64)
            }
            Outcome::Logits(logits) => {
                let label = self.predictor.schema.label();
                self.targets.measure(logits, units, |scored| metric(label, scored, &self.metric.name))
            }
        }
    }
}
