use tch::nn::{Init, VarStore};

use super::*;
use crate::batch::{Features, TensorRows};
use crate::model::Layer;
use crate::optim::OptimizerConfig;
use crate::schema::{Field, FieldKind, Schema, Side, Task};

/// ŷ = w₀ + Σ w_id: enough to learn from.
struct Weights {
    weight: Tensor,
    bias: Tensor,
}

impl Model for Weights {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let weights = Tensor::embedding(&self.weight, &features.ids, -1, false, train).squeeze_dim(-1);
        Ok((weights * &features.values).sum_dim_intlist(1, false, Kind::Float) + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn layers(&self) -> Vec<Layer> {
        vec![]
    }
}

const N: i64 = 40;

fn label() -> Label {
    Label { column: "y".into(), task: Task::Regression, min: -9.0, max: 9.0, mean: 0.5 }
}

fn model(store: &VarStore) -> Weights {
    let weight = store.root().var("weight", &[N + 1, 1], Init::Const(0.0));
    Weights { weight, bias: store.root().var("bias", &[1], Init::Const(0.0)) }
}

/// One row for each id, whose label is `label(id)`.
fn rows(label_of: impl Fn(i64) -> f32) -> TensorRows {
    let vocabulary = (1..=N).map(|id| id.to_string()).collect();
    let field = Field::new("id", FieldKind::Categorical, Side::User, vocabulary);
    let schema = Schema::new(label(), vec![field]).unwrap();
    let ids = Tensor::arange_start(1, N + 1, (Kind::Int64, Device::Cpu)).view([N, 1]);
    let values = Tensor::ones([N, 1], (Kind::Float, Device::Cpu));
    let labels: Vec<f32> = (1..=N).map(label_of).collect();
    TensorRows::new(&schema, ids, values, Tensor::from_slice(&labels)).unwrap()
}

fn config(epochs: usize, patience: usize) -> TrainConfig {
    TrainConfig { epochs, batch_size: 8, lr: 0.1, patience, seed: 5, ..TrainConfig::default() }
}

fn weights(model: &Weights) -> Vec<f32> {
    Vec::try_from(model.weight.detach().flatten(0, -1)).unwrap()
}

/// Raises the stop flag after so many steps.
struct StopAfter<'a>(usize, &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn step(&mut self, _: usize, _: usize, _: usize, _: f64) {
        self.0 -= 1;
        self.1.store(self.0 == 0, Ordering::Relaxed);
    }
}

#[test]
fn a_last_row_that_would_be_alone_joins_the_step_before() {
    let order: Vec<u32> = (0..9).collect();
    let sizes = |size| batches(&order, size).iter().map(|batch| batch.len()).collect::<Vec<_>>();
    assert_eq!((sizes(4), sizes(8), sizes(5), sizes(9)), (vec![4, 5], vec![9], vec![5, 4], vec![9]));
    assert_eq!((sizes(1), sizes(20)), (vec![1; 9], vec![9]));
    assert_eq!(batches(&order, 4).concat(), order);
    assert_eq!(batches(&order[..1], 4), [&[0]]);
}

#[test]
fn a_models_penalty_is_minimised_with_the_loss_and_not_reported() {
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
    trainer
        .fit(&data, &data, &mut |epoch: &EpochRecord| losses.push(epoch.train_loss), &AtomicBool::new(false))
        .unwrap();
    assert!((model.bias().double_value(&[0]) - 7.0).abs() < 0.1);
    assert!(losses.iter().all(|&loss| loss < 100.0), "{losses:?}");
}

#[test]
fn training_starts_at_the_mean_label_and_learns() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let data = rows(|id| (id % 3) as f32);
    let mut trainer = Trainer::new(&model, &store, &label(), config(60, 0)).unwrap();
    assert_eq!(model.bias.double_value(&[0]), 0.5);
    assert_eq!(trainer.fit(&data, &data, &mut (), &AtomicBool::new(false)).unwrap(), Ending::Finished);
    assert!(evaluate(&model, &label(), &data, Device::Cpu).unwrap()["rmse"] < 0.1);
}

#[test]
fn training_stops_when_the_validation_rows_get_no_better() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    // What is learnt is the opposite of what is validated: the first epoch is the best.
    let mut trainer = Trainer::new(&model, &store, &label(), config(50, 3)).unwrap();
    let ending =
        trainer.fit(&rows(|id| (id % 3) as f32), &rows(|id| -((id % 3) as f32)), &mut (), &AtomicBool::new(false));
    assert_eq!(ending.unwrap(), Ending::EarlyStopped);
    assert_eq!((trainer.state.epoch, trainer.state.best.unwrap().0), (4, 1));
}

