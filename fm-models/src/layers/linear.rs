//! The first-order part, and the global bias.

use fm_core::schema::Layout;
use fm_core::shards::table;
use fm_core::{Features, Result, Schema};
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{check_features, table_of};
use crate::kernels::lookup::{self, Grouping};

/// w₀ `[1]`, the global bias, which starts at zero.
pub fn bias(path: &Path<'_>) -> Tensor {
    path.var("bias", &[1], Init::Const(0.0))
}

/// ŷ = Σ_s w_{id_s} x_s
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: the first order of Rendle, Factorization machines, ICDM 2010, equation 1,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `Linear` of xDeepFM (third notebook), and `w`
/// of `FM_Layer`. All weights start at zero; in the notebook they start with Glorot uniform values and N(0, 0.05²).
///
/// ```
/// # use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task};
/// # let field = |name, side| Field::new(name, Categorical, side, vec!["a".into(), "b".into()]);
/// # let fields = vec![field("user", Side::User), field("item", Side::Item), field("hour", Side::Context)];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// # let features = Encoder::new(&schema).features(&[[Some("a"), Some("b"), None]; 8])?;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_models::layers::Linear;
///
/// let store = VarStore::new(Device::Cpu);
/// let linear = Linear::new(store.root(), &schema)?;
/// assert_eq!(linear.forward(&features, false)?.size(), [8]); // features: ids and values [8, 3]
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Linear {
    pub(crate) weight: Tensor,
    layout: Layout,
    all: Grouping,
}

impl Linear {
    /// A weight for every id of the schema.
    ///
    /// # Errors
    /// [`fm_core::Error::Memory`] for a table that does not fit into memory.
    pub fn new(path: Path<'_>, schema: &Schema) -> Result<Linear> {
        let (all, init) = (0..schema.num_ids(), Init::Const(0.0));
        let what = || table_of("Linear", schema, 0..schema.num_fields(), 1);
        let weight = table(&path, "weight", (&[all], &[]), (1, init), what)?;
        Ok(Linear { weight, layout: schema.layout(), all: Grouping::of_all(schema) })
    }

    /// w_{id_s} x_s of each slot, `[B, S]`. With `train`, the weights' gradient is row-sparse.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for another number of slots, another kind or device, or an id outside the table.
    pub fn terms(&self, features: &Features, train: bool) -> Result<Tensor> {
        check_features("Linear", features, &self.layout, self.weight.device())?;
        Ok(lookup::slots("Linear", &self.weight, &features.padded()?, &self.all, train)?.squeeze_dim(-1))
    }

    /// The first-order part `[B]`. With `train`, the weights' gradient is row-sparse.
    ///
    /// # Errors
    /// Those of [`Linear::terms`].
    pub fn forward(&self, features: &Features, train: bool) -> Result<Tensor> {
        check_features("Linear", features, &self.layout, self.weight.device())?;
        let sums = lookup::sums("Linear", &self.weight, features, &self.all, train)?.sums;
        Ok(sums.squeeze_dim(-1).squeeze_dim(-1))
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
        fn it_equals_the_sum_of_weights_times_values(slots in vec(0usize..4, 1..6), seed: u64) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let store = VarStore::new(Device::Cpu);
            let layer = Linear::new(store.root() / "linear", &schema).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let rows = draw.rows(&schema, 3);
            let weights = p.matrix("linear.weight");
            let expected: Vector = rows.iter().map(|row| first_order(&weights, row)).collect();
            for (features, train) in both_forms(&schema, &rows).iter().flat_map(|f| [(f, false), (f, true)]) {
                let found = layer.forward(features, train).unwrap();
                assert_close(&found, &expected, "the first order");
            }
            let terms: Matrix = rows.iter().map(|row| row.iter().map(|&(id, x)| weights[id][0] * x).collect()).collect();
            assert_close(&layer.terms(&features(&schema, &rows), false).unwrap(), &terms.concat(), "the terms");
        }
    }

    #[test]
    fn weights_and_bias_start_at_zero() {
        let store = VarStore::new(Device::Cpu);
        let schema = schema(&[1, 3]);
        assert_eq!(numbers(&Linear::new(store.root(), &schema).unwrap().weight), [0.0; 8]);
        assert_eq!(numbers(&bias(&store.root())), [0.0]);
    }
}
