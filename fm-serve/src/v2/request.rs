//! Requests for inference.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::tensor::{Datatype, Element};
use super::{OUTPUT, binary, json_data};
use crate::model::Columns;
use crate::problem::Problem;
use crate::raw_rows::RawRows;

/// The names of the inputs of a model of encoded rows.
const IDS: &str = "ids";
const VALUES: &str = "values";

/// A valid request.
#[derive(Debug, PartialEq)]
pub struct InferRequest {
    /// Its id, which the answer repeats.
    pub id: Option<String>,
    /// The rows.
    pub input: Input,
    /// Whether the first input has the shape `[B]`, which the output then has, too.
    pub is_flat: bool,
    /// Whether the output is wanted in bytes.
    pub is_binary: bool,
}

/// The rows of a request.
#[derive(Debug, PartialEq)]
pub enum Input {
    /// Raw values.
    Raw(RawRows),
    /// Encoded rows: `[B, S]` each. Ids are of their slots' fields, and values are finite.
    Encoded {
        /// B
        rows: usize,
        /// Rows of the embedding table.
        ids: Vec<i64>,
        /// The value of each slot.
        values: Vec<f32>,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Option<Parameters>,
    #[serde(borrow)]
    inputs: Vec<Tensor<'a>>,
    #[serde(default, borrow)]
    outputs: Option<Vec<Output<'a>>>,
}

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    binary_data_output: bool,
}

#[derive(Deserialize)]
struct Tensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<TensorParameters>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct TensorParameters {
    #[serde(default)]
    binary_data_size: Option<usize>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<OutputParameters>,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
    #[serde(default)]
    binary_data: Option<bool>,
}

/// An input with its data.
struct Data<'a> {
    name: &'a str,
    datatype: Datatype,
    /// The number of rows, and of elements of each.
    shape: (usize, usize),
    is_flat: bool,
    source: Source<'a>,
}

enum Source<'a> {
    Json(&'a str),
    Binary(&'a [u8]),
}

impl Data<'_> {
    fn read(&self, take: impl FnMut(usize, Element<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
        let Some(count) = self.shape.0.checked_mul(self.shape.1) else {
            return Err(Problem::bad_request(format!("input `{}` has too large a shape", self.name)));
        };
        match self.source {
            Source::Json(json) => json_data::read(json, self.name, self.datatype, count, take),
            Source::Binary(bytes) => binary::read(bytes, self.name, self.datatype, count, take),
        }
    }
}

/// Parses the body of a request. `head` is the value of the header `Inference-Header-Content-Length`, after which bytes
/// of tensors follow. `is_encoded` says which of a file's two models is asked.
///
/// # Errors
/// 400 for anything that is not a request of this model; 413 for more than `max_rows` rows.
pub fn parse(
    body: &[u8],
    head: Option<usize>,
    columns: &Columns,
    is_encoded: bool,
    max_rows: usize,
) -> Result<InferRequest, Problem> {
    let (json, mut bytes) = match head {
        None => (body, &[][..]),
        Some(length) => body.split_at_checked(length).ok_or_else(|| {
            Problem::bad_request(format!(
                "Inference-Header-Content-Length is {length}, but the body has {} bytes",
                body.len()
            ))
        })?,
    };
    let head: Head<'_> =
        serde_json::from_slice(json).map_err(|error| Problem::bad_request(format!("the request: {error}")))?;
    let mut inputs = Vec::with_capacity(head.inputs.len().min(columns.names().len() + 2));
    for tensor in &head.inputs {
        inputs.push(data(tensor, &mut bytes)?);
    }
    if !bytes.is_empty() {
        return Err(Problem::bad_request(format!("{} bytes follow the data of the last input", bytes.len())));
    }
    let is_flat = inputs.first().is_some_and(|input| input.is_flat);
    let input = if is_encoded { encoded(&inputs, columns, max_rows)? } else { raw(&inputs, columns, max_rows)? };
    let is_binary = wants_binary(&head)?;
    Ok(InferRequest { id: head.id.map(Cow::into_owned), input, is_flat, is_binary })
}

/// Finds the data of an input, and takes it from `bytes` if it is binary.
fn data<'a>(tensor: &'a Tensor<'a>, bytes: &mut &'a [u8]) -> Result<Data<'a>, Problem> {
    let name = tensor.name.as_ref();
    let datatype = Datatype::parse(&tensor.datatype, name)?;
    let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let shape = match tensor.shape[..] {
        [rows] => (size(rows), 1),
        [rows, width] => (size(rows), size(width)),
        _ => {
            let found = tensor.shape.len();
            return Err(Problem::bad_request(format!("input `{name}` has {found} dimensions instead of 1 or 2")));
        }
    };
    let binary_size = tensor.parameters.as_ref().and_then(|parameters| parameters.binary_data_size);
    let source = match (binary_size, tensor.data) {
        (None, Some(data)) => Source::Json(data.get()),
        (Some(size), None) => {
            let Some((data, rest)) = bytes.split_at_checked(size) else {
                return Err(Problem::bad_request(format!(
                    "input `{name}`: binary_data_size is {size}, but {} bytes are left (is \
                     Inference-Header-Content-Length missing?)",
                    bytes.len()
                )));
            };
            *bytes = rest;
            Source::Binary(data)
        }
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request(format!("input `{name}` has both `data` and `binary_data_size`")));
        }
        (None, None) => {
            return Err(Problem::bad_request(format!("input `{name}` has neither `data` nor `binary_data_size`")));
        }
    };
    Ok(Data { name, datatype, shape, is_flat: tensor.shape.len() == 1, source })
}

