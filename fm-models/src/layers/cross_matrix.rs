//! The cross layer of DCN V2: one matrix.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{Dense, check_crossed};

/// x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l: one layer, which raises the degree of the interactions by one.
///
/// # Shapes
/// x_0 and x_l `[B, d]` → `[B, d]`
///
/// Source: Wang et al., DCN V2: improved deep & cross network, WWW 2021, equation 1,
/// <https://arxiv.org/abs/2008.13535>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::MatrixCross;
///
/// let store = VarStore::new(Device::Cpu);
/// let cross = MatrixCross::new(store.root(), 80)?;
/// let x0 = Tensor::randn([8, 80], (Kind::Float, Device::Cpu));
/// let x1 = cross.forward(&x0, &x0)?;
/// assert_eq!(x1.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MatrixCross {
    dense: Dense,
    width: i64,
}

impl MatrixCross {
    /// Creates `weight` W `[d, d]` and `bias` b `[d]` under `path`.
    ///
    /// # Errors
    /// Those of [`Dense::new`].
    pub fn new(path: Path<'_>, width: i64) -> Result<MatrixCross> {
        Ok(MatrixCross { dense: Dense::new(path, width, width, true)?, width })
    }

    /// x_{l+1} `[B, d]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for inputs that are not `[B, d]`.
    pub fn forward(&self, first: &Tensor, last: &Tensor) -> Result<Tensor> {
        check_crossed("MatrixCross", first, last, self.width)?;
        Ok(last.addcmul(first, &self.dense.forward(last)?))
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
            let layer = MatrixCross::new(store.root() / "c", width as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (x0, x) = (draw.matrix(3, width), draw.matrix(3, width));
            let [first, last] = [&x0, &x].map(|x| tensor(&x.concat(), &[3, width as i64]));
            let expected: Matrix = x0.iter().zip(&x).map(|(x0, x)| matrix_cross(&p, "c", x0, x)).collect();
            assert_close(&layer.forward(&first, &last).unwrap(), &expected.concat(), "the layer");
        }
    }
}
