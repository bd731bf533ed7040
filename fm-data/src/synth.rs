//! Synthetic rows from a planted factorization machine, whose best possible metrics are known.

mod layout;
mod machine;
mod optimum;
mod zipf;

use std::ops::Range;

use fm_core::Error as CoreError;
use fm_core::seed::{Stream, derive};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use self::machine::{Machine, Terms};
use self::zipf::Zipf;
use crate::error::Result;
use crate::threads;

pub use layout::Layout;
pub use optimum::{Optimum, OptimumMetrics};

const MAX_FIELDS: usize = 10_000;
const MAX_EMBEDDING_DIM: usize = 1_000;
const MAX_CARDINALITY: usize = 1_000_000_000;
const MAX_ZIPF: f64 = 100.0;
const MAX_SCALE: f64 = 1_000.0;

/// Maximum numbers of rows and of values in the sample that standardises the logits.
const SAMPLE: (usize, usize) = (100_000, 1 << 24);
/// Maximum numbers of rows and of values in a chunk.
const CHUNK: (usize, usize) = (32_768, 1 << 20);
/// Number of rows that a thread draws at a time.
const BLOCK: u64 = 1_024;
/// The histogram of an [`Optimum`] reaches this many standard deviations of logits.
const REACH: f64 = 8.0;
/// A part of the logits with a smaller standard deviation is constant.
const LEAST_DEVIATION: f64 = 1e-9;

/// The settings of a [`Planted`] machine.
#[derive(Clone, Debug, PartialEq)]
pub struct PlantedConfig {
    /// The number of fields, from 1 to 10,000.
    pub fields: usize,
    /// The number of values of each field, or one number for all fields: from 1 to 1,000,000,000.
    pub cardinalities: Vec<usize>,
    /// s, from 0 to 100: the k-th value of a field has a probability proportional to k^(-s).
    pub zipf: f64,
    /// The mean probability of label 1, above 0 and below 1.
    pub click_rate: f64,
    /// The length of the vectors, from 1 to 1,000.
    pub embedding_dim: usize,
    /// The standard deviation of the linear part of the logits, from 0 to 1,000.
    pub linear: f64,
    /// The standard deviation of the pairwise part of the logits, from 0 to 1,000.
    pub interactions: f64,
    /// The seed of the machine and the rows.
    pub seed: u64,
}

impl Default for PlantedConfig {
    fn default() -> PlantedConfig {
        PlantedConfig {
            fields: 10,
            cardinalities: vec![1_000],
            zipf: 1.1,
            click_rate: 0.25,
            embedding_dim: 8,
            linear: 1.0,
            interactions: 1.0,
            seed: 1,
        }
    }
}

impl PlantedConfig {
    /// # Errors
    /// [`fm_core::Error::OutOfRange`].
    fn check(&self) -> Result<(), CoreError> {
        let whole = |name: &str, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(CoreError::out_of_range(name, value, format!("from 1 to {most}"))),
        };
        let number = |name: &str, value: f64, most: f64| match (0.0..=most).contains(&value) {
            true => Ok(()),
            false => Err(CoreError::out_of_range(name, value, format!("from 0 to {most}"))),
        };
        whole("the number of fields", self.fields, MAX_FIELDS)?;
        if ![1, self.fields].contains(&self.cardinalities.len()) {
            let range = format!("1, or one for each of the {} fields", self.fields);
            return Err(CoreError::out_of_range("the number of cardinalities", self.cardinalities.len(), range));
        }
        for &cardinality in &self.cardinalities {
            whole("a cardinality", cardinality, MAX_CARDINALITY)?;
        }
        number("the exponent of Zipf's law", self.zipf, MAX_ZIPF)?;
        if !(self.click_rate > 0.0 && self.click_rate < 1.0) {
            return Err(CoreError::out_of_range("the click rate", self.click_rate, "above 0 and below 1"));
        }
        whole("the embedding dimension", self.embedding_dim, MAX_EMBEDDING_DIM)?;
        number("the scale of the linear part", self.linear, MAX_SCALE)?;
        number("the scale of the interactions", self.interactions, MAX_SCALE)
    }
}

