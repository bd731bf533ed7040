//! What every registered model owes: swept over the registry, so that a new model is held to it by being registered, and
//! over the forms that options give the models.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod device;
mod rows;
mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use device::under_test as device;
use fm_core::device::in_mixed_precision;
use fm_core::explain::{pairs, parts};
use fm_core::model::Options;
use fm_core::ranking::ItemSlots;
use fm_core::script::{Bundle, BundleOptions, Catalogue, Scorer};
use fm_core::summary::Summary;
use fm_core::train::{EpochRecord, TrainConfig, Trainer};
use fm_core::{
    Encoder, Features, Field, FieldKind, Label, List, Model, Padded, Schema, Side, Task, TensorRows, Weighting,
    evaluate, predict,
};
use fm_models::MODELS;
use rows::{disturb, schema, schema_with};
use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};
use variants::{Variant, alone, variants, variants_with};

/// The rows on the device under test.
fn features(schema: &Schema, n: usize) -> Features {
    rows::features(schema, n).to_device(device())
}

fn rows(schema: &Schema, n: usize, label: impl Fn(usize) -> f32) -> TensorRows {
    let Padded { ids, values, .. } = features(schema, n).padded().unwrap();
    let labels: Vec<f32> = (0..n).map(label).collect();
    TensorRows::new(schema, ids, values, Tensor::from_slice(&labels)).unwrap()
}

fn config(epochs: usize, lr: f64) -> TrainConfig {
    TrainConfig { epochs, batch_size: 16, lr, patience: 0, seed: 3, ..TrainConfig::default() }
}

/// Stops training once the validation rows reach an AUC.
fn until_auc(auc: f64) -> impl FnMut(&EpochRecord) -> ControlFlow<()> {
    move |record| if record.valid["auc"] > auc { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn parameters(store: &VarStore) -> BTreeMap<String, Vec<f32>> {
    let flat = |tensor: Tensor| Vec::try_from(tensor.detach().to_device(Device::Cpu).flatten(0, -1)).unwrap();
    store.variables().into_iter().map(|(name, tensor)| (name, flat(tensor))).collect()
}

#[test]
fn logits_have_one_number_a_row_also_for_no_row() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history) {
            let (_store, model) = variant.build(&schema, 1, device());
            for (n, train) in [(0, false), (1, false), (7, false), (0, true), (1, true), (7, true)] {
                let logits = model.logits(&features(&schema, n), train);
                if train && n < 2 && variant.trains_on_statistics() {
                    let error = logits.unwrap_err().to_string();
                    assert!(error.contains("BatchNorm: expected at least 2 rows"), "{variant}: {error}");
                } else {
                    let logits = logits.unwrap();
                    assert_eq!((logits.size(), logits.kind()), (vec![n as i64], Kind::Float), "{variant}");
                }
            }
        }
    }
}

/// The rows padded, and the same rows ragged.
fn both_forms(schema: &Schema, n: usize) -> [Features; 2] {
    let padded = features(schema, n);
    let ragged = padded.ragged(&schema.layout()).unwrap().into();
    [padded, ragged]
}

#[test]
fn a_gradient_reaches_every_parameter_and_is_row_sparse_in_tables() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for (variant, form) in variants_with(needs_history).flat_map(|variant| [(variant.clone(), 0), (variant, 1)]) {
            let (store, model) = variant.build(&schema, 1, device());
            // Four times: the gradients of parts of a high degree are small.
            (0..4).for_each(|_| disturb(&store));
            model.logits(&both_forms(&schema, 64)[form], true).unwrap().square().mean(Kind::Float).backward();
            let normed = variant.options.contains_key("hidden_batch_norm");
            for (name, tensor) in store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()) {
                let gradient = tensor.grad();
                assert!(gradient.defined(), "{variant} {name}");
                let is_table = format!(".{name}").ends_with(".linear.weight") || name.ends_with("embedding.weight");
                assert_eq!(gradient.is_sparse(), is_table, "{variant} {name}");
                let size = gradient.to_dense(None, false).abs().max().double_value(&[]);
                // A softmax does not see what is added to all scores, nor batch norm what is added to a whole column.
                let is_silent = name == "attention.score.bias"
                    || normed && name.starts_with("dnn.linear_") && name.ends_with("bias");
                assert_eq!(size < 1e-6, is_silent, "{variant} {name}: {size}");
            }
        }
    }
}

