//! Traces the graph of a model's `logits` for exported files.

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::bridge::{self, TracedModule};
use crate::error::Result;
use crate::features::{Features, Padded};
use crate::model::Model;
use crate::schema::Schema;

/// Traces `logits(ids, values)` without dropout, on rows of out-of-vocabulary ids, into the `forward` of a module whose
/// parameters have the same names as in `store`.
///
/// # Errors
/// Errors of the model; [`Error::Torch`](crate::Error::Torch) if it panics.
pub(crate) fn trace_forward(model: &dyn Model, store: &VarStore, schema: &Schema, rows: i64) -> Result<TracedModule> {
    let mut parameters: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let Padded { ids, values } = unknown_rows(schema, rows);
    no_grad(|| {
        bridge::trace("fm.Model", &parameters, &[("ids", &ids), ("values", &values)], &mut |inputs| {
            let features = Features::unchecked(inputs[0].shallow_clone(), inputs[1].shallow_clone());
            model.logits(&features, false)
        })
    })
}

/// Rows of out-of-vocabulary ids on the CPU.
pub(super) fn unknown_rows(schema: &Schema, rows: i64) -> Padded {
    let unknown: Vec<i64> = schema.field_of_slots().into_iter().map(|field| schema.ids(field).start).collect();
    let ids = Tensor::from_slice(&unknown).repeat([rows, 1]);
    let values = Tensor::ones([rows, schema.num_slots() as i64], (Kind::Float, Device::Cpu));
    Padded { ids, values }
}
