//! A deep part with its output.

use fm_core::Result;
use fm_core::model::Layer;
use tch::Tensor;
use tch::nn::Path;

use super::{Dense, Dnn, DnnConfig};

/// ⟨h, DNN(x)⟩: hidden layers with a single output.
///
/// # Shapes
/// `[B, in]` → `[B]`
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{DnnConfig, Tower};
///
/// let store = VarStore::new(Device::Cpu);
/// let tower = Tower::new(&store.root(), 80, &DnnConfig::default(), false)?;
/// assert_eq!(tower.forward(&Tensor::randn([8, 80], (Kind::Float, Device::Cpu)), false)?.size(), [8]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Tower {
    /// The hidden layers.
    pub dnn: Dnn,
    /// h, and optionally a bias.
    pub output: Dense,
}

impl Tower {
    /// Creates the hidden layers under `dnn`, and `output` with or without a bias.
    ///
    /// # Errors
    /// Those of [`Dnn::new`].
    pub fn new(path: &Path<'_>, input: i64, config: &DnnConfig, has_bias: bool) -> Result<Tower> {
        let dnn = Dnn::new(path / "dnn", input, config)?;
        Ok(Tower { output: Dense::new(path / "output", dnn.output(), 1, has_bias)?, dnn })
    }

    /// The output `[B]`.
    ///
    /// # Errors
    /// Those of [`Dnn::forward`].
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.output.forward(&self.dnn.forward(input, train)?)?.squeeze_dim(-1))
    }

    /// The lines of a summary.
    pub(crate) fn layers(&self) -> [Layer; 2] {
        [Layer::new("dnn", "Dnn", &[self.dnn.output()]), Layer::new("output", "Dense", &[1])]
    }
}
