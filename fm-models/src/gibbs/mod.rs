//! Gibbs sampling of a factorization machine's parameters.
//!
//! The score of a row is linear in the weight w_i and the vector v_i of any single id i, so their conditional
//! distribution is Gaussian. A sweep draws from it once per id. libFM and myFM draw one number at a time, which takes k
//! passes over the rows of an id and mixes more slowly. The noise of the labels and the parameters of the priors are
//! drawn from conditionals in closed form, so there is neither a learning rate nor a penalty to choose.

mod block;
mod columns;
mod conditional;
mod gram;
mod hyperprior;
mod lanes;
mod layout;
mod moments;
mod polya_gamma;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::{ControlFlow, Range};

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use block::{Block, Change, Others, Target};
use columns::Columns;
use conditional::Conditional;
pub use hyperprior::Hyperprior;
use hyperprior::{Normal, NormalGamma};
pub use layout::Layout;
use layout::Parts;
use moments::Moments;
use polya_gamma::PolyaGamma;

/// Number of elements to process between two progress reports.
const PART: usize = 1 << 19;

/// The parameters of a factorization machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// w₀.
    pub bias: f32,
    /// `[n, k + 1]`: the vector and then the weight of each id.
    pub ids: Vec<f32>,
}

/// The distribution of labels, given scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// y ~ N(ŷ, 1/α).
    Gaussian,
    /// y ~ Bernoulli(σ(ŷ)).
    Logistic,
}

/// The ids of a field. Their parameters share a prior.
#[derive(Clone, Debug)]
pub struct Group {
    /// The ids.
    pub ids: Range<usize>,
    /// Whether a row contains at most one of them.
    pub is_exclusive: bool,
}

/// A Markov chain over the parameters of a factorization machine, whose stationary distribution is their posterior.
///
/// The model is y_r ~ N(ŷ_r, 1/α) or y_r ~ Bernoulli(σ(ŷ_r)), w_i ~ N(μ_g, 1/λ_g) and v_{i,f} ~ N(μ_{g,f}, 1/λ_{g,f})
/// for the ids i of field g, w₀ ~ N(0, 1/γ₀), and the rest as in [`Hyperprior`]. With Gaussian labels, a row of weight
/// c counts as c rows; otherwise all weights must be 1.
#[derive(Debug)]
pub struct Chain {
    likelihood: Likelihood,
    hyperprior: Hyperprior,
    labels: Vec<f32>,
    weights: Vec<f32>,
    /// The blocks with their fields, in the order of drawing.
    blocks: Vec<Block>,
    groups: Vec<Vec<Group>>,
    targets: Vec<Target>,
    /// k + 1.
    width: usize,
    moments: Moments,
    conditional: Conditional,
    change: Change,
}

impl Chain {
    /// A chain over vectors of length k. `groups` are the fields. The exclusive field with the most ids is drawn last.
    pub fn new(layout: Layout, likelihood: Likelihood, hyperprior: Hyperprior, groups: &[Group], k: usize) -> Chain {
        let Layout { labels, weights, blocks: parts, others } = layout;
        let rank = |field: &usize| (groups[*field].is_exclusive, groups[*field].ids.len());
        let mut blocks: Vec<(Vec<usize>, Block)> = others
            .into_iter()
            .map(|(fields, columns)| (fields, Block::of_rows(labels.len(), columns, k)))
            .chain(
                parts
                    .into_iter()
                    .map(|Parts { fields, of_rows, columns, len }| (fields, Block::of_parts(of_rows, len, columns, k))),
            )
            .collect();
        blocks.iter_mut().for_each(|(fields, _)| fields.sort_by_key(rank));
        blocks.sort_by_key(|(fields, _)| fields.last().map(rank));
        let of = |fields: &Vec<usize>| fields.iter().map(|&field| groups[field].clone()).collect();
        let groups = blocks.iter().map(|(fields, _)| of(fields)).collect();
        Chain {
            likelihood,
            hyperprior,
            targets: vec![Target::default(); labels.len()],
            labels,
            weights,
            blocks: blocks.into_iter().map(|(_, block)| block).collect(),
            groups,
            width: k + 1,
            moments: Moments::new(k),
            conditional: Conditional::new(k + 1),
            change: Change::new(k),
        }
    }

