mod checkpoints;

use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::features::{Features, Padded};
use crate::metric::MetricSet;
use crate::model::Layer;
use crate::objective::TrainingBatch;
use crate::optim::OptimizerConfig;
use crate::predict::{Score, evaluate};
use crate::rows::{Order, TensorRows};
use crate::schema::{Field, FieldKind, Schema, Side, Task};

/// ŷ = w₀ + Σ w_id: enough to learn from.
pub(super) struct Weights {
    pub weight: Tensor,
    bias: Tensor,
}

impl Model for Weights {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let Padded { ids, values } = features.padded()?;
        let weights = Tensor::embedding(&self.weight, &ids, -1, false, train).squeeze_dim(-1);
        Ok((weights * values).sum_dim_intlist(1, false, Kind::Float) + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn layers(&self) -> Vec<Layer> {
        vec![]
    }
}

const N: i64 = 40;

pub(super) fn label() -> Label {
    Label { column: "y".into(), task: Task::Regression, min: -9.0, max: 9.0, mean: 0.5, scale: 1.0 }
}

pub(super) fn model(store: &VarStore) -> Weights {
    let weight = store.root().var("weight", &[N + 1, 1], Init::Const(0.0));
    Weights { weight, bias: store.root().var("bias", &[1], Init::Const(0.0)) }
}

/// One row for each id, with the label `label_of(id)`.
pub(super) fn rows(label_of: impl Fn(i64) -> f32) -> TensorRows {
    let vocabulary = (1..=N).map(|id| id.to_string()).collect();
    let field = Field::new("id", FieldKind::Categorical, Side::User, vocabulary);
    let schema = Schema::new(label(), vec![field]).unwrap();
    let ids = Tensor::arange_start(1, N + 1, (Kind::Int64, Device::Cpu)).view([N, 1]);
    let values = Tensor::ones([N, 1], (Kind::Float, Device::Cpu));
    let labels: Vec<f32> = (1..=N).map(label_of).collect();
    TensorRows::new(&schema, ids, values, Tensor::from_slice(&labels)).unwrap()
}

pub(super) fn config(epochs: usize, patience: usize) -> TrainConfig {
    TrainConfig { epochs, batch_size: 8, lr: 0.1, patience, seed: 5, ..TrainConfig::default() }
}

pub(super) fn weights(model: &Weights) -> Vec<f32> {
    Vec::try_from(model.weight.detach().flatten(0, -1)).unwrap()
}

/// The records of a training run, and its final weights.
fn trained(config: TrainConfig, train: &TensorRows, valid: &TensorRows) -> (Vec<EpochRecord>, Vec<f32>) {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), config).unwrap();
    trainer.fit(train, valid, &mut ()).unwrap();
    (trainer.state.epochs, weights(&model))
}

/// Stops training after this number of steps.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn step(&mut self, _: &Progress) -> ControlFlow<()> {
        self.0 -= 1;
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_models_penalty_is_minimised_with_the_loss_but_not_reported() {
    struct Penalised(Weights);
    impl Model for Penalised {
        fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
            self.0.logits(features, train)
        }

        fn bias(&self) -> &Tensor {
            self.0.bias()
        }

        fn penalty(&self) -> Option<Tensor> {
            Some((&self.0.bias - 7.0).square().sum(Kind::Float) * 1000.0)
        }
    }
    let store = VarStore::new(Device::Cpu);
    let model = Penalised(model(&store));
    let data = rows(|_| 0.5);
    let mut trainer = Trainer::new(&model, &store, &label(), config(200, 0)).unwrap();
    let mut losses = vec![];
    trainer.fit(&data, &data, &mut |epoch: &EpochRecord| losses.push(epoch.train_loss)).unwrap();
    assert!((model.bias().double_value(&[0]) - 7.0).abs() < 0.1);
    assert!(losses.iter().all(|&loss| loss < 100.0), "{losses:?}");
}

