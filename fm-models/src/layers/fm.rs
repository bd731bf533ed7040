//! The factorization machine.

use fm_core::{Error, Features, Result, Schema};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{BiInteraction, Embedding, EmbeddingConfig, Linear, above_diagonal, bias, check_input};

/// Σ_{i<j} ⟨e_i, e_j⟩ = ½ Σ_f [(Σ_i e_{i,f})² - Σ_i e_{i,f}²]: all pairs in linear time.
///
/// # Shapes
/// `[B, S, k]` → `[B]`
///
/// Source: Rendle, Factorization machines, ICDM 2010, lemma 3.1,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `FM` of the notebook on dense features, and the
/// second half of `FM_Layer`.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::FmInteraction;
///
/// let embeddings = Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, S, k]
/// let scores = FmInteraction.forward(&embeddings)?;
/// assert_eq!(scores.size(), [8]);
/// assert_eq!(scores.double_value(&[0]), 160.0); // 10 pairs of vectors of 16 ones
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct FmInteraction;

impl FmInteraction {
    /// The sum over pairs `[B]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, S, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FmInteraction", embeddings, &[-1, -1])?;
        Ok(BiInteraction.forward(embeddings)?.sum_dim_intlist(1, false, Kind::Float))
    }

    /// The sum over pairs `[B]`, from Σ_i e_i `[B, k]` and Σ_i e_i² `[B, k]`.
    pub fn of_sums(&self, sum: &Tensor, squares: &Tensor) -> Tensor {
        BiInteraction.of_sums(sum, squares).sum_dim_intlist(1, false, Kind::Float)
    }

    /// ⟨e_i, e_j⟩ of each pair `[B, S(S-1)/2]`, in the order of [`PairwiseProduct`](super::PairwiseProduct).
    ///
    /// # Errors
    /// Those of [`FmInteraction::forward`].
    pub fn terms(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FmInteraction", embeddings, &[-1, -1])?;
        Ok(above_diagonal(&embeddings.matmul(&embeddings.transpose(1, 2))))
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t
///
/// As in libFM, the pairs run over slots: two values of a multi-valued field interact, too. Two slots with equal ids
/// would also interact, but the [`Encoder`](fm_core::Encoder) gives equal values one slot, whose x is their count times
/// their weight.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Rendle, Factorization machines, ICDM 2010, equation 1,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `FM_Layer` (third notebook), where an id
/// outside its field reads the rows of the next field; here it is an error.
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::{EmbeddingConfig, Fm};
///
/// let store = VarStore::new(Device::Cpu);
/// let fm = Fm::new(&store.root(), &schema, &EmbeddingConfig::default())?;
/// assert_eq!(fm.forward(&features, false)?.size(), [8]); // features: ids and values [8, 3]
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Fm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
    /// V.
    pub embedding: Embedding,
}

impl Fm {
    /// Parameters `bias`, `linear` and `embedding` under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`], as in [`Embedding::new`].
    pub fn new(path: &Path<'_>, schema: &Schema, config: &EmbeddingConfig) -> Result<Fm> {
        Ok(Fm {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            embedding: Embedding::new(path / "embedding", schema, config)?,
        })
    }

    /// The score `[B]`. With `train`, the tables' gradients are row-sparse.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`], as in [`Linear::forward`].
    pub fn forward(&self, features: &Features, train: bool) -> Result<Tensor> {
        let first_order = self.linear.forward(features, train)? + &self.bias;
        let (sum, squares) = self.embedding.sum_and_squares(features, train)?;
        Ok(first_order + FmInteraction.of_sums(&sum, &squares))
    }
}

