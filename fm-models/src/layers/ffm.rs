//! The field-aware factorization machine.

use fm_core::{Features, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Embedding, EmbeddingConfig, FieldPooling, FmInteraction, Linear, bias, check_input};

/// Σ_{i<j} ⟨e_{i,f_j}, e_{j,f_i}⟩, where e_{i,g} is the vector that slot i has for partners of field g.
///
/// With P_{f,g} = Σ_{i∈f} e_{i,g}, the slots of field f summed, this is
/// Σ_{f<g} ⟨P_{f,g}, P_{g,f}⟩ + ½ Σ_f [‖P_{f,f}‖² - Σ_{i∈f} ‖e_{i,f}‖²]: field-aware across fields, a plain FM inside a
/// multi-valued field, and linear in the number of slots.
///
/// # Shapes
/// `[B, S, F·k]`, the F vectors of a slot one after another → `[B]`
///
/// Source: Juan, Zhuang, Chin and Lin, Field-aware factorization machines for CTR prediction, RecSys 2016, equation 4,
/// <https://doi.org/10.1145/2959100.2959134>. The first notebook words it for sequences: FM inside a field, other vectors
/// across fields. Keras's `FFM_Layer` computes something else: [`SummedFfmInteraction`].
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::FfmInteraction;
///
/// let interaction = FfmInteraction::new(&schema, 4); // of 3 fields
/// let vectors = Tensor::ones([8, 3, 3 * 4], (Kind::Float, Device::Cpu)); // [B, S, F·k]
/// let scores = interaction.forward(&vectors)?;
/// assert_eq!(scores.size(), [8]);
/// assert_eq!(scores.double_value(&[0]), 12.0); // 3 pairs of vectors of 4 ones
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FfmInteraction {
    pooling: FieldPooling,
    /// (field, first slot, slots) of each field of several slots.
    several: Vec<(i64, i64, i64)>,
    fields: i64,
    k: i64,
}

impl FfmInteraction {
    /// Reads off the schema which slot is of which field; `k` is the length of a vector.
    pub fn new(schema: &Schema, k: i64) -> FfmInteraction {
        let several = (0..schema.num_fields()).filter(|&field| schema.slots(field).len() > 1).map(|field| {
            let slots = schema.slots(field);
            (field as i64, slots.start as i64, slots.len() as i64)
        });
        let several = several.collect();
        FfmInteraction { pooling: FieldPooling::new(schema), several, fields: schema.num_fields() as i64, k }
    }

    /// The sum over pairs `[B]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, S, F·k]`.
    pub fn forward(&self, vectors: &Tensor) -> Result<Tensor> {
        let &FfmInteraction { fields, k, .. } = self;
        super::check_size("FfmInteraction", "k", k)?;
        check_input("FfmInteraction", vectors, &[self.pooling.slots(), fields * k])?;
        let pooled = self.pooling.forward(vectors)?.reshape([-1, fields, fields, k]);
        let products = (&pooled * pooled.transpose(1, 2)).sum_dim_intlist(-1, false, Kind::Float); // [B, F, F]
        let of_one_field = products.diagonal(0, 1, 2); // ‖P_{f,f}‖², [B, F]
        let across = (products.sum_dim_intlist(&[1i64, 2][..], false, Kind::Float)
            - of_one_field.sum_dim_intlist(1, false, Kind::Float))
            * 0.5;
        Ok(self.several.iter().fold(across, |sum, &(field, first, slots)| {
            let own = vectors.narrow(1, first, slots).narrow(2, field * k, k);
            let squares = own.square().sum_dim_intlist(&[1i64, 2][..], false, Kind::Float);
            sum + (of_one_field.select(1, field) - squares) * 0.5
        }))
    }

    /// ⟨e_{i,f_j}, e_{j,f_i}⟩ of each pair of slots, above the diagonal of `[B, S, S]`; all else is 0.
    ///
    /// # Errors
    /// As [`FfmInteraction::forward`].
    pub fn terms(&self, vectors: &Tensor) -> Result<Tensor> {
        let &FfmInteraction { fields, k, .. } = self;
        check_input("FfmInteraction", vectors, &[self.pooling.slots(), fields * k])?;
        let field_of_slots = Tensor::from_slice(&self.pooling.field_of_slots()).to_device(vectors.device());
        // e_{i,f_j}, `[B, S, S, k]`
        let for_partners = vectors.reshape([-1, self.pooling.slots(), fields, k]).index_select(2, &field_of_slots);
        let products = &for_partners * for_partners.transpose(1, 2);
        Ok(products.sum_dim_intlist(-1, false, Kind::Float).triu(1))
    }
}

