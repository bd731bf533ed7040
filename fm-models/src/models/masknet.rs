//! MaskNet: hidden layers behind masks that depend on the row.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Error, Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    BatchNormMode, DnnConfig, Embedding, EmbeddingConfig, LayerNorm, MaskBlock, Tower, bias, check_size,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "masknet",
    "MaskNet",
    (
        2021,
        "Wang, She, Zhang: MaskNet: introducing feature-wise multiplication to CTR ranking models by instance-guided \
         mask, DLP-KDD",
        "https://arxiv.org/abs/2102.07619",
    ),
    "interactions of any order in a deep network, whose layers are multiplied by what the row says",
);

/// How the blocks are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blocks {
    /// One after another, in the place of the hidden layers.
    #[default]
    Serial,
    /// Side by side, before the hidden layers.
    Parallel,
}

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part. Serial blocks are its hidden layers.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// How the blocks are connected.
    pub blocks: Blocks,
    /// Number of parallel blocks.
    pub parallel_blocks: i64,
    /// Width of a parallel block.
    pub parallel_units: i64,
    /// How many times wider than its mask the hidden layer of a mask is.
    pub mask_reduction: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            blocks: Blocks::Serial,
            parallel_blocks: 3,
            parallel_units: 64,
            mask_reduction: 2,
        }
    }
}

/// ŷ = w₀ + ⟨h, x_L⟩ with x_0 = [LN(e_1); ...; LN(e_F)], and x_l of a [`MaskBlock`] over x_{l-1}.
///
/// Parallel: ŷ = w₀ + ⟨h, DNN([x_1; ...; x_n])⟩ with all x of blocks over x_0. The masks depend on v = [e_1; ...; e_F],
/// with e_f the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Wang et al., DLP-KDD 2021, section 3, <https://arxiv.org/abs/2102.07619>. Dropout in blocks is not in the
/// paper.
#[derive(Debug)]
pub struct MaskNet {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// LN.
    pub norm: LayerNorm,
    /// The blocks, and how they are connected.
    pub blocks: (Vec<MaskBlock>, Blocks),
    /// The hidden layers behind parallel blocks, and h.
    pub tower: Tower,
    /// The width of what the blocks give.
    width: i64,
}

impl MaskNet {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for options out of range, or for serial blocks with a norm of hidden layers.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<MaskNet> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let block = |number: usize, sizes: [i64; 2]| {
            let path = path / "blocks" / format!("block_{number}");
            MaskBlock::new(&path, fields * k, sizes, config.mask_reduction, &config.dnn)
        };
        check_size("MaskNet", "parallel_blocks", config.parallel_blocks)?;
        check_size("MaskNet", "parallel_units", config.parallel_units)?;
        let (mut blocks, mut width) = (vec![], fields * k);
        let mut behind = config.dnn.clone();
        match config.blocks {
            Blocks::Serial if config.dnn.hidden_batch_norm != BatchNormMode::Off || config.dnn.hidden_layer_norm => {
                let reason = "MaskNet: hidden_batch_norm and hidden_layer_norm must be off for serial blocks, which have \
                    layer norm";
                return Err(Error::Setting(reason.into()));
            }
            Blocks::Serial => {
                for (number, units) in std::mem::take(&mut behind.hidden_units).into_iter().enumerate() {
                    check_size("MaskNet", "an element of hidden_units", units)?;
                    blocks.push(block(number, [width, units])?);
                    width = units;
                }
            }
            Blocks::Parallel => {
                for number in 0..config.parallel_blocks as usize {
                    blocks.push(block(number, [width, config.parallel_units])?);
                }
                width = config.parallel_blocks * config.parallel_units;
            }
        }
        Ok(MaskNet {
            bias: bias(path),
            norm: LayerNorm::new(path / "norm", &[fields, k])?,
            embedding,
            blocks: (blocks, config.blocks),
            tower: Tower::new(path, width, &behind, false)?,
            width,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(MaskNet::new(path, schema, self)?))
    }
}

impl Model for MaskNet {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let fields = self.embedding.forward(features, train)?;
        let (embeddings, first) = (fields.flatten(1, -1), self.norm.forward(&fields)?.flatten(1, -1));
        let (blocks, connected) = &self.blocks;
        let hidden = match connected {
            Blocks::Serial => blocks.iter().try_fold(first, |x, block| block.forward(&embeddings, &x, train))?,
            Blocks::Parallel => {
                let outputs = blocks.iter().map(|block| block.forward(&embeddings, &first, train));
                Tensor::cat(&outputs.collect::<Result<Vec<_>>>()?, 1)
            }
        };
        Ok(self.tower.forward(&hidden, train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("deep part with masks", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("norm", "LayerNorm", &[fields, k]),
            Layer::new("blocks", "MaskBlock", &[self.width]),
        ];
        layers.extend(self.tower.layers());
        layers
    }
}
