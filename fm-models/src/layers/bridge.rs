//! The bridge between two networks that run side by side.

use fm_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, check_crossed};

/// How a [`Bridge`] joins two vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeForm {
    /// x ⊙ h
    #[default]
    Product,
    /// x + h
    Sum,
    /// relu(W [x; h] + b)
    Concatenation,
    /// a(x) ⊙ x + a'(h) ⊙ h with a(x) = softmax(P relu(W x + b)), and a' with parameters of its own
    Attention,
}

/// f = x ⊙ h, or another [`BridgeForm`]: what two networks tell each other after each of their layers.
///
/// # Shapes
/// x and h `[B, d]` → `[B, d]`
///
/// Source: Chen et al., Enhancing explicit and implicit feature interactions via information sharing for parallel deep
/// CTR models, CIKM 2021, section 3.2, <https://doi.org/10.1145/3459637.3481915>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{Bridge, BridgeForm};
///
/// let store = VarStore::new(Device::Cpu);
/// let bridge = Bridge::new(&store.root(), 80, BridgeForm::Concatenation)?;
/// let [x, h] = [(); 2].map(|_| Tensor::randn([8, 80], (Kind::Float, Device::Cpu)));
/// assert_eq!(bridge.forward(&x, &h)?.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Bridge {
    parameters: BridgeParameters,
    width: i64,
}

#[derive(Debug)]
enum BridgeParameters {
    Product,
    Sum,
    Concatenation(Dense),
    /// W and b, and P, for each of the two vectors.
    Attention([[Dense; 2]; 2]),
}

impl Bridge {
    /// Creates under `path` what the form needs: `joined` W `[d, 2 d]` and b, or `first_hidden` W `[d, d]` and b and
    /// `first_score` P `[d, d]` for x, and `second_hidden` and `second_score` for h.
    ///
    /// # Errors
    /// Those of [`Dense::new`].
    pub fn new(path: &Path<'_>, width: i64, form: BridgeForm) -> Result<Bridge> {
        let attention = |name: &str| -> Result<[Dense; 2]> {
            let hidden = Dense::new(path / format!("{name}_hidden"), width, width, true)?;
            Ok([hidden, Dense::new(path / format!("{name}_score"), width, width, false)?])
        };
        let parameters = match form {
            BridgeForm::Product => BridgeParameters::Product,
            BridgeForm::Sum => BridgeParameters::Sum,
            BridgeForm::Concatenation => {
                BridgeParameters::Concatenation(Dense::new(path / "joined", 2 * width, width, true)?)
            }
            BridgeForm::Attention => BridgeParameters::Attention([attention("first")?, attention("second")?]),
        };
        Ok(Bridge { parameters, width })
    }

    /// f `[B, d]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for inputs that are not `[B, d]`.
    pub fn forward(&self, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        check_crossed("Bridge", first, second, self.width)?;
        Ok(match &self.parameters {
            BridgeParameters::Product => first * second,
            BridgeParameters::Sum => first + second,
            BridgeParameters::Concatenation(joined) => joined.forward(&Tensor::cat(&[first, second], 1))?.relu(),
            BridgeParameters::Attention([of_first, of_second]) => {
                weighted(of_first, first)? + weighted(of_second, second)?
            }
        })
    }
}

/// softmax(P relu(W x + b)) ⊙ x
fn weighted([hidden, score]: &[Dense; 2], x: &Tensor) -> Result<Tensor> {
    Ok(score.forward(&hidden.forward(x)?.relu())?.softmax(-1, Kind::Float) * x)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_its_formula_in_each_form(width in 1usize..6, form in 0usize..4, seed: u64) {
            let (form, name) = [
                (BridgeForm::Product, "product"),
                (BridgeForm::Sum, "sum"),
                (BridgeForm::Concatenation, "concatenation"),
                (BridgeForm::Attention, "attention"),
            ][form];
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = Bridge::new(&(store.root() / "b"), width as i64, form).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (x, h) = (draw.matrix(3, width), draw.matrix(3, width));
            let expected: Matrix = x.iter().zip(&h).map(|(x, h)| bridge(&p, "b", name, x, h)).collect();
            let [x, h] = [&x, &h].map(|x| tensor(&x.concat(), &[3, width as i64]));
            assert_close(&layer.forward(&x, &h).unwrap(), &expected.concat(), name);
            prop_assert_eq!(serde_json::to_value(form).unwrap(), name);
        }
    }
}