/// Σ_{f<g} ⟨Σ_i e_{i,f}, Σ_i e_{i,g}⟩: the form of Keras's `FFM_Layer` (third notebook), for parity with it.
///
/// The vectors are summed over all slots before the field slots are crossed, so that every value meets every other and
/// itself, whatever their fields. That is not the paper's formula: [`FfmInteraction`] is.
///
/// # Shapes
/// `[B, S, F·k]` → `[B]`
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::SummedFfmInteraction;
///
/// let interaction = SummedFfmInteraction { fields: 3, k: 4 };
/// let vectors = Tensor::ones([8, 3, 3 * 4], (Kind::Float, Device::Cpu)); // [B, S, F·k]
/// assert_eq!(interaction.forward(&vectors)?.size(), [8]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SummedFfmInteraction {
    /// F.
    pub fields: i64,
    /// k.
    pub k: i64,
}

impl SummedFfmInteraction {
    /// The sum over pairs of field slots `[B]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, S, F·k]`.
    pub fn forward(&self, vectors: &Tensor) -> Result<Tensor> {
        super::check_size("SummedFfmInteraction", "fields", self.fields)?;
        super::check_size("SummedFfmInteraction", "k", self.k)?;
        check_input("SummedFfmInteraction", vectors, &[-1, self.fields * self.k])?;
        let summed = vectors.sum_dim_intlist(1, false, Kind::Float);
        FmInteraction.forward(&summed.reshape([-1, self.fields, self.k]))
    }

    /// Σ_{f<g} (⟨e_{i,f}, e_{j,g}⟩ + ⟨e_{j,f}, e_{i,g}⟩) of each pair of slots, above the diagonal of `[B, S, S]`; on it what a
    /// slot has with itself, Σ_{f<g} ⟨e_{i,f}, e_{i,g}⟩; all else is 0.
    ///
    /// # Errors
    /// As [`SummedFfmInteraction::forward`].
    pub fn terms(&self, vectors: &Tensor) -> Result<Tensor> {
        check_input("SummedFfmInteraction", vectors, &[-1, self.fields * self.k])?;
        let of_fields = vectors.reshape([-1, vectors.size()[1], self.fields, self.k]);
        // Σ_{g>f} e_{i,g}
        let behind = of_fields.sum_dim_intlist(2, true, Kind::Float) - of_fields.cumsum(2, Kind::Float);
        let products = vectors.matmul(&behind.flatten(2, 3).transpose(1, 2));
        Ok(products.triu(0) + products.transpose(1, 2).triu(1))
    }
}

/// Which pairs an [`Ffm`] sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FfmForm {
    /// The paper's: [`FfmInteraction`].
    #[default]
    FieldAware,
    /// The Keras notebook's: [`SummedFfmInteraction`].
    Summed,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s, f_t}, v_{id_t, f_s}⟩ x_s x_t: every id has a vector for each field that it
/// may meet.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: as [`FfmInteraction`]; like the notebook and unlike the paper it has the linear part, as xLearn does.
/// Keras: `FFM_Layer`, with [`FfmForm::Summed`].
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::{EmbeddingConfig, Ffm, FfmForm};
///
/// let store = VarStore::new(Device::Cpu);
/// let config = EmbeddingConfig { embedding_dim: 4, ..EmbeddingConfig::default() };
/// let ffm = Ffm::new(&store.root(), &schema, &config, FfmForm::FieldAware)?;
/// assert_eq!(ffm.forward(&features, false)?.size(), [8]); // features: ids and values [8, 3]
/// assert_eq!(ffm.embedding.output(), [3, 3 * 4]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Ffm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
    /// v, as `[n, F·k]`.
    pub embedding: Embedding,
    interaction: Interaction,
}

#[derive(Debug)]
enum Interaction {
    FieldAware(FfmInteraction),
    Summed(SummedFfmInteraction),
}

