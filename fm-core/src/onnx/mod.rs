//! ONNX files that score with a model's own `logits`, for the runtimes that know no TorchScript.
//!
//! ```
//! # use fm_core::{Field, FieldKind, Label, Schema, Side, Task, tch::{Device, nn::VarStore}};
//! # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! # let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
//! # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user, item])?;
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("model.onnx");
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
//! fm_core::onnx::export(&file, model.as_ref(), &store, &schema)?;
//! // In Python: onnxruntime.InferenceSession(file).run(["logits"], {"ids": ids, "values": values})
//! # Ok::<(), fm_core::Error>(())
//! ```

mod builder;
mod element;
mod graph;
mod operators;
mod proto;
#[cfg(test)]
mod tests;
mod translation;

use std::io::Write;
use std::path::Path;

use prost::Message;
use tch::nn::VarStore;

use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::schema::Schema;
use crate::script::trace_forward;
use graph::Graph;
use proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use translation::translate;

/// The first set of operators whose reductions all take their axes alike; onnxruntime has it since 1.14.
const OPSET: i64 = 18;
/// The version of the file format that came with it.
const IR_VERSION: i64 = 8;
/// The name of the schema among the file's metadata.
const SCHEMA: &str = "schema.json";
/// No message of protobuf may be longer.
const MAX_BYTES: usize = i32::MAX as usize;

/// Writes an ONNX file of operator set 18 with the inputs `ids [batch, S]` int64 and `values [batch, S]` float32 and the
/// output `logits [batch]` float32, for any batch, also of no row, with dropout off. The parameters that the formula uses
/// bear the names that they have in `store`; the schema's JSON is the entry `schema.json` of `metadata_props`.
///
/// The model must be on the CPU. Runtimes count a negative id from the table's end, where libtorch refuses it.
///
/// # Errors
/// What the model returns; [`Error::Onnx`] for a formula with an operator that has no counterpart here, or that reads the
/// number of rows, and for more than the 2 GiB that such a file can hold; [`Error::Io`] if the file cannot be written.
/// Then there is no file, or the old one.
pub fn export(path: impl AsRef<Path>, model: &dyn Model, store: &VarStore, schema: &Schema) -> Result<()> {
    let graph = Graph::of(|rows| trace_forward(model, store, schema, rows))?;
    let parameters = store.variables().into_iter().collect();
    let entry = StringStringEntryProto { key: SCHEMA.into(), value: schema.to_json() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "fm".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(translate(&graph, &parameters, schema.num_slots() as i64)?),
        // The empty domain is ai.onnx.
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: OPSET }],
        metadata_props: vec![entry],
    };
    check_size(model.encoded_len())?;
    write_atomically(path, |file| file.write_all(&model.encode_to_vec()))
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let reason = format!("the file would have {bytes} bytes, and it can have {MAX_BYTES} at most");
    Err(Error::Onnx(format!("{reason}: export TorchScript, or set a smaller embedding_dim or a greater min_count")))
}
