//! A hidden layer whose input a mask weights, element by element.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{Activation, Dense, Dropout, LayerNorm, check_input, check_size};

/// h = dropout(relu(LN(W (m ⊙ x)))) with the mask m = W_2 relu(W_1 v + b_1) + b_2: a hidden layer over x, whose
/// elements are weighted by what the embeddings v of the row say.
///
/// # Shapes
/// v `[B, d]` and x `[B, in]` → `[B, out]`
///
/// Source: Wang, She and Zhang, MaskNet: introducing feature-wise multiplication to CTR ranking models by
/// instance-guided mask, DLP-KDD 2021, section 3, <https://arxiv.org/abs/2102.07619>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{DnnConfig, MaskBlock};
///
/// let store = VarStore::new(Device::Cpu);
/// let block = MaskBlock::new(&store.root(), 80, [80, 64], 2, &DnnConfig::default())?;
/// let embeddings = Tensor::randn([8, 80], (Kind::Float, Device::Cpu)); // [B, d]
/// assert_eq!(block.forward(&embeddings, &embeddings, false)?.size(), [8, 64]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MaskBlock {
    aggregation: Dense,
    projection: Dense,
    hidden: Dense,
    norm: LayerNorm,
    activation: Activation,
    dropout: Dropout,
    /// d and in.
    inputs: [i64; 2],
}

impl MaskBlock {
    /// Creates `aggregation` W_1 `[reduction in, d]` and b_1, `projection` W_2 `[in, reduction in]` and b_2, `hidden` W
    /// `[out, in]` and `norm` under `path`. Activation and dropout are those of `config`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes or a rate out of range.
    pub fn new(
        path: &Path<'_>,
        embeddings: i64,
        [input, output]: [i64; 2],
        reduction: i64,
        config: &super::DnnConfig,
    ) -> Result<MaskBlock> {
        check_size("MaskBlock", "mask_reduction", reduction)?;
        check_size("MaskBlock", "the number of units", output)?;
        Ok(MaskBlock {
            aggregation: Dense::new(path / "aggregation", embeddings, reduction * input, true)?,
            projection: Dense::new(path / "projection", reduction * input, input, true)?,
            hidden: Dense::new(path / "hidden", input, output, false)?,
            norm: LayerNorm::new(path / "norm", &[output])?,
            activation: config.activation,
            dropout: Dropout::new("MaskBlock", "dropout", config.dropout)?,
            inputs: [embeddings, input],
        })
    }

    /// m `[B, in]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for embeddings that are not `[B, d]`.
    pub fn mask(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("MaskBlock", embeddings, &self.inputs[..1])?;
        self.projection.forward(&self.aggregation.forward(embeddings)?.relu())
    }

    /// h `[B, out]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for inputs that are not `[B, d]` and `[B, in]`.
    pub fn forward(&self, embeddings: &Tensor, input: &Tensor, train: bool) -> Result<Tensor> {
        check_input("MaskBlock", input, &self.inputs[1..])?;
        super::check_rows("MaskBlock", embeddings, input)?;
        let masked = self.mask(embeddings)? * input;
        let hidden = self.activation.apply(self.norm.forward(&self.hidden.forward(&masked)?)?)?;
        self.dropout.forward(hidden, train)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::layers::DnnConfig;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_its_formula(
            (d, input, output) in (1usize..5, 1usize..5, 1usize..5), reduction in 1i64..4, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let path = store.root() / "m";
            let sizes = [input as i64, output as i64];
            let layer = MaskBlock::new(&path, d as i64, sizes, reduction, &DnnConfig::default()).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (v, x) = (draw.matrix(3, d), draw.matrix(3, input));
            let relu = activation("relu");
            let expected: Matrix = v.iter().zip(&x).map(|(v, x)| mask_block(&p, "m", v, x, relu)).collect();
            let [embeddings, x] = [&v, &x].map(|x| tensor(&x.concat(), &[3, x[0].len() as i64]));
            let found = layer.forward(&embeddings, &x, false).unwrap();
            assert_within(5e-4, &found, &expected.concat(), "the block");
        }
    }
}
