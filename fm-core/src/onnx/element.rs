//! Element types, and tensors in ONNX's format.

use tch::{Kind, Tensor};

use super::graph::Size;
use super::proto::TensorProto;
use crate::error::{Error, Result};

/// The element types of a graph, in the order of promotion: two of them combine to the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    Bool,
    Int32,
    Int64,
    Float,
    Double,
}

impl Element {
    /// From libtorch's number, `c10::ScalarType`.
    pub(super) fn from_torch(number: i32) -> Option<Element> {
        Some(match number {
            3 => Element::Int32,
            4 => Element::Int64,
            6 => Element::Float,
            7 => Element::Double,
            11 => Element::Bool,
            _ => return None,
        })
    }

    fn of(tensor: &Tensor) -> Result<Element> {
        Ok(match tensor.kind() {
            Kind::Bool => Element::Bool,
            Kind::Int => Element::Int32,
            Kind::Int64 => Element::Int64,
            Kind::Float => Element::Float,
            Kind::Double => Element::Double,
            other => {
                return Err(Error::Onnx(format!("a tensor has the unsupported kind {other:?}: convert it to Float")));
            }
        })
    }

    fn kind(self) -> Kind {
        match self {
            Element::Bool => Kind::Bool,
            Element::Int32 => Kind::Int,
            Element::Int64 => Kind::Int64,
            Element::Float => Kind::Float,
            Element::Double => Kind::Double,
        }
    }

    /// ONNX's number, `TensorProto.DataType`.
    pub(super) fn number(self) -> i32 {
        match self {
            Element::Float => 1,
            Element::Int32 => 6,
            Element::Int64 => 7,
            Element::Bool => 9,
            Element::Double => 11,
        }
    }
}

/// A CPU tensor as a message.
pub(super) fn tensor_proto(name: &str, tensor: &Tensor) -> Result<TensorProto> {
    let element = Element::of(tensor)?;
    let mut raw_data = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    // In native byte order, which is little-endian on all platforms of libtorch.
    tensor.f_copy_data_u8(&mut raw_data, tensor.numel())?;
    Ok(TensorProto {
        dims: tensor.size(),
        data_type: element.number(),
        name: name.to_owned(),
        raw_data: Some(raw_data),
    })
}

/// A scalar `[]` with an element type.
pub(super) fn scalar(value: f64, element: Element) -> Tensor {
    Tensor::from(value).to_kind(element.kind())
}

/// The element type and the sizes of a parameter or a constant.
pub(super) fn described(tensor: &Tensor) -> Result<(Element, Vec<Size>)> {
    Ok((Element::of(tensor)?, tensor.size().into_iter().map(Size::from).collect()))
}