    /// The maximum number of parts of a block. With it, the sums of a block take twice the memory of the rows' records.
    pub fn max_parts(num_rows: usize, k: usize) -> usize {
        2 * num_rows / table::width(k)
    }

    /// Draws the noise of the labels, the priors and then every parameter, each given all others.
    ///
    /// Returns the mean loss before the sweep, and the drawn `parameters`, except for the ids of the last field: if it
    /// is exclusive, they have their conditional means. Such ids are conditionally independent of each other, so the
    /// score with these means is the conditional mean of the score with draws. Its average over sweeps has the same
    /// expectation and less variance (Gelfand and Smith, Sampling-based approaches to calculating marginal densities,
    /// JASA 1990).
    ///
    /// `progress` receives the completed fraction of the sweep and the loss, once it is known. It can stop the sweep. A
    /// loss that is not finite also stops it.
    pub fn sweep<R: Rng>(
        &mut self,
        parameters: &mut Parameters,
        rng: &mut R,
        progress: &mut dyn FnMut(f64, f64) -> ControlFlow<()>,
    ) -> ControlFlow<(), (f64, Parameters)> {
        let rows = self.labels.len();
        let total = rows + self.blocks.iter().map(|block| rows + 2 * block.columns.num_entries()).sum::<usize>();
        let mut clock = Clock { done: 0, due: PART, total, loss: f64::NAN, progress };
        self.add_up(parameters, &mut clock)?;
        clock.loss = self.draw_noise(&mut parameters.bias, rng, &mut clock)?;
        let mut expected = parameters.clone();
        if !clock.loss.is_finite() {
            return ControlFlow::Continue((clock.loss, expected));
        }
        for place in 0..self.blocks.len() {
            self.draw_block(place, parameters, &mut expected, rng, &mut clock)?;
        }
        ControlFlow::Continue((clock.loss, expected))
    }

