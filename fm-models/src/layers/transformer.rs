//! Self-attention over a sequence.

use fm_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, Dropout, LayerNorm, check_input, check_size};

/// The options of a sequence of [`TransformerBlock`]s.
#[derive(Clone, Copy, Debug, JsonSchema, Serialize, Deserialize)]
pub struct TransformerConfig {
    /// Number of blocks of self-attention.
    pub transformer_blocks: i64,
    /// H: number of heads of a block, which divides the length of the vectors.
    pub transformer_heads: i64,
    /// Width of the hidden layer of a block.
    pub transformer_units: i64,
}

/// Where a block normalises its vectors, and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockForm {
    /// x + g(LN(x)), with relu: SASRec.
    NormFirst,
    /// LN(x + g(x)), with a leaky relu: the transformer, and BST.
    NormLast,
}

/// x' = x + dropout(MH(LN(x))) and y = x' + dropout(FFN(LN(x'))), or x' = LN(x + dropout(MH(x))) and
/// y = LN(x' + dropout(FFN(x'))).
///
/// MH(x)_j = W_O [Σ_i α¹_{j,i} W_V¹ x_i; ...] for H heads with α_{j,·} = softmax_i(⟨W_Q x_j, W_K x_i⟩ / √d) over the places i
/// that j may see; d = k / H. FFN(x) = W_2 relu(W_1 x + b_1) + b_2, place by place.
///
/// # Shapes
/// x `[B, L, k]` and, 1 or 0, whether place j may see place i `[B, L, L]` → `[B, L, k]`
///
/// Source: Vaswani et al., Attention is all you need, NeurIPS 2017, <https://arxiv.org/abs/1706.03762>; the form that normalises
/// first is that of Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018, equations 3 to 5,
/// <https://arxiv.org/abs/1808.09781>, who have no W_O.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{BlockForm, TransformerBlock, TransformerConfig};
///
/// let store = VarStore::new(Device::Cpu);
/// let config = TransformerConfig { transformer_blocks: 1, transformer_heads: 2, transformer_units: 32 };
/// let block = TransformerBlock::new(&store.root(), 16, &config, 0.2, BlockForm::NormFirst)?;
/// let sees = Tensor::ones([8, 50, 50], (Kind::Float, Device::Cpu)).triu(0); // itself, and what follows
/// assert_eq!(block.forward(&Tensor::randn([8, 50, 16], (Kind::Float, Device::Cpu)), &sees, false)?.size(), [8, 50, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TransformerBlock {
    query: Dense,
    key: Dense,
    value: Dense,
    output: Dense,
    hidden: Dense,
    feed_forward: Dense,
    norms: [LayerNorm; 2],
    dropout: Dropout,
    form: BlockForm,
    k: i64,
    heads: i64,
}

impl TransformerBlock {
    /// Creates `query`, `key`, `value`, `output`, `hidden`, `feed_forward`, `attention_norm` and `feed_forward_norm` under
    /// `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for options out of range.
    pub fn new(
        path: &Path<'_>,
        k: i64,
        config: &TransformerConfig,
        dropout: f64,
        form: BlockForm,
    ) -> Result<TransformerBlock> {
        let &TransformerConfig { transformer_heads: heads, transformer_units: units, .. } = config;
        check_size("TransformerBlock", "transformer_heads", heads)?;
        check_size("TransformerBlock", "transformer_units", units)?;
        if k % heads != 0 {
            let reason = format!(
                "TransformerBlock: transformer_heads is {heads}, which does not divide {k}, the length of its vectors"
            );
            return Err(Error::Setting(reason));
        }
        let projection = |name: &str| Dense::new(path / name, k, k, false);
        Ok(TransformerBlock {
            query: projection("query")?,
            key: projection("key")?,
            value: projection("value")?,
            output: projection("output")?,
            hidden: Dense::new(path / "hidden", k, units, true)?,
            feed_forward: Dense::new(path / "feed_forward", units, k, true)?,
            norms: [LayerNorm::new(path / "attention_norm", &[k])?, LayerNorm::new(path / "feed_forward_norm", &[k])?],
            dropout: Dropout::new("TransformerBlock", "dropout", dropout)?,
            form,
            k,
            heads,
        })
    }

