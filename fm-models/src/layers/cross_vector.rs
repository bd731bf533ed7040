//! The cross network of DCN: one vector per layer.

use fm_core::Result;
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::{check_crossed, check_device, check_input, check_size, glorot};

/// x_{l+1} = x_0 (x_lᵀ w_l) + b_l + x_l: L layers, of which layer l adds products of l + 1 inputs.
///
/// Every layer is x_l = α_l x_0 + β_l with a number α_l per row and a constant vector β_l: α_0 = 1, β_0 = 0,
/// α_{l+1} = α_l (1 + x_0ᵀ w_l) + β_lᵀ w_l and β_{l+1} = β_l + b_l. All layers therefore take one matrix product.
///
/// # Shapes
/// x_0 `[B, d]` → x_L `[B, d]`
///
/// Source: Wang, Fu, Fu and Wang, Deep & cross network for ad click predictions, ADKDD 2017, equation 3,
/// <https://arxiv.org/abs/1708.05123>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::VectorCross;
///
/// let store = VarStore::new(Device::Cpu);
/// let cross = VectorCross::new(store.root(), 80, 6)?;
/// assert_eq!(cross.forward(&Tensor::randn([8, 80], (Kind::Float, Device::Cpu)))?.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct VectorCross {
    weight: Tensor,
    bias: Tensor,
    width: i64,
    layers: i64,
}

impl VectorCross {
    /// Creates `weight` and `bias` `[L, d]` under `path`: the vectors w_l, with Glorot uniform initial values, and b_l,
    /// which start at 0.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for a number of layers out of range, [`fm_core::Error::Torch`] if memory is
    /// insufficient.
    pub fn new(path: Path<'_>, width: i64, layers: i64) -> Result<VectorCross> {
        check_size("VectorCross", "cross_layers", layers)?;
        Ok(VectorCross {
            weight: path.f_var("weight", &[layers, width], glorot(width, 1))?,
            bias: path.f_var("bias", &[layers, width], Init::Const(0.0))?,
            width,
            layers,
        })
    }

    /// The last layer x_L `[B, d]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, d]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_input("VectorCross", input, &[self.width])?;
        check_device("VectorCross", input, &self.weight)?;
        let products = input.linear(&self.weight, None::<&Tensor>); // x_0ᵀ w_l, [B, L]
        let mut alpha = products.narrow(1, 0, 1) + 1.0;
        let mut beta = self.bias.select(0, 0);
        for layer in 1..self.layers {
            let of_beta = (&beta * self.weight.select(0, layer)).sum(Kind::Float);
            alpha = alpha * (products.narrow(1, layer, 1) + 1.0) + of_beta;
            beta = self.bias.select(0, layer) + beta;
        }
        Ok(beta.addcmul(input, &alpha))
    }

    /// x_1 = x_0 (xᵀ w_0) + b_0 + x `[B, d]`: the first layer alone, for an x that is not x_0.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for inputs that are not `[B, d]`.
    pub fn step(&self, first: &Tensor, last: &Tensor) -> Result<Tensor> {
        check_crossed("VectorCross", first, last, self.width)?;
        check_device("VectorCross", first, &self.weight)?;
        let along = last.linear(&self.weight.narrow(0, 0, 1), None::<&Tensor>); // [B, 1]
        Ok((last + self.bias.select(0, 0)).addcmul(first, &along))
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
        fn it_equals_the_layers_one_after_another((width, layers) in (1usize..6, 1usize..5), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = VectorCross::new(store.root() / "c", width as i64, layers as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let x = draw.matrix(3, width);
            let found = layer.forward(&tensor(&x.concat(), &[3, width as i64])).unwrap();
            let expected: Matrix = x.iter().map(|x| vector_cross(&p, "c", x)).collect();
            assert_close(&found, &expected.concat(), "the last layer");
        }
    }

    proptest! {
        #[test]
        fn a_step_of_another_vector_than_the_first_equals_its_formula(width in 1usize..6, seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = VectorCross::new(store.root() / "c", width as i64, 1).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (x0, x) = (draw.matrix(3, width), draw.matrix(3, width));
            let expected: Matrix = x0.iter().zip(&x).map(|(x0, x)| vector_cross_step(&p, "c", 0, x0, x)).collect();
            let [x0, x] = [&x0, &x].map(|x| tensor(&x.concat(), &[3, width as i64]));
            assert_close(&layer.step(&x0, &x).unwrap(), &expected.concat(), "the layer");
        }
    }

    /// Computed by hand: x_1 = 2 x_0 + x_0 = (3, 6), x_2 = 9 x_0 + x_1.
    #[test]
    fn each_layer_adds_a_multiple_of_the_input() {
        let store = VarStore::new(Device::Cpu);
        let layer = VectorCross::new(store.root(), 2, 2).unwrap();
        tch::no_grad(|| layer.weight.shallow_clone().copy_(&tensor(&[0.0, 1.0, 1.0, 1.0], &[2, 2])));
        assert_eq!(numbers(&layer.forward(&tensor(&[1.0, 2.0], &[1, 2])).unwrap()), [12.0, 24.0]);
    }
}
