//! Export to ONNX, for runtimes that do not support TorchScript. The file computes the model's own `logits`.
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

/// The first operator set in which all reductions take their axes as an input; supported by onnxruntime since 1.14.
const OPSET: i64 = 18;
/// The file format version of that operator set.
const IR_VERSION: i64 = 8;
/// The key of the schema in the file's metadata.
const SCHEMA: &str = Schema::FILE;
/// Maximum size of a protobuf message.
const MAX_BYTES: usize = i32::MAX as usize;

/// Writes an ONNX file with operator set 18. Its inputs are `ids [batch, S]` int64 and `values [batch, S]` float32, its
/// output is `logits [batch]` float32. The batch can have any size, including 0, and dropout is off. Parameters keep
/// their names in `store`; unused ones are omitted. The schema's JSON is the entry `schema.json` of `metadata_props`.
///
/// The model must be on the CPU. For a negative id, runtimes count from the end of the table, while libtorch fails.
///
/// # Errors
/// Errors of the model; [`Error::Onnx`] if the formula uses an unsupported operator or the number of rows, or if the
/// file would exceed 2 GiB; [`Error::Io`] if the file cannot be written. On error, an existing file stays unchanged.
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
    let reason = format!("the file would have {bytes} bytes, but the maximum is {MAX_BYTES}");
    Err(Error::Onnx(format!("{reason}: export TorchScript, or use a smaller embedding_dim or a larger min_count")))
}
