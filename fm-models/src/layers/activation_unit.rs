//! Attention of a candidate item over a history.

use fm_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::{Activation, Dense, Dice, check_input, check_size};

/// The activation of the hidden layers of an [`ActivationUnit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitActivation {
    /// [`Dice`].
    #[default]
    Dice,
    /// max(0, x)
    Relu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
}

/// a_j = ⟨w, DNN([q; k_j; q - k_j; q ⊙ k_j])⟩ + b: how much each item k_j of a history matters for the candidate q.
///
/// The weights are not normalised, so that their sum says how strong the interest is.
///
/// # Shapes
/// q `[B, k]`, keys `[B, L, k]` and, 1 or 0, whether each is there `[B, L]` → `[B, L]`
///
/// Source: Zhou et al., Deep interest network for click-through rate prediction, KDD 2018, section 4.3,
/// <https://arxiv.org/abs/1706.06978>. The paper's input is [q; k_j; q × k_j], with the outer product; this is the input of
/// the authors' program, which has the difference and the product of the elements instead.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{ActivationUnit, UnitActivation};
///
/// let store = VarStore::new(Device::Cpu);
/// let unit = ActivationUnit::new(&store.root(), 16, &[36], UnitActivation::Dice)?;
/// let randn = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
/// let is_there = Tensor::ones([8, 50], (Kind::Float, Device::Cpu));
/// assert_eq!(unit.forward(&randn(&[8, 16]), &randn(&[8, 50, 16]), &is_there, false)?.size(), [8, 50]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ActivationUnit {
    hidden: Vec<(Dense, Option<Dice>)>,
    activation: Activation,
    output: Dense,
    k: i64,
}

impl ActivationUnit {
    /// Hidden layers `linear_0`, `dice_0`, ... of these widths, and `output`, under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a width out of range.
    pub fn new(path: &Path<'_>, k: i64, hidden_units: &[i64], activation: UnitActivation) -> Result<ActivationUnit> {
        let (mut hidden, mut width) = (vec![], 4 * k);
        for (l, &units) in hidden_units.iter().enumerate() {
            check_size("ActivationUnit", "an element of hidden_units", units)?;
            let dense = Dense::new(path / format!("linear_{l}"), width, units, true)?;
            let dice = (activation == UnitActivation::Dice).then(|| Dice::new(path / format!("dice_{l}"), units));
            hidden.push((dense, dice.transpose()?));
            width = units;
        }
        let activation = match activation {
            UnitActivation::Dice => Activation::Linear,
            UnitActivation::Relu => Activation::Relu,
            UnitActivation::Sigmoid => Activation::Sigmoid,
        };
        Ok(ActivationUnit { hidden, activation, output: Dense::new(path / "output", width, 1, true)?, k })
    }

    /// The weights a `[B, L]`. Those of padding have no meaning.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other sizes.
    pub fn forward(&self, query: &Tensor, keys: &Tensor, is_there: &Tensor, train: bool) -> Result<Tensor> {
        check_input("ActivationUnit", query, &[self.k])?;
        check_input("ActivationUnit", keys, &[-1, self.k])?;
        super::check_rows("ActivationUnit", query, keys)?;
        if is_there.size() != keys.size()[..2] {
            let expected = format!("a number for each of {:?} keys", &keys.size()[..2]);
            return Err(Error::shape("ActivationUnit", expected, format!("{:?}", is_there.size())));
        }
        let query = query.unsqueeze(1).expand_as(keys);
        let mut h = Tensor::cat(&[&query, keys, &(&query - keys), &(&query * keys)], -1);
        for (dense, dice) in &self.hidden {
            h = self.activation.apply(dense.forward(&h)?)?;
            if let Some(dice) = dice {
                h = dice.forward(&h, is_there, train)?;
            }
        }
        Ok(self.output.forward(&h)?.squeeze_dim(-1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_a_network_over_each_pair_of_the_candidate_and_an_item(
            (rows, l, k) in (1usize..4, 1usize..4, 1usize..4), activation in 0usize..3, train: bool, seed: u64,
        ) {
            let (forms, names) = ([UnitActivation::Dice, UnitActivation::Relu, UnitActivation::Sigmoid], ["dice", "relu", "sigmoid"]);
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = ActivationUnit::new(&(store.root() / "unit"), k as i64, &[3, 2], forms[activation]).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (queries, keys) = (draw.matrix(rows, k), draw.cube(rows, l, k));
            let expected = activation_unit(&p, "unit", names[activation], &queries, &keys, &vec![vec![1.0; l]; rows], train);
            let [rows, l, k] = [rows, l, k].map(|size| size as i64);
            let keys = tensor(&keys.concat().concat(), &[rows, l, k]);
            let is_there = Tensor::ones([rows, l], (Kind::Float, Device::Cpu));
            let found = layer.forward(&tensor(&queries.concat(), &[rows, k]), &keys, &is_there, train).unwrap();
            assert_within(1e-2, &found, &expected.concat(), "the weights");
        }
    }
}
