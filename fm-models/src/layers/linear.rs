//! The first-order part.

use fm_core::{Features, Schema};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

/// ŷ = w₀ + Σ_s w_{id_s} x_s.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Keras: `w0` and `w` of `FM_Layer`, and `Linear`. All weights start at zero (N(0, 0.05) and Glorot there).
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// A weight for every id of the schema, and the global bias.
    pub fn new(path: Path<'_>, schema: &Schema) -> Linear {
        let weight = path.var("weight", &[schema.num_ids(), 1], Init::Const(0.0));
        let bias = path.var("bias", &[1], Init::Const(0.0));
        Linear { weight, bias }
    }

    /// w₀, `[1]`.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// The first-order part `[B]`. With `train`, the weights' gradient is row-sparse.
    pub fn forward(&self, features: &Features, train: bool) -> Tensor {
        let weights = Tensor::embedding(&self.weight, &features.ids, -1, false, train).squeeze_dim(-1);
        (weights * &features.values).sum_dim_intlist(1, false, Kind::Float) + &self.bias
    }
}