#[test]
fn training_starts_at_the_mean_label_and_improves() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let data = rows(|id| (id % 3) as f32);
    let mut trainer = Trainer::new(&model, &store, &label(), config(60, 0)).unwrap();
    assert_eq!(model.bias.double_value(&[0]), 0.5);
    assert_eq!(trainer.fit(&data, &data, &mut ()).unwrap(), Ending::Finished);
    assert!(evaluate(&model, &label(), &data, Device::Cpu).unwrap()["rmse"] < 0.1);
}

#[test]
fn training_stops_when_the_validation_metric_stops_improving() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    // The training labels are the opposite of the validation labels: the first epoch is the best.
    let mut trainer = Trainer::new(&model, &store, &label(), config(50, 3)).unwrap();
    let ending = trainer.fit(&rows(|id| (id % 3) as f32), &rows(|id| -((id % 3) as f32)), &mut ());
    assert_eq!(ending.unwrap(), Ending::EarlyStopped);
    assert_eq!((trainer.state.epoch, trainer.state.best.unwrap().0), (4, 1));
}

#[test]
fn a_run_stopped_during_an_epoch_resumes_to_the_same_weights() {
    let data = rows(|id| (id % 5) as f32);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let whole = VarStore::new(Device::Cpu);
    let expected = model(&whole);
    Trainer::new(&expected, &whole, &label(), config(4, 0)).unwrap().fit(&data, &data, &mut ()).unwrap();

    // Five steps per epoch: this stops after the third step of the second epoch.
    let store = VarStore::new(Device::Cpu);
    let stopped = model(&store);
    let mut trainer = Trainer::new(&stopped, &store, &label(), config(4, 0)).unwrap();
    let ending = trainer.fit(&data, &data, &mut StopAfter(8)).unwrap();
    assert_eq!((ending, trainer.state.epoch, trainer.state.step), (Ending::Interrupted, 1, 3));
    trainer.save(&file).unwrap();

    let store = VarStore::new(Device::Cpu);
    let resumed = model(&store);
    let mut trainer = Trainer::new(&resumed, &store, &label(), config(4, 0)).unwrap();
    trainer.load(&file).unwrap();
    trainer.fit(&data, &data, &mut ()).unwrap();
    assert_eq!(weights(&resumed), weights(&expected));
}

#[test]
fn two_batches_per_step_equal_one_batch_of_twice_the_rows() {
    // 40 rows: steps of 16, 16 and 8 rows. The last step is one batch in one case and two in the other.
    let data = rows(|id| (id % 5) as f32);
    let weighted =
        rows(|id| (id % 5) as f32).with_weights(Some(Tensor::arange(N, (Kind::Float, Device::Cpu)))).unwrap();
    for data in [data, weighted] {
        let at_once = TrainConfig { batch_size: 16, l2: 0.1, ..config(3, 0) };
        let in_parts = TrainConfig { batch_size: 4, accumulate: 4, ..at_once.clone() };
        let (expected, weights) = trained(at_once, &data, &data);
        let (found, weights_in_parts) = trained(in_parts, &data, &data);
        for (a, b) in expected.iter().zip(&found) {
            assert!((a.train_loss - b.train_loss).abs() < 1e-5, "{a:?} and {b:?}");
        }
        assert!(weights.iter().zip(&weights_in_parts).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn a_row_of_weight_two_counts_twice_and_a_row_of_weight_zero_does_not_count() {
    let all =
        |label_of: fn(i64) -> f32| rows(label_of).batch(&(0..N as usize).collect::<Vec<_>>(), Device::Cpu).unwrap();
    let batch = all(|id| id as f32);
    let vocabulary = (1..=N).map(|id| id.to_string()).collect();
    let field = Field::new("id", FieldKind::Categorical, Side::User, vocabulary);
    let schema = Schema::new(label(), vec![field]).unwrap();
    let pick = |numbers: &[i64]| {
        let numbers = Tensor::from_slice(numbers);
        let pick = |tensor: &Tensor| tensor.index_select(0, &numbers);
        let Padded { ids, values } = batch.features.padded().unwrap();
        TensorRows::new(&schema, pick(&ids), pick(&values), pick(&batch.labels)).unwrap()
    };
    // One step over all rows, with an optimiser for which the scale of gradients matters.
    let config = TrainConfig { batch_size: 9, optimizer: OptimizerConfig::Sgd { momentum: 0.0 }, ..config(5, 0) };
    let weights = Some(Tensor::from_slice(&[2f32, 1.0, 0.0]));
    let weighted = pick(&[3, 7, 9]).with_weights(weights).unwrap();
    let repeated = pick(&[3, 3, 7]);
    let (expected, there) = trained(config.clone(), &repeated, &repeated);
    let (found, here) = trained(config, &weighted, &weighted);
    assert!(there.iter().zip(&here).all(|(a, b)| (a - b).abs() < 1e-6));
    for (a, b) in expected.iter().zip(&found) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-4 && (a.valid["rmse"] - b.valid["rmse"]).abs() < 1e-5);
    }
}

#[test]
fn training_on_rows_that_all_have_weight_0_is_an_error() {
    let weights = Some(Tensor::zeros([N], (Kind::Float, Device::Cpu)));
    let data = rows(|_| 1.0).with_weights(weights).unwrap();
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), config(1, 0)).unwrap();
    let error = trainer.fit(&data, &rows(|_| 1.0), &mut ()).unwrap_err().to_string();
    assert!(error.contains("all have weight 0"), "{error}");
}

