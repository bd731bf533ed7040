//! Self-attention between fields, in which pairs and the importance of single fields are apart.

use fm_core::Result;
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, InteractingConfig, check_input};

/// ẽ_m = [ẽ_m¹; ...; ẽ_m^H] with ẽ_m^h = Σ_n (α_{m,n} + β_n) W_V e_n, where
///
/// - α_{m,·} = softmax_n ⟨W_Q e_m - μ_Q, W_K e_n - μ_K⟩ says how strongly the pair interacts, with the means μ_Q and
///   μ_K of all fields' W_Q e and W_K e,
/// - β = softmax_n ⟨u, e_n⟩ says how important field n is for all others.
///
/// W and u are those of the head h. Optionally, the layer adds W_R e_m.
///
/// # Shapes
/// `[B, F, k]` → `[B, F, H d]`; H is the number of heads, and d the width of a head
///
/// Source: Xu et al., Disentangled self-attentive neural networks for click-through rate prediction, CIKM 2021,
/// section 2, <https://arxiv.org/abs/2101.03654>. The authors' program has biases and dropout of the weights; the
/// biases of W_Q, W_K and u would cancel.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{DisentangledLayer, InteractingConfig};
///
/// let store = VarStore::new(Device::Cpu);
/// let config = InteractingConfig { attention_layers: 1, heads: 2, head_dim: 32 };
/// let layer = DisentangledLayer::new(&store.root(), [5, 16], &config, true)?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(layer.forward(&embeddings)?.size(), [8, 5, 2 * 32]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct DisentangledLayer {
    query: Dense,
    key: Dense,
    value: Dense,
    unary: Dense,
    residual: Option<Dense>,
    /// F and k.
    input: [i64; 2],
    heads: i64,
    head_dim: i64,
}

impl DisentangledLayer {
    /// Creates `query`, `key` and `value`, each `[H d, k]`, `unary` `[H, k]` and optionally `residual` `[H d, k]` under
    /// `path`; `input` is `[F, k]`, and d is `head_dim`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for a number of heads or a width out of range.
    pub fn new(
        path: &Path<'_>,
        input: [i64; 2],
        config: &InteractingConfig,
        has_residual: bool,
    ) -> Result<DisentangledLayer> {
        config.check("DisentangledLayer")?;
        let &InteractingConfig { heads, head_dim, .. } = config;
        let projection = |name: &str| Dense::new(path / name, input[1], heads * head_dim, false);
        Ok(DisentangledLayer {
            query: projection("query")?,
            key: projection("key")?,
            value: projection("value")?,
            unary: Dense::new(path / "unary", input[1], heads, false)?,
            residual: has_residual.then(|| projection("residual")).transpose()?,
            input,
            heads,
            head_dim,
        })
    }

    /// The vectors ẽ `[B, F, H d]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("DisentangledLayer", embeddings, &self.input)?;
        let queries = without_mean(self.by_head(&self.query, embeddings)?);
        let keys = without_mean(self.by_head(&self.key, embeddings)?);
        let pairs = queries.matmul(&keys.transpose(2, 3)).softmax(-1, Kind::Float);
        // [B, H, 1, F]
        let fields = self.unary.forward(embeddings)?.transpose(1, 2).softmax(-1, Kind::Float).unsqueeze(2);
        let values = self.by_head(&self.value, embeddings)?;
        let attended = (pairs + fields).matmul(&values).transpose(1, 2).flatten(2, 3);
        Ok(match &self.residual {
            Some(residual) => attended + residual.forward(embeddings)?,
            None => attended,
        })
    }

    /// A projection of all fields `[B, H, F, d]`.
    fn by_head(&self, projection: &Dense, embeddings: &Tensor) -> Result<Tensor> {
        let [fields, _] = self.input;
        Ok(projection.forward(embeddings)?.view([-1, fields, self.heads, self.head_dim]).transpose(1, 2))
    }
}

/// Vectors `[B, H, F, d]` without their mean over the fields.
fn without_mean(vectors: Tensor) -> Tensor {
    let mean = vectors.mean_dim(2i64, true, Kind::Float);
    vectors - mean
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
        fn it_equals_the_weighted_sums_of_all_heads(
            (fields, k) in (1usize..5, 1usize..5), (heads, d) in (1usize..4, 1usize..4), residual: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let config = InteractingConfig { attention_layers: 1, heads: heads as i64, head_dim: d as i64 };
            let (path, shape) = (store.root() / "a", [fields as i64, k as i64]);
            let layer = DisentangledLayer::new(&path, shape, &config, residual).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, fields, k);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(|vectors| disentangled(&p, "a", heads, vectors)).collect();
            assert_close(&layer.forward(&input).unwrap(), &expected.concat().concat(), "the vectors");
        }
    }
}
