//! The table of latent vectors.

use fm_core::{Features, Schema};
use tch::nn::{Init, Path};
use tch::{Tensor, no_grad};

/// e_s = x_s v_{id_s}: the latent vector of each slot's id, scaled by the slot's value.
///
/// All fields share one table `V` `[n, k]`; each owns a range of its rows. The first row of a field stands for the values
/// outside its vocabulary and starts at zero: until something has trained it, an unknown value adds nothing.
///
/// # Shapes
/// `[B, S]` ids and values → `[B, S, k]`
///
/// Source: the latent vectors of Rendle, Factorization machines, ICDM 2010,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `V` of `FM_Layer`; there N(0, 0.05) for all rows.
#[derive(Debug)]
pub struct Embedding {
    table: Tensor,
}

impl Embedding {
    /// A table of width `dim` with values from N(0, `std`²).
    pub fn new(path: Path<'_>, schema: &Schema, dim: i64, std: f64) -> Embedding {
        let table = path.var("weight", &[schema.num_ids(), dim], Init::Randn { mean: 0.0, stdev: std });
        no_grad(|| {
            let _ = table.shallow_clone().index_fill_(
                0,
                &Tensor::from_slice(schema.unknown_ids()).to_device(table.device()),
                0.0,
            );
        });
        Embedding { table }
    }

    /// The scaled vectors `[B, S, k]`. With `train`, the table's gradient is row-sparse.
    pub fn forward(&self, features: &Features, train: bool) -> Tensor {
        Tensor::embedding(&self.table, &features.ids, -1, false, train) * features.values.unsqueeze(-1)
    }
}
