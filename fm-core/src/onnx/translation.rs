//! Translates libtorch's operations into ONNX nodes.

use std::collections::{BTreeMap, HashMap};

use tch::Tensor;

use super::builder::{Builder, value_info};
use super::check_size;
use super::element::{Element, described, tensor_proto};
use super::graph::{self, Graph, Operation, Size};
use super::operators::{self, Call, Operand, Value, unmapped};
use super::proto::GraphProto;
use crate::error::{Error, Result};

const INPUTS: [&str; 2] = ["ids", "values"];
const OUTPUT: &str = "logits";

/// The operations as nodes, and the parameters that they use.
pub(super) fn translate(graph: &Graph, parameters: &BTreeMap<String, Tensor>, slots: i64) -> Result<GraphProto> {
    if let Some(name) = INPUTS.into_iter().chain([OUTPUT]).find(|&name| parameters.contains_key(name)) {
        return Err(Error::Onnx(format!("the parameter `{name}` has the name of an input or output: rename it")));
    }
    let taken = INPUTS.into_iter().chain([OUTPUT]).map(String::from).chain(parameters.keys().cloned());
    let mut builder = Builder::new(taken);
    let mut values: HashMap<String, Value> = HashMap::new();
    let mut inputs = vec![];
    for ((input, name), element) in graph.inputs.iter().zip(INPUTS).zip([Element::Int64, Element::Float]) {
        let sizes = vec![Size::BATCH, Size::from(slots)];
        inputs.push(value_info(name, element, &sizes));
        values.insert(input.clone(), Value::Tensor(Operand { name: name.to_owned(), element, sizes }));
    }
    for operation in &graph.operations {
        let [output] = operation.outputs.as_slice() else {
            return Err(unmapped(&operation.operator));
        };
        let value = value_of(operation, graph, parameters, &values, &mut builder)?;
        values.insert(output.name.clone(), value);
    }
    let last = graph.outputs.first().and_then(|name| values.get(name));
    let Some(Value::Tensor(last)) = last else {
        return Err(Error::Onnx("the model's output is a constant".into()));
    };
    if last.element != Element::Float || last.sizes != [Size::BATCH] {
        return Err(Error::Onnx("the model does not return one logit per row, float32 of shape [B]".into()));
    }
    builder.rename(&last.name, OUTPUT);

    let read = builder.names_read();
    let used: Vec<(&String, &Tensor)> = parameters.iter().filter(|(name, _)| read.contains(name.as_str())).collect();
    check_size(used.iter().map(|(_, tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum())?;
    let initializers = used.into_iter().map(|(name, tensor)| tensor_proto(name, tensor)).collect::<Result<_>>()?;
    Ok(builder.finish(initializers, inputs, vec![value_info(OUTPUT, Element::Float, &[Size::BATCH])]))
}

fn value_of(
    operation: &Operation,
    graph: &Graph,
    parameters: &BTreeMap<String, Tensor>,
    values: &HashMap<String, Value>,
    builder: &mut Builder,
) -> Result<Value> {
    if let Some(constant) = &operation.constant {
        return Ok(Value::Constant(constant.clone()));
    }
    if let Some(name) = &operation.parameter {
        let (element, sizes) = described(parameters.get(name).ok_or_else(|| unmapped(name))?)?;
        return Ok(Value::Tensor(Operand { name: name.clone(), element, sizes }));
    }
    if operation.operator == "prim::ListConstruct" {
        let items = operation.arguments.iter().map(|(_, item)| values.get(item).cloned());
        return items.collect::<Option<_>>().map(Value::List).ok_or_else(|| unmapped(&operation.operator));
    }
    let result = operation.outputs.first().and_then(|output| operand(output, String::new()));
    let result = result.ok_or_else(|| unmapped(&operation.operator))?;
    let call = Call { operation, values, tensors: &graph.tensors, builder, result: result.clone() };
    let name = operators::translate(call)?;
    Ok(Value::Tensor(Operand { name, ..result }))
}

/// A traced value with its name in the ONNX graph, if it is a tensor.
fn operand(value: &graph::Value, name: String) -> Option<Operand> {
    Some(Operand { name, element: Element::from_torch(value.kind?)?, sizes: value.sizes.clone()? })
}