#[test]
fn an_epoch_is_better_in_the_metrics_direction_by_more_than_min_delta() {
    let (train, valid) = (rows(|id| (id % 3) as f32), rows(|id| (id % 3) as f32));
    let best = |monitor: Option<&str>, min_delta| {
        let config = TrainConfig { monitor: monitor.map(str::to_owned), min_delta, ..config(6, 0) };
        let (records, _) = trained(config, &train, &valid);
        records.iter().map(|record| record.best).collect::<Vec<_>>()
    };
    // The training labels equal the validation labels: each epoch is better than the one before, by any metric.
    assert_eq!(best(None, 0.0), [true; 6]);
    assert_eq!(best(Some("r2"), 0.0), [true; 6]);
    assert_eq!(best(Some("rmse"), 100.0), [true, false, false, false, false, false]);
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let other = TrainConfig { monitor: Some("auc".into()), ..config(1, 0) };
    let error = Trainer::new(&model, &store, &label(), other).err().unwrap().to_string();
    assert!(error.contains("unknown metric of regression `auc`"), "{error}");
    // All labels are equal: there is no variance to explain.
    let undefined = TrainConfig { monitor: Some("r2".into()), ..config(1, 0) };
    let mut trainer = Trainer::new(&model, &store, &label(), undefined).unwrap();
    let error = trainer.fit(&train, &rows(|_| 1.0), &mut ()).unwrap_err().to_string();
    assert!(error.contains("r2, is not defined on the validation rows"), "{error}");
}

#[test]
fn the_learning_rate_follows_the_schedule_and_a_warm_up() {
    let data = rows(|id| (id % 3) as f32);
    let rates = |schedule, warmup_steps| {
        let config = TrainConfig { schedule, warmup_steps, ..config(4, 0) };
        trained(config, &data, &data).0.iter().map(|record| record.learning_rate).collect::<Vec<_>>()
    };
    let close = |found: Vec<f64>, expected: [f64; 4]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?} and {expected:?}");
    };
    close(rates(Schedule::Constant {}, 0), [0.1; 4]);
    // Five steps per epoch: the last step of the first epoch is the fifth of eight, that of the next epoch the tenth.
    close(rates(Schedule::Constant {}, 8), [0.1 * 5.0 / 8.0, 0.1, 0.1, 0.1]);
    close(rates(Schedule::Step { every: 2, gamma: 0.5 }, 0), [0.1, 0.1, 0.05, 0.05]);
    let cosine = |done: f64| 0.02 + 0.08 * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0;
    close(rates(Schedule::Cosine { min_lr: 0.02 }, 0), [0.8, 1.8, 2.8, 3.8].map(|epochs| cosine(epochs / 4.0)));
}

