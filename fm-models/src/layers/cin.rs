//! The compressed interaction network.

use fm_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Activation, check_device, check_input, check_size, glorot};

/// The options of a [`Cin`].
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct CinConfig {
    /// H_1, H_2, ...: number of feature maps in each layer.
    pub cin_size: Vec<i64>,
    /// Whether one half of a layer's maps feeds the output and the other half feeds the next layer, as in the authors'
    /// code. Otherwise all maps feed both.
    pub cin_split: bool,
    /// Activation of each layer. In the paper, none works best.
    pub cin_activation: Activation,
}

impl Default for CinConfig {
    fn default() -> CinConfig {
        CinConfig { cin_size: vec![16, 16], cin_split: false, cin_activation: Activation::Linear }
    }
}

/// X^{l+1}_h = Σ_{i,j} W^l_{h,i,j} (X⁰_i ⊙ X^l_j), and p^l_h = Σ_d X^l_{h,d}: layer l has vector-wise interactions of
/// degree l + 1.
///
/// With direct connections, all maps of a layer feed the output and the next layer. With split connections, the first
/// half feeds the next layer and the second half the output; all maps of the last layer feed the output.
///
/// # Shapes
/// `[B, F, k]` → `[B, H_1 + H_2 + ...]`; with split connections, half of each H except the last
///
/// Source: Lian et al., xDeepFM, KDD 2018, equations 6 and 7, <https://arxiv.org/abs/1803.05170>. Keras: `CIN` (third
/// notebook), with direct connections and filters of shape `[1, F·H_l, H_{l+1}]`. Here `weight_l` is
/// `[H_{l+1}, F·H_l]`. The index of X⁰ varies slowest in both.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{Cin, CinConfig};
///
/// let store = VarStore::new(Device::Cpu);
/// let cin = Cin::new(store.root(), 5, &CinConfig { cin_size: vec![12, 8], ..CinConfig::default() })?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(cin.forward(&embeddings)?.size(), [8, 20]); // [B, H_1 + H_2]
/// assert_eq!(cin.layers(&embeddings)?[0].size(), [8, 12, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Cin {
    weights: Vec<Tensor>,
    split: bool,
    activation: Activation,
    fields: i64,
    output: i64,
}

impl Cin {
    /// Creates `weight_0`, `weight_1`, ... under `path`, with Glorot uniform initialisation.
    ///
    /// # Errors
    /// [`Error::Setting`] without layers, for a size out of range, or for an odd size to split; [`Error::Torch`] if
    /// memory is insufficient.
    pub fn new(path: Path<'_>, fields: i64, config: &CinConfig) -> Result<Cin> {
        let &CinConfig { ref cin_size, cin_split: split, cin_activation: activation } = config;
        if cin_size.is_empty() {
            return Err(Error::Setting("Cin: cin_size is empty: it must have at least one layer".into()));
        }
        check_size("Cin", "the number of fields", fields)?;
        let (mut maps, mut output, mut weights) = (fields, 0, Vec::new());
        for (l, &size) in cin_size.iter().enumerate() {
            check_size("Cin", "an element of cin_size", size)?;
            let halved = split && l + 1 < cin_size.len();
            if halved && size % 2 == 1 {
                let reason = format!("Cin: cin_size contains {size}: an odd number of maps cannot be split");
                return Err(Error::Setting(reason));
            }
            let inputs = fields * maps;
            weights.push(path.f_var(&format!("weight_{l}"), &[size, inputs], glorot(inputs, size))?);
            maps = if halved { size / 2 } else { size };
            output += maps;
        }
        Ok(Cin { weights, split, activation, fields, output })
    }

    /// The number of outputs.
    pub fn output(&self) -> i64 {
        self.output
    }

