//! Golden files: outputs of the original Keras code for given inputs and weights.

use std::path::Path;

use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// A result with an error message of one line.
pub type Result<T> = std::result::Result<T, String>;

/// A case or a part of it.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    json: &'a Value,
    /// The device of tensors.
    pub device: Device,
}

impl<'a> Case<'a> {
    pub fn new(json: &'a Value, device: Device) -> Case<'a> {
        Case { json, device }
    }

    /// A required part.
    pub fn part(&self, name: &str) -> Result<Case<'a>> {
        self.find(name).ok_or_else(|| format!("`{name}` is missing"))
    }

    /// An optional part.
    pub fn find(&self, name: &str) -> Option<Case<'a>> {
        self.json.get(name).filter(|json| !json.is_null()).map(|json| Case { json, ..*self })
    }

    /// The parts of an object by name. Empty for other values.
    pub fn parts(&self) -> impl Iterator<Item = (&'a str, Case<'a>)> + use<'a> {
        let device = self.device;
        self.json.as_object().into_iter().flatten().map(move |(name, json)| (name.as_str(), Case { json, device }))
    }

    /// The elements of a list. Empty for other values.
    pub fn elements(&self) -> impl Iterator<Item = Case<'a>> + use<'a> {
        let device = self.device;
        self.json.as_array().into_iter().flatten().map(move |json| Case { json, device })
    }

    pub fn text(&self, name: &str) -> Result<&'a str> {
        self.part(name)?.as_text()
    }

    pub fn as_text(&self) -> Result<&'a str> {
        self.json.as_str().ok_or_else(|| format!("{} is not a string", self.json))
    }

    pub fn number(&self, name: &str) -> Result<f64> {
        self.part(name)?.as_number()
    }

    pub fn as_number(&self) -> Result<f64> {
        self.json.as_f64().ok_or_else(|| format!("{} is not a number", self.json))
    }

    pub fn integer(&self, name: &str) -> Result<i64> {
        self.part(name)?.as_integer()
    }

    pub fn as_integer(&self) -> Result<i64> {
        self.json.as_i64().ok_or_else(|| format!("{} is not an integer", self.json))
    }

    pub fn flag(&self, name: &str) -> Result<bool> {
        self.part(name)?.json.as_bool().ok_or_else(|| format!("`{name}` is neither true nor false"))
    }

    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        self.part(name)?.elements().map(|element| element.as_integer()).collect()
    }

    pub fn texts(&self, name: &str) -> Result<Vec<&'a str>> {
        self.part(name)?.elements().map(|element| element.as_text()).collect()
    }

    pub fn is_tensor(&self) -> bool {
        self.json.get("data").is_some()
    }

    /// Whether it is or contains a tensor.
    pub fn holds_tensor(&self) -> bool {
        self.is_tensor() || self.parts().any(|(_, part)| part.holds_tensor())
    }

    /// A `{shape, dtype, data}` as a tensor: float32, or int64 for integers.
    pub fn tensor(&self) -> Result<Tensor> {
        let (shape, data) = (self.integers("shape")?, self.part("data")?);
        let data: Vec<f64> = data.elements().map(|number| number.as_number()).collect::<Result<_>>()?;
        if shape.iter().product::<i64>() != data.len() as i64 {
            return Err(format!("{} numbers do not fit the shape {shape:?}", data.len()));
        }
        let kind = if self.text("dtype")?.starts_with('i') { Kind::Int64 } else { Kind::Float };
        Ok(Tensor::from_slice(&data).to_kind(kind).view(&shape[..]).to_device(self.device))
    }

    /// A plain nested list of numbers as a float32 tensor.
    pub fn nested(&self) -> Result<Tensor> {
        if let Ok(number) = self.as_number() {
            return Ok(Tensor::from(number as f32).to_device(self.device));
        }
        let elements: Vec<Tensor> = self.elements().map(|element| element.nested()).collect::<Result<_>>()?;
        if elements.is_empty() { Err(format!("{} is not a list", self.json)) } else { Ok(Tensor::stack(&elements, 0)) }
    }
}

/// Reads a JSON file.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
