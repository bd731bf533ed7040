//! A call of an operator with its arguments.

use std::collections::HashMap;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::onnx::builder::Builder;
use crate::onnx::element::{Element, described};
use crate::onnx::graph::{Constant, Operation, Size};
use crate::onnx::proto::AttributeProto;

/// The counterpart of a libtorch value in the ONNX graph.
#[derive(Clone, Debug)]
pub(in crate::onnx) enum Value {
    /// A computed or stored tensor.
    Tensor(Operand),
    /// A value that is known at export.
    Constant(Constant),
    /// A list of values, such as those of `cat`.
    List(Vec<Value>),
}

/// A named tensor of the ONNX graph.
#[derive(Clone, Debug)]
pub(in crate::onnx) struct Operand {
    pub name: String,
    pub element: Element,
    pub sizes: Vec<Size>,
}

impl Operand {
    pub(super) fn rank(&self) -> i64 {
        self.sizes.len() as i64
    }
}

/// A call of an operator that is being translated into nodes.
pub(in crate::onnx) struct Call<'a> {
    pub operation: &'a Operation,
    pub values: &'a HashMap<String, Value>,
    pub tensors: &'a [Tensor],
    pub builder: &'a mut Builder,
    /// libtorch's result, without a name yet.
    pub result: Operand,
}

impl Call<'_> {
    pub(super) fn node(&mut self, op_type: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.builder.node(op_type, inputs, attributes)
    }

    /// An argument by its name in the operator's schema. `None` if it is not given.
    pub(super) fn get(&self, argument: &str) -> Option<&Value> {
        let (_, value) = self.operation.arguments.iter().find(|(name, _)| name == argument)?;
        self.values.get(value).filter(|value| !matches!(value, Value::Constant(Constant::None)))
    }

    pub(super) fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::Onnx(format!("this form of the operator {} is not supported: {why}", self.operation.operator))
    }

    fn constant(&self, argument: &str) -> Result<Option<&Constant>> {
        match self.get(argument) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(_) => Err(self.refuse(format_args!("`{argument}` is computed"))),
        }
    }

    pub(super) fn int(&self, argument: &str) -> Result<Option<i64>> {
        match self.constant(argument)? {
            None => Ok(None),
            Some(Constant::Int(value)) => Ok(Some(*value)),
            Some(other) => Err(self.refuse(format_args!("`{argument}` is {other:?}"))),
        }
    }

    /// A list of integers. A single integer counts as a list.
    pub(super) fn ints(&self, argument: &str) -> Result<Option<Vec<i64>>> {
        let int = |value: &Value| match value {
            Value::Constant(Constant::Int(value)) => Some(*value),
            _ => None,
        };
        let ints = match self.get(argument) {
            None => return Ok(None),
            Some(Value::Constant(Constant::Ints(values))) => Some(values.clone()),
            Some(Value::List(values)) => values.iter().map(int).collect(),
            Some(value) => int(value).map(|value| vec![value]),
        };
        ints.map(Some).ok_or_else(|| self.refuse(format_args!("`{argument}` is not a list of constants")))
    }

    pub(super) fn flag(&self, argument: &str) -> Result<bool> {
        Ok(self.constant(argument)? == Some(&Constant::Bool(true)))
    }

    /// A constant number, such as `alpha`.
    pub(super) fn number(&self, argument: &str) -> Result<Option<f64>> {
        let Some(constant) = self.constant(argument)? else { return Ok(None) };
        match self.number_of(constant) {
            Some(value) => Ok(Some(value)),
            None => Err(self.refuse(format_args!("`{argument}` is {constant:?}"))),
        }
    }

    pub(super) fn number_of(&self, constant: &Constant) -> Option<f64> {
        match constant {
            Constant::Bool(value) => Some(f64::from(*value)),
            // A float64 does not represent all larger integers.
            Constant::Int(value) => (value.unsigned_abs() <= 1 << 53).then_some(*value as f64),
            Constant::Float(value) => Some(*value),
            Constant::Tensor(at) if self.tensors[*at].dim() == 0 => Some(self.tensors[*at].double_value(&[])),
            _ => None,
        }
    }

    /// The promoted type of a number and a tensor. A number only widens tensors of a lower class.
    pub(super) fn element_beside(&self, constant: &Constant, element: Element) -> Element {
        let of_tensor = |at: usize| described(&self.tensors[at]).map_or(Element::Float, |(element, _)| element);
        let class = match constant {
            Constant::Bool(_) => Element::Bool,
            Constant::Int(_) => Element::Int64,
            Constant::Tensor(at) => of_tensor(*at),
            _ => Element::Float,
        };
        match class {
            Element::Float | Element::Double => element.max(Element::Float),
            Element::Int32 | Element::Int64 if element == Element::Bool => Element::Int64,
            _ => element,
        }
    }

    /// A tensor argument.
    pub(super) fn tensor(&mut self, argument: &str) -> Result<Operand> {
        match self.get(argument).cloned() {
            Some(value) => self.operand(value),
            None => Err(self.refuse(format_args!("`{argument}` is not given"))),
        }
    }

    fn operand(&mut self, value: Value) -> Result<Operand> {
        match value {
            Value::Tensor(operand) => Ok(operand),
            Value::Constant(Constant::Tensor(at)) => {
                let tensor = &self.tensors[at];
                let (element, sizes) = described(tensor)?;
                Ok(Operand { name: self.builder.constant(&format!("constant_{at}"), tensor)?, element, sizes })
            }
            other => Err(self.refuse(format_args!("{other:?} is not a tensor"))),
        }
    }

    /// An argument as a tensor with an element type. A number takes on that type.
    pub(super) fn tensor_as(&mut self, argument: &str, element: Element) -> Result<String> {
        if let Some(Value::Constant(constant)) = self.get(argument)
            && let Some(value) = self.number_of(constant)
        {
            return self.builder.scalar(value, element);
        }
        let operand = self.tensor(argument)?;
        Ok(self.cast(&operand, element))
    }

    /// The tensors of a list, cast to the type of the result.
    pub(super) fn tensors(&mut self, argument: &str) -> Result<Vec<String>> {
        let Some(Value::List(values)) = self.get(argument).cloned() else {
            return Err(self.refuse(format_args!("`{argument}` is not a list of tensors")));
        };
        let element = self.result.element;
        values.into_iter().map(|value| self.operand(value).map(|operand| self.cast(&operand, element))).collect()
    }

    pub(super) fn cast(&mut self, operand: &Operand, element: Element) -> String {
        if operand.element == element {
            return operand.name.clone();
        }
        self.node("Cast", &[&operand.name], vec![AttributeProto::int("to", element.number().into())])
    }

    /// A non-negative axis.
    pub(super) fn axis(&self, argument: &str, rank: i64) -> Result<i64> {
        match self.int(argument)? {
            Some(axis) => Ok(if axis < 0 { axis + rank } else { axis }),
            None => Err(self.refuse(format_args!("`{argument}` is not given"))),
        }
    }
}
