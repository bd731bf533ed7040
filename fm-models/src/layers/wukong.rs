//! A layer that doubles the degree of the interactions between vectors.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{Dense, Dnn, DnnConfig, LayerNorm, check_device, check_input, check_size, glorot};

/// The options of a [`WukongLayer`].
#[derive(Clone, Debug)]
pub struct WukongSizes {
    /// n_F: number of vectors from the factorization machine.
    pub fmb_vectors: i64,
    /// n_L: number of vectors that are sums of the inputs.
    pub lcb_vectors: i64,
    /// r: columns of the projection of the inner products.
    pub rank: i64,
}

/// X' = LN([FMB(X); W_L X] + W_R X) with FMB(X) = MLP(LN(X Xᵀ Y)): vectors from the inner products of all pairs, and
/// weighted sums of the vectors. The product X (Xᵀ Y) takes time linear in the number of vectors. There is no W_R if
/// input and output have the same number of vectors.
///
/// # Shapes
/// `[B, n, k]` → `[B, n_F + n_L, k]`
///
/// Source: Zhang et al., Wukong: towards a scaling law for large-scale recommendation, ICML 2024, section 3,
/// <https://arxiv.org/abs/2403.02545>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{DnnConfig, WukongLayer, WukongSizes};
///
/// let store = VarStore::new(Device::Cpu);
/// let sizes = WukongSizes { fmb_vectors: 4, lcb_vectors: 3, rank: 2 };
/// let layer = WukongLayer::new(&store.root(), [5, 16], &sizes, &DnnConfig::default())?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, n, k]
/// assert_eq!(layer.forward(&embeddings, false)?.size(), [8, 7, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct WukongLayer {
    projection: Tensor,
    product_norm: LayerNorm,
    dnn: Dnn,
    fmb: Dense,
    compression: Tensor,
    residual: Option<Tensor>,
    norm: LayerNorm,
    /// n and k.
    input: [i64; 2],
    fmb_vectors: i64,
}

impl WukongLayer {
    /// Creates `projection` Y `[n, r]`, `product_norm`, the MLP `dnn` and `fmb`, `compression` W_L `[n_L, n]`,
    /// `residual` W_R `[n_F + n_L, n]` and `norm` under `path`; `input` is `[n, k]`, and `config` has the hidden layers
    /// of the MLP.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes out of range, [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(path: &Path<'_>, input: [i64; 2], sizes: &WukongSizes, config: &DnnConfig) -> Result<WukongLayer> {
        let &WukongSizes { fmb_vectors, lcb_vectors, rank } = sizes;
        check_size("WukongLayer", "fmb_vectors", fmb_vectors)?;
        check_size("WukongLayer", "lcb_vectors", lcb_vectors)?;
        check_size("WukongLayer", "fmb_rank", rank)?;
        let ([n, k], output) = (input, fmb_vectors + lcb_vectors);
        let dnn = Dnn::new(path / "dnn", n * rank, config)?;
        let residual = || path.f_var("residual", &[output, n], glorot(n, output));
        Ok(WukongLayer {
            projection: path.f_var("projection", &[n, rank], glorot(n, rank))?,
            product_norm: LayerNorm::new(path / "product_norm", &[n * rank])?,
            fmb: Dense::new(path / "fmb", dnn.output(), fmb_vectors * k, true)?,
            dnn,
            compression: path.f_var("compression", &[lcb_vectors, n], glorot(n, lcb_vectors))?,
            residual: (output != n).then(residual).transpose()?,
            norm: LayerNorm::new(path / "norm", &[output, k])?,
            input,
            fmb_vectors,
        })
    }

    /// X' `[B, n_F + n_L, k]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, n, k]`.
    pub fn forward(&self, vectors: &Tensor, train: bool) -> Result<Tensor> {
        check_input("WukongLayer", vectors, &self.input)?;
        check_device("WukongLayer", vectors, &self.projection)?;
        let products = vectors.matmul(&vectors.transpose(1, 2).matmul(&self.projection)); // X Xᵀ Y, [B, n, r]
        let hidden = self.dnn.forward(&self.product_norm.forward(&products.flatten(1, 2))?, train)?;
        let machine = self.fmb.forward(&hidden)?.view([-1, self.fmb_vectors, self.input[1]]);
        let both = Tensor::cat(&[machine, self.compression.matmul(vectors)], 1);
        match &self.residual {
            Some(residual) => self.norm.forward(&(both + residual.matmul(vectors))),
            None => self.norm.forward(&(both + vectors)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_its_formula(
            (n, k, rank) in (1usize..5, 2usize..5, 1i64..3), (f, l) in (1i64..4, 1i64..4), seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let config = DnnConfig { hidden_units: vec![3], ..DnnConfig::default() };
            let sizes = WukongSizes { fmb_vectors: f, lcb_vectors: l, rank };
            let layer = WukongLayer::new(&(store.root() / "w"), [n as i64, k as i64], &sizes, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let mlp = |x: &Vector| -> Vector {
                dense(&p, "w.dnn.linear_0", x, true).into_iter().map(activation("relu")).collect()
            };
            let expected = |x: &Matrix| wukong(&p, "w", x, &mlp(&wukong_products(&p, "w", x)));
            let expected: Vec<Matrix> = vectors.iter().map(expected).collect();
            assert_within(2e-3, &layer.forward(&input, false).unwrap(), &expected.concat().concat(), "the vectors");
        }
    }
}