#[test]
fn a_row_scores_alike_alone_and_among_others() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        // `always-batch` normalises by the other rows, as the notebook does.
        for variant in variants_with(needs_history).filter(|variant| !variant.scores_by_batch()) {
            let (store, model) = variant.build(&schema, 1, device());
            disturb(&store);
            let rows = features(&schema, 20).padded().unwrap();
            let score = |first: usize, n: usize| {
                no_grad(|| model.logits(&rows.narrow(first..first + n).into(), false)).unwrap()
            };
            let alone = Tensor::cat(&(0..20).map(|row| score(row, 1)).collect::<Vec<_>>(), 0);
            let of_size = if variant.takes_powers() { 1e-4 } else { 0.0 };
            assert!(alone.allclose(&score(0, 20), of_size, 1e-5, false), "{variant}");
            assert!(alone.std(true).double_value(&[]) > 1e-3, "{variant}: the rows' scores are all alike");
        }
    }
}

#[test]
fn candidates_score_and_give_gradients_as_the_rows_that_they_stand_for() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Ranking { threshold: None });
        let items = ItemSlots::new(&schema, &features(&schema, 9)).unwrap();
        let rows = features(&schema, 16);
        let of_rows: Vec<i64> = (0..16 * 3).map(|place| place * 7 % 9).collect();
        let candidates =
            items.candidates(&rows, &Tensor::from_slice(&of_rows).view([16, 3]).to_device(device())).unwrap();
        for variant in
            variants_with(needs_history).map(|variant| variant.with("dropout", 0.0).with("pooling_dropout", 0.0))
        {
            let (store, model) = variant.build(&schema, 1, device());
            disturb(&store);
            let trained: BTreeMap<String, Tensor> =
                store.variables().into_iter().filter(|(_, parameter)| parameter.requires_grad()).collect();
            let gradients = |logits: Tensor| {
                trained.values().for_each(|parameter| parameter.shallow_clone().zero_grad());
                (&logits * Tensor::arange(48, (Kind::Float, device())).view([16, 3]) / 48).mean(Kind::Float).backward();
                trained.values().map(|parameter| parameter.grad().to_dense(None, false).copy()).collect::<Vec<Tensor>>()
            };
            let as_rows = |train| model.logits(&candidates.features().unwrap(), train).unwrap().view([16, 3]);
            let at_once = |train| model.candidate_logits(&candidates, train).unwrap();
            assert!(at_once(false).allclose(&as_rows(false), 1e-4, 1e-5, false), "{variant}");
            let (found, expected) = (gradients(at_once(true)), gradients(as_rows(true)));
            for ((name, found), expected) in trained.keys().zip(found).zip(expected) {
                assert!(found.allclose(&expected, 1e-3, 1e-6, false), "{variant} {name}");
            }
        }
    }
}

#[test]
fn scores_and_gradients_on_the_device_are_those_of_the_cpu() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            disturb(&store);
            let (mut there, model_there) = variant.build(&schema, 2, device());
            there.copy(&store).unwrap();
            let features_there = features(&schema, 64);
            let features_here = features_there.to_device(Device::Cpu);
            let (found, expected) =
                (model_there.logits(&features_there, false).unwrap(), model.logits(&features_here, false).unwrap());
            assert!(found.to_device(Device::Cpu).allclose(&expected, 1e-4, 1e-5, false), "{variant}");
            found.square().mean(Kind::Float).backward();
            expected.square().mean(Kind::Float).backward();
            let gradients = there.variables();
            for (name, parameter) in store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()) {
                let (found, expected) = (gradients[&name].grad().to_device(Device::Cpu), parameter.grad());
                assert!(found.allclose(&expected, 1e-3, 1e-5, false), "{variant} {name}");
            }
        }
    }
}