    /// The maps of each layer, `[B, H_l, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn layers(&self, embeddings: &Tensor) -> Result<Vec<Tensor>> {
        check_input("Cin", embeddings, &[self.fields, -1])?;
        check_device("Cin", embeddings, &self.weights[0])?;
        let mut layers: Vec<Tensor> = Vec::new();
        for weight in &self.weights {
            let last = layers.last().unwrap_or(embeddings);
            let halved = self.split && !layers.is_empty();
            let last = if halved { last.narrow(1, 0, last.size()[1] / 2) } else { last.shallow_clone() };
            let products = (embeddings.unsqueeze(2) * last.unsqueeze(1)).flatten(1, 2); // [B, F·H, k]
            layers.push(self.activation.apply(weight.matmul(&products))?);
        }
        Ok(layers)
    }

    /// The sums of the maps `[B, out]`.
    ///
    /// # Errors
    /// The same as [`Cin::layers`].
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        let layers = self.layers(embeddings)?;
        let pooled = layers.iter().enumerate().map(|(l, maps)| {
            let size = maps.size()[1];
            let shown = if self.split && l + 1 < layers.len() { size / 2 } else { size };
            maps.narrow(1, size - shown, shown).sum_dim_intlist(-1, false, Kind::Float)
        });
        Ok(Tensor::cat(&pooled.collect::<Vec<_>>(), 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_sums_over_fields_and_maps(
            (fields, k) in (1usize..5, 1usize..4), halves in vec(1i64..4, 1..4), split: bool, relu: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            // Sizes that can be split, except the last.
            let mut cin_size: Vec<i64> = halves.iter().map(|half| 2 * half).collect();
            *cin_size.last_mut().unwrap() -= 1;
            let cin_activation = if relu { Activation::Relu } else { Activation::Linear };
            let config = CinConfig { cin_size: cin_size.clone(), cin_split: split, cin_activation };
            let layer = Cin::new(store.root() / "cin", fields as i64, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let act = activation(if relu { "relu" } else { "linear" });
            let x = draw.cube(2, fields, k);
            let input = tensor(&x.concat().concat(), &[2, fields as i64, k as i64]);

            let maps: Vec<Vec<Matrix>> = x.iter().map(|x0| cin_layers(&p, "cin", x0, split, act)).collect();
            let layers = layer.layers(&input).unwrap();
            prop_assert_eq!(layers.len(), cin_size.len());
            for (l, found) in layers.iter().enumerate() {
                prop_assert_eq!(found.size(), [2, cin_size[l], k as i64]);
                let expected: Vec<Matrix> = maps.iter().map(|layers| layers[l].clone()).collect();
                assert_close(found, &expected.concat().concat(), "the maps");
            }
            let expected: Matrix = x.iter().map(|x0| cin(&p, "cin", x0, split, act)).collect();
            prop_assert_eq!(layer.output() as usize, expected[0].len());
            assert_close(&layer.forward(&input).unwrap(), &expected.concat(), "the output");
        }
    }

    /// Computed by hand, for one field with the vector (2, 3) and all weights 1.
    #[test]
    fn each_layer_multiplies_by_the_fields_again() {
        let store = VarStore::new(Device::Cpu);
        let config = CinConfig { cin_size: vec![2, 2, 1], ..CinConfig::default() };
        let layer = Cin::new(store.root(), 1, &config).unwrap();
        tch::no_grad(|| store.trainable_variables().iter().for_each(|tensor| drop(tensor.shallow_clone().fill_(1.0))));
        let found = layer.forward(&tensor(&[2.0, 3.0], &[1, 1, 2])).unwrap();
        // 2² + 3², twice; 2 (2³ + 3³), twice; 4 (2⁴ + 3⁴).
        assert_eq!(numbers(&found), [13.0, 13.0, 70.0, 70.0, 388.0]);
    }

    #[test]
    fn weights_have_glorot_uniform_initial_values() {
        let store = VarStore::new(Device::Cpu);
        let config = CinConfig { cin_size: vec![40, 30], ..CinConfig::default() };
        let layer = Cin::new(store.root(), 5, &config).unwrap();
        for (weight, [inputs, outputs]) in layer.weights.iter().zip([[25.0, 40.0], [200.0, 30.0]]) {
            let bound = (6.0f64 / (inputs + outputs)).sqrt();
            assert!(weight.abs().max().double_value(&[]) <= bound);
            assert!((weight.std(true).double_value(&[]) - bound / 3f64.sqrt()).abs() < 0.05 * bound);
        }
    }
}
