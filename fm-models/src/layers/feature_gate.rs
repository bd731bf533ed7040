//! Gates for the elements of all embeddings.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{Dense, check_input, check_size};

/// g = 2 σ(W_2 relu(W_1 c + b_1) + b_2): a factor between 0 and 2 for each element of the embeddings, from a context c.
///
/// # Shapes
/// `[B, in]` → `[B, out]`
///
/// Source: Mao et al., FinalMLP, AAAI 2023, section 3, <https://arxiv.org/abs/2304.00902>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::FeatureGate;
///
/// let store = VarStore::new(Device::Cpu);
/// let gate = FeatureGate::new(&store.root(), 16, 64, 80)?;
/// assert_eq!(gate.forward(&Tensor::randn([8, 16], (Kind::Float, Device::Cpu)))?.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FeatureGate {
    hidden: Dense,
    output: Dense,
    input: i64,
}

impl FeatureGate {
    /// Creates `hidden` W_1 `[units, in]` and b_1, and `output` W_2 `[out, units]` and b_2 under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes out of range.
    pub fn new(path: &Path<'_>, input: i64, units: i64, output: i64) -> Result<FeatureGate> {
        check_size("FeatureGate", "gate_units", units)?;
        let hidden = Dense::new(path / "hidden", input, units, true)?;
        Ok(FeatureGate { hidden, output: Dense::new(path / "output", units, output, true)?, input })
    }

    /// g `[B, out]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, in]`.
    pub fn forward(&self, context: &Tensor) -> Result<Tensor> {
        check_input("FeatureGate", context, &[self.input])?;
        Ok(self.output.forward(&self.hidden.forward(context)?.relu())?.sigmoid() * 2.0)
    }
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
        fn it_equals_its_formula((input, units, output) in (1usize..5, 1usize..5, 1usize..5), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = FeatureGate::new(&(store.root() / "g"), input as i64, units as i64, output as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let contexts = draw.matrix(3, input);
            let expected: Matrix = contexts.iter().map(|context| feature_gate(&p, "g", context)).collect();
            let found = layer.forward(&tensor(&contexts.concat(), &[3, input as i64])).unwrap();
            assert_close(&found, &expected.concat(), "the gates");
        }
    }
}
