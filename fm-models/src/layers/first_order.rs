//! The first-order part in two forms.

use fm_core::model::Layer;
use fm_core::schema::Layout;
use fm_core::{Features, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, Embedding, Linear, field_of_slots};

/// Which [`FirstOrder`] to build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstOrderForm {
    /// A vector w_f for each field: ⟨e_f, w_f⟩.
    #[default]
    Fields,
    /// A weight for each id: w_{id_s} x_s.
    Weights,
}

/// Σ_f ⟨e_f, w_f⟩ with a vector for each field, or Σ_s w_{id_s} x_s with a weight for each id.
///
/// # Shapes
/// `[B, S]` ids and values, and e `[B, F, k]` → `[B]`
///
/// Source: Pan et al., Field-weighted factorization machines, WWW 2018, section 3.3,
/// <https://arxiv.org/abs/1806.03514>: FiLV and LW.
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::{Embedding, EmbeddingConfig, FirstOrder, FirstOrderForm};
///
/// let store = VarStore::new(Device::Cpu);
/// let embedding = Embedding::new(&store.root() / "embedding", &schema, &EmbeddingConfig::default())?;
/// let first_order = FirstOrder::new(&store.root(), &schema, FirstOrderForm::Fields, &embedding)?;
/// let fields = embedding.forward(&features, false)?; // [8, 3, 16]
/// assert_eq!(first_order.forward(&features, &fields, false)?.size(), [8]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub enum FirstOrder {
    /// w_f of all fields `[1, F k]`, and the fields of the slots.
    Fields(Dense, Layout),
    /// w_{id}.
    Weights(Linear),
}

impl FirstOrder {
    /// Creates `linear_of_fields` or `linear` under `path`, for the fields of an embedding.
    ///
    /// # Errors
    /// Those of [`Dense::new`] and [`Linear::new`].
    pub fn new(path: &Path<'_>, schema: &Schema, form: FirstOrderForm, embedding: &Embedding) -> Result<FirstOrder> {
        let [fields, k] = embedding.output();
        Ok(match form {
            FirstOrderForm::Fields => {
                FirstOrder::Fields(Dense::new(path / "linear_of_fields", fields * k, 1, false)?, schema.layout())
            }
            FirstOrderForm::Weights => FirstOrder::Weights(Linear::new(path / "linear", schema)?),
        })
    }

    /// The first order `[B]`. With `train`, the gradient of weights of ids is row-sparse.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for features of another schema, or vectors that are not `[B, F, k]`.
    pub fn forward(&self, features: &Features, fields: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            FirstOrder::Fields(dense, _) => Ok(dense.forward(&fields.flatten(1, -1))?.squeeze_dim(-1)),
            FirstOrder::Weights(linear) => linear.forward(features, train),
        }
    }

    /// The term of each slot `[B, S]`, from the slots' vectors `[B, S, k]`.
    ///
    /// # Errors
    /// Those of [`FirstOrder::forward`].
    pub fn terms(&self, features: &Features, slots: &Tensor) -> Result<Tensor> {
        match self {
            FirstOrder::Fields(dense, layout) => {
                let of_fields = dense.weight().view([layout.num_fields() as i64, -1]);
                let of_slots = of_fields.index_select(0, &field_of_slots(layout, slots.device()));
                Ok((slots * of_slots).sum_dim_intlist(-1, false, Kind::Float))
            }
            FirstOrder::Weights(linear) => linear.terms(features, false),
        }
    }

    /// The line of a summary.
    pub(crate) fn layer(&self) -> Layer {
        match self {
            FirstOrder::Fields(..) => Layer::new("linear_of_fields", "Dense", &[1]),
            FirstOrder::Weights(_) => Layer::new("linear", "Linear", &[]),
        }
    }
}
