//! Batch normalisation.

use fm_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor, no_grad};

use super::{check_device, check_input, check_size};

/// ε, added to the variance: Keras's default.
const EPSILON: f64 = 1e-3;
/// The momentum of the moving statistics: Keras's default.
pub(super) const MOMENTUM: f64 = 0.99;

/// The statistics that a [`BatchNorm`] normalises with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchNormMode {
    /// Those of the batch in training, moving statistics in prediction.
    #[default]
    Standard,
    /// Always those of the batch, as in the Keras notebook with `bn_use=True`. The score of a row then depends on the
    /// other rows of its batch. Only for parity with the notebook, where predictions also update the unused moving
    /// statistics.
    AlwaysBatch,
    /// Always the moving statistics, which are never updated, as in the Keras notebook with `bn_use=False`. Only for
    /// parity with the notebook, where this setting does not remove the layer.
    Frozen,
    /// No batch normalisation.
    Off,
}

/// y = γ (x - μ) / √(σ² + ε) + β, separately for each column.
///
/// In training, μ and σ² are the mean and the biased variance of the batch, and they update the moving statistics: m ←
/// β m + (1 - β) μ with the momentum β, 0.99 by default. In prediction, they are the moving statistics.
///
/// # Shapes
/// `[B, n]` → `[B, n]`
///
/// Source: Ioffe and Szegedy, Batch normalization, ICML 2015, <https://arxiv.org/abs/1502.03167>. Keras:
/// `BatchNormalization` with its defaults ε = 0.001 and momentum 0.99. Its moving variance is biased, whereas
/// libtorch's is unbiased.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{BatchNorm, BatchNormMode};
///
/// let store = VarStore::new(Device::Cpu);
/// let norm = BatchNorm::new(store.root(), 16, BatchNormMode::Standard)?.expect("it is not off");
/// let output = norm.forward(&(Tensor::randn([64, 16], (Kind::Float, Device::Cpu)) * 3.0 + 5.0), true)?; // [B, n]
/// assert_eq!(output.size(), [64, 16]);
/// assert!(output.mean(Kind::Float).double_value(&[]).abs() < 1e-4);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct BatchNorm {
    gamma: Tensor,
    beta: Tensor,
    moving_mean: Tensor,
    moving_variance: Tensor,
    mode: BatchNormMode,
    momentum: f64,
    n: i64,
}

impl BatchNorm {
    /// Creates the parameters `gamma` and `beta` `[n]`, and the statistics `moving_mean` and `moving_variance` `[n]`,
    /// which are not trainable. `None` if the mode is [`BatchNormMode::Off`].
    ///
    /// # Errors
    /// [`Error::Setting`] for an n out of range.
    pub fn new(path: Path<'_>, n: i64, mode: BatchNormMode) -> Result<Option<BatchNorm>> {
        check_size("BatchNorm", "the number of columns", n)?;
        Ok((mode != BatchNormMode::Off).then(|| BatchNorm {
            gamma: path.var("gamma", &[n], Init::Const(1.0)),
            beta: path.var("beta", &[n], Init::Const(0.0)),
            moving_mean: path.zeros_no_train("moving_mean", &[n]),
            moving_variance: path.ones_no_train("moving_variance", &[n]),
            mode,
            momentum: MOMENTUM,
            n,
        }))
    }

    /// The same layer with another momentum, at least 0 and below 1. With few steps per epoch, the default keeps the
    /// moving statistics close to their initial values for a long time.
    ///
    /// # Errors
    /// [`Error::Setting`] for a momentum out of range.
    pub fn with_momentum(self, momentum: f64) -> Result<BatchNorm> {
        if !(0.0..1.0).contains(&momentum) {
            let reason = format!("BatchNorm: the momentum is {momentum}: it must be at least 0 and below 1");
            return Err(Error::Setting(reason));
        }
        Ok(BatchNorm { momentum, ..self })
    }

