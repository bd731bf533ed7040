//! The table of latent vectors.

use fm_core::schema::Layout;
use fm_core::shards::table;
use fm_core::{Error, Features, Padded, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{check_features, check_size, ids_of, is_there, table_of};
use crate::kernels::lookup::{self, Grouping, Sums};

/// The options of an [`Embedding`].
#[derive(Clone, Copy, Debug, JsonSchema, Serialize, Deserialize)]
pub struct EmbeddingConfig {
    /// k: length of the latent vectors.
    pub embedding_dim: i64,
    /// Standard deviation of the initial latent vectors.
    pub init_std: f64,
}

impl Default for EmbeddingConfig {
    fn default() -> EmbeddingConfig {
        EmbeddingConfig { embedding_dim: 16, init_std: 0.01 }
    }
}

/// e_f = Σ_{s ∈ f} x_s v_{id_s}: for each field, the sum of the latent vectors of its slots, each scaled by the value
/// of the slot.
///
/// All fields are in one table `V` `[n, k]`; each has a range of its rows. The first row of a field is for values
/// outside its vocabulary and starts at zero, so an unknown value adds nothing until it is trained. A field without a
/// value has the zero vector.
///
/// # Shapes
/// B rows of F fields → `[B, F, k]`
///
/// Source: the latent vectors of Rendle, Factorization machines, ICDM 2010,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `V` of `FM_Layer` and the `Embedding` of each
/// field in the deep models, with initial values from N(0, 0.05²) for all rows; and `DenseFeatures` with the combiner
/// that corresponds to the field's weighting.
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
/// # let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
/// # let fields = vec![
/// #     Field::new("user", FieldKind::Categorical, Side::User, vec!["a".into()]),
/// #     Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]),
/// # ];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("Drama|War")]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::{Embedding, EmbeddingConfig};
///
/// let store = VarStore::new(Device::Cpu);
/// let embedding = Embedding::new(store.root(), &schema, &EmbeddingConfig::default())?;
/// // features: 8 rows of 2 fields; genres has 3 slots
/// assert_eq!(embedding.forward(&features, false)?.size(), [8, 2, 16]);
/// assert_eq!(embedding.slots(&features, false)?.size(), [8, 4, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Embedding {
    pub(crate) table: Tensor,
    pub(crate) layout: Layout,
    by_field: Grouping,
    of_all: Grouping,
}

impl Embedding {
    /// A table with initial values from N(0, `init_std`²).
    ///
    /// # Errors
    /// [`Error::Setting`] for a length or a deviation out of range, [`Error::Memory`].
    pub fn new(path: Path<'_>, schema: &Schema, config: &EmbeddingConfig) -> Result<Embedding> {
        Embedding::of_fields(path, schema, |_| true, config)
    }

    /// Like [`Embedding::new`], for some fields of the schema. The table has rows only for these.
    ///
    /// # Errors
    /// Those of [`Embedding::new`].
    pub fn of_fields(
        path: Path<'_>,
        schema: &Schema,
        is_embedded: impl Fn(usize) -> bool,
        config: &EmbeddingConfig,
    ) -> Result<Embedding> {
        let &EmbeddingConfig { embedding_dim, init_std } = config;
        check_size("Embedding", "embedding_dim", embedding_dim)?;
        if !init_std.is_finite() || init_std < 0.0 {
            let reason = format!("Embedding: init_std is {init_std}: it must be a number of at least 0");
            return Err(Error::Setting(reason));
        }
        let fields: Vec<usize> = (0..schema.num_fields()).filter(|&field| is_embedded(field)).collect();
        let init = Init::Randn { mean: 0.0, stdev: init_std };
        let ids = ids_of(schema, &fields);
        let unknown: Vec<i64> = ids.iter().map(|ids| ids.start).collect();
        let what = || table_of("Embedding", schema, fields.iter().copied(), embedding_dim);
        let table = table(&path, "weight", (&ids, &unknown), (embedding_dim, init), what)?;
        let of_all = Grouping::new(schema, |field| is_embedded(field).then_some(0));
        Ok(Embedding {
            table,
            layout: schema.layout(),
            by_field: Grouping::new(schema, |field| fields.binary_search(&field).ok()),
            of_all: of_all.with_squares(embedding_dim as usize, |_| Some(0)),
        })
    }

    /// `[F, k]`, the shape of a row's vectors.
    pub fn output(&self) -> [i64; 2] {
        [self.by_field.groups() as i64, self.table.size()[1]]
    }

