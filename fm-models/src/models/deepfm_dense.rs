//! DeepFM in the form of the Keras article on dense features.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Error, Features, Model, Result, Schema};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::deepfm::Config;
use crate::layers::{Dense, Dnn, Embedding, FmInteraction, Numbers, is_across};

/// ŷ = ⟨a, [Σ_{f,d} e_{f,d} + b; Σ_{f<g} ⟨e_f, e_g⟩; DNN([e_1; ...; e_F; x_1; ...; x_N])]⟩ + c, with the vectors e of
/// the fields that are not numeric, and the numbers x of the numeric fields. A missing number is 0, the mean.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// This is the form of Keras's `DeepFM` in the fourth notebook, for parity. It differs from the paper's form,
/// [`super::deepfm::DeepFm`]: the first order has no weights w, the pairs do not include numbers, and a last dense
/// layer weights the three parts.
#[derive(Debug)]
pub struct DenseFeaturesDeepFm {
    /// b `[1]`.
    pub first_order_bias: Tensor,
    /// e, the vectors of the fields that are not numeric.
    pub embedding: Embedding,
    /// The hidden layers.
    pub dnn: Dnn,
    /// a and c.
    pub output: Dense,
    /// x.
    pub numbers: Numbers,
}

impl DenseFeaturesDeepFm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for options out of range, or a schema whose fields are all numeric.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<DenseFeaturesDeepFm> {
        let is_numeric = |field: usize| schema.fields()[field].kind.is_dense();
        if (0..schema.num_fields()).all(is_numeric) {
            return Err(Error::Setting("the form dense-features requires a field that is not numeric".into()));
        }
        let embedding =
            Embedding::of_fields(path / "embedding", schema, |field| !is_numeric(field), &config.embedding)?;
        let ([fields, k], numbers) = (embedding.output(), Numbers::new(schema, path.device()));
        let dnn = Dnn::new(path / "dnn", fields * k + numbers.output(), &config.dnn)?;
        let output = Dense::new(path / "output", 2 + dnn.output(), 1, true)?;
        Ok(DenseFeaturesDeepFm {
            first_order_bias: path.var("first_order_bias", &[1], tch::nn::Init::Const(0.0)),
            embedding,
            dnn,
            output,
            numbers,
        })
    }

    /// The vectors e `[B, F, k]` and the numbers x `[B, N]` of a batch.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another schema.
    pub fn inputs(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        Ok((self.embedding.forward(features, train)?, self.numbers.forward(features)?))
    }
}

impl Model for DenseFeaturesDeepFm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let (embeddings, numbers) = self.inputs(features, train)?;
        let flat = embeddings.flatten(1, -1);
        let first_order = flat.sum_dim_intlist(1, true, Kind::Float) + &self.first_order_bias;
        let second_order = FmInteraction.forward(&embeddings)?.unsqueeze(1);
        let deep = self.dnn.forward(&Tensor::cat(&[flat, numbers], 1), train)?;
        Ok(self.output.forward(&Tensor::cat(&[first_order, second_order, deep], 1))?.squeeze_dim(-1))
    }

    /// c.
    fn bias(&self) -> &Tensor {
        self.output.bias().expect("the output has a bias")
    }

    /// The bias is a_1 b + c. The parts of a weight the terms of the slots, their pairs and the network.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let (embeddings, numbers) = self.inputs(features, false)?;
        let deep = self.dnn.forward(&Tensor::cat(&[embeddings.flatten(1, -1), numbers], 1), false)?;
        // Numeric slots have no vector.
        let (slots, layout) = (self.embedding.slots(features, false)?, &self.embedding.layout);
        let (all, k) = (layout.num_slots() as i64, slots.size()[2]);
        let at: Vec<i64> = (0..all).filter(|&slot| !self.numbers.has_slot(slot)).collect();
        let zeros = Tensor::zeros([features.len() as i64, all, k], (Kind::Float, slots.device()));
        let slots = zeros.index_copy(1, &Tensor::from_slice(&at).to_device(slots.device()), &slots);
        let a = self.output.weight().squeeze_dim(0);
        let pairs = FmInteraction.terms(&slots)? * is_across(layout, slots.device());
        Ok(Explanation {
            first_order: Some(slots.sum_dim_intlist(2, false, Kind::Float) * a.get(0)),
            pairs: Some(pairs * a.get(1)),
            lumps: vec![("deep part", deep.matmul(&a.narrow(0, 2, self.dnn.output())))],
            ..Explanation::new(&(&self.first_order_bias * a.get(0) + self.bias()))
        })
    }

    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("first_order_bias", "Bias", &[1]),
            Layer::new("", "FmInteraction", &[1]),
            Layer::new("dnn", "Dnn", &[self.dnn.output()]),
            Layer::new("output", "Dense", &[1]),
        ]
    }
}
