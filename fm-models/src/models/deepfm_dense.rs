//! DeepFM as the Keras article on dense features has it.

use fm_core::model::Layer;
use fm_core::{Error, Features, Field, FieldKind, Model, Result, Schema};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::deepfm::Config;
use crate::layers::{Dense, Dnn, Embedding, FieldPooling, FmInteraction, check_features};

/// ŷ = ⟨a, [Σ_{f,d} e_{f,d} + b; Σ_{f<g} ⟨e_f, e_g⟩; DNN([e_1; ...; e_F; x_1; ...; x_N])]⟩ + c, with e the vectors of the
/// fields that are not numeric, and x the numbers of those that are. A missing number is 0, the mean.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// The form of Keras's `DeepFM` in the fourth notebook, for parity with it. It departs from the paper, whose form is
/// [`super::deepfm::DeepFm`]: its first order has no weights w, numbers take no part in the pairs, and the three parts are
/// weighted by a last dense layer instead of summed up.
#[derive(Debug)]
pub struct DenseFeaturesDeepFm {
    /// b `[1]`.
    pub first_order_bias: Tensor,
    /// The vectors of the slots that are not numeric.
    pub embedding: Embedding,
    /// e.
    pub pooling: FieldPooling,
    /// The hidden layers.
    pub dnn: Dnn,
    /// a and c.
    pub output: Dense,
    /// Runs of slots that are not numeric: (first slot, slots, numeric ids before them).
    sparse: Vec<(i64, i64, i64)>,
    /// (slot, id of a number) of each numeric field.
    numeric: Vec<(i64, i64)>,
}

impl DenseFeaturesDeepFm {
    /// Makes the parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for options out of range, or a schema whose fields are all numeric.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<DenseFeaturesDeepFm> {
        let is_numeric = |field: &Field| matches!(field.kind, FieldKind::Numeric { .. });
        let (mut sparse, mut numeric, mut numeric_ids) = (Vec::new(), Vec::new(), 0);
        for (position, field) in schema.fields().iter().enumerate() {
            let (slots, ids) = (schema.slots(position), schema.ids(position));
            if is_numeric(field) {
                numeric.push((slots.start as i64, ids.start + 1));
                numeric_ids += ids.end - ids.start;
            } else {
                sparse.push((slots.start as i64, slots.len() as i64, numeric_ids));
            }
        }
        if sparse.is_empty() {
            return Err(Error::Setting("the form dense-features needs a field that is not numeric".into()));
        }
        let fields = schema.fields().iter().filter(|field| !is_numeric(field)).cloned().collect();
        let embedded = Schema::new(schema.label().clone(), fields)?;
        let fields = embedded.num_fields() as i64;
        let embedding = Embedding::new(path / "embedding", &embedded, &config.embedding)?;
        let inputs = fields * config.embedding.embedding_dim + numeric.len() as i64;
        let dnn = Dnn::new(path / "dnn", inputs, &config.dnn)?;
        let output = Dense::new(path / "output", 2 + dnn.output(), 1, true)?;
        Ok(DenseFeaturesDeepFm {
            first_order_bias: path.var("first_order_bias", &[1], tch::nn::Init::Const(0.0)),
            embedding,
            pooling: FieldPooling::new(&embedded),
            dnn,
            output,
            sparse,
            numeric,
        })
    }

    /// The vectors e `[B, F, k]` and the numbers x `[B, N]` of a batch.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another schema.
    pub fn inputs(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        let Features { ids, values, .. } = features;
        let slots = self.sparse.iter().map(|run| run.1).sum::<i64>() + self.numeric.len() as i64;
        check_features("DenseFeaturesDeepFm", features, slots, self.first_order_bias.device())?;
        let parts: Vec<(Tensor, Tensor)> = self
            .sparse
            .iter()
            .map(|&(slot, length, shift)| (ids.narrow(1, slot, length) - shift, values.narrow(1, slot, length)))
            .collect();
        let (ids_of_runs, values_of_runs): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let sparse = Features::unchecked(Tensor::cat(&ids_of_runs, 1), Tensor::cat(&values_of_runs, 1));
        let embeddings = self.pooling.forward(&self.embedding.forward(&sparse, train)?)?;
        let numbers = self.numeric.iter().map(|&(slot, id)| {
            // Not `to_kind`, which would write this device into the exported graph.
            values.narrow(1, slot, 1).masked_fill(&ids.narrow(1, slot, 1).ne(id), 0.0)
        });
        let numbers: Vec<Tensor> = numbers.collect();
        let numbers = if numbers.is_empty() { values.narrow(1, 0, 0) } else { Tensor::cat(&numbers, 1) };
        Ok((embeddings, numbers))
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
        self.output.bias().expect("it was made with one")
    }

    fn layers(&self) -> Vec<Layer> {
        let [slots, k] = self.embedding.output();
        vec![
            Layer::new("embedding", "Embedding", &[slots, k]),
            Layer::new("", "FieldPooling", &[self.pooling.fields(), k]),
            Layer::new("first_order_bias", "Bias", &[1]),
            Layer::new("", "FmInteraction", &[1]),
            Layer::new("dnn", "Dnn", &[self.dnn.output()]),
            Layer::new("output", "Dense", &[1]),
        ]
    }
}
