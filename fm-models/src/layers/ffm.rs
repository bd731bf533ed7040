//! The field-aware factorization machine.

use fm_core::schema::Layout;
use fm_core::{Features, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Embedding, EmbeddingConfig, FmInteraction, ItemFields, Linear, bias, check_input, field_of_slots};
use crate::kernels::lookup::{Grouping, Sums};

/// Σ_{i<j} ⟨e_{i,f_j}, e_{j,f_i}⟩, where e_{i,g} is the vector of slot i for partners of field g.
///
/// With P_{f,g} = Σ_{i∈f} e_{i,g}, the slots of field f summed, this is
/// Σ_{f<g} ⟨P_{f,g}, P_{g,f}⟩ + ½ Σ_f [‖P_{f,f}‖² - Σ_{i∈f} ‖e_{i,f}‖²]: field-aware across fields, a plain FM inside a
/// multi-valued field, and linear in the number of slots.
///
/// # Shapes
/// P as `[B, F, F·k]`, the F vectors of a field one after another → `[B]`
///
/// Source: Juan, Zhuang, Chin and Lin, Field-aware factorization machines for CTR prediction, RecSys 2016, equation 4,
/// <https://doi.org/10.1145/2959100.2959134>. The first notebook describes it for sequences: FM within a field,
/// separate vectors across fields. Keras's `FFM_Layer` computes a different sum: [`SummedFfmInteraction`].
///
/// ```
/// # use fm_core::{Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::FfmInteraction;
///
/// let interaction = FfmInteraction::new(&schema, 4); // 3 fields of one slot each
/// let sums = Tensor::ones([8, 3, 3 * 4], (Kind::Float, Device::Cpu)); // [B, F, F·k]
/// let scores = interaction.forward(&sums, None)?;
/// assert_eq!(scores.size(), [8]);
/// assert_eq!(scores.double_value(&[0]), 12.0); // 3 pairs of vectors of 4 ones
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FfmInteraction {
    layout: Layout,
    /// The fields with several slots.
    several: Vec<i64>,
    k: i64,
}

impl FfmInteraction {
    /// The interaction for the fields and slots of a schema; `k` is the length of a vector.
    pub fn new(schema: &Schema, k: i64) -> FfmInteraction {
        let layout = schema.layout();
        let several = (0..layout.num_fields()).filter(|&field| layout.slots(field).len() > 1);
        FfmInteraction { several: several.map(|field| field as i64).collect(), layout, k }
    }

    /// The sum over pairs `[B]`. `own_squares` is Σ e_{i,f}² `[B, k]` over the slots i of the fields f with several
    /// slots. Without it, pairs within these fields are left out.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for sums that are not `[B, F, F·k]`.
    pub fn forward(&self, sums: &Tensor, own_squares: Option<&Tensor>) -> Result<Tensor> {
        let (fields, k) = (self.layout.num_fields() as i64, self.k);
        super::check_size("FfmInteraction", "k", k)?;
        check_input("FfmInteraction", sums, &[fields, fields * k])?;
        let pooled = sums.reshape([-1, fields, fields, k]);
        let products = (&pooled * pooled.transpose(1, 2)).sum_dim_intlist(-1, false, Kind::Float); // [B, F, F]
        let of_one_field = products.diagonal(0, 1, 2); // ‖P_{f,f}‖², [B, F]
        let across = (products.sum_dim_intlist(&[1i64, 2][..], false, Kind::Float)
            - of_one_field.sum_dim_intlist(1, false, Kind::Float))
            * 0.5;
        let Some(squares) = own_squares else { return Ok(across) };
        let within = self.several.iter().map(|&field| of_one_field.select(1, field)).reduce(|sum, more| sum + more);
        let squares = squares.sum_dim_intlist(1, false, Kind::Float);
        Ok(across + within.map_or_else(|| -&squares, |within| within - &squares) * 0.5)
    }

    /// The inputs of [`FfmInteraction::forward`]: sums by field, and the squares.
    fn grouping(&self, schema: &Schema) -> Grouping {
        let k = self.k as usize;
        let own = |field: usize| self.several.contains(&(field as i64)).then_some(field * k);
        Grouping::by_field(schema).with_squares(k, own)
    }