/// A factorization machine that labels random rows, so that a trained model can be compared with the best possible one.
///
/// A row has one value for each field. Values are independent of each other and follow Zipf's law. The label is 1 with
/// probability σ(z):
///
/// z = b + linear · std(Σ_f w_f) + interactions · std(Σ_{f < g} ⟨v_f, v_g⟩)
///
/// w_f and v_f are the weight and the vector of the field's value, almost normal and drawn from the seed. std subtracts
/// the mean over rows and divides by the standard deviation. It and the intercept b, which gives the click rate, come
/// from a sample of 100,000 rows (fewer for more than 167 fields). With a single field there are no pairs, and z has
/// only the linear part.
///
/// Rows are independent of each other, so any split of them is fair. A row depends only on the settings and its number:
/// all platforms draw the same, and fewer rows are the first ones of more.
///
/// ```
/// use fm_data::synth::{Layout, Planted, PlantedConfig};
///
/// let config = PlantedConfig { fields: 3, cardinalities: vec![20, 50, 1_000], ..PlantedConfig::default() };
/// let planted = Planted::new(&config)?;
/// let mut optimum = planted.optimum();
/// for rows in planted.chunks(5_000) {
///     let table = planted.table(&rows, Layout::Columns)?; // for a `TableWriter`
///     assert_eq!(table.get_column_names(), ["label", "c1", "c2", "c3"]);
///     optimum.add(&rows);
/// }
/// let metrics = optimum.metrics();
/// assert!((metrics.click_rate - 0.25).abs() < 0.03);
/// assert!(metrics.bayes_logloss < metrics.base_logloss);
/// # Ok::<(), fm_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Planted {
    seed: u64,
    /// The distribution of each field's values.
    values: Vec<Zipf>,
    /// The number of values of all earlier fields, for each field and at the end.
    offsets: Vec<u64>,
    machine: Machine,
    /// What the parts of a logit are multiplied by.
    scale: Terms,
    /// What is added, with the means of the parts.
    intercept: f64,
    /// The mean of the logits, and how far the histogram of an [`Optimum`] reaches.
    center: f64,
    reach: f64,
}

/// A row as drawn.
struct Drawn {
    terms: Terms,
    /// A uniform number, for the label.
    uniform: f64,
}

impl Planted {
    /// Draws the machine, and standardises its logits.
    ///
    /// # Errors
    /// [`fm_core::Error::OutOfRange`].
    pub fn new(config: &PlantedConfig) -> Result<Planted> {
        config.check()?;
        let cardinalities = config.cardinalities.iter().cycle().take(config.fields);
        let mut offsets = vec![0];
        offsets.extend(cardinalities.clone().scan(0, |sum, &n| {
            *sum += n as u64;
            Some(*sum)
        }));
        let mut planted = Planted {
            seed: config.seed,
            values: cardinalities.map(|&n| Zipf::new(config.zipf, n as u32)).collect(),
            offsets,
            machine: Machine { seed: derive(config.seed, Stream::Planted), embedding_dim: config.embedding_dim },
            scale: Terms { linear: 0.0, interactions: 0.0 },
            intercept: 0.0,
            center: 0.0,
            reach: REACH * (config.linear + config.interactions),
        };
        let sample = planted.sample();
        let mean = |of: &dyn Fn(&Terms) -> f64| sample.iter().map(of).sum::<f64>() / sample.len() as f64;
        let standard = |part: fn(&Terms) -> f64, scale: f64| {
            let center = mean(&part);
            let deviation = mean(&|terms| (part(terms) - center) * (part(terms) - center)).sqrt();
            (center, if deviation > LEAST_DEVIATION { scale / deviation } else { 0.0 })
        };
        let (linear, linear_scale) = standard(|terms| terms.linear, config.linear);
        let (interactions, interactions_scale) = standard(|terms| terms.interactions, config.interactions);
        planted.scale = Terms { linear: linear_scale, interactions: interactions_scale };
        planted.intercept = -(linear * linear_scale + interactions * interactions_scale);
        let logits: Vec<f64> = sample.iter().map(|&terms| planted.logit(terms)).collect();
        planted.center = intercept(&logits, config.click_rate);
        planted.intercept += planted.center;
        Ok(planted)
    }

    /// The number of fields.
    pub fn fields(&self) -> usize {
        self.values.len()
    }

