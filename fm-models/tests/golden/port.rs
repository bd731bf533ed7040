//! Our counterpart of a Keras class, and the places of Keras's weights among our parameters.

use std::collections::BTreeMap;

use fm_core::Schema;
use tch::Tensor;
use tch::nn::VarStore;

use super::case::Result;

/// The outputs of a port.
pub struct Outputs {
    /// The local variables of the original, by name.
    pub named: BTreeMap<String, Tensor>,
    /// The input of the loss: log-odds or the raw score, `[B]`.
    pub score: Tensor,
}

/// Our counterpart of a Keras class.
pub struct Port {
    pub store: VarStore,
    pub weights: Vec<Weight>,
    /// Inputs with gradients in the file.
    pub inputs: Vec<(&'static str, Tensor)>,
    pub forward: Box<dyn Fn(bool) -> fm_core::Result<Outputs>>,
}

/// A Keras weight as one of our parameters, or a part of it.
pub struct Weight {
    pub keras: String,
    pub ours: String,
    layout: Layout,
}

/// The layout of Keras's array in our parameter.
pub enum Layout {
    Same,
    /// `[in, out]` in Keras, `[out, in]` here.
    Transposed,
    /// `[1, in, out]` in Keras, `[out, in]` here.
    Filter,
    /// The rows of our table from this one.
    Rows(i64),
}

impl Weight {
    pub fn new(keras: impl Into<String>, ours: impl Into<String>, layout: Layout) -> Weight {
        Weight { keras: keras.into(), ours: ours.into(), layout }
    }

    /// A view of our parameter, or of its gradient, in Keras's layout and `shape`.
    pub fn view(&self, parameter: &Tensor, shape: &[i64]) -> Result<Tensor> {
        let view = match self.layout {
            Layout::Same => parameter.shallow_clone(),
            Layout::Transposed => parameter.transpose(0, 1),
            Layout::Filter => parameter.transpose(0, 1).unsqueeze(0),
            Layout::Rows(first) => parameter.f_narrow(0, first, shape[0]).map_err(|error| error.to_string())?,
        };
        view.f_view(shape).map_err(|_| format!("{}: {:?} cannot hold {shape:?}", self.keras, view.size()))
    }
}

pub fn same(keras: &str, ours: &str) -> Weight {
    Weight::new(keras, ours, Layout::Same)
}

/// The kernel and, if `bias` is given, the bias of a Keras `Dense`.
pub fn dense(keras: &str, ours: &str, bias: Option<&str>) -> Vec<Weight> {
    let kernel = Weight::new(format!("{keras}.kernel"), format!("{ours}.weight"), Layout::Transposed);
    let bias = bias.map(|bias| Weight::new(format!("{keras}.bias"), bias, Layout::Same));
    std::iter::once(kernel).chain(bias).collect()
}

/// The hidden layers `dnn_0`, `dnn_1`, ...
pub fn hidden(units: &[i64]) -> impl Iterator<Item = Weight> {
    (0..units.len()).flat_map(|l| {
        let ours = format!("dnn.linear_{l}");
        dense(&format!("dnn_{l}"), &ours, Some(&format!("{ours}.bias")))
    })
}

/// Tables of single fields, which are consecutive in ours.
pub fn tables(names: &[String], schema: &Schema, ours: &str) -> Vec<Weight> {
    let table = |(field, name): (usize, &String)| Weight::new(name, ours, Layout::Rows(schema.ids(field).start));
    names.iter().enumerate().map(table).collect()
}

pub fn batch_norm() -> Vec<Weight> {
    let part = |part: &str| same(&format!("bn.{part}"), &format!("batch_norm.{part}"));
    ["gamma", "beta", "moving_mean", "moving_variance"].map(part).into()
}
