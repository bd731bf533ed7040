//! Pools the vectors of all pairs into one.

use fm_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{AttentionPooling, check_input};

/// How the vectors of the pairs are pooled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The sum weighted by attention.
    #[default]
    Attention,
    /// The mean.
    Mean,
    /// The maximum of each component.
    Max,
    /// The sum.
    Sum,
}

/// One vector from the vectors of all pairs: their attention-weighted sum, their mean, the maximum of each component,
/// or their sum.
///
/// # Shapes
/// `[B, P, k]` → `[B, k]`
///
/// Source: Xiao et al., Attentional factorization machines, IJCAI 2017, section 3, <https://arxiv.org/abs/1708.04617>.
/// Keras: the modes `att`, `avg` and `max` of `AFM` (third notebook). There, `max` is a sum, which makes the model an
/// FM. Here, that is [`PairPooling::Sum`], and [`PairPooling::Max`] is a maximum.
#[derive(Debug)]
pub enum PairPooling {
    /// Σ_p a_p e_p
    Attention(AttentionPooling),
    /// Σ_p e_p / P
    Mean,
    /// max_p e_{p,d} for each d
    Max,
    /// Σ_p e_p
    Sum,
}

impl PairPooling {
    /// The pooled vector `[B, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, P, k]`, or without a pair.
    pub fn forward(&self, pairs: &Tensor) -> Result<Tensor> {
        check_input("PairPooling", pairs, &[-1, -1])?;
        if pairs.size()[1] == 0 {
            return Err(Error::shape("PairPooling", "at least one pair", format!("shape {:?}", pairs.size())));
        }
        match self {
            PairPooling::Attention(attention) => attention.forward(pairs),
            PairPooling::Mean => Ok(pairs.mean_dim(1i64, false, Kind::Float)),
            PairPooling::Max => Ok(pairs.amax(1i64, false)),
            PairPooling::Sum => Ok(pairs.sum_dim_intlist(1, false, Kind::Float)),
        }
    }

    /// The weights of the pairs' vectors whose weighted sum is the pooled vector: `[B, P, 1]`, or for a maximum
    /// `[B, P, k]`, with 1 for the largest component and 0 for the others.
    ///
    /// # Errors
    /// Those of [`PairPooling::forward`].
    pub fn weights(&self, pairs: &Tensor) -> Result<Tensor> {
        check_input("PairPooling", pairs, &[-1, -1])?;
        Ok(match self {
            PairPooling::Attention(attention) => attention.weights(pairs)?,
            PairPooling::Mean => pairs.narrow(2, 0, 1).full_like(1.0 / pairs.size()[1] as f64),
            // The first one, if several are the largest.
            PairPooling::Max => pairs.zeros_like().scatter_value(1, &pairs.argmax(1, true), 1.0),
            PairPooling::Sum => pairs.narrow(2, 0, 1).ones_like(),
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    #[test]
    fn mean_maximum_and_sum_run_over_the_pairs_of_a_row() {
        let pairs = tensor(&[1.0, -2.0, 3.0, -4.0, 5.0, 6.0, -1.0, -1.0, -3.0, -2.0, -2.0, -9.0], &[2, 3, 2]);
        let pooled = |pooling: PairPooling| pooling.forward(&pairs).unwrap();
        assert_close(&pooled(PairPooling::Mean), &[3.0, 0.0, -2.0, -4.0], "the mean");
        assert_close(&pooled(PairPooling::Max), &[5.0, 6.0, -1.0, -1.0], "the maximum");
        assert_close(&pooled(PairPooling::Sum), &[9.0, 0.0, -6.0, -12.0], "the sum");
    }

    #[test]
    fn the_weights_give_the_pooled_vector() {
        let pairs = tensor(&Draw(4).vector(2 * 5 * 3), &[2, 5, 3]);
        let store = VarStore::new(Device::Cpu);
        let attention = AttentionPooling::new(&store.root(), 3, 4, false).unwrap();
        Parameters::draw(&store, &mut Draw(5));
        for pooling in [PairPooling::Attention(attention), PairPooling::Mean, PairPooling::Max, PairPooling::Sum] {
            let weighted = (&pairs * pooling.weights(&pairs).unwrap()).sum_dim_intlist(1, false, Kind::Float);
            assert_close(&weighted, &numbers(&pooling.forward(&pairs).unwrap()), &format!("{pooling:?}"));
        }
        let ties = tensor(&[1.0, 1.0, 0.0], &[1, 3, 1]);
        assert_eq!(numbers(&PairPooling::Max.weights(&ties).unwrap()), [1.0, 0.0, 0.0]);
    }
}
