//! Rows in which a field has other values.

use tch::{Device, Tensor};

use super::{Batch, Rows};
use crate::error::{Error, Result};
use crate::features::{Features, Padded};
use crate::schema::Schema;

/// The values that take the place of those of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// `[N]`: each row has the values of the row with this number.
    Of(Vec<usize>),
    /// None: all values are missing.
    Missing,
}

/// Rows in which one field has other values. Labels, weights and groups stay.
///
/// ```
/// use fm_core::rows::{Replaced, Replacement};
/// use fm_core::tch::Device;
/// use fm_core::{Field, Label, Records, Rows, Schema, Side, Task};
///
/// let fields = vec![Field::categorical("user", Side::User, 3), Field::categorical("film", Side::Item, 2)];
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0, 1.0]), fields)?;
/// let rows = Records::from_indices(&schema, &[[0, 0], [2, 1]], &[4.0, 1.0])?;
/// let ids = |rows: &dyn Rows| rows.batch(&[0, 1], Device::Cpu)?.features.padded().map(|rows| rows.ids);
/// let replaced = |by| Replaced::new(&rows, &schema, 0, by);
/// let swapped = ids(&replaced(Replacement::Of(vec![1, 0]))?)?;
/// let missing = ids(&replaced(Replacement::Missing)?)?;
/// assert_eq!(Vec::<Vec<i64>>::try_from(&ids(&rows)?)?, [[1, 5], [3, 6]]);
/// assert_eq!(Vec::<Vec<i64>>::try_from(&swapped)?, [[3, 5], [1, 6]]);
/// assert_eq!(Vec::<Vec<i64>>::try_from(&missing)?, [[0, 5], [0, 6]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Replaced<'a> {
    rows: &'a dyn Rows,
    by: Replacement,
    /// `[S]` bool: the slots of the field.
    is_replaced: Tensor,
    /// `[1, S]`: a row of missing values.
    missing: Padded,
}

impl<'a> Replaced<'a> {
    /// Replaces the values of a field.
    ///
    /// # Errors
    /// [`Error::Shape`] for a field that the schema lacks, or unless there is a number for each row.
    pub fn new(rows: &'a dyn Rows, schema: &Schema, field: usize, by: Replacement) -> Result<Replaced<'a>> {
        if field >= schema.num_fields() {
            let expected = format!("a field below {}", schema.num_fields());
            return Err(Error::shape("replaced rows", expected, field.to_string()));
        }
        if let Replacement::Of(numbers) = &by
            && numbers.len() != rows.len()
        {
            let expected = format!("a row number for each of {} rows", rows.len());
            return Err(Error::shape("replaced rows", expected, numbers.len().to_string()));
        }
        let is_replaced: Vec<bool> = schema.field_of_slots().into_iter().map(|of_slot| of_slot == field).collect();
        Ok(Replaced { rows, by, is_replaced: Tensor::from_slice(&is_replaced), missing: Padded::missing(schema) })
    }
}

impl Rows for Replaced<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, rows: &[usize], device: Device) -> Result<Batch> {
        let batch = self.rows.batch(rows, device)?;
        let own = batch.features.padded()?;
        let other = match &self.by {
            Replacement::Of(numbers) => {
                let others: Vec<usize> = rows.iter().map(|&row| numbers[row]).collect();
                self.rows.batch(&others, device)?.features.padded()?
            }
            Replacement::Missing => self.missing.to_device(device),
        };
        let is_replaced = self.is_replaced.f_to_device(device)?;
        let ids = other.ids.f_where_self(&is_replaced, &own.ids)?;
        let values = other.values.f_where_self(&is_replaced, &own.values)?;
        Ok(Batch { features: Features::unchecked(ids, values), ..batch })
    }

    fn labels(&self) -> Vec<f32> {
        self.rows.labels()
    }

    fn weights(&self) -> Option<Vec<f32>> {
        self.rows.weights()
    }

    fn groups(&self) -> Option<Vec<i64>> {
        self.rows.groups()
    }
}
