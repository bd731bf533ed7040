//! Self-attention between fields.

use fm_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, check_input, check_size};

/// The options of a sequence of layers in which fields attend to fields.
#[derive(Clone, Copy, Debug, JsonSchema, Serialize, Deserialize)]
pub struct InteractingConfig {
    /// L: number of interacting layers.
    pub attention_layers: i64,
    /// H: number of heads of a layer.
    pub heads: i64,
    /// d: width of a head.
    pub head_dim: i64,
}

impl Default for InteractingConfig {
    fn default() -> InteractingConfig {
        InteractingConfig { attention_layers: 3, heads: 2, head_dim: 32 }
    }
}

impl InteractingConfig {
    /// H d, the length of an output vector.
    pub fn output(&self) -> i64 {
        self.heads * self.head_dim
    }

    /// The layers that `new` creates under `attention.layer_0`, `attention.layer_1`, ... of `path` for inputs of this
    /// length: k for the first.
    pub(crate) fn layers<T>(
        &self,
        path: &Path<'_>,
        k: i64,
        new: impl Fn(&Path<'_>, i64) -> Result<T>,
    ) -> Result<Vec<T>> {
        check_size("InteractingConfig", "attention_layers", self.attention_layers)?;
        let layer = |l| {
            let path = path / "attention" / format!("layer_{l}");
            new(&path, if l == 0 { k } else { self.output() })
        };
        (0..self.attention_layers).map(layer).collect()
    }

    /// Checks the sizes of a layer.
    pub(super) fn check(&self, layer: &str) -> Result<()> {
        check_size(layer, "heads", self.heads)?;
        check_size(layer, "head_dim", self.head_dim)
    }
}

/// ê_m = relu([ẽ_m¹; ...; ẽ_m^H] + W_Res e_m) with ẽ_m^h = Σ_j α_{m,j}^h W_V^h e_j and
/// α_{m,·}^h = softmax_j ⟨W_Q^h e_m, W_K^h e_j⟩: each field attends to all fields in H heads. With L such layers, a
/// field has interactions of up to 2^L fields.
///
/// # Shapes
/// `[B, F, k]` → `[B, F, H d]`; H is the number of heads, and d the width of a head
///
/// Source: Song et al., AutoInt, CIKM 2019, equations 5 to 8, <https://arxiv.org/abs/1810.11921>. As there, inner
/// products are not scaled.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{InteractingConfig, InteractingLayer};
///
/// let store = VarStore::new(Device::Cpu);
/// let config = InteractingConfig { attention_layers: 1, heads: 2, head_dim: 32 };
/// let layer = InteractingLayer::new(&store.root(), [5, 16], &config)?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(layer.forward(&embeddings)?.size(), [8, 5, 2 * 32]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct InteractingLayer {
    query: Dense,
    key: Dense,
    value: Dense,
    residual: Dense,
    /// F and k.
    input: [i64; 2],
    heads: i64,
    head_dim: i64,
}

impl InteractingLayer {
    /// Creates `query`, `key`, `value` and `residual`, each `[H d, k]`, under `path`; `input` is `[F, k]`, and d is
    /// `head_dim`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for a number of heads or a width out of range.
    pub fn new(path: &Path<'_>, input: [i64; 2], config: &InteractingConfig) -> Result<InteractingLayer> {
        config.check("InteractingLayer")?;
        let &InteractingConfig { heads, head_dim, .. } = config;
        let projection = |name: &str| Dense::new(path / name, input[1], heads * head_dim, false);
        Ok(InteractingLayer {
            query: projection("query")?,
            key: projection("key")?,
            value: projection("value")?,
            residual: projection("residual")?,
            input,
            heads,
            head_dim,
        })
    }

    /// α `[B, H, F, F]`: how much each field attends to each. The weights of a field sum to 1.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn weights(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("InteractingLayer", embeddings, &self.input)?;
        let queries = self.by_head(&self.query, embeddings)?;
        let scores = queries.matmul(&self.by_head(&self.key, embeddings)?.transpose(2, 3));
        Ok(scores.softmax(-1, Kind::Float))
    }

    /// The vectors ê `[B, F, H d]`.
    ///
    /// # Errors
    /// The same as [`InteractingLayer::weights`].
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        let weights = self.weights(embeddings)?;
        let values = self.by_head(&self.value, embeddings)?;
        let attended = weights.matmul(&values); // [B, H, F, d]
        Ok((attended.transpose(1, 2).flatten(2, 3) + self.residual.forward(embeddings)?).relu())
    }

    /// A projection of all fields `[B, H, F, d]`.
    fn by_head(&self, projection: &Dense, embeddings: &Tensor) -> Result<Tensor> {
        let [fields, _] = self.input;
        Ok(projection.forward(embeddings)?.view([-1, fields, self.heads, self.head_dim]).transpose(1, 2))
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
        fn it_equals_the_weighted_sums_of_all_heads(
            (fields, k) in (1usize..5, 1usize..5), (heads, d) in (1usize..4, 1usize..4), seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let (path, shape) = (store.root() / "a", [fields as i64, k as i64]);
            let config = InteractingConfig { attention_layers: 1, heads: heads as i64, head_dim: d as i64 };
            let layer = InteractingLayer::new(&path, shape, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, fields, k);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(|vectors| interacting(&p, "a", heads, vectors)).collect();
            prop_assert_eq!(config.output() as usize, heads * d);
            assert_close(&layer.forward(&input).unwrap(), &expected.concat().concat(), "the vectors");
            let sums = layer.weights(&input).unwrap().sum_dim_intlist(-1, false, Kind::Float);
            assert_close(&sums, &vec![1.0; 3 * heads * fields], "the sum of a field's weights");
        }
    }
}
