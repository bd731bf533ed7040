//! Online updates of linear models and factorization machines: the score of a row, its gradient and the update of the
//! parameters, in one pass over the row.
//!
//! | file | |
//! |---|---|
//! | this | the loop over rows, the same for all formulas and rules |
//! | `fm` | the formula of LR and FM |
//! | `ffm` | the formula of FFM |
//! | `rule` | update rules |
//! | `number` | float32 numbers to compute with: one, or eight at once |
//! | `table` | a parameter and its optimiser state, side by side in memory |
//!
//! There is code for processors with AVX2 and FMA, and for others. Results differ by rounding between them, and between
//! processors of different makers, whose approximate inverse roots differ. Several threads train on parts of the rows
//! at once and change the tables without locks, as in Recht, Ré, Wright and Niu, Hogwild!, NeurIPS 2011; their results
//! differ from run to run.

#![allow(clippy::needless_range_loop, clippy::manual_memcpy, reason = "iterators and copies can become calls here")]

mod ffm;
mod fm;
mod number;
mod rule;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use fm_core::loss::RowLoss;
use fm_core::online::{LossSum, OnlineKernel, Pass};
use fm_core::optim::OptimizerConfig;
use fm_core::rows::{ActiveRow, RowKernel};
use fm_core::{Error, Records, Result};
use number::{Eight, Portable};
use tch::Tensor;

pub(crate) use ffm::FfmTables;
pub(crate) use fm::FmTables;
use rule::{AdaGrad, Adam, Apply, Ftrl, Rule, Sgd};
use table::Table;

/// How many numbers are computed at once.
const LANES: usize = 8;

/// The tables of a model, and the code of its formula.
pub(crate) trait Tables {
    /// All tables.
    fn all(&self) -> Vec<&Table>;

    /// All tables.
    fn all_mut(&mut self) -> Vec<&mut Table>;

    /// Number of rows of the tables that rows look up.
    fn num_rows(&self) -> usize;

    /// Trains on rows with the code for this formula and rule.
    fn train<R: Apply>(&mut self, job: Job<'_, R>) -> LossSum;
}

/// What [`train_rows`] needs besides the formula.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a, R> {
    rows: &'a Records,
    numbers: &'a [usize],
    pass: Pass,
    /// Where to put the bits of the rows' logits; empty if they are not wanted.
    logits: &'a [AtomicU32],
    rule: R,
}

/// How a row's score depends on the tables. The ids of all rows are below [`Tables::num_rows`].
trait Formula: Copy + Send + Sync {
    /// Whether it needs [`ActiveRow::ends`].
    const NEEDS_ENDS: bool;

    /// Intermediate results of a row.
    type Space<V: Eight>;

    /// Memory for them.
    fn space<V: Eight>(self) -> Self::Space<V>;

    /// Starts to load what a row needs.
    fn prefetch<R: Apply>(self, row: &ActiveRow);

    /// The logit of a row.
    fn score<V: Eight, R: Apply>(self, row: &ActiveRow, space: &mut Self::Space<V>) -> f32;

    /// Updates the tables for the row that was scored last. `slope` is the derivative of its loss in the logit, and `l2`
    /// the penalty λ, both times its weight.
    fn update<V: Eight, R: Apply>(self, row: &ActiveRow, space: &mut Self::Space<V>, rule: R, slope: f32, l2: f32);
}

/// Online updates for the tables of a model.
pub(crate) struct Kernel<T> {
    rule: Rule,
    tables: T,
}

impl<T: Tables> Kernel<T> {
    /// A kernel for tables, which `tables` makes for the states of the rule.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a rule without a kernel; errors of `tables`.
    pub fn new(config: OptimizerConfig, tables: impl FnOnce(Rule) -> Result<T>) -> Result<Kernel<T>> {
        let rule = Rule::new(config)?;
        Ok(Kernel { rule, tables: tables(rule)? })
    }
}

impl<T: Tables> OnlineKernel for Kernel<T> {
    fn state(&self) -> Vec<(String, Tensor)> {
        self.tables.all().into_iter().flat_map(Table::state).collect()
    }

    fn read(&mut self) -> Result<()> {
        self.tables.all_mut().into_iter().try_for_each(Table::read)
    }

    fn write(&self) -> Result<()> {
        self.tables.all().into_iter().try_for_each(Table::write)
    }

    fn train(&mut self, rows: &Records, numbers: &[usize], pass: Pass, logits: &[AtomicU32]) -> Result<LossSum> {
        if rows.table_rows() > self.tables.num_rows() {
            let (expected, found) = (self.tables.num_rows(), rows.table_rows());
            return Err(Error::shape("online updates", format!("{expected} rows of tables"), found.to_string()));
        }
        let lr = pass.lr;
        Ok(match self.rule {
            Rule::Sgd => self.tables.train(Job { rows, numbers, pass, logits, rule: Sgd { lr } }),
            Rule::AdaGrad { epsilon, .. } => {
                self.tables.train(Job { rows, numbers, pass, logits, rule: AdaGrad { lr, epsilon } })
            }
            Rule::Adam { beta_1, beta_2, epsilon } => {
                let rule = Adam { lr: lr.into(), beta_1, beta_2, epsilon, done: 0, rate: 0.0 };
                self.tables.train(Job { rows, numbers, pass, logits, rule })
            }
            Rule::Ftrl { beta, l1 } => {
                self.tables.train(Job { rows, numbers, pass, logits, rule: Ftrl { lr, beta, l1 } })
            }
        })
    }
}

