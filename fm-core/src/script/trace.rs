//! Traces the methods of exported files that compute what a model does.

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::bridge::TracedModule;
use crate::error::Result;
use crate::features::{Features, Padded};
use crate::inner_product::InnerProduct;
use crate::model::Model;
use crate::schema::Schema;

/// The methods of [`trace_vectors`].
pub(super) const OF_USERS: &str = "_of_users";
pub(super) const OF_ITEMS: &str = "_of_items";

/// Traces `logits(ids, values)` without dropout into the `forward` of a module whose parameters have the same names as in
/// `store`.
///
/// # Errors
/// Errors of the model; [`Error::Torch`](crate::Error::Torch) if it panics.
pub(crate) fn trace_forward(model: &dyn Model, store: &VarStore, schema: &Schema, rows: i64) -> Result<TracedModule> {
    let mut parameters: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let mut module = TracedModule::new("fm.Model", &parameters)?;
    trace(&mut module, "forward", &unknown_rows(schema, rows), |features| model.logits(features, false))?;
    Ok(module)
}

/// Traces the vectors of rows without items, and of items, into the methods `_of_users` and `_of_items`: those of an index
/// and of queries to it.
///
/// # Errors
/// Those of [`trace_forward`].
pub(super) fn trace_vectors(
    module: &mut TracedModule,
    model: &dyn InnerProduct,
    schema: &Schema,
    rows: i64,
) -> Result<()> {
    let rows = unknown_rows(schema, rows);
    trace(module, OF_ITEMS, &rows, |features| Ok(model.of_items(features, false)?.of_index()))?;
    let Padded { ids, values } = rows.shallow_clone();
    let items = no_grad(|| model.of_items(&Features::unchecked(ids, values), false))?;
    trace(module, OF_USERS, &rows, |features| Ok(model.of_rows(features, false)?.of_query(&items)))
}

/// Traces a function of rows into a method of ids and values.
fn trace(
    module: &mut TracedModule,
    method: &str,
    rows: &Padded,
    function: impl Fn(&Features) -> Result<Tensor>,
) -> Result<()> {
    no_grad(|| {
        module.trace(method, &[("ids", &rows.ids), ("values", &rows.values)], &mut |inputs| {
            function(&Features::unchecked(inputs[0].shallow_clone(), inputs[1].shallow_clone()))
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
