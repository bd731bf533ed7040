//! The ONNX equivalents of libtorch's operators.

mod arithmetic;
mod call;
mod lookup;
mod reduction;
mod shape;

pub(super) use call::{Call, Operand, Value};

use crate::error::{Error, Result};

/// Adds the nodes of a call, and returns the name of their output.
///
/// # Errors
/// [`Error::Onnx`] that names the operator, if it or its form is unsupported.
pub(super) fn translate(mut call: Call<'_>) -> Result<String> {
    let operator = call.operation.operator.clone();
    let name = operator.strip_prefix("aten::").unwrap_or_default();
    let written = [arithmetic::translate, lookup::translate, reduction::translate, shape::translate]
        .into_iter()
        .find_map(|translate| translate(&mut call, name).transpose());
    written.unwrap_or_else(|| Err(unmapped(&operator)))
}

/// The error for an unsupported operator.
pub(super) fn unmapped(operator: &str) -> Error {
    let advice = match operator {
        // `Tensor::from_slice` is traced as zeros: the tracer does not record its elements.
        "aten::zeros" => "if `logits` creates a tensor from numbers, create it when the model is built",
        _ => "use other operators in the formula, or export TorchScript",
    };
    Error::Onnx(format!("the operator {operator} is not supported: {advice}"))
}