/// Number of rows that a thread takes at a time.
const CHUNK: usize = 1 << 12;

/// Trains on rows in their order or, with several threads, on chunks of them at once.
fn train_rows<F: Formula, R: Apply>(formula: F, job: Job<'_, R>) -> LossSum {
    if job.pass.threads <= 1 || job.numbers.len() <= CHUNK {
        return train_part(formula, job);
    }
    let chunks = Mutex::new(job.numbers.chunks(CHUNK).enumerate());
    let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut sum = LossSum::default();
        while let Some((number, numbers)) = next() {
            let done = job.pass.done + (number * CHUNK) as u64;
            let logits = job.logits.get(number * CHUNK..).unwrap_or_default();
            sum += train_part(formula, Job { numbers, logits, pass: Pass { done, ..job.pass }, ..job });
        }
        sum
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..job.pass.threads).map(|_| scope.spawn(work)).collect();
        let mut sum = work();
        for thread in threads {
            sum += thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        sum
    })
}

/// Trains on rows in their order, with the instructions that the processor has.
#[allow(unsafe_code, reason = "the code for AVX2 may run only where the processor has it")]
fn train_part<F: Formula, R: Apply>(formula: F, job: Job<'_, R>) -> LossSum {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<F: Formula, R: Apply>(formula: F, job: Job<'_, R>) -> LossSum {
            train_with::<number::Avx2, F, R>(formula, job)
        }

        // SAFETY: the processor has them.
        return unsafe { with_avx2(formula, job) };
    }
    train_with::<Portable, F, R>(formula, job)
}

/// Trains on rows in their order.
#[inline(always)]
fn train_with<V: Eight, F: Formula, R: Apply>(formula: F, job: Job<'_, R>) -> LossSum {
    let Job { rows, numbers, pass, logits, mut rule } = job;
    rule.begin(pass.done);
    let losses = Losses::new(pass.loss);
    let mut machine = Machine { formula, pass, rule, space: formula.space::<V>(), losses, logits: logits.iter() };
    rows.reader().run(&mut machine, numbers);
    machine.losses.finish()
}

/// The kernel of a formula and a rule.
struct Machine<'a, V: Eight, F: Formula, R> {
    formula: F,
    pass: Pass,
    rule: R,
    space: F::Space<V>,
    losses: Losses,
    /// Where to put the bits of the next rows' logits.
    logits: std::slice::Iter<'a, AtomicU32>,
}

impl<V: Eight, F: Formula, R: Apply> RowKernel for Machine<'_, V, F, R> {
    const NEEDS_ENDS: bool = F::NEEDS_ENDS;

    /// The derivative of the row's loss in its logit.
    type Score = f32;

    #[inline(always)]
    fn prefetch(&self, row: &ActiveRow) {
        self.formula.prefetch::<R>(row);
    }

    #[inline(always)]
    fn score(&mut self, row: &ActiveRow) -> f32 {
        let logit = self.formula.score::<V, R>(row, &mut self.space);
        self.losses.push(logit, row.label, row.weight);
        if let Some(place) = self.logits.next() {
            place.store(logit.to_bits(), Ordering::Relaxed);
        }
        self.pass.loss.slope(logit, row.label)
    }

    #[inline(always)]
    fn update(&mut self, row: &ActiveRow, slope: f32) {
        self.rule.next_row();
        self.formula.update(row, &mut self.space, self.rule, slope * row.weight, self.pass.l2 * row.weight);
    }
}

/// Adds up losses. No update needs the loss, so the losses of eight rows are computed together.
struct Losses {
    loss: RowLoss,
    /// The logits, labels and weights of some rows.
    logits: [f32; LANES],
    labels: [f32; LANES],
    weights: [f32; LANES],
    len: usize,
    sums: [f64; LANES],
    weight: f64,
}

impl Losses {
    fn new(loss: RowLoss) -> Losses {
        let zeros = [0.0; LANES];
        Losses { loss, logits: zeros, labels: zeros, weights: zeros, len: 0, sums: [0.0; LANES], weight: 0.0 }
    }

    #[inline(always)]
    fn push(&mut self, logit: f32, label: f32, weight: f32) {
        let at = self.len;
        (self.logits[at], self.labels[at], self.weights[at]) = (logit, label, weight);
        self.len = (at + 1) % LANES;
        if self.len == 0 {
            self.add();
        }
    }

    #[inline(always)]
    fn add(&mut self) {
        let losses = self.loss.values(&self.logits, &self.labels);
        for row in 0..LANES {
            let weight = f64::from(self.weights[row]);
            self.sums[row] += f64::from(losses[row]) * weight;
            self.weight += weight;
        }
    }

    #[inline(always)]
    fn finish(mut self) -> LossSum {
        self.weights[self.len..].fill(0.0);
        self.add();
        LossSum { loss: self.sums.iter().sum(), weight: self.weight }
    }
}