/// ŷ = Σ_s w_{id_s} x_s + Σ_{i<j} ⟨e_i, e_j⟩, with the first order over ids and the second over given embeddings, which
/// a deep part can share.
///
/// # Shapes
/// `[B, S]` ids and values, and embeddings `[B, F, k]` → `[B]`
///
/// Source: Guo et al., DeepFM, IJCAI 2017, equation 2, <https://arxiv.org/abs/1703.04247>. Keras: `FM_Layer_v2` (third
/// notebook). Neither has a w₀.
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::{Embedding, EmbeddingConfig, FmOverEmbeddings};
///
/// let store = VarStore::new(Device::Cpu);
/// let embedding = Embedding::new(&store.root() / "embedding", &schema, &EmbeddingConfig::default())?;
/// let fm = FmOverEmbeddings::new(&store.root(), &schema)?;
/// let embeddings = embedding.forward(&features, false)?; // [8, 3, 16]
/// assert_eq!(fm.forward(&features, &embeddings, false)?.size(), [8]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FmOverEmbeddings {
    /// w.
    pub linear: Linear,
}

impl FmOverEmbeddings {
    /// A weight for every id of the schema, under `linear`.
    ///
    /// # Errors
    /// Those of [`Linear::new`].
    pub fn new(path: &Path<'_>, schema: &Schema) -> Result<FmOverEmbeddings> {
        Ok(FmOverEmbeddings { linear: Linear::new(path / "linear", schema)? })
    }

    /// The score `[B]`. With `train`, the weights' gradient is row-sparse.
    ///
    /// # Errors
    /// [`Error::Shape`], as in [`Linear::forward`] and [`FmInteraction::forward`], and for embeddings of another number
    /// of rows.
    pub fn forward(&self, features: &Features, embeddings: &Tensor, train: bool) -> Result<Tensor> {
        let (first_order, pairs) = (self.linear.forward(features, train)?, FmInteraction.forward(embeddings)?);
        if first_order.size() != pairs.size() {
            let expected = format!("embeddings of {} rows", features.len());
            return Err(Error::shape("FmOverEmbeddings", expected, format!("{:?}", embeddings.size())));
        }
        Ok(first_order + pairs)
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
        fn the_interaction_equals_the_sum_over_pairs((n, k) in (1usize..8, 1usize..6), seed: u64) {
            let vectors = Draw(seed).cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let expected: Vector = vectors.iter().map(fm).collect();
            assert_close(&FmInteraction.forward(&input).unwrap(), &expected, "the sum over pairs");
            let terms = vectors.iter().flat_map(pairs).map(|pair| pair.iter().sum());
            assert_close(&FmInteraction.terms(&input).unwrap(), &terms.collect::<Vector>(), "the pairs");
        }

        #[test]
        fn fm_equals_bias_and_first_order_and_all_pairs_of_slots(
            slots in vec(0usize..4, 1..6), k in 1usize..5, seed: u64,
        ) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let store = VarStore::new(Device::Cpu);
            let config = EmbeddingConfig { embedding_dim: k as i64, ..EmbeddingConfig::default() };
            let layer = Fm::new(&store.root(), &schema, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let rows = draw.rows(&schema, 3);
            let (weights, table) = (p.matrix("linear.weight"), p.matrix("embedding.weight"));
            let score = |row| p.vector("bias")[0] + first_order(&weights, row) + fm(&slot_vectors(&table, row));
            let expected: Vector = rows.iter().map(score).collect();
            for (features, train) in both_forms(&schema, &rows).iter().flat_map(|f| [(f, false), (f, true)]) {
                assert_close(&layer.forward(features, train).unwrap(), &expected, "the score");
            }
        }

        #[test]
        fn fm_over_embeddings_uses_the_pairs_of_the_given_embeddings(
            slots in vec(0usize..4, 1..6), (n, k) in (1usize..5, 1usize..5), seed: u64,
        ) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let store = VarStore::new(Device::Cpu);
            let layer = FmOverEmbeddings::new(&store.root(), &schema).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (rows, vectors) = (draw.rows(&schema, 3), draw.cube(3, n, k));
            let weights = p.matrix("linear.weight");
            let expected: Vector =
                rows.iter().zip(&vectors).map(|(row, vectors)| first_order(&weights, row) + fm(vectors)).collect();
            let embeddings = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            for train in [false, true] {
                let found = layer.forward(&features(&schema, &rows), &embeddings, train).unwrap();
                assert_close(&found, &expected, "the score");
            }
        }
    }
}