#[test]
fn mixed_precision_gives_about_the_same_logits_and_gradients_of_float32() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in
            variants_with(needs_history).map(|variant| variant.with("dropout", 0.0).with("pooling_dropout", 0.0))
        {
            // Each layer of EDCN multiplies the outputs of two networks, and with them their rounding.
            let is_edcn = variant.entry.name == "edcn";
            let variant = if is_edcn { variant.with("cross_layers", 1) } else { variant };
            let (store, model) = variant.build(&schema, 1, device());
            disturb(&store);
            let features = features(&schema, 64);
            let gradients = |logits: &Tensor| {
                logits.to_kind(Kind::Float).mean(Kind::Float).backward();
                let take = |(name, mut tensor): (String, Tensor)| {
                    let gradient = tensor.grad().to_dense(None, false).copy();
                    tensor.zero_grad();
                    (name, gradient)
                };
                let trainable = store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
                trainable.map(take).collect::<BTreeMap<_, _>>()
            };
            let exact = no_grad(|| model.logits(&features, false)).unwrap();
            let logits = in_mixed_precision(device(), || model.logits(&features, true)).unwrap();
            let mixed = gradients(&logits);
            assert!(mixed.values().all(|gradient| gradient.kind() == Kind::Float), "{variant}");
            // bfloat16 keeps eight bits.
            if !variant.trains_on_statistics() {
                let worst = (logits.to_kind(Kind::Float) - &exact).abs().max().double_value(&[]);
                assert!(worst < 0.02 * (1.0 + exact.abs().max().double_value(&[])), "{variant}: {worst}");
                for (name, expected) in gradients(&model.logits(&features, true).unwrap()) {
                    let [off, size] =
                        [&mixed[&name] - &expected, expected].map(|tensor| tensor.norm().double_value(&[]));
                    // Layer norm subtracts means, and what is left of a gradient has fewer of the bits.
                    assert!(off <= 0.08 * size + 1e-4, "{variant} {name}: {off} of {size}");
                }
            }
            let after = model.logits(&features, false).unwrap();
            assert_eq!(after.kind(), Kind::Float, "{variant}: mixed precision goes on");
        }
    }
}

#[test]
fn padding_changes_no_score() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, device());
            disturb(&store);
            let Padded { ids, values, .. } = features(&schema, 32).padded().unwrap();
            let other = ids.copy();
            for field in (0..schema.num_fields()).filter(|&field| schema.fields()[field].kind.list().is_some()) {
                let slots = schema.slots(field);
                let own = |tensor: &Tensor| tensor.narrow(1, slots.start as i64, slots.len() as i64);
                let padded = own(&values).eq(0.0);
                assert!(padded.any().int64_value(&[]) == 1);
                let _ = own(&other).masked_fill_(&padded, schema.ids(field).start + 1);
                assert!(!own(&other).equal(&own(&ids)));
            }
            let score = |ids: Tensor| {
                let features = Features::new(&schema, ids, values.shallow_clone()).unwrap();
                no_grad(|| model.logits(&features, false)).unwrap()
            };
            assert!(score(ids).equal(&score(other)), "{variant}");
        }
    }
}

#[test]
fn the_parts_of_a_logit_add_up_to_it_and_padding_has_none() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, device());
            disturb(&store);
            let features = features(&schema, 32);
            let logits = no_grad(|| model.logits(&features, false)).unwrap().to_device(Device::Cpu);
            let logits = Vec::<f32>::try_from(logits).unwrap();
            let values = Vec::<Vec<f32>>::try_from(features.padded().unwrap().values.to_device(Device::Cpu)).unwrap();
            let rows = parts(model.as_ref(), &features).unwrap();
            assert_eq!(rows.len(), 32);
            for ((parts, values), logit) in rows.iter().zip(&values).zip(logits.iter().map(|&logit| f64::from(logit))) {
                assert!((parts.total() - logit).abs() <= 1e-5 * logit.abs().max(1.0), "{variant}: {logit}, {parts:?}");
                assert_eq!(parts.is_exact(), parts.lumps.is_empty());
                let by_slots = parts.first_order.iter().flatten().enumerate().map(|(slot, term)| ([slot, slot], *term));
                let by_pairs =
                    parts.pairs.iter().flatten().zip(pairs(values.len())).map(|(term, (s, t))| ([s, t], *term));
                for (slots, term) in by_slots.chain(by_pairs) {
                    assert!(
                        term == 0.0 || slots.iter().all(|&slot| values[slot] != 0.0),
                        "{variant}: {slots:?} has {term}"
                    );
                }
            }
            assert_eq!(parts(model.as_ref(), &crate::features(&schema, 0)).unwrap(), [], "{variant}");
        }
    }
}

#[test]
fn it_overfits_a_few_rows() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Binary { threshold: 1.0 });
        let few = rows(&schema, 12, |row| f32::from(row * 7 % 12 < 6));
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, device());
            let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config(300, 0.02)).unwrap();
            trainer.fit(&few, &few, &mut until_auc(0.99)).unwrap();
            let auc = evaluate(model.as_ref(), schema.label(), &few, device()).unwrap()["auc"];
            assert!(auc > 0.99, "{variant} reaches {auc}");
        }
    }
}