    /// ⟨e_{i,f_j}, e_{j,f_i}⟩ of each pair of slots, from their vectors `[B, S, F·k]`. The terms are above the diagonal
    /// of `[B, S, S]`; the rest is 0.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for vectors that are not `[B, S, F·k]`.
    pub fn terms(&self, vectors: &Tensor) -> Result<Tensor> {
        let (fields, slots) = (self.layout.num_fields() as i64, self.layout.num_slots() as i64);
        check_input("FfmInteraction", vectors, &[slots, fields * self.k])?;
        let of_slots = field_of_slots(&self.layout, vectors.device());
        // e_{i,f_j}, `[B, S, S, k]`
        let for_partners = vectors.reshape([-1, slots, fields, self.k]).index_select(2, &of_slots);
        let products = &for_partners * for_partners.transpose(1, 2);
        Ok(products.sum_dim_intlist(-1, false, Kind::Float).triu(1))
    }
}

/// Σ_{f<g} ⟨Σ_i e_{i,f}, Σ_i e_{i,g}⟩: the form of Keras's `FFM_Layer` (third notebook), for parity.
///
/// The vectors are summed over all slots before the products, so every value interacts with every other value and with
/// itself, whatever their fields. This is not the paper's formula, which is [`FfmInteraction`].
///
/// # Shapes
/// Σ_i e_i as `[B, F·k]` → `[B]`
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::SummedFfmInteraction;
///
/// let interaction = SummedFfmInteraction { fields: 3, k: 4 };
/// let summed = Tensor::ones([8, 3 * 4], (Kind::Float, Device::Cpu)); // [B, F·k]
/// assert_eq!(interaction.forward(&summed)?.size(), [8]);
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
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F·k]`.
    pub fn forward(&self, summed: &Tensor) -> Result<Tensor> {
        super::check_size("SummedFfmInteraction", "fields", self.fields)?;
        super::check_size("SummedFfmInteraction", "k", self.k)?;
        check_input("SummedFfmInteraction", summed, &[self.fields * self.k])?;
        FmInteraction.forward(&summed.reshape([-1, self.fields, self.k]))
    }

    /// Σ_{f<g} (⟨e_{i,f}, e_{j,g}⟩ + ⟨e_{j,f}, e_{i,g}⟩) of each pair of slots, above the diagonal of `[B, S, S]`. On
    /// the diagonal are the terms of each slot with itself, Σ_{f<g} ⟨e_{i,f}, e_{i,g}⟩; the rest is 0.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for vectors that are not `[B, S, F·k]`.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FfmForm {
    /// The form of the paper: [`FfmInteraction`].
    #[default]
    FieldAware,
    /// The form of the Keras notebook: [`SummedFfmInteraction`].
    Summed,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s, f_t}, v_{id_t, f_s}⟩ x_s x_t: every id has one vector per field of its
/// partners.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: see [`FfmInteraction`]. Like the notebook and xLearn, and unlike the paper, it has a linear part. Keras:
/// `FFM_Layer`, with [`FfmForm::Summed`].
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
/// assert_eq!(ffm.embedding.output(), [3, 3 * 4]); // [F, F·k]
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
    grouping: Grouping,
    is_list: Vec<bool>,
    pub(crate) item_fields: ItemFields,
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
    /// [`fm_core::Error::Setting`], as in [`Embedding::new`].
    pub fn new(path: &Path<'_>, schema: &Schema, config: &EmbeddingConfig, form: FfmForm) -> Result<Ffm> {
        let (fields, k) = (schema.num_fields() as i64, config.embedding_dim);
        super::check_size("Ffm", "embedding_dim", k)?;
        super::check_size("Ffm", "embedding_dim times the number of fields", fields * k)?;
        let wide = EmbeddingConfig { embedding_dim: fields * k, ..*config };
        let (interaction, grouping) = match form {
            FfmForm::FieldAware => {
                let pairs = FfmInteraction::new(schema, k);
                let grouping = pairs.grouping(schema);
                (Interaction::FieldAware(pairs), grouping)
            }
            FfmForm::Summed => (Interaction::Summed(SummedFfmInteraction { fields, k }), Grouping::of_all(schema)),
        };
        Ok(Ffm {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            embedding: Embedding::new(path / "embedding", schema, &wide)?,
            interaction,
            grouping,
            is_list: schema.fields().iter().map(|field| field.kind.list().is_some()).collect(),
            item_fields: ItemFields::new(schema),
        })
    }

    /// `[F]`: whether a row can have any number of slots of the field, and not exactly one.
    pub(crate) fn is_list(&self) -> &[bool] {
        &self.is_list
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
    /// [`fm_core::Error::Shape`], as in [`Linear::forward`].
    pub fn forward(&self, features: &Features, train: bool) -> Result<Tensor> {
        let first_order = self.linear.forward(features, train)? + &self.bias;
        Ok(first_order + self.second_order(features, train)?)
    }

    /// The sum over pairs `[B]`. With `train`, the table's gradient is row-sparse.
    ///
    /// # Errors
    /// Those of [`Ffm::forward`].
    pub fn second_order(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.pairs(&self.embedding.sums(features, &self.grouping, train)?)
    }

    /// P as `[B, F, F, k]`: of a field, for a partner.
    pub(crate) fn by_partner(&self, sums: &Tensor) -> Tensor {
        let fields = self.is_list.len() as i64;
        sums.reshape([-1, fields, fields, self.embedding.output()[1] / fields])
    }

    /// P `[B, F, F·k]`, the vectors of the field-aware form summed by field, and the score without w₀ `[B]`.
    ///
    /// # Errors
    /// Those of [`Ffm::forward`].
    pub(crate) fn sums_and_own(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        let found = self.embedding.sums(features, &self.grouping, train)?;
        let own = self.linear.forward(features, train)? + self.pairs(&found)?;
        Ok((found.sums, own))
    }

    /// The sum over pairs `[B]`.
    fn pairs(&self, Sums { sums, squares }: &Sums) -> Result<Tensor> {
        match &self.interaction {
            Interaction::FieldAware(pairs) => pairs.forward(sums, squares.as_ref()),
            Interaction::Summed(pairs) => pairs.forward(&sums.squeeze_dim(1)),
        }
    }

    /// The term of each pair of slots, above the diagonal of `[B, S, S]`, and of each slot with itself, on the
    /// diagonal.
    ///
    /// # Errors
    /// Those of [`Ffm::forward`].
    pub fn pair_terms(&self, features: &Features) -> Result<Tensor> {
        let vectors = self.embedding.slots(features, false)?;
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

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn the_interactions_equal_the_sums_over_pairs_of_slots_and_of_field_slots(
            slots in vec(0usize..4, 1..6), k in 1usize..4, seed: u64,
        ) {
            let schema = schema(&slots);
            let (fields, width) = (slots.len(), slots.len() * k);
            let vectors = Draw(seed).cube(3, schema.num_slots(), width);
            let sums: Vec<Matrix> = vectors.iter().map(|slots| field_vectors(&schema, slots)).collect();
            let sums = tensor(&sums.concat().concat(), &[3, fields as i64, width as i64]);
            let own = |(slot, field): (usize, usize), slots: &Matrix| slots[slot][field * k..][..k].to_vec();
            let is_several = |&(_, field): &(usize, usize)| schema.slots(field).len() > 1;
            let places: Vec<(usize, usize)> = schema.field_of_slots().into_iter().enumerate().filter(is_several).collect();
            let squares = |slots: &Matrix| {
                sum(&places.iter().map(|&at| product(&own(at, slots), &own(at, slots))).collect::<Matrix>(), k)
            };
            let squares: Matrix = vectors.iter().map(squares).collect();
            let squares = tensor(&squares.concat(), &[3, k as i64]);
            let field_aware: Vector = vectors.iter().map(|slots| ffm(&schema, slots)).collect();
            let found = FfmInteraction::new(&schema, k as i64).forward(&sums, Some(&squares)).unwrap();
            assert_close(&found, &field_aware, "the sum over pairs of slots");
            let expected: Vector = vectors.iter().map(|slots| summed_ffm(fields, slots)).collect();
            let layer = SummedFfmInteraction { fields: fields as i64, k: k as i64 };
            let summed = sums.sum_dim_intlist(1, false, Kind::Float);
            assert_close(&layer.forward(&summed).unwrap(), &expected, "the sum over pairs of field slots");
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
            for (features, train) in both_forms(&schema, &rows).iter().flat_map(|f| [(f, false), (f, true)]) {
                assert_close(&layer.forward(features, train).unwrap(), &expected, "the score");
            }
        }
    }
}
