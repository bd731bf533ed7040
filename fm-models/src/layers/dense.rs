//! A dense layer.

use fm_core::{Error, Result};
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{check_device, check_size, glorot, is_float};

/// y = W x + b
///
/// # Shapes
/// `[..., in]` → `[..., out]`
///
/// Keras: `Dense` without an activation. Its kernel is `[in, out]`; here `weight` is `[out, in]`, as in libtorch. As in
/// Keras, weights have Glorot uniform initial values, and biases start at 0.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::Dense;
///
/// let store = VarStore::new(Device::Cpu);
/// let dense = Dense::new(store.root(), 16, 4, true)?;
/// assert_eq!(dense.forward(&Tensor::randn([8, 16], (Kind::Float, Device::Cpu)))?.size(), [8, 4]);
/// let error = dense.forward(&Tensor::randn([8, 15], (Kind::Float, Device::Cpu))).unwrap_err();
/// assert_eq!(error.to_string(), "Dense: expected float32 of shape [..., 16], found Float of shape [8, 15]");
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dense {
    weight: Tensor,
    bias: Option<Tensor>,
    input: i64,
}

impl Dense {
    /// Creates `weight` and, optionally, `bias` under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for sizes out of range, [`Error::Torch`] if memory is insufficient.
    pub fn new(path: Path<'_>, input: i64, output: i64, bias: bool) -> Result<Dense> {
        check_size("Dense", "the number of outputs", output)?;
        if input < 1 {
            return Err(Error::Setting(format!("Dense: the number of inputs is {input}: it must be at least 1")));
        }
        let weight = path.f_var("weight", &[output, input], glorot(input, output))?;
        let bias = bias.then(|| path.f_var("bias", &[output], Init::Const(0.0))).transpose()?;
        Ok(Dense { weight, bias, input })
    }

    /// W `[out, in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// b `[out]`, if there is a bias.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The outputs `[..., out]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[..., in]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if input.size().last() != Some(&self.input) || !is_float(input) {
            let found = format!("{:?} of shape {:?}", input.kind(), input.size());
            return Err(Error::shape("Dense", format!("float32 of shape [..., {}]", self.input), found));
        }
        check_device("Dense", input, &self.weight)?;
        Ok(input.linear(&self.weight, self.bias.as_ref()))
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
        fn it_equals_its_formula_for_any_leading_dimensions(
            (n, inputs, outputs) in (1usize..5, 1usize..6, 1usize..6), bias: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = Dense::new(store.root() / "d", inputs as i64, outputs as i64, bias).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            prop_assert_eq!(layer.bias().is_some(), bias);
            let x = draw.matrix(2 * n, inputs);
            let expected: Matrix = x.iter().map(|x| dense(&p, "d", x, bias)).collect();
            let (n, inputs, outputs) = (n as i64, inputs as i64, outputs as i64);
            for (shape, shape_out) in [([2 * n, 1, inputs], [2 * n, 1, outputs]), ([2, n, inputs], [2, n, outputs])] {
                let found = layer.forward(&tensor(&x.concat(), &shape)).unwrap();
                prop_assert_eq!(found.size(), shape_out);
                assert_close(&found, &expected.concat(), "the output");
            }
        }
    }

    #[test]
    fn weights_have_glorot_uniform_initial_values_and_biases_start_at_zero() {
        let store = VarStore::new(Device::Cpu);
        let layer = Dense::new(store.root(), 30, 70, true).unwrap();
        let bound = (6.0f64 / 100.0).sqrt();
        assert!(layer.weight.abs().max().double_value(&[]) <= bound);
        assert!((layer.weight.std(true).double_value(&[]) - bound / 3f64.sqrt()).abs() < 0.05 * bound);
        assert_eq!(numbers(&layer.bias.unwrap()), [0.0; 70]);
    }
}
