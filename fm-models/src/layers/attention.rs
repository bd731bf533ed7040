//! Attention over pairs.

use fm_core::Result;
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, check_input};

/// Σ_p a_p e_p with a = softmax_p(⟨h, relu(W e_p + b)⟩): the weighted sum of the pairs' vectors.
///
/// # Shapes
/// `[B, P, k]` → `[B, k]`
///
/// Source: Xiao et al., Attentional factorization machines, IJCAI 2017, section 3, <https://arxiv.org/abs/1708.04617>.
/// Keras: `AFM.attention`, whose last layer has a bias that cancels in the softmax; `score_bias` adds it for parity.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::AttentionPooling;
///
/// let store = VarStore::new(Device::Cpu);
/// let attention = AttentionPooling::new(&store.root(), 16, 4, false)?;
/// let pairs = Tensor::randn([8, 10, 16], (Kind::Float, Device::Cpu)); // [B, P, k]
/// assert_eq!(attention.forward(&pairs)?.size(), [8, 16]);
/// assert_eq!(attention.weights(&pairs)?.size(), [8, 10, 1]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AttentionPooling {
    hidden: Dense,
    score: Dense,
    k: i64,
}

impl AttentionPooling {
    /// Layers `hidden` (W `[t, k]` and b `[t]`) and `score` (h `[1, t]`) under `path`; t is `attention_dim`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for a t out of range.
    pub fn new(path: &Path<'_>, k: i64, attention_dim: i64, score_bias: bool) -> Result<AttentionPooling> {
        super::check_size("AttentionPooling", "attention_dim", attention_dim)?;
        Ok(AttentionPooling {
            hidden: Dense::new(path / "hidden", k, attention_dim, true)?,
            score: Dense::new(path / "score", attention_dim, 1, score_bias)?,
            k,
        })
    }

    /// W `[t, k]`.
    pub fn matrix(&self) -> &Tensor {
        self.hidden.weight()
    }

    /// a `[B, P, 1]`, the weights of the pairs. The weights of a row sum to 1.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, P, k]`.
    pub fn weights(&self, pairs: &Tensor) -> Result<Tensor> {
        check_input("AttentionPooling", pairs, &[-1, self.k])?;
        let scores = self.score.forward(&self.hidden.forward(pairs)?.relu())?;
        Ok(scores.softmax(1, Kind::Float))
    }

    /// The weighted sum `[B, k]`.
    ///
    /// # Errors
    /// The same as [`AttentionPooling::weights`].
    pub fn forward(&self, pairs: &Tensor) -> Result<Tensor> {
        Ok((pairs * self.weights(pairs)?).sum_dim_intlist(1, false, Kind::Float))
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
        fn the_weights_are_a_softmax_and_the_output_is_the_weighted_sum(
            (n, k, t) in (1usize..7, 1usize..5, 1usize..5), score_bias: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = AttentionPooling::new(&(store.root() / "a"), k as i64, t as i64, score_bias).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let pairs = draw.cube(3, n, k);
            let input = tensor(&pairs.concat().concat(), &[3, n as i64, k as i64]);

            let weights: Matrix = pairs.iter().map(|pairs| attention(&p, "a", pairs, score_bias)).collect();
            let found = layer.weights(&input).unwrap();
            assert_close(&found, &weights.concat(), "the weights");
            assert_close(&found.sum_dim_intlist(1, false, Kind::Float), &[1.0; 3], "the sum of a row's weights");

            let weighted = |(pairs, weights): (&Matrix, &Vector)| -> Vector {
                (0..k).map(|d| (0..n).map(|p| weights[p] * pairs[p][d]).sum()).collect()
            };
            let expected: Matrix = pairs.iter().zip(&weights).map(weighted).collect();
            assert_close(&layer.forward(&input).unwrap(), &expected.concat(), "the weighted sum");
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let store = VarStore::new(Device::Cpu);
        let layer = AttentionPooling::new(&store.root(), 1, 1, false).unwrap();
        tch::no_grad(|| store.trainable_variables().iter().for_each(|tensor| drop(tensor.shallow_clone().fill_(1.0))));
        let weights = layer.weights(&tensor(&[1e4, 2e4, -1e4], &[1, 3, 1])).unwrap();
        assert_eq!(numbers(&weights), [0.0, 1.0, 0.0]);
    }
}
