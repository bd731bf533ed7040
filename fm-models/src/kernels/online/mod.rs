//! Online updates of linear models and factorization machines: the score of a row, its gradient and the update of the
//! parameters, in one pass over the row.
//!
//! The numbers of an id and their states are neighbours in memory: a vector of length 8 and its AdaGrad sums fill a
//! cache line. All paths of the code compute the same operations in the same order, so results do not depend on the
//! instructions that the processor has.

mod rule;
mod table;
#[cfg(test)]
mod tests;

use fm_core::online::{LossSum, OnlineKernel, Pass};
use fm_core::optim::OptimizerConfig;
use fm_core::prefetch::prefetch;
use fm_core::rows::ActiveSlots;
use fm_core::{Error, Records, Result};
use multiversion::multiversion;
use tch::Tensor;

use rule::{AdaGrad, Adam, Apply, Rule, Sgd};
use table::Table;

/// The lengths of vectors that there is code for. Other vectors are filled up with zeros to the next one.
const LENGTHS: [usize; 8] = [0, 4, 8, 16, 32, 64, 128, 256];

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t, or without vectors its first-order part.
pub(crate) struct FmKernel {
    rule: Rule,
    /// w₀ `[1]`, w `[n, 1]`, and V `[n, k]`.
    bias: Table,
    weights: Table,
    vectors: Option<Table>,
}

impl FmKernel {
    /// A kernel for parameters on the CPU, with the prefix of the state of each.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a rule without a kernel, or vectors longer than 256.
    pub fn new(
        config: OptimizerConfig,
        bias: (&str, &Tensor),
        weights: (&str, &Tensor),
        vectors: Option<(&str, &Tensor)>,
    ) -> Result<FmKernel> {
        let rule = Rule::new(config)?;
        let table = |(name, tensor): (&str, &Tensor), width| Table::new(name, tensor, width, rule.states());
        let vectors = match vectors {
            Some((name, tensor)) => {
                let k = tensor.size()[1] as usize;
                let width = LENGTHS.into_iter().find(|&length| length >= k);
                let width = width.ok_or_else(|| {
                    Error::Unsupported(format!("online updates support vectors of up to 256 numbers, not {k}"))
                })?;
                Some(table((name, tensor), width)?)
            }
            None => None,
        };
        Ok(FmKernel { rule, bias: table(bias, 1)?, weights: table(weights, 1)?, vectors })
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.bias, &self.weights].into_iter().chain(&self.vectors)
    }

    fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        [&mut self.bias, &mut self.weights].into_iter().chain(&mut self.vectors)
    }

    /// Trains with a rule.
    fn train_by<R: Apply>(&mut self, rows: &Records, numbers: &[usize], pass: Pass, rule: R) -> Result<LossSum> {
        let width = self.vectors.as_ref().map_or(0, Table::width);
        let machine = Machine {
            bias: self.bias.numbers_mut(),
            weights: self.weights.numbers_mut(),
            vectors: self.vectors.as_mut().map_or(&mut [], Table::numbers_mut),
            pass,
            rule,
        };
        let outside = match width {
            0 => train_rows::<0, R>(machine, rows, numbers),
            4 => train_rows::<4, R>(machine, rows, numbers),
            8 => train_rows::<8, R>(machine, rows, numbers),
            16 => train_rows::<16, R>(machine, rows, numbers),
            32 => train_rows::<32, R>(machine, rows, numbers),
            64 => train_rows::<64, R>(machine, rows, numbers),
            128 => train_rows::<128, R>(machine, rows, numbers),
            _ => train_rows::<256, R>(machine, rows, numbers),
        };
        outside.map_err(|id| Error::shape("online updates", "ids of the model's tables", id.to_string()))
    }
}

impl OnlineKernel for FmKernel {
    fn state(&self) -> Vec<(String, Tensor)> {
        self.tables().flat_map(Table::state).collect()
    }

    fn read(&mut self) -> Result<()> {
        self.tables_mut().try_for_each(Table::read)
    }

    fn write(&self) -> Result<()> {
        self.tables().try_for_each(Table::write)
    }

    fn train(&mut self, rows: &Records, numbers: &[usize], pass: Pass) -> Result<LossSum> {
        let lr = pass.lr;
        match self.rule {
            Rule::Sgd => self.train_by(rows, numbers, pass, Sgd { lr }),
            Rule::AdaGrad { epsilon, .. } => self.train_by(rows, numbers, pass, AdaGrad { lr, epsilon }),
            Rule::Adam { beta_1, beta_2, epsilon } => {
                let adam = Adam { lr: lr.into(), beta_1, beta_2, epsilon, done: pass.done, rate: 0.0 };
                self.train_by(rows, numbers, pass, adam)
            }
        }
    }
}