/// The number of rows, which all inputs have.
fn rows(inputs: &[Data<'_>], max_rows: usize) -> Result<usize, Problem> {
    let rows = inputs.first().map_or(0, |input| input.shape.0);
    if let Some(other) = inputs.iter().find(|input| input.shape.0 != rows) {
        return Err(Problem::bad_request(format!(
            "input `{}` has {} rows, but `{}` has {rows}",
            other.name, other.shape.0, inputs[0].name
        )));
    }
    if rows > max_rows {
        return Err(Problem::too_large(format!("the request has {rows} rows; at most {max_rows} at a time")));
    }
    Ok(rows)
}

fn raw(inputs: &[Data<'_>], columns: &Columns, max_rows: usize) -> Result<Input, Problem> {
    let names = || columns.names().join(", ");
    let mut is_given = vec![false; columns.names().len()];
    for input in inputs {
        let name = input.name;
        let Some(column) = columns.position(name) else {
            return Err(Problem::bad_request(format!("unknown input `{name}`; the inputs are {}", names())));
        };
        if std::mem::replace(&mut is_given[column], true) {
            return Err(Problem::bad_request(format!("input `{name}` is given twice")));
        }
        if input.shape.1 != 1 {
            let width = input.shape.1;
            return Err(Problem::bad_request(format!("input `{name}` has {width} elements per row instead of 1")));
        }
    }
    if let Some(column) = is_given.iter().position(|is_given| !is_given) {
        let name = &columns.names()[column];
        return Err(Problem::bad_request(format!("input `{name}` is missing: send empty text for missing values")));
    }
    let mut rows = RawRows::missing(rows(inputs, max_rows)?, columns.names().len());
    for input in inputs {
        let column = columns.position(input.name).unwrap_or_default();
        input.read(|row, element| {
            element.with_text(|text| rows.set(row, column, text));
            Ok(())
        })?;
    }
    Ok(Input::Raw(rows))
}

fn encoded(inputs: &[Data<'_>], columns: &Columns, max_rows: usize) -> Result<Input, Problem> {
    let find = |name: &str, datatype: Datatype| {
        let mut found = inputs.iter().filter(|input| input.name == name);
        match (found.next(), found.next()) {
            (Some(input), None) if input.datatype == datatype => Ok(input),
            (Some(input), None) => {
                let expected = if datatype == Datatype::Fp32 { "FP32" } else { "INT64" };
                Err(Problem::bad_request(format!("input `{}` must have the datatype {expected}", input.name)))
            }
            _ => Err(Problem::bad_request(format!("there must be one input `{name}`"))),
        }
    };
    let (ids, values) = (find(IDS, Datatype::Int(8))?, find(VALUES, Datatype::Fp32)?);
    if inputs.len() > 2 {
        return Err(Problem::bad_request(format!("the inputs are `{IDS}` and `{VALUES}`, and no others")));
    }
    let (rows, slots) = (rows(inputs, max_rows)?, columns.ids().len());
    for input in [ids, values] {
        if input.is_flat || input.shape.1 != slots {
            return Err(Problem::bad_request(format!("input `{}` must have the shape [rows, {slots}]", input.name)));
        }
    }
    let (mut all_ids, mut all_values) = (vec![], vec![]);
    ids.read(|at, element| {
        let (Element::Integer(id), range) = (element, &columns.ids()[at % slots]) else { return Ok(()) };
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        if !range.contains(&id) {
            let (row, slot, last) = (at / slots, at % slots, range.end - 1);
            return Err(Problem::bad_request(format!(
                "slot {slot} of row {row} has id {id}, but its field has the ids {} to {last}",
                range.start
            )));
        }
        all_ids.push(id);
        Ok(())
    })?;
    values.read(|at, element| {
        let value = match element {
            Element::Short(value) => value,
            Element::Number(value) => value as f32,
            Element::Integer(value) => value as f32,
            Element::Bool(_) | Element::Text(_) => f32::NAN,
        };
        if !value.is_finite() {
            let (row, slot) = (at / slots, at % slots);
            return Err(Problem::bad_request(format!("slot {slot} of row {row} has a value that is not finite")));
        }
        all_values.push(value);
        Ok(())
    })?;
    Ok(Input::Encoded { rows, ids: all_ids, values: all_values })
}

fn wants_binary(head: &Head<'_>) -> Result<bool, Problem> {
    let by_default = head.parameters.as_ref().is_some_and(|parameters| parameters.binary_data_output);
    let outputs = head.outputs.as_deref().unwrap_or_default();
    if let Some(output) = outputs.iter().find(|output| output.name != OUTPUT) {
        let name = &output.name;
        return Err(Problem::bad_request(format!("unknown output `{name}`; the only output is {OUTPUT}")));
    }
    let of_output = outputs.iter().filter_map(|output| output.parameters.as_ref()?.binary_data).next_back();
    Ok(of_output.unwrap_or(by_default))
}
