//! The cross layer of DCN V2 as a mixture of low-rank experts.

use fm_core::{Error, Result};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::{Dense, check_crossed, check_device, check_size, glorot};

/// x_{l+1} = Σ_i G_i(x_l) x_0 ⊙ (U_i tanh(C_i tanh(V_iᵀ x_l)) + b) + x_l with G = softmax(W_G x_l): K experts, each of
/// which crosses in a space of r dimensions.
///
/// The gates of a row sum to 1. So x_0 ⊙ and b are outside the sum, and the experts take one product with each of
/// [V_1, ..., V_K] and [U_1, ..., U_K].
///
/// # Shapes
/// x_0 and x_l `[B, d]` → `[B, d]`
///
/// Source: Wang et al., DCN V2: improved deep & cross network, WWW 2021, section 3,
/// <https://arxiv.org/abs/2008.13535>. The paper leaves the gate open; here it is a softmax, and the experts share b.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::MixtureCross;
///
/// let store = VarStore::new(Device::Cpu);
/// let cross = MixtureCross::new(&store.root(), 80, 4, 16)?;
/// let x0 = Tensor::randn([8, 80], (Kind::Float, Device::Cpu));
/// let x1 = cross.forward(&x0, &x0)?;
/// assert_eq!(x1.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MixtureCross {
    down: Tensor,
    middle: Tensor,
    up: Tensor,
    bias: Tensor,
    /// `None` for a single expert.
    gate: Option<Dense>,
    width: i64,
    experts: i64,
    rank: i64,
}

impl MixtureCross {
    /// Creates `down` [V_1, ..., V_K]ᵀ `[K r, d]`, `middle` C `[K, r, r]`, `up` [U_1, ..., U_K] `[d, K r]`, `bias` b
    /// `[d]` and, for several experts, `gate` W_G `[K, d]` under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number of experts or a rank out of range, [`Error::Torch`] if memory is insufficient.
    pub fn new(path: &Path<'_>, width: i64, experts: i64, rank: i64) -> Result<MixtureCross> {
        check_size("MixtureCross", "cross_experts", experts)?;
        check_size("MixtureCross", "cross_rank", rank)?;
        if experts * rank > 65536 {
            let reason = format!("{experts} experts of cross_rank {rank}: their product must be at most 65536");
            return Err(Error::Setting(format!("MixtureCross: cross_experts is {reason}")));
        }
        let gate = (experts > 1).then(|| Dense::new(path / "gate", width, experts, false)).transpose()?;
        Ok(MixtureCross {
            down: path.f_var("down", &[experts * rank, width], glorot(width, rank))?,
            middle: path.f_var("middle", &[experts, rank, rank], glorot(rank, rank))?,
            up: path.f_var("up", &[width, experts * rank], glorot(rank, width))?,
            bias: path.f_var("bias", &[width], Init::Const(0.0))?,
            gate,
            width,
            experts,
            rank,
        })
    }

    /// x_{l+1} `[B, d]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs that are not `[B, d]`.
    pub fn forward(&self, first: &Tensor, last: &Tensor) -> Result<Tensor> {
        check_crossed("MixtureCross", first, last, self.width)?;
        check_device("MixtureCross", last, &self.down)?;
        let down = last.linear(&self.down, None::<&Tensor>).tanh().view([-1, self.experts, self.rank]);
        // [K, B, r] by [K, r, r]
        let hidden = down.transpose(0, 1).matmul(&self.middle.transpose(1, 2)).tanh().transpose(0, 1);
        let hidden = match &self.gate {
            Some(gate) => hidden * gate.forward(last)?.softmax(-1, Kind::Float).unsqueeze(-1),
            None => hidden,
        };
        let up = hidden.flatten(1, -1).linear(&self.up, Some(&self.bias));
        Ok(last.addcmul(first, &up))
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
        fn it_equals_the_sum_of_its_experts(
            (width, experts, rank) in (1usize..6, 1usize..4, 1usize..4), seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer =
                MixtureCross::new(&(store.root() / "c"), width as i64, experts as i64, rank as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (x0, x) = (draw.matrix(3, width), draw.matrix(3, width));
            let [first, last] = [&x0, &x].map(|x| tensor(&x.concat(), &[3, width as i64]));
            let expected: Matrix = x0.iter().zip(&x).map(|(x0, x)| mixture_cross(&p, "c", experts, x0, x)).collect();
            assert_close(&layer.forward(&first, &last).unwrap(), &expected.concat(), "the layer");
        }
    }
}
