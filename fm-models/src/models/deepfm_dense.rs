//! DeepFM as the Keras article on dense features has it.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Error, Features, Field, FieldKind, Model, Padded, Result, Schema};
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
    /// Which slots are of which field, those that are numeric among them.
    all_slots: FieldPooling,
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
            all_slots: FieldPooling::new(schema),
            sparse,
            numeric,
        })
    }

    /// The vectors `[B, S', k]` of the slots that are not numeric.
    fn slots(&self, features: &Features, train: bool) -> Result<Tensor> {
        let rows = features.padded()?;
        let Padded { ids, values, .. } = &rows;
        check_features("DenseFeaturesDeepFm", &rows, self.all_slots.slots(), self.first_order_bias.device())?;
        let parts = self
            .sparse
            .iter()
            .map(|&(slot, length, shift)| (ids.narrow(1, slot, length) - shift, values.narrow(1, slot, length)));
        let (ids_of_runs, values_of_runs): (Vec<_>, Vec<_>) = parts.unzip();
        let sparse = Features::unchecked(Tensor::cat(&ids_of_runs, 1), Tensor::cat(&values_of_runs, 1));
        self.embedding.forward(&sparse, train)
    }

    /// The numbers x `[B, N]`.
    fn numbers(&self, features: &Features) -> Result<Tensor> {
        let Padded { ids, values, .. } = features.padded()?;
        let numbers = self.numeric.iter().map(|&(slot, id)| {
            // Not `to_kind`, which would write this device into the exported graph.
            values.narrow(1, slot, 1).masked_fill(&ids.narrow(1, slot, 1).ne(id), 0.0)
        });
        let numbers: Vec<Tensor> = numbers.collect();
        Ok(if numbers.is_empty() { values.narrow(1, 0, 0) } else { Tensor::cat(&numbers, 1) })
    }

    /// The vectors e `[B, F, k]` and the numbers x `[B, N]` of a batch.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another schema.
    pub fn inputs(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        Ok((self.pooling.forward(&self.slots(features, train)?)?, self.numbers(features)?))
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

    /// The bias is a_1 b + c; what the slots add, their pairs and the network are weighted by the parts of a.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let slots = self.slots(features, false)?;
        let flat = self.pooling.forward(&slots)?.flatten(1, -1);
        let deep = self.dnn.forward(&Tensor::cat(&[flat, self.numbers(features)?], 1), false)?;
        // Numeric slots have no vector.
        let [all, k] = [self.all_slots.slots(), slots.size()[2]];
        let at: Vec<i64> = self.sparse.iter().flat_map(|&(slot, length, _)| slot..slot + length).collect();
        let zeros = Tensor::zeros([features.len() as i64, all, k], (Kind::Float, slots.device()));
        let slots = zeros.index_copy(1, &Tensor::from_slice(&at).to_device(slots.device()), &slots);
        let a = self.output.weight().squeeze_dim(0);
        let pairs = FmInteraction.terms(&slots)? * self.all_slots.is_across(slots.device());
        Ok(Explanation {
            first_order: Some(slots.sum_dim_intlist(2, false, Kind::Float) * a.get(0)),
            pairs: Some(pairs * a.get(1)),
            lumps: vec![("deep part", deep.matmul(&a.narrow(0, 2, self.dnn.output())))],
            ..Explanation::new(&(&self.first_order_bias * a.get(0) + self.bias()))
        })
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
