//! Cross networks: several cross layers of one form.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{GatedCross, MatrixCross, MixtureCross, VectorCross, check_size};

/// The form of the layers of a [`CrossNetwork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossForm {
    /// [`VectorCross`], the form of DCN.
    Vector,
    /// [`MatrixCross`], the form of DCN V2.
    Matrix,
    /// [`MixtureCross`], the low-rank form of DCN V2.
    Mixture {
        /// K, the number of experts.
        experts: i64,
        /// r, the dimensions of an expert.
        rank: i64,
    },
    /// [`GatedCross`], the form of GDCN.
    Gated,
}

/// x_L of x_{l+1} = x_0 ⊙ f_l(x_l) + x_l: explicit interactions of up to L + 1 inputs.
///
/// # Shapes
/// x_0 `[B, d]` → x_L `[B, d]`
///
/// Source: that of each form.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{CrossForm, CrossNetwork};
///
/// let store = VarStore::new(Device::Cpu);
/// let network = CrossNetwork::new(&store.root(), 80, 3, CrossForm::Matrix)?;
/// assert_eq!(network.forward(&Tensor::randn([8, 80], (Kind::Float, Device::Cpu)))?.size(), [8, 80]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub enum CrossNetwork {
    /// The layers of DCN.
    Vector(VectorCross),
    /// The layers of DCN V2.
    Matrix(Vec<MatrixCross>),
    /// The low-rank layers of DCN V2.
    Mixture(Vec<MixtureCross>),
    /// The layers of GDCN.
    Gated(Vec<GatedCross>),
}

impl CrossNetwork {
    /// Creates the layers under `path`: `layer_0`, `layer_1`, ..., except for [`CrossForm::Vector`].
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, width: i64, layers: i64, form: CrossForm) -> Result<CrossNetwork> {
        check_size("CrossNetwork", "cross_layers", layers)?;
        let paths = || (0..layers).map(|layer| path / format!("layer_{layer}"));
        Ok(match form {
            CrossForm::Vector => CrossNetwork::Vector(VectorCross::new(path.clone(), width, layers)?),
            CrossForm::Matrix => {
                CrossNetwork::Matrix(paths().map(|path| MatrixCross::new(path, width)).collect::<Result<_>>()?)
            }
            CrossForm::Mixture { experts, rank } => {
                let layer = |path| MixtureCross::new(&path, width, experts, rank);
                CrossNetwork::Mixture(paths().map(layer).collect::<Result<_>>()?)
            }
            CrossForm::Gated => {
                CrossNetwork::Gated(paths().map(|path| GatedCross::new(&path, width)).collect::<Result<_>>()?)
            }
        })
    }

    /// The last layer x_L `[B, d]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, d]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let first = || input.shallow_clone();
        match self {
            CrossNetwork::Vector(network) => network.forward(input),
            CrossNetwork::Matrix(layers) => layers.iter().try_fold(first(), |x, layer| layer.forward(input, &x)),
            CrossNetwork::Mixture(layers) => layers.iter().try_fold(first(), |x, layer| layer.forward(input, &x)),
            CrossNetwork::Gated(layers) => layers.iter().try_fold(first(), |x, layer| layer.forward(input, &x)),
        }
    }
}