    /// The rows with numbers in a range, counted from 0.
    pub fn rows(&self, range: Range<u64>) -> PlantedRows {
        let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let blocks = range.clone().step_by(BLOCK as usize).map(|start| start..(start + BLOCK).min(range.end));
        let drawn = threads::map(blocks, count.saturating_mul(self.fields()), |block| {
            let mut rows = PlantedRows { fields: self.fields(), ..PlantedRows::default() };
            let mut sums = vec![];
            for row in block {
                let Drawn { terms, uniform } = self.draw(Stream::Row(row), &mut rows.values, &mut sums);
                let logit = self.logit(terms);
                rows.logits.push(logit);
                rows.labels.push(uniform < sigmoid(logit));
            }
            rows
        });
        let mut all = PlantedRows { fields: self.fields(), ..PlantedRows::default() };
        for rows in drawn {
            all.values.extend(rows.values);
            all.logits.extend(rows.logits);
            all.labels.extend(rows.labels);
        }
        all
    }

    /// The first rows, in chunks of at most 32,768 rows and about a million values.
    pub fn chunks(&self, rows: u64) -> impl Iterator<Item = PlantedRows> {
        let size = at_most(CHUNK, self.fields());
        (0..rows).step_by(size).map(move |start| self.rows(start..rows.min(start + size as u64)))
    }

    /// Metrics of the true probabilities, without any rows yet.
    pub fn optimum(&self) -> Optimum {
        Optimum::new(self.center, self.reach)
    }

    /// The parts of the logits of rows that are not among those written.
    fn sample(&self) -> Vec<Terms> {
        let rows = at_most(SAMPLE, self.fields());
        let blocks = (0..rows as u64).step_by(BLOCK as usize).map(|start| start..(start + BLOCK).min(rows as u64));
        let drawn = threads::map(blocks, rows * self.fields(), |block| {
            let (mut values, mut sums) = (vec![], vec![]);
            let draw = |row| {
                values.clear();
                self.draw(Stream::SampleRow(row), &mut values, &mut sums).terms
            };
            block.map(draw).collect::<Vec<Terms>>()
        });
        drawn.concat()
    }

    /// Draws a row, whose values are appended to `values`.
    fn draw(&self, stream: Stream, values: &mut Vec<u32>, sums: &mut Vec<f64>) -> Drawn {
        let mut random = Pcg64::seed_from_u64(derive(self.seed, stream));
        let start = values.len();
        values.extend(self.values.iter().map(|zipf| zipf.draw(&mut random)));
        Drawn { terms: self.machine.terms(&values[start..], sums), uniform: random.random() }
    }

    fn logit(&self, terms: Terms) -> f64 {
        terms.linear * self.scale.linear + terms.interactions * self.scale.interactions + self.intercept
    }
}

/// The number of rows that exceeds neither limit, at least 1.
fn at_most((rows, values): (usize, usize), fields: usize) -> usize {
    (values / fields).clamp(1, rows)
}

/// The same on all platforms, unlike the standard library's functions.
fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

/// The number whose addition to all logits gives this mean probability, by bisection.
fn intercept(logits: &[f64], rate: f64) -> f64 {
    let (least, most) = logits.iter().fold((f64::MAX, f64::MIN), |(a, b), &logit| (a.min(logit), b.max(logit)));
    let logit = libm::log(rate) - libm::log1p(-rate);
    let (mut low, mut high) = (logit - most, logit - least);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        let mean = logits.iter().map(|logit| sigmoid(logit + middle)).sum::<f64>() / logits.len() as f64;
        *(if mean < rate { &mut low } else { &mut high }) = middle;
    }
    0.5 * (low + high)
}

/// Rows of a [`Planted`] machine, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlantedRows {
    fields: usize,
    /// Those of a row are neighbours.
    values: Vec<u32>,
    logits: Vec<f64>,
    labels: Vec<bool>,
}

impl PlantedRows {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The label of each row.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// The true logit of each row.
    pub fn logits(&self) -> &[f64] {
        &self.logits
    }

    /// The values of a row, one per field. The most frequent value of a field is 1.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn values(&self, row: usize) -> &[u32] {
        &self.values[row * self.fields..][..self.fields]
    }
}

#[cfg(test)]
mod tests;
