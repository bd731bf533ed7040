//! Explanations of scores.
//!
//! [`Model::explain`] splits the logits of a batch into the terms of the model's formula; [`parts`] returns them row by
//! row. A part that the formula does not split, such as a deep network, is a single lump. [`shapley`] computes the
//! contribution of each field for any model, by scoring the row without it; [`mean_shapley`] sums it up over many rows.
//! [`InteractionReport`] finds the fields and values that interact most over many rows.
//!
//! ```
//! # use fm_core::{Encoder, Features, Field, FieldKind, Label, Schema, Side, Task, tch::{Device, nn::VarStore}};
//! # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! # let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
//! # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user, item])?;
//! use fm_core::explain::{parts, shapley};
//!
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
//! let row = Encoder::new(&schema).features(&[[Some("ann"), Some("b")]])?;
//! let logit = model.logits(&row, false)?.double_value(&[0]);
//!
//! let parts = &parts(model.as_ref(), &row)?[0];
//! let (first_order, pairs) = (parts.first_order.as_ref().unwrap(), parts.pairs.as_ref().unwrap());
//! assert_eq!((first_order.len(), pairs.len()), (2, 1)); // for the two slots, and for their pair
//! assert!(parts.is_exact() && (parts.total() - logit).abs() < 1e-6);
//!
//! let by_field = shapley(&schema, &row, |features| model.logits(features, false))?;
//! assert!((by_field.baseline + by_field.values.iter().sum::<f64>() - logit).abs() < 1e-6);
//! # Ok::<(), fm_core::Error>(())
//! ```

mod importance;
mod interactions;
mod purified;
mod shapley;

use tch::{Device, Kind, Tensor, no_grad};

use crate::error::{Error, Result};
use crate::features::Features;
use crate::model::Model;

pub use importance::{MeanShapley, mean_shapley};
pub use interactions::{InteractionOptions, InteractionReport, ValuePair};
pub use shapley::{Shapley, shapley};

/// The logits of a batch, split into parts:
/// logit = bias + Σ_s first_order_s + Σ_{s<t} pairs_{s,t} + Σ lumps.
///
/// Terms belong to slots. If a model pairs sums of vectors over fields, their inner products split into pairs of slots:
/// ⟨Σ_s e_s, Σ_t e_t⟩ = Σ_{s,t} ⟨e_s, e_t⟩. Terms of padding are 0.
#[derive(Debug)]
pub struct Explanation {
    /// `[1]`: the global bias.
    pub bias: Tensor,
    /// `[B, S]`: the first-order term of each slot, if the model has such terms.
    pub first_order: Option<Tensor>,
    /// `[B, S(S-1)/2]`: the term of each pair of slots, in the order of [`pairs`], if the model has such terms.
    pub pairs: Option<Tensor>,
    /// `[B, F(F-1)/2]`: the attention weight of each pair of fields, in the order of [`pairs`]. The terms of pairs
    /// already include it. It depends on all pairs of the row.
    pub attention: Option<Tensor>,
    /// Named parts `[B]` that the formula does not split.
    pub lumps: Vec<(&'static str, Tensor)>,
}

impl Explanation {
    /// Only the bias. The model adds its other parts.
    pub fn new(bias: &Tensor) -> Explanation {
        let bias = bias.shallow_clone();
        Explanation { bias, first_order: None, pairs: None, attention: None, lumps: vec![] }
    }

    /// The bias and a single lump: the rest of the logits `[B]`.
    pub fn lump(name: &'static str, logits: Tensor, bias: &Tensor) -> Explanation {
        Explanation { lumps: vec![(name, logits - bias)], ..Explanation::new(bias) }
    }

    /// The parts of each row of `features`.
    fn rows(&self, features: &Features, slots: usize) -> Result<Vec<Parts>> {
        let numbers = |tensor: &Tensor, width: Option<usize>| numbers(tensor, features.len(), width);
        let bias = Vec::<f32>::try_from(self.bias.to_device(Device::Cpu))?;
        let [bias] = bias[..] else {
            return Err(Error::shape("Model::explain", "a bias of shape [1]", format!("{:?}", self.bias.size())));
        };
        let optional = |tensor: &Option<Tensor>, width| tensor.as_ref().map(|t| numbers(t, width)).transpose();
        let mut first_order = optional(&self.first_order, Some(slots))?.map(Vec::into_iter);
        let mut pairs = optional(&self.pairs, Some(slots * slots.saturating_sub(1) / 2))?.map(Vec::into_iter);
        let mut attention = optional(&self.attention, None)?.map(Vec::into_iter);
        let lumps = self.lumps.iter().map(|(name, lump)| Ok((*name, numbers(lump, Some(1))?)));
        let lumps = lumps.collect::<Result<Vec<_>>>()?;
        Ok((0..features.len())
            .map(|row| Parts {
                bias,
                first_order: first_order.as_mut().and_then(Iterator::next),
                pairs: pairs.as_mut().and_then(Iterator::next),
                attention: attention.as_mut().and_then(Iterator::next),
                lumps: lumps.iter().map(|(name, lump)| (*name, lump[row][0])).collect(),
            })
            .collect())
    }
}

/// The elements of a part, row by row.
fn numbers(tensor: &Tensor, rows: usize, width: Option<usize>) -> Result<Vec<Vec<f32>>> {
    let width = match (width, tensor.size().get(1)) {
        (Some(width), _) => width,
        (None, width) => width.map_or(1, |&width| width as usize),
    };
    if tensor.numel() != rows * width || tensor.kind() != Kind::Float {
        let found = format!("{:?} of shape {:?}", tensor.kind(), tensor.size());
        return Err(Error::shape("Model::explain", format!("float32 of shape [{rows}, {width}]"), found));
    }
    if width == 0 {
        return Ok(vec![vec![]; rows]);
    }
    let all = Vec::<f32>::try_from(tensor.to_device(Device::Cpu).flatten(0, -1))?;
    Ok(all.chunks(width).map(<[f32]>::to_vec).collect())
}

/// The parts of one row's logit: [`Explanation`] as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The global bias.
    pub bias: f32,
    /// `[S]`: the first-order term of each slot.
    pub first_order: Option<Vec<f32>>,
    /// `[S(S-1)/2]`: the term of each pair of slots, in the order of [`pairs`].
    pub pairs: Option<Vec<f32>>,
    /// `[F(F-1)/2]`: the attention weight of each pair of fields.
    pub attention: Option<Vec<f32>>,
    /// Parts that are not split, by name.
    pub lumps: Vec<(&'static str, f32)>,
}

impl Parts {
    /// The same parts in another unit, in which all terms are `unit` times what they were: [`Label::scale`](crate::Label::scale) gives
    /// the terms of a regression in the unit of its label. Attention weights have no unit.
    pub fn times(mut self, unit: f32) -> Parts {
        let terms = self.first_order.iter_mut().chain(&mut self.pairs).flatten();
        terms.chain(self.lumps.iter_mut().map(|(_, lump)| lump)).chain([&mut self.bias]).for_each(|term| *term *= unit);
        self
    }

