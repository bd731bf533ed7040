//! Operators over axes: sums, means, extrema, softmax.

use super::Call;
use crate::error::Result;
use crate::onnx::element::Element;
use crate::onnx::proto::AttributeProto;

pub(super) fn translate(call: &mut Call<'_>, name: &str) -> Result<Option<String>> {
    Ok(Some(match name {
        "sum" => reduce(call, "ReduceSum")?,
        "mean" => reduce(call, "ReduceMean")?,
        "amax" => reduce(call, "ReduceMax")?,
        "amin" => reduce(call, "ReduceMin")?,
        "logsumexp" => reduce(call, "ReduceLogSumExp")?,
        "softmax" => normalise(call, "Softmax")?,
        "log_softmax" => normalise(call, "LogSoftmax")?,
        _ => return Ok(None),
    }))
}

fn reduce(call: &mut Call<'_>, op_type: &str) -> Result<String> {
    let element = call.result.element;
    if element == Element::Bool {
        return Err(call.refuse("its input is bool"));
    }
    // Like libtorch, convert first.
    let input = call.tensor_as("self", element)?;
    let keepdim = AttributeProto::int("keepdims", call.flag("keepdim")?.into());
    // No axes means all axes, in libtorch and in ONNX.
    match call.ints("dim")?.filter(|axes| !axes.is_empty()) {
        Some(axes) => {
            let axes = call.builder.ints(&axes)?;
            Ok(call.node(op_type, &[&input, &axes], vec![keepdim]))
        }
        None => Ok(call.node(op_type, &[&input], vec![keepdim])),
    }
}

fn normalise(call: &mut Call<'_>, op_type: &str) -> Result<String> {
    let (element, rank) = (call.result.element, call.result.rank());
    let input = call.tensor_as("self", element)?;
    let axis = call.axis("dim", rank)?;
    Ok(call.node(op_type, &[&input], vec![AttributeProto::int("axis", axis)]))
}
