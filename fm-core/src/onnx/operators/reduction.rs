//! Operators over axes: sums, means, extrema, softmax, layer norm.

use tch::{Device, Kind, Tensor};

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
        "layer_norm" => layer_norm(call)?,
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

/// γ (x - μ) / √(σ² + ε) + β over the last axes.
fn layer_norm(call: &mut Call<'_>) -> Result<String> {
    let (element, rank) = (call.result.element, call.result.rank());
    if element != Element::Float {
        return Err(call.refuse("its input is not float32"));
    }
    let Some(sizes) = call.ints("normalized_shape")? else {
        return Err(call.refuse("`normalized_shape` is not given"));
    };
    let input = call.tensor_as("input", element)?;
    // ONNX requires γ.
    let gamma = match call.get("weight") {
        Some(_) => call.tensor_as("weight", element)?,
        None => call.builder.constant(&format!("ones{sizes:?}"), &Tensor::ones(&sizes, (Kind::Float, Device::Cpu)))?,
    };
    let beta = call.get("bias").is_some().then(|| call.tensor_as("bias", element)).transpose()?;
    let inputs: Vec<&str> = [&input, &gamma].into_iter().chain(&beta).map(String::as_str).collect();
    let axis = AttributeProto::int("axis", rank - sizes.len() as i64);
    let epsilon = AttributeProto::float("epsilon", call.number("eps")?.unwrap_or(1e-5) as f32);
    Ok(call.node("LayerNormalization", &inputs, vec![axis, epsilon]))
}