#[test]
fn the_plateau_schedule_lowers_the_rate_like_reduce_lr_on_plateau() {
    // The training labels are the opposite of the validation labels: the first epoch is the best.
    let (train, valid) = (rows(|id| (id % 3) as f32), rows(|id| -((id % 3) as f32)));
    for (patience, min_lr) in [(0, 1e-6), (1, 0.004), (2, 0.0)] {
        let schedule = Schedule::Plateau { factor: 0.2, patience, min_lr };
        let (records, _) = trained(TrainConfig { schedule, ..config(9, 0) }, &train, &valid);
        // The algorithm of PyTorch 2.11, mode "min", threshold 0, no cooldown.
        let (mut lr, mut best, mut bad_epochs) = (0.1f64, f64::INFINITY, 0);
        for record in &records {
            assert!((record.learning_rate - lr).abs() < 1e-15, "{record:?}: {lr}");
            if record.valid["rmse"] < best {
                (best, bad_epochs) = (record.valid["rmse"], 0);
            } else {
                bad_epochs += 1;
            }
            if bad_epochs > patience {
                (lr, bad_epochs) = ((lr * 0.2).max(min_lr), 0);
            }
        }
        assert!(lr < 0.05, "the rate was never lowered");
    }
}

#[test]
fn a_run_stopped_in_any_schedule_resumes_with_the_same_rates() {
    let (train, valid) = (rows(|id| (id % 5) as f32), rows(|id| -((id % 4) as f32)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let schedules = [
        Schedule::Step { every: 1, gamma: 0.7 },
        Schedule::Cosine { min_lr: 0.001 },
        Schedule::Plateau { factor: 0.5, patience: 1, min_lr: 0.0 },
    ];
    for schedule in schedules {
        let config = TrainConfig { schedule, warmup_steps: 7, accumulate: 2, clip_norm: Some(0.1), ..config(6, 0) };
        let expected = trained(config.clone(), &train, &valid);
        for steps in [1, 3, 8] {
            let store = VarStore::new(Device::Cpu);
            let stopped = model(&store);
            let mut trainer = Trainer::new(&stopped, &store, &label(), config.clone()).unwrap();
            trainer.fit(&train, &valid, &mut StopAfter(steps)).unwrap();
            trainer.save(&file).unwrap();
            let store = VarStore::new(Device::Cpu);
            let resumed = model(&store);
            let mut trainer = Trainer::new(&resumed, &store, &label(), config.clone()).unwrap();
            trainer.load(&file).unwrap();
            trainer.fit(&train, &valid, &mut ()).unwrap();
            assert_eq!((trainer.state.epochs, weights(&resumed)), expected, "{schedule:?} after {steps} steps");
        }
    }
}

/// The error of training that diverges.
fn divergence(config: TrainConfig, data: &TensorRows) -> Error {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), config).unwrap();
    trainer.fit(data, data, &mut ()).unwrap_err()
}

#[test]
fn an_infinite_loss_ends_training_with_an_error_that_names_the_step_and_the_cause() {
    let config = TrainConfig { lr: 1e30, optimizer: OptimizerConfig::Sgd { momentum: 0.0 }, ..config(9, 0) };
    let error = divergence(config, &rows(|id| id as f32));
    assert!(matches!(error, Error::Diverged { epoch: 1, step: 2, .. }), "{error}");
    let text = error.to_string();
    for word in [
        "the loss became inf at step 2 of epoch 1",
        "which was 1000000000000000000000000000000",
        "`bias` has grown to inf",
    ] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn a_gradient_of_nan_ends_training_before_it_changes_anything() {
    /// The gradient of 0 · √w² at 0 is 0 · ∞.
    struct Kinked(Weights);
    impl Model for Kinked {
        fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
            self.0.logits(features, train)
        }

        fn bias(&self) -> &Tensor {
            self.0.bias()
        }

        fn penalty(&self) -> Option<Tensor> {
            Some((&self.0.bias * 0.0).square().sqrt().sum(Kind::Float))
        }
    }
    let store = VarStore::new(Device::Cpu);
    let model = Kinked(model(&store));
    let data = rows(|id| id as f32);
    let mut trainer = Trainer::new(&model, &store, &label(), config(1, 0)).unwrap();
    let error = trainer.fit(&data, &data, &mut ()).unwrap_err().to_string();
    assert!(error.starts_with("the gradient of `bias` became NaN at step 1 of epoch 1: "), "{error}");
    assert_eq!((model.bias().double_value(&[0]), weights(&model.0)), (0.5, vec![0.0; N as usize + 1]));
}