#[test]
fn the_same_seed_trains_the_same_weights_and_another_does_not() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        let train = rows(&schema, 100, |row| 1.0 + (row * row % 5) as f32);
        for variant in variants_with(needs_history) {
            let trained = |seed: u64| {
                let (store, model) = variant.build(&schema, seed, Device::Cpu);
                let config = TrainConfig { seed, ..config(2, 0.01) };
                let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config).unwrap();
                trainer.fit(&train, &train, &mut ()).unwrap();
                parameters(&store)
            };
            let once = trained(1);
            assert!(once == trained(1), "{variant}");
            assert!(once != trained(2), "{variant}");
        }
    }
}

#[test]
fn a_checkpoint_restores_weights_and_training_exactly() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        let train = rows(&schema, 100, |row| 1.0 + (row * row % 5) as f32);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("last.safetensors");
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let mut whole = Trainer::new(model.as_ref(), &store, schema.label(), config(4, 0.01)).unwrap();
            whole.fit(&train, &train, &mut ()).unwrap();
            let expected = parameters(&store);

            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let mut half = Trainer::new(model.as_ref(), &store, schema.label(), config(2, 0.01)).unwrap();
            half.fit(&train, &train, &mut ()).unwrap();
            half.save(&file).unwrap();

            let (store, model) = variant.build(&schema, 99, Device::Cpu);
            let mut rest = Trainer::new(model.as_ref(), &store, schema.label(), config(4, 0.01)).unwrap();
            rest.load(&file).unwrap();
            rest.fit(&train, &train, &mut ()).unwrap();
            assert!(parameters(&store) == expected, "{variant}");
        }
    }
}

fn bundle(model: &dyn Model, store: &VarStore, schema: &Schema) -> fm_core::Result<Bundle> {
    Bundle::new(model, store, schema, &BundleOptions::default())
}

#[test]
fn the_exported_file_scores_as_the_model_at_any_batch_size() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    // The task decides about predictions, not about logits: each variant has one.
    let tasks = [Task::Regression, Task::Binary { threshold: 1.0 }];
    for (variant, task) in variants().zip(tasks.into_iter().cycle()) {
        let schema = &schema_with(variant.entry.needs_history, task);
        let batches = [0, 1, 2, 7, 1000].map(|n| features(schema, n).to_device(Device::Cpu));
        let (store, model) = variant.build(schema, 1, Device::Cpu);
        disturb(&store);
        bundle(model.as_ref(), &store, schema).unwrap().save(&file, &[("settings.toml", "epochs = 1")]).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let fixes_device = bytes.windows(13).any(|window| window == b"torch.device(");
        assert!(!fixes_device, "{variant}: the exported graph contains a device");
        let scorer = Scorer::load(&file, device()).unwrap();
        assert_eq!(scorer.schema(), schema);
        assert_eq!(scorer.extra_file("settings.toml").unwrap(), "epochs = 1");
        for features in &batches {
            let eager = no_grad(|| model.logits(features, false)).unwrap();
            let found = scorer.logits(features).unwrap();
            assert!(found.allclose(&eager, 0.0, 1e-5, false), "{variant} B={}", eager.numel());
        }
    }
}

/// The methods of the file move what they encode to wherever the file was loaded.
#[test]
fn the_exported_file_recommends_on_the_device_as_on_the_cpu() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    let schema = schema(Task::Regression).with_roles(Some("user".into()), Some("item".into())).unwrap();
    let (store, model) = variants().next().unwrap().build(&schema, 1, Device::Cpu);
    disturb(&store);
    let row = |item: &'static str| [None, Some(item), Some("1|4"), None, None];
    let features = Encoder::new(&schema).features(&["0", "3", "7", "unknown"].map(row)).unwrap();
    let catalogue = Catalogue { items: ["a", "b", "c", "d"].map(String::from).into(), features };
    let options = BundleOptions { catalogue: Some(&catalogue), ..Default::default() };
    Bundle::new(model.as_ref(), &store, &schema, &options).unwrap().save(&file, &[]).unwrap();
    let recommend = |device| {
        let scorer = Scorer::load(&file, device).unwrap();
        scorer.recommend([("user", "5"), ("age", "33")], 3, &["b"]).unwrap()
    };
    let (found, expected) = (recommend(device()), recommend(Device::Cpu));
    assert_eq!(expected.len(), 3);
    for ((item, score), (expected_item, expected_score)) in found.iter().zip(&expected) {
        assert!(item == expected_item && (score - expected_score).abs() < 1e-5, "{found:?} {expected:?}");
    }
}