    /// The vectors of the fields `[B, F, k]`. With `train`, the table's gradient is row-sparse.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another schema, another kind or device, or an id outside the table.
    pub fn forward(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.sums(features, &self.by_field, train)?.sums)
    }

    /// Σ_s e_s and Σ_s e_s² over all slots, both `[B, k]`, with e_s = x_s v_{id_s}. A sum over all pairs of slots
    /// follows from them. With `train`, the table's gradient is row-sparse.
    ///
    /// # Errors
    /// Those of [`Embedding::forward`].
    pub fn sum_and_squares(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        let Sums { sums, squares } = self.sums(features, &self.of_all, train)?;
        Ok((sums.squeeze_dim(1), squares.expect("the grouping asks for squares")))
    }

    /// The scaled vectors of all slots of padded rows, e_s = x_s v_{id_s} `[B, S, k]`, for explanations. With `train`,
    /// the table's gradient is row-sparse.
    ///
    /// # Errors
    /// Those of [`Embedding::forward`].
    pub fn slots(&self, features: &Features, train: bool) -> Result<Tensor> {
        check_features("Embedding", features, &self.layout, self.table.device())?;
        lookup::slots("Embedding", &self.table, &features.padded()?, &self.by_field, train)
    }

    /// The vectors of all slots without their scale, v_{id_s} `[B, S, k]` with zeros for padding, and x `[B, S]`. With
    /// `train`, the table's gradient is row-sparse.
    ///
    /// # Errors
    /// Those of [`Embedding::forward`].
    pub(crate) fn unscaled(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        check_features("Embedding", features, &self.layout, self.table.device())?;
        let rows = features.padded()?;
        let is_there = Padded::unchecked(rows.ids, is_there(&rows.values));
        let vectors = lookup::slots("Embedding", &self.table, &is_there, &self.by_field, train)?;
        Ok((vectors, self.by_field.of_slots(&rows.values, false)))
    }

    /// The vectors of the fields `[B, F, k]` from those of the slots `[B, S, k]`.
    pub(crate) fn sums_of_slots(&self, slots: &Tensor) -> Tensor {
        lookup::sums_of_padded(slots, &self.by_field).sums
    }

    /// The part of a tensor of slots `[B, S, ...]` that belongs to a field of the schema.
    pub(crate) fn of_field(&self, slots: &Tensor, field: usize) -> Tensor {
        let own = self.by_field.slots_of(field);
        slots.narrow(1, own.start, own.end - own.start)
    }

    /// The sums for a grouping of the same fields.
    pub(crate) fn sums(&self, features: &Features, grouping: &Grouping, train: bool) -> Result<Sums> {
        check_features("Embedding", features, &self.layout, self.table.device())?;
        lookup::sums("Embedding", &self.table, features, grouping, train)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_sums_of_vectors_times_values_by_field_and_over_all(
            slots in vec(0usize..4, 1..6), k in 1usize..5, seed: u64,
        ) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let store = VarStore::new(Device::Cpu);
            let config = EmbeddingConfig { embedding_dim: k as i64, ..EmbeddingConfig::default() };
            let layer = Embedding::new(store.root() / "e", &schema, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let rows = draw.rows(&schema, 3);
            let table = p.matrix("e.weight");
            let slots: Vec<Matrix> = rows.iter().map(|row| slot_vectors(&table, row)).collect();
            let fields: Vec<Matrix> = slots.iter().map(|slots| field_vectors(&schema, slots)).collect();
            let sum_of_all: Matrix = slots.iter().map(|slots| sum(slots, k)).collect();
            let square = |slots: &Matrix| slots.iter().map(|e| product(e, e)).collect::<Matrix>();
            let squares: Matrix = slots.iter().map(|slots| sum(&square(slots), k)).collect();
            let padded = features(&schema, &rows);
            assert_close(&layer.slots(&padded, false).unwrap(), &slots.concat().concat(), "the slots");
            prop_assert_eq!(layer.output(), [schema.num_fields() as i64, k as i64]);
            for (features, train) in both_forms(&schema, &rows).iter().flat_map(|f| [(f, false), (f, true)]) {
                let found = layer.forward(features, train).unwrap();
                prop_assert_eq!(&found.size()[1..], layer.output());
                assert_close(&found, &fields.concat().concat(), "the fields");
                let (found, found_squares) = layer.sum_and_squares(features, train).unwrap();
                assert_close(&found, &sum_of_all.concat(), "the sum");
                assert_close(&found_squares, &squares.concat(), "the squares");
            }
        }
    }

    #[test]
    fn unknown_rows_start_at_zero_and_all_others_have_the_given_deviation() {
        let schema = schema(&[1, 0, 3]); // rows 0, 4 and 6 are those of unknown values
        let store = VarStore::new(Device::Cpu);
        let config = EmbeddingConfig { embedding_dim: 20_000, init_std: 0.3 };
        let table = Embedding::new(store.root(), &schema, &config).unwrap().table;
        for row in 0..schema.num_ids() {
            let row_of_table = table.get(row);
            let [mean, std] = [row_of_table.mean(Kind::Float), row_of_table.std(true)].map(|t| t.double_value(&[]));
            let expected = if [0, 4, 6].contains(&row) { 0.0 } else { 0.3 };
            assert!(mean.abs() < 0.05 && (std - expected).abs() < 0.05 * expected + 1e-9, "row {row}: {mean}, {std}");
        }
    }
}
