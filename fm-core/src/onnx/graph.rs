//! The operations of a model's `logits`, which the bridge reads from libtorch.

use serde::{Deserialize, Deserializer};
use tch::Tensor;

use crate::bridge::TracedModule;
use crate::error::{Error, Result};

/// A traced formula: operations in the order of computation.
#[derive(Debug, Deserialize)]
pub(super) struct Graph {
    pub inputs: Vec<String>,
    pub operations: Vec<Operation>,
    pub outputs: Vec<String>,
    /// The tensors that `Constant::Tensor` refers to.
    #[serde(skip)]
    pub tensors: Vec<Tensor>,
}

/// A call of a libtorch operator.
#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    /// Such as `aten::add`.
    pub operator: String,
    /// Pairs of a name in the operator's schema and a value.
    pub arguments: Vec<(String, String)>,
    pub outputs: Vec<Value>,
    /// The value of a `prim::Constant`.
    pub constant: Option<Constant>,
    /// The name of the parameter of a `prim::GetAttr`.
    pub parameter: Option<String>,
}

/// A value during tracing.
#[derive(Debug, Deserialize)]
pub(super) struct Value {
    pub name: String,
    /// libtorch's number for the kind of a tensor.
    pub kind: Option<i32>,
    /// A tensor's sizes.
    pub sizes: Option<Vec<Size>>,
}

/// A size in the traces of two and of three rows. If both are the same, it does not depend on the batch. Two sizes that
/// are equal in both traces are assumed to be equal for any batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "i64")]
pub(super) struct Size {
    of_two: i64,
    of_three: i64,
}

impl Size {
    /// B.
    pub(super) const BATCH: Size = Size { of_two: 2, of_three: 3 };

    /// The size, if it does not depend on the batch.
    pub(super) fn fixed(self) -> Option<i64> {
        (self.of_two == self.of_three).then_some(self.of_two)
    }
}

impl From<i64> for Size {
    fn from(size: i64) -> Size {
        Size { of_two: size, of_three: size }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) enum Constant {
    None,
    Bool(bool),
    Int(i64),
    #[serde(deserialize_with = "number")]
    Float(f64),
    Text(String),
    Ints(Vec<i64>),
    /// An index into [`Graph::tensors`].
    Tensor(usize),
    /// An unsupported constant, by libtorch's name.
    Other(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Graph {
    /// The common graph of the traces of two and of three rows. Sizes that differ depend on the batch.
    ///
    /// # Errors
    /// Errors of `trace`; [`Error::Onnx`] if the traces differ in anything but sizes.
    pub(super) fn of(trace: impl Fn(i64) -> Result<TracedModule>) -> Result<Graph> {
        let (mut graph, other) = (Graph::read(&trace(2)?)?, Graph::read(&trace(3)?)?);
        let frozen = |what: &str| {
            let reason = "the model uses the number of rows as a constant, which would be frozen into the file";
            Error::Onnx(format!("{reason} (the graphs of 2 and of 3 rows differ in {what})"))
        };
        if graph.operations.len() != other.operations.len() || graph.outputs != other.outputs {
            return Err(frozen("their operations"));
        }
        let same_tensor = |a: usize, b: usize| {
            let (a, b) = (&graph.tensors[a], &other.tensors[b]);
            a.kind() == b.kind() && a.size() == b.size() && a.equal(b)
        };
        for (own, others) in graph.operations.iter_mut().zip(other.operations) {
            let same_constant = match (&own.constant, &others.constant) {
                (Some(Constant::Tensor(a)), Some(Constant::Tensor(b))) => same_tensor(*a, *b),
                // NaN does not equal itself.
                (Some(Constant::Float(a)), Some(Constant::Float(b))) => a.to_bits() == b.to_bits(),
                (a, b) => a == b,
            };
            let same_call = own.operator == others.operator && own.arguments == others.arguments;
            let ranks = |operation: &Operation| -> Vec<_> {
                operation.outputs.iter().map(|output| (output.kind, output.sizes.as_ref().map(Vec::len))).collect()
            };
            if !same_constant || !same_call || own.parameter != others.parameter || ranks(own) != ranks(&others) {
                return Err(frozen(&format!("`{}`", own.operator)));
            }
            own.outputs.iter_mut().zip(others.outputs).for_each(|(own, others)| own.join_sizes(&others));
        }
        Ok(graph)
    }

    fn read(module: &TracedModule) -> Result<Graph> {
        let (text, tensors) = module.graph()?;
        let graph: Graph = serde_json::from_str(&text)
            .map_err(|error| Error::Onnx(format!("cannot read libtorch's graph: {error}")))?;
        Ok(Graph { tensors, ..graph })
    }
}

impl Value {
    fn join_sizes(&mut self, other: &Value) {
        for (own, other) in self.sizes.iter_mut().flatten().zip(other.sizes.iter().flatten()) {
            own.of_three = other.of_two;
        }
    }
}
