//! Builds an ONNX graph.

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;

use super::element::{Element, scalar, tensor_proto};
use super::graph::Size;
use super::proto::{
    AttributeProto, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use crate::error::Result;

/// The name of the dynamic dimension.
const BATCH: &str = "batch";

/// Nodes and constants with unique names.
pub(super) struct Builder {
    nodes: Vec<NodeProto>,
    constants: BTreeMap<String, TensorProto>,
    taken: BTreeSet<String>,
}

impl Builder {
    /// A builder that avoids the names in `taken`: those of inputs, outputs and parameters.
    pub(super) fn new(taken: impl IntoIterator<Item = String>) -> Builder {
        Builder { nodes: vec![], constants: BTreeMap::new(), taken: taken.into_iter().collect() }
    }

    /// Adds a node with one output, and returns the output's name.
    pub(super) fn node(&mut self, op_type: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let mut number = self.nodes.len();
        let mut name = format!("{op_type}_{number}");
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{op_type}_{number}");
        }
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op_type.to_owned(),
            attribute: attributes,
        });
        name
    }

    /// A list of integers `[N]`, int64: axes, sizes or bounds. Equal lists share one constant.
    pub(super) fn ints(&mut self, values: &[i64]) -> Result<String> {
        self.constant(&format!("int64{values:?}"), &Tensor::from_slice(values))
    }

    /// A scalar `[]`. Equal scalars share one constant.
    pub(super) fn scalar(&mut self, value: f64, element: Element) -> Result<String> {
        self.constant(&format!("{element:?}({value})").to_lowercase(), &scalar(value, element))
    }

    /// A tensor that is named after its content.
    pub(super) fn constant(&mut self, content: &str, tensor: &Tensor) -> Result<String> {
        if !self.constants.contains_key(content) {
            let mut name = content.to_owned();
            while !self.taken.insert(name.clone()) {
                name.push('_');
            }
            self.constants.insert(content.to_owned(), tensor_proto(&name, tensor)?);
        }
        Ok(self.constants[content].name.clone())
    }

    /// The names of all inputs of nodes.
    pub(super) fn names_read(&self) -> BTreeSet<&str> {
        self.nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect()
    }

    /// Renames the value `from` to `to`.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for node in &mut self.nodes {
            for name in node.input.iter_mut().chain(&mut node.output).filter(|name| *name == from) {
                *name = to.to_owned();
            }
        }
    }

    /// The complete graph.
    pub(super) fn finish(
        self,
        parameters: Vec<TensorProto>,
        input: Vec<ValueInfoProto>,
        output: Vec<ValueInfoProto>,
    ) -> GraphProto {
        let initializer = parameters.into_iter().chain(self.constants.into_values()).collect();
        GraphProto { node: self.nodes, name: "logits".into(), initializer, input, output }
    }
}

/// The declaration of an input or an output.
pub(super) fn value_info(name: &str, element: Element, sizes: &[Size]) -> ValueInfoProto {
    let dim = |size: &Size| DimensionProto {
        dim_value: size.fixed(),
        dim_param: (*size == Size::BATCH).then(|| BATCH.to_owned()),
    };
    let shape = TensorShapeProto { dim: sizes.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: element.number(), shape: Some(shape) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