/// Python and C++ see the same names as a checkpoint; what training moves without a gradient is a buffer.
#[test]
fn the_exported_files_parameters_and_buffers_bear_their_names() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            bundle(model.as_ref(), &store, &schema).unwrap().save(&file, &[]).unwrap();
            let module = tch::CModule::load(&file).unwrap();
            let found: BTreeSet<String> =
                module.named_parameters().unwrap().into_iter().map(|(name, _)| name).collect();
            let (parameters, buffers): (BTreeMap<_, _>, BTreeMap<_, _>) =
                store.variables().into_iter().partition(|(_, tensor)| tensor.requires_grad());
            assert_eq!(found, parameters.into_keys().collect(), "{variant}");
            // tch lists no buffers: the archive's uncompressed `data.pkl` does.
            let bytes = std::fs::read(&file).unwrap();
            for buffer in buffers.into_keys() {
                let name = buffer.rsplit('.').next().unwrap().as_bytes();
                assert!(bytes.windows(name.len()).any(|window| window == name), "{variant} {buffer}");
            }
        }
    }
}

#[test]
fn an_exported_file_whose_schema_is_of_another_model_is_refused() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    let whole = schema(Task::Regression);
    let deepfm = variants().find(|variant| variant.entry.name == "deepfm").unwrap();
    let (store, model) = deepfm.build(&whole, 1, Device::Cpu);
    bundle(model.as_ref(), &store, &whole).unwrap().save(&file, &[]).unwrap();
    // The schema of one field less, in the place of the right one: extra files are stored as they are.
    let fewer = Schema::new(whole.label().clone(), whole.fields()[..3].to_vec()).unwrap().to_json();
    let padded = format!("{fewer:<width$}", width = whole.to_json().len());
    let bytes = std::fs::read(&file).unwrap();
    let json = whole.to_json();
    let mut forged = bytes.clone();
    for start in 0..bytes.len() - json.len() {
        if bytes[start..].starts_with(json.as_bytes()) {
            forged[start..start + json.len()].copy_from_slice(padded.as_bytes());
        }
    }
    std::fs::write(&file, &forged).unwrap();
    let error = Scorer::load(&file, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("not a usable exported model"), "{error}");
}

#[test]
fn a_model_that_fails_or_panics_leaves_the_tracer_closed() {
    let _turn = alone();
    struct Failing(Tensor, bool);
    impl Model for Failing {
        fn logits(&self, _: &Features, _: bool) -> fm_core::Result<Tensor> {
            if self.1 {
                panic!("on purpose")
            }
            Err(fm_core::Error::Setting("on purpose".into()))
        }
        fn bias(&self) -> &Tensor {
            &self.0
        }
        fn layers(&self) -> Vec<fm_core::model::Layer> {
            vec![]
        }
    }
    let schema = schema(Task::Regression);
    for panics in [false, true] {
        let model = Failing(Tensor::zeros([1], (Kind::Float, Device::Cpu)), panics);
        bundle(&model, &VarStore::new(Device::Cpu), &schema).unwrap_err();
    }
    let (store, model) = variants().next().unwrap().build(&schema, 1, Device::Cpu);
    bundle(model.as_ref(), &store, &schema).unwrap();
}

#[test]
fn options_are_checked_and_resolved() {
    let _turn = alone();
    for entry in MODELS {
        let schema = schema_with(entry.needs_history, Task::Regression);
        let defaults = entry.resolve(&Options::new()).unwrap();
        assert_eq!(entry.resolve(&defaults).unwrap(), defaults, "{}", entry.name);
        let unknown = Options::from_iter([("embeding_dim".to_owned(), 8.into())]);
        let error = entry.resolve(&unknown).unwrap_err().to_string();
        assert!(error.contains(entry.name) && error.contains("embeding_dim"), "{error}");
        if defaults.contains_key("embedding_dim") {
            let zero = Options::from_iter([("embedding_dim".to_owned(), 0.into())]);
            let store = VarStore::new(Device::Cpu);
            let error = entry.build(&zero, &store.root(), &schema).err().unwrap().to_string();
            assert!(error.contains("embedding_dim is 0"), "{error}");
        }
    }
    let error = fm_models::find("depfm").unwrap_err().to_string();
    let names: Vec<&str> = MODELS.iter().map(|entry| entry.name).collect();
    let expected = "unknown model `depfm`; did you mean `deepfm`? known: ";
    assert_eq!(error, format!("{expected}{}", names.join(", ")));
}