#[test]
fn the_error_for_an_extreme_number_names_its_field() {
    let field = |name: &str| Field::new(name, FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::Context, vec![]);
    let schema = Schema::new(label(), vec![field("age"), field("price")]).unwrap();
    let values = Tensor::from_slice(&[1f32, 0.5, 2.0, 3e25]).view([2, 2]);
    let ids = Tensor::from_slice(&[1i64, 3, 1, 3]).view([2, 2]);
    let data = TensorRows::new(&schema, ids, values, Tensor::from_slice(&[1f32, 2.0])).unwrap();
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let _ = no_grad(|| model.weight.shallow_clone().fill_(1.0));
    let trainer = Trainer::new(&model, &store, &label(), config(1, 0)).unwrap();
    let error = trainer.with_fields_of(&schema).fit(&data, &data, &mut ()).unwrap_err();
    let expected = "the loss became inf at step 1 of epoch 1: field `price` contains 3.000e25 after standardising";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn an_extreme_number_in_a_validation_row_is_named_with_the_field() {
    let field = |name: &str| Field::new(name, FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::Context, vec![]);
    let schema = Schema::new(label(), vec![field("age"), field("price")]).unwrap();
    let rows = |price: f32| {
        let values = Tensor::from_slice(&[1f32, 0.5, -price / 2.0, price]).view([2, 2]);
        let ids = Tensor::from_slice(&[1i64, 3, 1, 3]).view([2, 2]);
        TensorRows::new(&schema, ids, values, Tensor::from_slice(&[1f32, 2.0])).unwrap()
    };
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    // The sum of -∞ and ∞ is NaN.
    let _ = no_grad(|| model.weight.shallow_clone().fill_(10.0));
    let trainer = Trainer::new(&model, &store, &label(), config(1, 0)).unwrap();
    let error = trainer.with_fields_of(&schema).fit(&rows(1.0), &rows(3e38), &mut ()).unwrap_err().to_string();
    assert!(error.contains(" over the validation rows became "), "{error}");
    assert!(error.contains(": field `price` contains 3.000e38 after standardising: "), "{error}");
}

#[test]
fn an_observer_of_epochs_can_stop_training() {
    let data = rows(|id| (id % 3) as f32);
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), config(9, 0)).unwrap();
    let mut stop_at_two = |record: &EpochRecord| match record.epoch {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert_eq!(trainer.fit(&data, &data, &mut stop_at_two).unwrap(), Ending::Interrupted);
    assert_eq!((trainer.state.epoch, trainer.state.step), (2, 0));
}

#[test]
fn a_custom_objective_needs_no_change_elsewhere() {
    /// The absolute error of rows with an even number.
    struct Absolute;
    impl Objective for Absolute {
        fn metrics(&self) -> &'static MetricSet {
            &MetricSet::REGRESSION
        }

        fn prior_logit(&self) -> f32 {
            0.0
        }

        fn check(&self, _: &dyn Rows) -> Result<()> {
            Ok(())
        }

        fn order(&self, seed: u64, epoch: usize, train: &dyn Rows) -> Order {
            Order::new(seed, epoch, train.len() / 2)
        }

        fn rows_at(&self, positions: std::ops::Range<usize>, order: &mut Order) -> Vec<usize> {
            order.get(positions).into_iter().map(|at| 2 * at).collect()
        }

        fn loss(&self, model: &dyn Score, batch: TrainingBatch<'_>) -> Result<Tensor> {
            assert!(batch.rows.iter().all(|row| row % 2 == 0));
            let logits = model.score_rows(&batch.batch.features)?;
            Ok((logits - &batch.batch.labels).abs().mean(Kind::Float))
        }

        fn can_validate(&self, _: &dyn Rows) -> bool {
            false
        }

        fn constant_metrics(&self, _: &dyn Rows) -> Result<Metrics> {
            Ok(Metrics::new())
        }

        fn validate(&self, _: &dyn Score, _: &dyn Rows, _: Device, _: Option<&Group>) -> Result<Metrics> {
            Ok(Metrics::new())
        }
    }
    let data = rows(|id| (id % 3) as f32);
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let config = TrainConfig { optimizer: OptimizerConfig::Sgd { momentum: 0.0 }, ..config(20, 0) };
    let mut trainer = Trainer::with_objective(&model, &store, Box::new(Absolute), config).unwrap();
    trainer.fit(&data, &data, &mut ()).unwrap();
    let losses: Vec<f64> = trainer.state.epochs.iter().map(|epoch| epoch.train_loss).collect();
    assert!(losses[19] < losses[0], "{losses:?}");
    // Row i has id i + 1: only odd ids were looked up.
    let weights = weights(&model);
    assert!((2..weights.len()).step_by(2).all(|id| weights[id] == 0.0) && weights.iter().any(|&w| w != 0.0));
}

