//! What each of libtorch's operators is in ONNX.

mod arithmetic;
mod call;
mod lookup;
mod reduction;
mod shape;

pub(super) use call::{Call, Operand, Value};

use crate::error::{Error, Result};

/// Writes a call's nodes, and returns the name of the value that they make.
///
/// # Errors
/// [`Error::Onnx`] that names the operator, for one without a mapping or in a form without one.
pub(super) fn translate(mut call: Call<'_>) -> Result<String> {
    let operator = call.operation.operator.clone();
    let name = operator.strip_prefix("aten::").unwrap_or_default();
    let written = [arithmetic::translate, lookup::translate, reduction::translate, shape::translate]
        .into_iter()
        .find_map(|translate| translate(&mut call, name).transpose());
    written.unwrap_or_else(|| Err(unmapped(&operator)))
}

/// The error for an operator that is not known here.
pub(super) fn unmapped(operator: &str) -> Error {
    let advice = match operator {
        // `Tensor::from_slice` is traced as zeros: its numbers are written past the tracer.
        "aten::zeros" => "if `logits` makes a tensor from numbers, make it where the model is built",
        _ => "write the formula with others, or export TorchScript",
    };
    Error::Onnx(format!("there is no mapping for the operator {operator}: {advice}"))
}