    /// The normalised columns `[B, n]`. With `train`, the moving statistics are updated.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, n]`, and in training for a batch of fewer than 2 rows, which has
    /// no variance.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        check_input("BatchNorm", input, &[self.n])?;
        check_device("BatchNorm", input, &self.gamma)?;
        let batch = match self.mode {
            BatchNormMode::Standard => train,
            BatchNormMode::AlwaysBatch => true,
            BatchNormMode::Frozen | BatchNormMode::Off => false,
        };
        if batch && train && input.size()[0] < 2 {
            let found = format!("{} (shape {:?})", input.size()[0], input.size());
            return Err(Error::shape(
                "BatchNorm",
                "at least 2 rows in a training batch (use a larger batch size)",
                found,
            ));
        }
        if batch && train {
            return self.train(input);
        }
        let (mean, variance) = if batch {
            let mean = input.mean_dim(0i64, false, Kind::Float);
            let variance = (input - &mean).square().mean_dim(0i64, false, Kind::Float);
            (mean, variance)
        } else {
            (self.moving_mean.shallow_clone(), self.moving_variance.shallow_clone())
        };
        Ok((input - mean) * (variance + EPSILON).rsqrt() * &self.gamma + &self.beta)
    }

    /// Normalises by the statistics of the batch and updates the moving ones. libtorch's operation takes fewer passes
    /// over the batch, forward and backward, than the formula.
    fn train(&self, input: &Tensor) -> Result<Tensor> {
        let (gamma, beta, none) = (Some(&self.gamma), Some(&self.beta), None::<&Tensor>);
        // As the formula in prediction, in float32 even for an input in mixed precision.
        let input = input.f_to_kind(Kind::Float)?;
        let (output, mean, inverse_root) = input.f_native_batch_norm(gamma, beta, none, none, true, 0.0, EPSILON)?;
        no_grad(|| -> Result<()> {
            // Rounding can make the variance of a constant column negative.
            let variance = (inverse_root.f_square()?.f_reciprocal()? - EPSILON).f_clamp_min(0.0)?;
            for (moving, batch) in [(&self.moving_mean, &mean), (&self.moving_variance, &variance)] {
                let _ = moving.shallow_clone().f_lerp_(batch, 1.0 - self.momentum)?;
            }
            Ok(())
        })?;
        Ok(output)
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

    const MODES: [BatchNormMode; 3] = [BatchNormMode::Standard, BatchNormMode::AlwaysBatch, BatchNormMode::Frozen];

    proptest! {
        #[test]
        fn it_normalises_with_the_statistics_of_its_mode(
            (rows, n) in (2usize..6, 1usize..4), mode in 0usize..3, train: bool, seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = BatchNorm::new(store.root() / "b", n as i64, MODES[mode]).unwrap().unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let x = draw.matrix(rows, n);
            let of_batch = [train, true, false][mode];
            let expected = batch_norm(&p, "b", &x, of_batch);
            let found = layer.forward(&tensor(&x.concat(), &[rows as i64, n as i64]), train).unwrap();
            assert_close(&found, &expected.concat(), "the output");
        }

        #[test]
        fn only_training_batches_update_the_moving_statistics(
            n in 1usize..4, mode in 0usize..3, keras: bool, batches in vec((2usize..6, any::<bool>()), 1..6), seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = BatchNorm::new(store.root() / "b", n as i64, MODES[mode]).unwrap().unwrap();
            let kept = if keras { 0.99 } else { 0.75 };
            let layer = if keras { layer } else { layer.with_momentum(kept).unwrap() };
            let p = Parameters::draw(&store, &mut draw);
            let (mut mean, mut variance) = (p.vector("b.moving_mean"), p.vector("b.moving_variance"));
            for (rows, train) in batches {
                let x = draw.matrix(rows, n);
                let _ = layer.forward(&tensor(&x.concat(), &[rows as i64, n as i64]), train).unwrap();
                if train && MODES[mode] != BatchNormMode::Frozen {
                    let (of_batch, variance_of_batch) = mean_and_variance(&x);
                    for c in 0..n {
                        mean[c] = kept * mean[c] + (1.0 - kept) * of_batch[c];
                        variance[c] = kept * variance[c] + (1.0 - kept) * variance_of_batch[c];
                    }
                }
            }
            assert_close(&layer.moving_mean, &mean, "the moving mean");
            assert_close(&layer.moving_variance, &variance, "the moving variance");
        }
    }

    #[test]
    fn it_starts_as_the_identity_up_to_epsilon_and_its_statistics_are_not_trainable() {
        let store = VarStore::new(Device::Cpu);
        let layer = BatchNorm::new(store.root(), 2, BatchNormMode::Standard).unwrap().unwrap();
        let found = layer.forward(&tensor(&[3.0, -4.0], &[1, 2]), false).unwrap();
        assert_close(&found, &[3.0 / 1.001f64.sqrt(), -4.0 / 1.001f64.sqrt()], "the output");
        assert_eq!((store.variables().len(), store.trainable_variables().len()), (4, 2));
        assert!(BatchNorm::new(store.root(), 2, BatchNormMode::Off).unwrap().is_none());
    }

    /// If a batch is normalised by its own statistics, neither its sum nor its sum of squares can change.
    #[test]
    fn the_gradient_flows_through_the_statistics_of_the_batch() {
        let store = VarStore::new(Device::Cpu);
        let layer = BatchNorm::new(store.root(), 2, BatchNormMode::Standard).unwrap().unwrap();
        let x = tensor(&Draw(1).vector(10), &[5, 2]).set_requires_grad(true);
        let y = layer.forward(&(&x * 100.0), true).unwrap();
        (y.sum(Kind::Float) + y.square().sum(Kind::Float)).backward();
        assert!(x.grad().abs().max().double_value(&[]) < 1e-3, "{}", x.grad());
    }
}
