//! Products of all pairs of vectors, the first of which a matrix maps.

use fm_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::{PairwiseProduct, check_device, check_input, check_size, glorot};

/// Which pairs share a matrix in [`BilinearPairs`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bilinear {
    /// All pairs: W.
    All,
    /// The pairs of a field with those that follow: W_i.
    Each,
    /// None: W_{i,j}.
    #[default]
    Interaction,
}

/// (W_{i,j}ᵀ e_i) ⊙ e_j for all i < j, in the order of [`PairwiseProduct`]; the matrices are W, W_i or W_{i,j}.
///
/// # Shapes
/// `[B, F, k]` → `[B, F(F-1)/2, k]`
///
/// Source: Huang, Zhang and Zhang, FiBiNET: combining feature importance and bilinear feature interaction, RecSys 2019,
/// section 3.4, <https://arxiv.org/abs/1905.09433>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{Bilinear, BilinearPairs};
///
/// let store = VarStore::new(Device::Cpu);
/// let bilinear = BilinearPairs::new(store.root(), 5, 16, Bilinear::Interaction)?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(bilinear.forward(&embeddings)?.size(), [8, 10, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct BilinearPairs {
    weight: Tensor,
    pairs: PairwiseProduct,
    form: Bilinear,
    fields: i64,
    k: i64,
}

impl BilinearPairs {
    /// Creates `weight` under `path`: W `[k, k]`, W_i `[F - 1, k, k]`, or the columns of all W_{i,j}
    /// `[k, F(F-1)/2 k]`, with Glorot uniform initial values.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for a k out of range, [`fm_core::Error::Shape`] for fewer than 2 fields,
    /// [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(path: Path<'_>, fields: i64, k: i64, form: Bilinear) -> Result<BilinearPairs> {
        check_size("BilinearPairs", "k", k)?;
        let pairs = PairwiseProduct::new(fields)?;
        let shape = match form {
            Bilinear::All => vec![k, k],
            Bilinear::Each => vec![fields - 1, k, k],
            Bilinear::Interaction => vec![k, fields * (fields - 1) / 2 * k],
        };
        Ok(BilinearPairs { weight: path.f_var("weight", &shape, glorot(k, k))?, pairs, form, fields, k })
    }

    /// The products of all pairs `[B, F(F-1)/2, k]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("BilinearPairs", embeddings, &[self.fields, self.k])?;
        check_device("BilinearPairs", embeddings, &self.weight)?;
        let followed = embeddings.narrow(1, 0, self.fields - 1);
        match self.form {
            Bilinear::All => self.pairs.between(&followed.matmul(&self.weight), embeddings),
            Bilinear::Each => {
                let mapped = followed.transpose(0, 1).matmul(&self.weight).transpose(0, 1);
                self.pairs.between(&mapped, embeddings)
            }
            Bilinear::Interaction => Ok(self.of_pairs(embeddings)),
        }
    }

    /// With a matrix for each pair: one product maps a vector for all that follow.
    fn of_pairs(&self, embeddings: &Tensor) -> Tensor {
        let mut first = 0;
        let products = (0..self.fields - 1).map(|i| {
            let following = self.fields - i - 1;
            let matrices = self.weight.narrow(1, first * self.k, following * self.k);
            first += following;
            let mapped = embeddings.select(1, i).matmul(&matrices).view([-1, following, self.k]);
            mapped * embeddings.narrow(1, i + 1, following)
        });
        Tensor::cat(&products.collect::<Vec<_>>(), 1)
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
        fn it_equals_the_products_of_all_pairs_in_their_order(
            (fields, k, form) in (2usize..6, 1usize..4, 0usize..3), seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let forms = [(Bilinear::All, "all"), (Bilinear::Each, "each"), (Bilinear::Interaction, "interaction")];
            let (form, name) = forms[form];
            let layer = BilinearPairs::new(store.root() / "b", fields as i64, k as i64, form).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            prop_assert_eq!(serde_json::to_value(form).unwrap(), name);
            let vectors = draw.cube(3, fields, k);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(|vectors| bilinear(&p, "b", vectors, name)).collect();
            assert_close(&layer.forward(&input).unwrap(), &expected.concat().concat(), "the pairs");
        }
    }
}
