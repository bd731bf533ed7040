//! Rows as a run with other vocabularies sees them.

use std::collections::HashSet;

use tch::{Device, Tensor};

use super::{Batch, Rows};
use crate::error::Result;
use crate::features::{Features, Padded};
use crate::schema::Schema;

/// Rows in which the values that a run does not know are unknown values. After a warm start and before the first step, a
/// model scores them as the run's model does.
pub struct AsKnown<'a> {
    rows: &'a dyn Rows,
    /// The id to look up for each id.
    ids: Tensor,
}

impl<'a> AsKnown<'a> {
    /// Rows with the schema `schema` as seen by a run with the schema `known`.
    pub fn new(rows: &'a dyn Rows, schema: &Schema, known: &Schema) -> AsKnown<'a> {
        let mut ids: Vec<i64> = (0..schema.num_ids()).collect();
        for (position, field) in schema.fields().iter().enumerate().filter(|(at, _)| schema.owner(*at) == *at) {
            let Some(of_run) = known.field_index(&field.name) else { continue };
            let values: HashSet<&str> = known.vocabulary(of_run).iter().map(String::as_str).collect();
            let first = schema.ids(position).start;
            for (at, value) in field.vocabulary.iter().enumerate() {
                if !values.contains(value.as_str()) {
                    ids[first as usize + 1 + at] = first;
                }
            }
        }
        AsKnown { rows, ids: Tensor::from_slice(&ids) }
    }
}

impl Rows for AsKnown<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, rows: &[usize], device: Device) -> Result<Batch> {
        let batch = self.rows.batch(rows, device)?;
        let Padded { ids, values } = batch.features.padded()?;
        let known = self.ids.f_to_device(device)?.f_index_select(0, &ids.f_reshape([-1])?)?.f_view_as(&ids)?;
        Ok(Batch { features: Features::unchecked(known, values), ..batch })
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
