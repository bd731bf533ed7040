//! The [Open Inference Protocol](https://github.com/kserve/open-inference-protocol) over HTTP, with the extension for
//! binary tensors. A model `NAME` takes raw values: a BYTES tensor `[B]` or `[B, 1]` for each column. The same file as
//! `NAME_ids` takes encoded rows: `ids` INT64 and `values` FP32, each `[B, S]`. Both answer with the predictions as
//! `OUTPUT__0`. Names and shapes are those of `fm export --format triton`, so clients of Triton need no change.

mod answer;
mod binary;
mod handlers;
mod json_data;
mod metadata;
mod request;
mod tensor;

pub(crate) use handlers::{index, infer, live, metadata, model_ready, ready, server};
pub use request::{InferRequest, Input, parse};

/// What the name of a model of encoded rows ends with.
pub(crate) const ENCODED: &str = "_ids";

/// The name of the output.
pub(crate) const OUTPUT: &str = "OUTPUT__0";

/// The only version of a model.
pub(crate) const VERSION: &str = "1";
