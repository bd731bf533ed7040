//! Sets of rows, and batches of them.
//!
//! | type | content |
//! |---|---|
//! | [`Rows`] | what training, evaluation and prediction need from a set of rows |
//! | [`Records`], [`Row`] | rows without padding, in memory or in a memory-mapped file |
//! | [`Reader`], [`ActiveRow`], [`RowKernel`] | records row by row, for kernels |
//! | [`RecordsBuilder`], [`Slots`], [`Value`] | records under construction |
//! | [`RecordsWriter`] | a file of records under construction |
//! | [`TensorRows`] | rows in tensors, on any device |
//! | [`Order`] | the order of the rows in an epoch |
//! | [`Batch`] | rows as tensors, with their labels and weights |

mod builder;
mod clamped;
mod file;
mod fingerprint;
mod gather;
mod known;
pub(crate) mod layout;
mod order;
mod reader;
mod records;
mod replaced;
mod slots;
mod tensor_rows;
#[cfg(test)]
mod tests;
mod unknown;
mod values;
mod writer;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::features::Features;

pub use builder::RecordsBuilder;
pub use file::ROWS_FORMAT;
pub(crate) use gather::Gathered;
pub use known::AsKnown;
pub use order::Order;
pub use reader::{ActiveRow, Reader, RowKernel};
pub use records::Records;
pub use replaced::{Replaced, Replacement};
pub use slots::{Category, FieldSlots, Row, Slots};
pub use tensor_rows::TensorRows;
pub use values::Value;
pub use writer::RecordsWriter;

/// Rows with their labels.
#[derive(Debug)]
pub struct Batch {
    /// The model's input.
    pub features: Features,
    /// `[B]` float32: the training targets ([`Label::target`](crate::Label::target)).
    pub labels: Tensor,
    /// `[B]` float32: the weight of each row, finite and at least 0; `None` if all rows count equally.
    pub weights: Option<Tensor>,
}

impl Batch {
    /// The sum of the rows' weights; B if the rows have no weights.
    pub fn weight(&self) -> f64 {
        match &self.weights {
            Some(weights) => weights.sum(Kind::Double).double_value(&[]),
            None => self.labels.size()[0] as f64,
        }
    }
}

/// A set of rows to take batches from.
pub trait Rows {
    /// N, the number of rows.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows with these numbers, in this order, on `device`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a number is not below [`Rows::len`].
    fn batch(&self, rows: &[usize], device: Device) -> Result<Batch>;

    /// `[N]`: the training targets of all rows, in their order.
    fn labels(&self) -> Vec<f32>;

    /// `[N]`: the weight of each row, finite and at least 0; `None` if all rows count equally.
    fn weights(&self) -> Option<Vec<f32>> {
        None
    }

    /// The rows as records, for kernels that read them without a batch. `None` for rows in another form.
    fn records(&self) -> Option<&Records> {
        None
    }

    /// `[N]`: the group of each row, such as its user, for metrics within groups. A negative number means no group.
    /// `None` if the rows have no groups.
    fn groups(&self) -> Option<Vec<i64>> {
        None
    }
}

/// Fails unless all numbers of a batch are rows of a set of `len` rows.
fn check_numbers(rows: &[usize], len: usize) -> Result<()> {
    match rows.iter().find(|&&row| row >= len) {
        Some(row) => Err(Error::shape("batch", format!("row numbers below {len}"), row.to_string())),
        None => Ok(()),
    }
}
