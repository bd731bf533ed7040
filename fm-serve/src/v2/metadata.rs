//! What the server and its models are.

use serde_json::{Value, json};

use super::{OUTPUT, VERSION};
use crate::model::Model;
use crate::models::Form;

/// The server.
pub(super) fn of_server() -> Value {
    json!({ "name": "fm", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data"] })
}

/// A model.
pub(super) fn of_model(name: &str, model: &Model, form: Form) -> Value {
    let tensor =
        |name: &str, datatype: &str, width: i64| json!({ "name": name, "datatype": datatype, "shape": [-1, width] });
    let inputs: Vec<Value> = match form {
        Form::Columns => model.columns.names().iter().map(|name| tensor(name, "BYTES", 1)).collect(),
        Form::Encoded => {
            let slots = model.schema().num_slots() as i64;
            vec![tensor("ids", "INT64", slots), tensor("values", "FP32", slots)]
        }
    };
    json!({
        "name": name,
        "versions": [VERSION],
        "platform": "fm_torchscript",
        "inputs": inputs,
        "outputs": [tensor(OUTPUT, "FP32", 1)],
    })
}
