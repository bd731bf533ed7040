//! Online updates of linear models and factorization machines: the score of a row, its gradient and the update of the
//! parameters, in one pass over the row.
//!
//! | file | |
//! |---|---|
//! | this | the loop over rows, the same for all formulas and rules |
//! | `fm` | the formula of LR and FM |
//! | `ffm` | the formula of FFM |
//! | `rule` | update rules |
//! | `table` | a parameter and its optimiser state, side by side in memory |
//!
//! All paths of the code compute the same operations in the same order, so results do not depend on the instructions
//! that the processor has. Several threads train on parts of the rows at once and change the tables without locks, as
//! in Recht, Ré, Wright and Niu, Hogwild!, NeurIPS 2011; their results differ from run to run.

mod ffm;
mod fm;
mod rule;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use fm_core::online::{LossSum, OnlineKernel, Pass};
use fm_core::optim::OptimizerConfig;
use fm_core::rows::ActiveRow;
use fm_core::{Error, Records, Result};
use multiversion::multiversion;
use tch::Tensor;

pub(crate) use ffm::FfmTables;
pub(crate) use fm::FmTables;
use rule::{AdaGrad, Adam, Apply, Ftrl, Rule, Sgd};
use table::Table;

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
    rule: R,
}

/// How a row's score depends on the tables.
trait Formula: Copy + Send + Sync {
    /// Memory for intermediate results, of one thread.
    type Space;

    /// This memory.
    fn space(self) -> Self::Space;

    /// Starts to load what a row needs.
    fn prefetch<R: Apply>(self, row: &ActiveRow);

    /// Trains on a row and returns its loss before the update. The ids of the row are below [`Tables::num_rows`].
    fn train_row<R: Apply>(self, row: &ActiveRow, pass: &Pass, rule: R, space: &mut Self::Space) -> f32;
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

    fn train(&mut self, rows: &Records, numbers: &[usize], pass: Pass) -> Result<LossSum> {
        if rows.table_rows() > self.tables.num_rows() {
            let (expected, found) = (self.tables.num_rows(), rows.table_rows());
            return Err(Error::shape("online updates", format!("{expected} rows of tables"), found.to_string()));
        }
        let lr = pass.lr;
        Ok(match self.rule {
            Rule::Sgd => self.tables.train(Job { rows, numbers, pass, rule: Sgd { lr } }),
            Rule::AdaGrad { epsilon, .. } => {
                self.tables.train(Job { rows, numbers, pass, rule: AdaGrad { lr, epsilon } })
            }
            Rule::Adam { beta_1, beta_2, epsilon } => {
                let rule = Adam { lr: lr.into(), beta_1, beta_2, epsilon, done: 0, rate: 0.0 };
                self.tables.train(Job { rows, numbers, pass, rule })
            }
            Rule::Ftrl { beta, l1 } => self.tables.train(Job { rows, numbers, pass, rule: Ftrl { lr, beta, l1 } }),
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
            sum += train_part(formula, Job { numbers, pass: Pass { done, ..job.pass }, ..job });
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
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn train_part<F: Formula, R: Apply>(formula: F, job: Job<'_, R>) -> LossSum {
    train_in_order(formula, job)
}

/// Trains on rows in their order.
#[inline(always)]
fn train_in_order<F: Formula, R: Apply>(formula: F, job: Job<'_, R>) -> LossSum {
    let Job { rows, numbers, pass, mut rule } = job;
    rule.begin(pass.done);
    let mut space = formula.space();
    let mut sum = LossSum::default();
    let done: Result<(), std::convert::Infallible> = rows.reader().for_each(
        numbers,
        |row| formula.prefetch::<R>(row),
        |row| {
            rule.next_row();
            let loss = formula.train_row(row, &pass, rule, &mut space);
            let weight = f64::from(row.weight);
            sum += LossSum { loss: f64::from(loss) * weight, weight };
            Ok(())
        },
    );
    let Ok(()) = done;
    sum
}