/// How many rows before a row its start, its record and the rows of the tables are prefetched.
const AHEAD: [usize; 3] = [24, 12, 4];

/// The numbers of the tables, each followed by its states, and how to change them.
struct Machine<'a, R> {
    bias: &'a mut [f32],
    weights: &'a mut [f32],
    vectors: &'a mut [f32],
    pass: Pass,
    rule: R,
}

/// Trains on rows in this order. Returns an id outside the tables as an error.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn train_rows<const K: usize, R: Apply>(
    mut machine: Machine<'_, R>,
    rows: &Records,
    numbers: &[usize],
) -> Result<LossSum, u32> {
    let mut reader = rows.reader();
    let mut sum = LossSum::default();
    for (at, &number) in numbers.iter().enumerate() {
        if let Some(&ahead) = numbers.get(at + AHEAD[0]) {
            reader.prefetch_start(ahead);
        }
        if let Some(&ahead) = numbers.get(at + AHEAD[1]) {
            reader.prefetch(ahead);
        }
        if let Some(&ahead) = numbers.get(at + AHEAD[2]) {
            machine.prefetch::<K>(reader.table_rows(ahead));
        }
        let row = reader.row(number);
        let loss = machine.train_row::<K>(row)?;
        sum.loss += f64::from(loss) * f64::from(row.weight);
        sum.weight += f64::from(row.weight);
    }
    Ok(sum)
}

impl<R: Apply> Machine<'_, R> {
    /// Starts to load rows of the tables.
    #[inline(always)]
    fn prefetch<const K: usize>(&self, rows: impl Iterator<Item = usize>) {
        let (of_weight, of_vector) = (1 + R::STATES, K * (1 + R::STATES));
        for row in rows {
            prefetch(self.weights.get(row * of_weight..(row + 1) * of_weight).unwrap_or_default());
            prefetch(self.vectors.get(row * of_vector..(row + 1) * of_vector).unwrap_or_default());
        }
    }

    /// Trains on a row and returns its loss before the update.
    #[inline(always)]
    fn train_row<const K: usize>(&mut self, row: ActiveSlots<'_>) -> Result<f32, u32> {
        let (of_weight, of_vector) = (1 + R::STATES, K * (1 + R::STATES));
        let slots = || row.ids.iter().zip(row.values).map(|(&id, &x)| (id as usize, x));
        let (mut first_order, mut sum, mut squares) = (0.0, [0f32; K], [0f32; K]);
        for (id, x) in slots() {
            let weight = self.weights.get(id * of_weight).ok_or(id as u32)?;
            first_order += weight * x;
            let vector = self.vectors.get(id * of_vector..).and_then(|rest| rest.first_chunk::<K>());
            let vector = vector.ok_or(id as u32)?;
            for k in 0..K {
                let scaled = vector[k] * x;
                sum[k] += scaled;
                squares[k] += scaled * scaled;
            }
        }
        let mut pairs = 0.0;
        for k in 0..K {
            pairs += sum[k] * sum[k] - squares[k];
        }
        let logit = self.bias[0] + first_order + pairs / 2.0;
        let (loss, slope) = self.pass.loss.at(logit, row.label);
        let slope = slope * row.weight;
        self.rule.next_row();
        let (rule, l2) = (self.rule, self.pass.l2 * row.weight);
        update(rule, self.bias, |_| [slope]);
        for (id, x) in slots() {
            let gradient = slope * x;
            update(rule, &mut self.weights[id * of_weight..][..of_weight], |[w]| [gradient + l2 * w]);
            update(rule, &mut self.vectors[id * of_vector..][..of_vector], |vector: [f32; K]| {
                let mut gradients = [0.0; K];
                for k in 0..K {
                    gradients[k] = gradient * (sum[k] - vector[k] * x) + l2 * vector[k];
                }
                gradients
            });
        }
        Ok(loss)
    }
}

/// Updates K numbers, followed by their states, by gradients that depend on them.
#[inline(always)]
fn update<const K: usize, R: Apply>(rule: R, numbers: &mut [f32], gradient: impl Fn([f32; K]) -> [f32; K]) {
    let Some((numbers, states)) = numbers.split_first_chunk_mut::<K>() else { return };
    let g = gradient(*numbers);
    rule.apply(numbers, &g, states);
}
