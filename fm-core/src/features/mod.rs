//! The rows of a batch as input of a model.
//!
//! [`Ragged`] rows have only the active slots. Training, validation and bulk scoring use them. [`Padded`] rows have
//! every slot of the schema. Tracing, exported files and explanations use them. Layers accept both.

mod padded;
mod ragged;

use tch::{Device, Tensor};

use crate::error::Result;
use crate::optim::RowGradients;
use crate::schema::{Layout, Schema};

pub use padded::Padded;
pub use ragged::{Ragged, Slices};

/// The slots of `B` rows, in one of two forms.
#[derive(Debug)]
pub enum Features {
    /// Every slot of every row.
    Padded(Padded),
    /// The active slots of every row.
    Ragged(Ragged),
}

impl Features {
    /// Padded rows, checked as in [`Padded::new`].
    ///
    /// # Errors
    /// Those of [`Padded::new`].
    pub fn new(schema: &Schema, ids: Tensor, values: Tensor) -> Result<Features> {
        Ok(Features::Padded(Padded::new(schema, ids, values)?))
    }

    /// Padded rows that are known to match the schema: see [`Padded::unchecked`].
    pub fn unchecked(ids: Tensor, values: Tensor) -> Features {
        Features::Padded(Padded::unchecked(ids, values))
    }

    /// The number of rows B.
    pub fn len(&self) -> usize {
        match self {
            Features::Padded(rows) => rows.len(),
            Features::Ragged(rows) => rows.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes lookups of ragged rows add the gradients of their tables to `gradients`: see [`Ragged::collect_into`].
    /// Autograd still collects the gradients of padded rows.
    pub fn collect_into(&mut self, gradients: RowGradients) {
        if let Features::Ragged(rows) = self {
            rows.collect_into(gradients);
        }
    }

    /// The device of the tensors.
    pub fn device(&self) -> Device {
        match self {
            Features::Padded(rows) => rows.ids.device(),
            Features::Ragged(rows) => rows.device(),
        }
    }

    /// The same rows on another device.
    pub fn to_device(&self, device: Device) -> Features {
        match self {
            Features::Padded(rows) => Features::Padded(rows.to_device(device)),
            Features::Ragged(rows) => Features::Ragged(rows.to_device(device)),
        }
    }

    /// The same rows with every slot of the schema; padded rows share their tensors.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if memory is insufficient.
    pub fn padded(&self) -> Result<Padded> {
        match self {
            Features::Padded(rows) => Ok(rows.shallow_clone()),
            Features::Ragged(rows) => rows.padded(),
        }
    }

    /// The same rows without padding; ragged rows share their tensors.
    ///
    /// # Errors
    /// Those of [`Ragged::from_padded`].
    pub fn ragged(&self, layout: &Layout) -> Result<Ragged> {
        match self {
            Features::Padded(rows) => Ragged::from_padded(layout, rows),
            Features::Ragged(rows) => Ok(rows.shallow_clone()),
        }
    }
}

impl From<Padded> for Features {
    fn from(rows: Padded) -> Features {
        Features::Padded(rows)
    }
}

impl From<Ragged> for Features {
    fn from(rows: Ragged) -> Features {
        Features::Ragged(rows)
    }
}