    /// The sum of all parts, which is the logit up to rounding.
    pub fn total(&self) -> f64 {
        let lumps = self.lumps.iter().map(|(_, lump)| f64::from(*lump)).sum::<f64>();
        f64::from(self.bias) + sum(&self.first_order) + sum(&self.pairs) + lumps
    }

    /// Whether there are no lumps.
    pub fn is_exact(&self) -> bool {
        self.lumps.is_empty()
    }
}

/// The sum of a part's terms, or 0 if there is no such part.
fn sum(terms: &Option<Vec<f32>>) -> f64 {
    terms.iter().flatten().map(|&term| f64::from(term)).sum()
}

/// The pairs of `n` slots or fields, in the order of their terms: (0,1), (0,2), ..., (1,2), ...
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |first| (first + 1..n).map(move |second| (first, second)))
}

/// The parts of each row's logit.
///
/// # Errors
/// Errors of the model; [`Error::Shape`] for parts whose shapes differ from [`Explanation`].
pub fn parts(model: &dyn Model, features: &Features) -> Result<Vec<Parts>> {
    let features = features.padded()?;
    let slots = features.ids.size()[1] as usize;
    let features = features.into();
    no_grad(|| model.explain(&features)?.rows(&features, slots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(numbers: &[f32], shape: &[i64]) -> Tensor {
        Tensor::from_slice(numbers).view(shape)
    }

    fn features(rows: i64, slots: i64) -> Features {
        let zeros = |kind| Tensor::zeros([rows, slots], (kind, Device::Cpu));
        Features::unchecked(zeros(Kind::Int64), zeros(Kind::Float))
    }

    #[test]
    fn each_row_has_its_own_terms_and_the_common_bias() {
        let explanation = Explanation {
            first_order: Some(tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])),
            pairs: Some(tensor(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], &[2, 3])),
            lumps: vec![("deep part", tensor(&[10.0, 20.0], &[2]))],
            ..Explanation::new(&tensor(&[0.5], &[1]))
        };
        let rows = explanation.rows(&features(2, 3), 3).unwrap();
        let second = Parts {
            bias: 0.5,
            first_order: Some(vec![4.0, 5.0, 6.0]),
            pairs: Some(vec![0.4, 0.5, 0.6]),
            attention: None,
            lumps: vec![("deep part", 20.0)],
        };
        assert_eq!(rows[1], second);
        assert!((second.total() - 37.0).abs() < 1e-6 && !second.is_exact());
        assert!((second.times(2.0).total() - 74.0).abs() < 1e-6);
    }

    #[test]
    fn terms_of_another_shape_are_an_error() {
        let explanation = |pairs: &[f32], shape: &[i64]| Explanation {
            pairs: Some(tensor(pairs, shape)),
            ..Explanation::new(&tensor(&[0.0], &[1]))
        };
        assert!(explanation(&[1.0], &[1, 1]).rows(&features(1, 2), 2).is_ok());
        let error = explanation(&[1.0, 2.0], &[1, 2]).rows(&features(1, 2), 2).unwrap_err().to_string();
        assert_eq!(error, "Model::explain: expected float32 of shape [1, 1], found Float of shape [1, 2]");
    }

    #[test]
    fn a_row_of_one_slot_has_no_pair_and_an_empty_batch_has_no_parts() {
        let none = |rows| Explanation {
            pairs: Some(Tensor::zeros([rows, 0], (Kind::Float, Device::Cpu))),
            ..Explanation::new(&tensor(&[2.0], &[1]))
        };
        assert_eq!(none(1).rows(&features(1, 1), 1).unwrap()[0].total(), 2.0);
        assert_eq!(none(0).rows(&features(0, 1), 1).unwrap(), []);
        assert_eq!(pairs(1).count(), 0);
        assert_eq!(pairs(3).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
    }
}