#[test]
fn settings_out_of_range_are_errors() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let whole = config(1, 0);
    let with = |change: fn(&mut TrainConfig)| {
        let mut config = whole.clone();
        change(&mut config);
        Trainer::new(&model, &store, &label(), config).err().unwrap().to_string()
    };
    assert!(with(|c| c.batch_size = 0).contains("batch_size is 0"));
    assert!(with(|c| c.epochs = 0).contains("epochs is 0"));
    assert!(with(|c| c.accumulate = 0).contains("accumulate is 0"));
    assert!(with(|c| c.lr = -1.0).contains("learning rate is -1"));
    assert!(with(|c| c.lr = 0.0).contains("learning rate is 0: it must be a number above 0"));
    assert!(with(|c| c.l2 = f64::INFINITY).contains("l2 is inf"));
    assert!(with(|c| c.clip_norm = Some(0.0)).contains("clip_norm is 0"));
    assert!(with(|c| c.clip_value = Some(f64::NAN)).contains("clip_value is NaN"));
    assert!(with(|c| c.min_delta = -0.1).contains("min_delta is -0.1"));
    assert!(with(|c| c.keep = 0).contains("keep is 0"));
    assert!(with(|c| c.label_smoothing = 1.0).contains("label_smoothing is 1"));
    assert!(with(|c| c.label_smoothing = 0.1).contains("are for binary tasks"));
    assert!(with(|c| c.positive_weight = 0.0).contains("positive_weight is 0"));
    assert!(with(|c| c.focal_gamma = -1.0).contains("focal_gamma is -1: it must be from 0 to 10"));
    assert!(with(|c| c.pairwise_share = 1.0).contains("pairwise_share is 1: it must be at least 0 and below 1"));
    assert!(with(|c| c.precision = TrainPrecision::Bf16).contains("bf16 is for CUDA devices"));
    assert!(with(|c| c.schedule = Schedule::Step { every: 0, gamma: 0.1 }).contains("every is 0"));
    assert!(with(|c| c.schedule = Schedule::Step { every: 1, gamma: 1.5 }).contains("gamma is 1.5"));
    assert!(
        with(|c| c.schedule = Schedule::Cosine { min_lr: 0.2 }).contains("min_lr is 0.2: it must be from 0 to the")
    );
    let factor = |c: &mut TrainConfig| c.schedule = Schedule::Plateau { factor: 1.0, patience: 0, min_lr: 0.0 };
    assert!(with(factor).contains("factor is 1"));
}

#[test]
fn settings_can_be_omitted_and_an_unknown_setting_is_an_error() {
    let config: TrainConfig =
        serde_json::from_str(r#"{"lr": 0.1, "l2_scope": "table", "schedule": {"name": "cosine"}}"#).unwrap();
    let expected = TrainConfig {
        lr: 0.1,
        l2_scope: crate::optim::L2Scope::Table,
        schedule: Schedule::Cosine { min_lr: 0.0 },
        ..TrainConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!(serde_json::from_str::<TrainConfig>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    for unknown in [r#"{"epoch": 3}"#, r#"{"schedule": {"name": "constant", "gamma": 0.1}}"#, r#"{"precision": "f16"}"#]
    {
        assert!(serde_json::from_str::<TrainConfig>(unknown).is_err(), "{unknown}");
    }
}
