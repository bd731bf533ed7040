//! Gates that give each of two networks its own share of the fields.

use fm_core::{Error, Result};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::{LayerNorm, check_device, check_input, check_size};

/// x = [ĝ_1 e_1; ...; ĝ_F e_F] and h = [ĝ'_1 e_1; ...; ĝ'_F e_F] with ĝ = softmax(g / τ) and ĝ' = softmax(g' / τ): the
/// inputs of two networks, each of which has a weight of its own for each field. The smaller the temperature τ, the
/// fewer fields share the weight. Optionally, both are normalised by LN.
///
/// # Shapes
/// `[B, F k]` → two of `[B, F k]`
///
/// Source: Chen et al., Enhancing explicit and implicit feature interactions via information sharing for parallel deep
/// CTR models, CIKM 2021, section 3.3, <https://doi.org/10.1145/3459637.3481915>. The authors' program has batch norm
/// in the place of LN, with one mean and one variance for all elements. LN needs no statistics.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::Regulation;
///
/// let store = VarStore::new(Device::Cpu);
/// let regulation = Regulation::new(&store.root(), [5, 16], 1.0, true)?;
/// let [x, h] = regulation.forward(&Tensor::randn([8, 80], (Kind::Float, Device::Cpu)))?;
/// assert_eq!((x.size(), h.size()), (vec![8, 80], vec![8, 80]));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Regulation {
    gates: Tensor,
    norms: Option<[LayerNorm; 2]>,
    /// F and k.
    sizes: [i64; 2],
    temperature: f64,
}

impl Regulation {
    /// Creates `gates` `[2, F]` under `path`: g and g', which start at 0, so that all fields have the same weight.
    /// Creates `first_norm` and `second_norm` if `has_norm`. `sizes` is `[F, k]`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number of fields or a temperature out of range.
    pub fn new(path: &Path<'_>, sizes: [i64; 2], temperature: f64, has_norm: bool) -> Result<Regulation> {
        check_size("Regulation", "the number of fields", sizes[0])?;
        if !(0.001..=1000.0).contains(&temperature) {
            let reason = format!("Regulation: gate_temperature is {temperature}: it must be 0.001 to 1000");
            return Err(Error::Setting(reason));
        }
        let norm = |name: &str| LayerNorm::new(path / name, &[sizes[0] * sizes[1]]);
        let norms = || -> Result<_> { Ok([norm("first_norm")?, norm("second_norm")?]) };
        Ok(Regulation {
            gates: path.f_var("gates", &[2, sizes[0]], Init::Const(0.0))?,
            norms: has_norm.then(norms).transpose()?,
            sizes,
            temperature,
        })
    }

    /// x and h, each `[B, F k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, F k]`.
    pub fn forward(&self, input: &Tensor) -> Result<[Tensor; 2]> {
        let [fields, k] = self.sizes;
        check_input("Regulation", input, &[fields * k])?;
        check_device("Regulation", input, &self.gates)?;
        let weights = (&self.gates / self.temperature).softmax(-1, Kind::Float);
        let vectors = input.reshape([-1, fields, k]);
        let [x, h] = [0, 1].map(|network| (&vectors * weights.select(0, network).unsqueeze(-1)).flatten(1, -1));
        Ok(match &self.norms {
            Some([of_x, of_h]) => [of_x.forward(&x)?, of_h.forward(&h)?],
            None => [x, h],
        })
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
        fn it_weights_the_fields_for_each_network(
            (fields, k) in (1usize..5, 1usize..4), temperature in 0.2f64..5.0, norm: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = Regulation::new(&(store.root() / "r"), [fields as i64, k as i64], temperature, norm).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let x = draw.matrix(3, fields * k);
            let found = layer.forward(&tensor(&x.concat(), &[3, (fields * k) as i64])).unwrap();
            for (network, found) in found.iter().enumerate() {
                let expected: Matrix = x.iter().map(|x| regulated(&p, "r", temperature, network, x)).collect();
                // Layer norm enlarges rounding.
                assert_within(if norm { 1e-2 } else { 2e-5 }, found, &expected.concat(), "the weighted fields");
            }
        }
    }
}