    /// Computes the sums over ids in each part.
    fn add_up(&mut self, parameters: &Parameters, clock: &mut Clock<'_>) -> ControlFlow<()> {
        for (block, groups) in self.blocks.iter_mut().zip(&self.groups) {
            block.table.clear();
            for id in groups.iter().flat_map(|group| group.ids.clone()) {
                let numbers = &parameters.ids[id * self.width..(id + 1) * self.width];
                block.table.add(&block.columns, id, numbers);
                clock.tick(block.columns.len(id))?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Draws the noise of each row, then the bias. Returns the mean loss.
    fn draw_noise<R: Rng>(&mut self, bias: &mut f32, rng: &mut R, clock: &mut Clock<'_>) -> ControlFlow<(), f64> {
        let all = Others(self.blocks.iter().collect());
        let k = self.width - 1;
        let mut record = vec![0.0; table::width(k)];
        let zeros = record.clone();
        let (mut loss, mut count, mut precision, mut shift) = (0.0, 0.0, 0.0, 0.0);
        for (row, target) in self.targets.iter_mut().enumerate() {
            all.sum(row, &mut record);
            let (label, weight) = (self.labels[row], f64::from(self.weights[row]));
            let rest = record[k];
            (record[k], record[k + 1]) = (0.0, 0.0);
            let score = *bias + rest + lanes::square_of_sum(&record, &zeros) / 2.0;
            if !score.is_finite() {
                return ControlFlow::Continue(f64::NAN);
            }
            let (row_loss, row_precision) = match self.likelihood {
                Likelihood::Gaussian => {
                    *target = Target { value: label, scale: self.weights[row].sqrt() };
                    (f64::from(label - score).powi(2), weight)
                }
                Likelihood::Logistic => {
                    let precision = PolyaGamma::new(f64::from(score)).sample(rng);
                    let value = (f64::from(label) - 0.5) / precision;
                    *target = Target { value: value as f32, scale: precision.sqrt() as f32 };
                    // -ln σ(±ŷ)
                    let against = f64::from(if label > 0.5 { -score } else { score });
                    (against.max(0.0) + (-against.abs()).exp().ln_1p(), precision)
                }
            };
            loss += row_loss * weight;
            count += weight;
            precision += row_precision;
            shift += row_precision * f64::from(target.value - (score - *bias));
            clock.tick(1)?;
        }
        if self.likelihood == Likelihood::Gaussian {
            let alpha = self.hyperprior.precision(count, loss, rng);
            self.targets.iter_mut().for_each(|target| target.scale *= alpha.sqrt() as f32);
            (precision, shift) = (precision * alpha, shift * alpha);
        }
        precision += self.hyperprior.gamma_0;
        let z: f64 = StandardNormal.sample(rng);
        *bias = (shift / precision + z / precision.sqrt()) as f32;
        ControlFlow::Continue(loss / count)
    }

    /// Draws the ids of a block, field by field. `expected` receives the conditional means of exclusive ids.
    fn draw_block<R: Rng>(
        &mut self,
        place: usize,
        parameters: &mut Parameters,
        expected: &mut Parameters,
        rng: &mut R,
        clock: &mut Clock<'_>,
    ) -> ControlFlow<()> {
        let Chain { hyperprior, blocks, groups, targets, moments, conditional, change, .. } = self;
        let width = self.width;
        let (before, rest) = blocks.split_at_mut(place);
        let Some((block, after)) = rest.split_first_mut() else { return ControlFlow::Continue(()) };
        let others = Others(before.iter().chain(&*after).collect());
        block.begin(parameters.bias, &others, targets);
        clock.tick(targets.len())?;
        for Group { ids, is_exclusive } in &groups[place] {
            expected.ids.copy_from_slice(&parameters.ids);
            let posteriors = |columns: &Columns, numbers: &[f32]| -> Vec<NormalGamma> {
                let seen = ids.clone().filter(|&id| columns.len(id) > 0);
                (0..width).map(|i| hyperprior.posterior(seen.clone().map(|id| numbers[id * width + i]))).collect()
            };
            let priors: Vec<Normal> =
                posteriors(&block.columns, &parameters.ids).iter().map(|posterior| posterior.draw(rng)).collect();
            for id in ids.clone() {
                if block.columns.len(id) == 0 {
                    continue;
                }
                let range = id * width..(id + 1) * width;
                let (numbers, expected) = (&mut parameters.ids[range.clone()], &mut expected.ids[range]);
                block.sum(id, numbers, moments);
                conditional.set(&priors, moments);
                round(conditional.mean(), expected);
                round(conditional.draw(rng), numbers);
                if !is_exclusive {
                    expected.copy_from_slice(numbers);
                }
                change.set(moments.id(), numbers);
                block.follow(id, change);
                clock.tick(block.columns.len(id))?;
            }
            // All other ids have no rows. Their expected value is that of the prior, given the ids just drawn.
            let means: Vec<f32> =
                posteriors(&block.columns, &parameters.ids).iter().map(|posterior| posterior.mean as f32).collect();
            for id in ids.clone().filter(|&id| block.columns.len(id) == 0) {
                for numbers in [&mut parameters.ids, &mut expected.ids] {
                    numbers[id * width..(id + 1) * width].copy_from_slice(&means);
                }
            }
        }
        block.end(parameters.bias, &others, targets);
        ControlFlow::Continue(())
    }
}

fn round(numbers: &[f64], to: &mut [f32]) {
    to.iter_mut().zip(numbers).for_each(|(to, number)| *to = *number as f32);
}

/// Reports progress.
struct Clock<'a> {
    done: usize,
    due: usize,
    total: usize,
    loss: f64,
    progress: &'a mut dyn FnMut(f64, f64) -> ControlFlow<()>,
}

impl Clock<'_> {
    fn tick(&mut self, numbers: usize) -> ControlFlow<()> {
        self.done += numbers;
        if self.done < self.due {
            return ControlFlow::Continue(());
        }
        self.due = self.done + PART;
        (self.progress)(self.done as f64 / self.total as f64, self.loss)
    }
}