#[test]
fn a_run_stopped_within_an_epoch_goes_on_to_the_same_weights() {
    let data = rows(|id| (id % 5) as f32);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let whole = VarStore::new(Device::Cpu);
    let expected = model(&whole);
    let never = AtomicBool::new(false);
    Trainer::new(&expected, &whole, &label(), config(4, 0)).unwrap().fit(&data, &data, &mut (), &never).unwrap();

    // Five steps an epoch: this stops after the third step of the second one.
    let (store, stop) = (VarStore::new(Device::Cpu), AtomicBool::new(false));
    let stopped = model(&store);
    let mut trainer = Trainer::new(&stopped, &store, &label(), config(4, 0)).unwrap();
    let ending = trainer.fit(&data, &data, &mut StopAfter(8, &stop), &stop).unwrap();
    assert_eq!((ending, trainer.state.epoch, trainer.state.step), (Ending::Interrupted, 1, 3));
    trainer.save(&file).unwrap();

    let store = VarStore::new(Device::Cpu);
    let resumed = model(&store);
    let mut trainer = Trainer::new(&resumed, &store, &label(), config(4, 0)).unwrap();
    trainer.load(&file).unwrap();
    trainer.fit(&data, &data, &mut (), &never).unwrap();
    assert_eq!(weights(&resumed), weights(&expected));
}

#[test]
fn a_loss_that_is_no_number_ends_training_with_its_place() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let config = TrainConfig { lr: 1e30, optimizer: OptimizerConfig::Sgd { momentum: 0.0 }, ..config(9, 0) };
    let mut trainer = Trainer::new(&model, &store, &label(), config).unwrap();
    let data = rows(|id| id as f32);
    let error = trainer.fit(&data, &data, &mut (), &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(error, Error::Diverged { epoch: 1, step: 2, .. }), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let refused = |config| Trainer::new(&model, &store, &label(), config).err().unwrap().to_string();
    assert!(refused(TrainConfig { batch_size: 0, ..config(1, 0) }).contains("batch size"));
    assert!(refused(TrainConfig { lr: -1.0, ..config(1, 0) }).contains("learning rate is -1"));
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    let store = VarStore::new(Device::Cpu);
    let trained = model(&store);
    let _ = tch::no_grad(|| trained.weight.shallow_clone().fill_(3.0));
    checkpoint::save(&file, &store, None, &TrainState::default()).unwrap();
    let load = |store: &VarStore| checkpoint::load(&file, store, None).unwrap_err().to_string();

    let other = VarStore::new(Device::Cpu);
    let weight = other.root().var("weight", &[7, 1], Init::Const(1.0));
    let _bias = other.root().var("bias", &[1], Init::Const(1.0));
    assert!(load(&other).contains("`model/weight` has the shape [41, 1], but schema and settings make it [7, 1]"));
    assert_eq!(weight.double_value(&[0, 0]), 1.0);

    let more = VarStore::new(Device::Cpu);
    let _model = model(&more);
    let _more = more.root().var("more", &[1], Init::Const(1.0));
    assert!(load(&more).contains("`model/more` is missing"));

    let fewer = VarStore::new(Device::Cpu);
    let _weight = fewer.root().var("weight", &[N + 1, 1], Init::Const(1.0));
    assert!(load(&fewer).contains("it holds `model/bias`, which the model does not have"));

    let fresh = VarStore::new(Device::Cpu);
    let _model = model(&fresh);
    let mut optimizer = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, 0.1, 0.0, &fresh).unwrap();
    let error = checkpoint::load(&file, &fresh, Some(&mut optimizer)).unwrap_err().to_string();
    assert!(error.contains("no state of an optimiser"), "{error}");
}

#[test]
fn a_checkpoint_cut_anywhere_is_an_error_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let store = VarStore::new(Device::Cpu);
    let _model = model(&store);
    checkpoint::save(&file, &store, None, &TrainState::default()).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(&file, &whole[..length]).unwrap();
        let error = checkpoint::load(&file, &store, None).unwrap_err().to_string();
        assert!(error.contains("damaged or cut short") && !error.contains('\n'), "{error}");
    }
    std::fs::write(&file, &whole).unwrap();
    checkpoint::load(&file, &store, None).unwrap();
}