impl Ffm {
    /// Parameters `bias`, `linear` and `embedding` under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] as [`Embedding::new`].
    pub fn new(path: &Path<'_>, schema: &Schema, config: &EmbeddingConfig, form: FfmForm) -> Result<Ffm> {
        let (fields, k) = (schema.num_fields() as i64, config.embedding_dim);
        super::check_size("Ffm", "embedding_dim", k)?;
        super::check_size("Ffm", "embedding_dim times the number of fields", fields * k)?;
        let wide = EmbeddingConfig { embedding_dim: fields * k, ..*config };
        Ok(Ffm {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            embedding: Embedding::new(path / "embedding", schema, &wide)?,
            interaction: match form {
                FfmForm::FieldAware => Interaction::FieldAware(FfmInteraction::new(schema, k)),
                FfmForm::Summed => Interaction::Summed(SummedFfmInteraction { fields, k }),
            },
        })
    }

    /// Which pairs it sums.
    pub fn form(&self) -> FfmForm {
        match self.interaction {
            Interaction::FieldAware(_) => FfmForm::FieldAware,
            Interaction::Summed(_) => FfmForm::Summed,
        }
    }

    /// The score `[B]`. With `train`, the tables' gradients are row-sparse.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] as [`Linear::forward`].
    pub fn forward(&self, features: &Features, train: bool) -> Result<Tensor> {
        let first_order = self.linear.forward(features, train)? + &self.bias;
        let vectors = self.embedding.forward(features, train)?;
        Ok(first_order
            + match &self.interaction {
                Interaction::FieldAware(pairs) => pairs.forward(&vectors)?,
                Interaction::Summed(pairs) => pairs.forward(&vectors)?,
            })
    }

    /// What each pair of slots adds, above the diagonal of `[B, S, S]`, and each slot with itself, on it.
    ///
    /// # Errors
    /// As [`Ffm::forward`].
    pub fn pair_terms(&self, features: &Features) -> Result<Tensor> {
        let vectors = self.embedding.forward(features, false)?;
        match &self.interaction {
            Interaction::FieldAware(pairs) => pairs.terms(&vectors),
            Interaction::Summed(pairs) => pairs.terms(&vectors),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::super::oracle::*;
    use super::*;

    proptest! {
        #[test]
        fn the_interactions_equal_the_sums_over_pairs_of_slots_and_of_field_slots(
            slots in vec(0usize..4, 1..6), k in 1usize..4, seed: u64,
        ) {
            let schema = schema(&slots);
            let (fields, width) = (slots.len(), slots.len() * k);
            let vectors = Draw(seed).cube(3, schema.num_slots(), width);
            let input = tensor(&vectors.concat().concat(), &[3, schema.num_slots() as i64, width as i64]);
            let field_aware: Vector = vectors.iter().map(|slots| ffm(&schema, slots)).collect();
            let found = FfmInteraction::new(&schema, k as i64).forward(&input).unwrap();
            assert_close(&found, &field_aware, "the sum over pairs of slots");
            let summed: Vector = vectors.iter().map(|slots| summed_ffm(fields, slots)).collect();
            let layer = SummedFfmInteraction { fields: fields as i64, k: k as i64 };
            assert_close(&layer.forward(&input).unwrap(), &summed, "the sum over pairs of field slots");
        }

        #[test]
        fn ffm_equals_bias_and_first_order_and_its_pairs(
            slots in vec(0usize..4, 1..5), k in 1usize..4, summed: bool, seed: u64,
        ) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let store = VarStore::new(Device::Cpu);
            let config = EmbeddingConfig { embedding_dim: k as i64, ..EmbeddingConfig::default() };
            let form = if summed { FfmForm::Summed } else { FfmForm::FieldAware };
            let layer = Ffm::new(&store.root(), &schema, &config, form).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let rows = draw.rows(&schema, 3);
            let (weights, table) = (p.matrix("linear.weight"), p.matrix("embedding.weight"));
            prop_assert_eq!(table[0].len(), slots.len() * k);
            let score = |row| {
                let vectors = slot_vectors(&table, row);
                let pairs = if summed { summed_ffm(slots.len(), &vectors) } else { ffm(&schema, &vectors) };
                p.vector("bias")[0] + first_order(&weights, row) + pairs
            };
            let expected: Vector = rows.iter().map(score).collect();
            for train in [false, true] {
                assert_close(&layer.forward(&features(&schema, &rows), train).unwrap(), &expected, "the score");
            }
        }
    }
}
