//! The cross layer of GDCN: a matrix and a gate.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{Dense, check_crossed};

/// c_{l+1} = c_0 ⊙ (W_l c_l + b_l) ⊙ σ(G_l c_l) + c_l: one cross layer, whose gate weakens the interactions that do not
/// help.
///
/// # Shapes
/// c_0 and c_l `[B, d]` → `[B, d]`
///
/// Source: Wang et al., Towards deeper, lighter and interpretable cross network for CTR prediction, CIKM 2023,
/// <https://arxiv.org/abs/2311.04635>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::GatedCross;
///
/// let store = VarStore::new(Device::Cpu);
/// let cross = GatedCross::new(&store.root(), 80)?;
/// let c0 = Tensor::randn([8, 80], (Kind::Float, Device::Cpu));
/// assert_eq!(cross.forward(&c0, &c0)?.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct GatedCross {
    cross: Dense,
    gate: Dense,
    width: i64,
}

impl GatedCross {
    /// Creates the layers `cross` (W and b) and `gate` (G) under `path`.
    ///
    /// # Errors
    /// Those of [`Dense::new`].
    pub fn new(path: &Path<'_>, width: i64) -> Result<GatedCross> {
        let cross = Dense::new(path / "cross", width, width, true)?;
        Ok(GatedCross { cross, gate: Dense::new(path / "gate", width, width, false)?, width })
    }

    /// c_{l+1} `[B, d]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for inputs that are not `[B, d]`.
    pub fn forward(&self, first: &Tensor, last: &Tensor) -> Result<Tensor> {
        check_crossed("GatedCross", first, last, self.width)?;
        let gate = self.gate.forward(last)?.sigmoid();
        Ok(last.addcmul(&(first * gate), &self.cross.forward(last)?))
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
        fn it_equals_its_formula(width in 1usize..6, seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = GatedCross::new(&(store.root() / "c"), width as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (c0, c) = (draw.matrix(3, width), draw.matrix(3, width));
            let [first, last] = [&c0, &c].map(|c| tensor(&c.concat(), &[3, width as i64]));
            let expected: Matrix = c0.iter().zip(&c).map(|(c0, c)| gated_cross(&p, "c", c0, c)).collect();
            assert_close(&layer.forward(&first, &last).unwrap(), &expected.concat(), "the layer");
        }
    }
}
