//! The table of latent vectors.

use fm_core::{Error, Features, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Tensor, no_grad};

use super::{check_features, check_size, look_up};

/// The options of an [`Embedding`].
#[derive(Clone, Copy, Debug, JsonSchema, Serialize, Deserialize)]
pub struct EmbeddingConfig {
    /// k, the length of the latent vectors.
    pub embedding_dim: i64,
    /// The standard deviation of their first values.
    pub init_std: f64,
}

impl Default for EmbeddingConfig {
    fn default() -> EmbeddingConfig {
        EmbeddingConfig { embedding_dim: 16, init_std: 0.01 }
    }
}

/// e_s = x_s v_{id_s}: the latent vector of each slot's id, scaled by the slot's value.
///
/// All fields share one table `V` `[n, k]`; each owns a range of its rows. The first row of a field stands for the values
/// outside its vocabulary and starts at zero: until something has trained it, an unknown value adds nothing.
///
/// # Shapes
/// `[B, S]` ids and values → `[B, S, k]`
///
/// Source: the latent vectors of Rendle, Factorization machines, ICDM 2010,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `V` of `FM_Layer` and the `Embedding` of each field
/// in the deep models, there N(0, 0.05²) for all rows.
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::{Embedding, EmbeddingConfig};
///
/// let store = VarStore::new(Device::Cpu);
/// let embedding = Embedding::new(store.root(), &schema, &EmbeddingConfig::default())?;
/// // features: ids and values [8, 3]
/// assert_eq!(embedding.forward(&features, false)?.size(), [8, 3, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Embedding {
    pub(crate) table: Tensor,
    slots: i64,
}

impl Embedding {
    /// A table with first values from N(0, `init_std`²).
    ///
    /// # Errors
    /// [`Error::Setting`] for a length or a deviation out of range, [`Error::Torch`] for more than memory holds.
    pub fn new(path: Path<'_>, schema: &Schema, config: &EmbeddingConfig) -> Result<Embedding> {
        let &EmbeddingConfig { embedding_dim, init_std } = config;
        check_size("Embedding", "embedding_dim", embedding_dim)?;
        if !init_std.is_finite() || init_std < 0.0 {
            let reason = format!("Embedding: init_std is {init_std}: it must be a number of at least 0");
            return Err(Error::Setting(reason));
        }
        let init = Init::Randn { mean: 0.0, stdev: init_std };
        let table = path.f_var("weight", &[schema.num_ids(), embedding_dim], init)?;
        no_grad(|| {
            let unknown = Tensor::from_slice(schema.unknown_ids()).to_device(table.device());
            let _ = table.shallow_clone().index_fill_(0, &unknown, 0.0);
        });
        Ok(Embedding { table, slots: schema.num_slots() as i64 })
    }

    /// [S, k], the shape of a row's vectors.
    pub fn output(&self) -> [i64; 2] {
        [self.slots, self.table.size()[1]]
    }

    /// The scaled vectors `[B, S, k]`. With `train`, the table's gradient is row-sparse.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of slots, another kind or device, or an id outside the table.
    pub fn forward(&self, features: &Features, train: bool) -> Result<Tensor> {
        let rows = features.padded()?;
        check_features("Embedding", &rows, self.slots, self.table.device())?;
        Ok(look_up("Embedding", &self.table, &rows.ids, train)? * rows.values.unsqueeze(-1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::super::oracle::*;
    use super::*;

    proptest! {
        #[test]
        fn it_equals_the_vector_of_each_id_times_its_value(
            slots in vec(0usize..4, 1..6), k in 1usize..5, seed: u64,
        ) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let store = VarStore::new(Device::Cpu);
            let config = EmbeddingConfig { embedding_dim: k as i64, ..EmbeddingConfig::default() };
            let layer = Embedding::new(store.root() / "e", &schema, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let rows = draw.rows(&schema, 3);
            let table = p.matrix("e.weight");
            let expected: Vec<Matrix> = rows.iter().map(|row| slot_vectors(&table, row)).collect();
            prop_assert_eq!(layer.output(), [schema.num_slots() as i64, k as i64]);
            for train in [false, true] {
                let found = layer.forward(&features(&schema, &rows), train).unwrap();
                prop_assert_eq!(&found.size()[1..], layer.output());
                assert_close(&found, &expected.concat().concat(), "the vectors");
            }
        }
    }

    #[test]
    fn unknown_rows_start_at_zero_and_all_others_are_drawn_with_the_deviation_asked_for() {
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
