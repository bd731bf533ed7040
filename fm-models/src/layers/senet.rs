//! A weight for each field of a row.

use fm_core::Result;
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, check_input, check_size};

/// v_f = a_f e_f with a = relu(W_2 relu(W_1 z)) and z_f = mean_d e_{f,d}: squeeze, excitation and re-weighting, which
/// give each field of a row an importance.
///
/// # Shapes
/// `[B, F, k]` → `[B, F, k]`
///
/// Source: Huang, Zhang and Zhang, FiBiNET: combining feature importance and bilinear feature interaction, RecSys 2019,
/// section 3.3, <https://arxiv.org/abs/1905.09433>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::Senet;
///
/// let store = VarStore::new(Device::Cpu);
/// let senet = Senet::new(&store.root(), 5, 3)?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(senet.forward(&embeddings)?.size(), [8, 5, 16]);
/// assert_eq!(senet.weights(&embeddings)?.size(), [8, 5]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Senet {
    squeeze: Dense,
    excite: Dense,
    fields: i64,
}

impl Senet {
    /// Creates `squeeze` W_1 `[F / reduction, F]`, with at least one row, and `excite` W_2 `[F, F / reduction]` under
    /// `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes out of range.
    pub fn new(path: &Path<'_>, fields: i64, reduction: i64) -> Result<Senet> {
        check_size("Senet", "senet_reduction", reduction)?;
        let reduced = (fields / reduction).max(1);
        Ok(Senet {
            squeeze: Dense::new(path / "squeeze", fields, reduced, false)?,
            excite: Dense::new(path / "excite", reduced, fields, false)?,
            fields,
        })
    }

    /// a `[B, F]`, the importance of each field.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn weights(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("Senet", embeddings, &[self.fields, -1])?;
        let means = embeddings.mean_dim(-1i64, false, Kind::Float);
        Ok(self.excite.forward(&self.squeeze.forward(&means)?.relu())?.relu())
    }

    /// The weighted vectors `[B, F, k]`.
    ///
    /// # Errors
    /// The same as [`Senet::weights`].
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        Ok(embeddings * self.weights(embeddings)?.unsqueeze(-1))
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
        fn it_equals_its_formula((fields, k, reduction) in (1usize..7, 1usize..5, 1i64..4), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = Senet::new(&(store.root() / "s"), fields as i64, reduction).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            prop_assert_eq!(p.matrix("s.squeeze.weight").len() as i64, (fields as i64 / reduction).max(1));
            let vectors = draw.cube(3, fields, k);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(|vectors| senet(&p, "s", vectors)).collect();
            assert_close(&layer.forward(&input).unwrap(), &expected.concat().concat(), "the vectors");
        }
    }
}