#[test]
fn the_summary_counts_every_parameter_once() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let summary = Summary::new(variant.entry.name, model.as_ref(), &store);
            assert_eq!(
                summary.layers.iter().map(|(_, count)| count).sum::<i64>(),
                summary.total(),
                "{variant}\n{summary}"
            );
        }
    }
}

/// An interaction that no single value shows: the label is 1 where the parities of user and item agree. The pairs tested
/// on are never trained on. A user with a history has seen one item, of the same number.
#[test]
fn models_with_pairs_learn_a_planted_interaction_on_unseen_pairs() {
    let _turn = alone();
    let label =
        Label { column: "y".into(), task: Task::Binary { threshold: 1.0 }, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
    let n = 20i64;
    for needs_history in [false, true] {
        let item = Field::categorical("i", Side::Item, n as usize);
        let seen = FieldKind::Sequence(List::new("|", 1, Weighting::Sum));
        let fields = match needs_history {
            false => vec![Field::categorical("u", Side::User, n as usize), item],
            true => vec![Field::new("seen", seen, Side::User, vec![]).sharing("i"), item],
        };
        let first_item = if needs_history { 1 } else { n + 2 };
        let schema = Schema::new(label.clone(), fields).unwrap();
        let part = |is_in: fn(i64) -> bool| {
            let pairs: Vec<(i64, i64)> =
                (0..n * n).map(|p| (p / n, p % n)).filter(|(u, i)| is_in((u * 7 + i * 3) % 5)).collect();
            let ids: Vec<i64> = pairs.iter().flat_map(|(u, i)| [1 + u, first_item + i]).collect();
            let labels: Vec<f32> = pairs.iter().map(|(u, i)| f32::from(u % 2 == i % 2)).collect();
            let ids = Tensor::from_slice(&ids).view([-1, 2]).to_device(device());
            let values = ids.ones_like().to_kind(Kind::Float);
            TensorRows::new(&schema, ids, values, Tensor::from_slice(&labels)).unwrap()
        };
        let (train, test) = (part(|fifth| fifth > 0), part(|fifth| fifth == 0));
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, device());
            // A transformer that normalises last does not learn in large steps.
            let lr = if variant.entry.name == "bst" { 0.005 } else { 0.02 };
            let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config(120, lr)).unwrap();
            trainer.fit(&train, &test, &mut until_auc(0.96)).unwrap();
            let auc = evaluate(model.as_ref(), schema.label(), &test, device()).unwrap()["auc"];
            // Without a hidden layer, a deep network is a sum over single values, too.
            let is_linear = variant.options.get("hidden_units").is_some_and(|units| units == &json!([]));
            if variant.entry.name == "lr" || is_linear {
                assert!(auc < 0.7, "{variant}: a model of single values cannot know, but reaches {auc}");
            } else {
                assert!(auc > 0.95, "{variant} reaches {auc}");
            }
        }
    }
}

/// Until something has trained it: its vector and its weight are zero, and so is every first bias.
#[test]
fn a_value_never_seen_in_training_adds_nothing() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        let unknown: Vec<i64> = schema.field_of_slots().into_iter().map(|field| schema.ids(field).start).collect();
        // A product of no factors is 1, and the positions of BST have vectors.
        let has_zero = |variant: &Variant| {
            let is_never_zero = variant.takes_powers() || variant.entry.name == "bst";
            !variant.options.contains_key("activation") && !is_never_zero
        };
        for variant in variants_with(needs_history).filter(has_zero) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let ids = Tensor::from_slice(&unknown).view([1, -1]);
            let values = ids.ones_like().to_kind(Kind::Float);
            let trainer = Trainer::new(model.as_ref(), &store, schema.label(), config(1, 0.1)).unwrap();
            let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&[3f32])).unwrap();
            assert_eq!(predict(trainer.model, &rows, Device::Cpu).unwrap(), [3.5], "{variant}");
        }
    }
}