    /// Blocks `block_0`, `block_1`, ... under `path`.
    ///
    /// # Errors
    /// Those of [`TransformerBlock::new`].
    pub fn several(
        path: &Path<'_>,
        k: i64,
        config: &TransformerConfig,
        dropout: f64,
        form: BlockForm,
    ) -> Result<Vec<TransformerBlock>> {
        check_size("TransformerBlock", "transformer_blocks", config.transformer_blocks)?;
        let block = |l| TransformerBlock::new(&(path / format!("block_{l}")), k, config, dropout, form);
        (0..config.transformer_blocks).map(block).collect()
    }

    /// The vectors `[B, L, k]`. Those of a place that sees none have no meaning.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other sizes.
    pub fn forward(&self, x: &Tensor, sees: &Tensor, train: bool) -> Result<Tensor> {
        check_input("TransformerBlock", x, &[-1, self.k])?;
        let (size, l) = (x.size(), x.size()[1]);
        if sees.size() != [size[0], l, l] {
            let found = format!("{:?}", sees.size());
            return Err(Error::shape("TransformerBlock", format!("sees of shape {:?}", [size[0], l, l]), found));
        }
        let [first, second] = &self.norms;
        let drop = |x: Tensor| self.dropout.forward(x, train);
        Ok(match self.form {
            BlockForm::NormFirst => {
                let x = x + drop(self.attention(&first.of_places(x)?, sees)?)?;
                &x + drop(self.network(&second.of_places(&x)?)?)?
            }
            BlockForm::NormLast => {
                let x = first.of_places(&(x + drop(self.attention(x, sees)?)?))?;
                second.of_places(&(&x + drop(self.network(&x)?)?))?
            }
        })
    }

    /// MH(x) `[B, L, k]`
    fn attention(&self, x: &Tensor, sees: &Tensor) -> Result<Tensor> {
        let [query, key, value] =
            [self.by_head(&self.query, x)?, self.by_head(&self.key, x)?, self.by_head(&self.value, x)?];
        let scale = ((self.k / self.heads) as f64).sqrt();
        let scores = (query.matmul(&key.transpose(2, 3)) / scale).to_kind(Kind::Float);
        let weights = scores.masked_fill(&sees.unsqueeze(1).eq(0.0), -1e9).softmax(-1, Kind::Float);
        self.output.forward(&weights.to_kind(value.kind()).matmul(&value).transpose(1, 2).flatten(2, 3))
    }

    /// FFN(x) `[B, L, k]`
    fn network(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = self.hidden.forward(x)?;
        let hidden = match self.form {
            BlockForm::NormFirst => hidden.relu(),
            BlockForm::NormLast => hidden.maximum(&(&hidden * 0.01)),
        };
        self.feed_forward.forward(&hidden)
    }

    /// A projection of all places `[B, H, L, d]`.
    fn by_head(&self, projection: &Dense, x: &Tensor) -> Result<Tensor> {
        let places = x.size()[1];
        Ok(projection.forward(x)?.view([-1, places, self.heads, self.k / self.heads]).transpose(1, 2))
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
        fn it_equals_attention_and_a_network_place_by_place(
            (rows, l) in (1usize..4, 1usize..5), (heads, d) in (1usize..3, 2usize..4), first: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let form = if first { BlockForm::NormFirst } else { BlockForm::NormLast };
            let (k, transformer_heads) = (heads * d, heads as i64);
            let config = TransformerConfig { transformer_blocks: 1, transformer_heads, transformer_units: 3 };
            let layer = TransformerBlock::new(&(store.root() / "t"), k as i64, &config, 0.0, form).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let x = draw.cube(rows, l, k);
            // Each place sees itself, and others at random.
            let sees: Vec<Matrix> = (0..rows)
                .map(|_| (0..l).map(|j| (0..l).map(|i| f64::from(i == j || draw.below(2) == 0)).collect()).collect())
                .collect();
            let keep = |x: Matrix| x;
            let expected = transformer_block(&p, "t", (heads, first), &x, &sees, &mut |x| keep(x));
            let [rows, l, k] = [rows, l, k].map(|size| size as i64);
            let sees = tensor(&sees.concat().concat(), &[rows, l, l]);
            let found = layer.forward(&tensor(&x.concat().concat(), &[rows, l, k]), &sees, false).unwrap();
            assert_within(1e-3, &found, &expected.concat().concat(), "the vectors");
        }
    }
}
