//! What the tests sweep: every registered model as it is, and the forms that options give it.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fm_core::model::Options;
use fm_core::seed::{Stream, seed_torch};
use fm_core::{Model, ModelEntry, Schema};
use fm_models::{MODELS, find};
use serde_json::json;
use tch::Device;
use tch::nn::VarStore;

/// Options beside the defaults, each of which stands in one of them.
const VARIANTS: &[(&str, &str)] = &[
    ("ffm", r#"{"form": "summed"}"#),
    ("nfm", r#"{"batch_norm": "off", "activation": "tanh", "linear": false}"#),
    ("nfm", r#"{"batch_norm": "always-batch"}"#),
    ("nfm", r#"{"batch_norm": "frozen"}"#),
    ("afm", r#"{"attention_bias": true, "linear": false}"#),
    ("afm", r#"{"pooling": "mean"}"#),
    ("afm", r#"{"pooling": "max"}"#),
    ("afm", r#"{"pooling": "sum", "linear": false}"#),
    ("deepfm", r#"{"form": "dense-features"}"#),
    ("xdeepfm", r#"{"cin_split": true, "cin_activation": "relu"}"#),
    ("xdeepfm", r#"{"part_biases": true}"#),
    ("dnn", r#"{"hidden_batch_norm": "standard"}"#),
    ("dnn", r#"{"hidden_layer_norm": true}"#),
    ("dnn", r#"{"hidden_units": [], "init_std": 0.1}"#),
    ("wide_deep", r#"{"activation": "sigmoid"}"#),
    ("ncf", r#"{"form": "gmf", "init_std": 0.1}"#),
    ("ncf", r#"{"form": "mlp"}"#),
    ("two_tower", r#"{"normalize": false, "temperature": 1.0}"#),
    ("dcn_v2", r#"{"structure": "parallel"}"#),
    ("dcn_v2", r#"{"cross": "mixture"}"#),
    ("dcn_v2", r#"{"cross": "mixture", "cross_experts": 1, "structure": "parallel"}"#),
    ("autoint", r#"{"hidden_units": [64, 64]}"#),
    ("destine", r#"{"residual": "each-layer", "hidden_units": [64, 64]}"#),
    ("fwfm", r#"{"first_order": "weights"}"#),
    ("fmfm", r#"{"first_order": "weights"}"#),
    ("pnn", r#"{"product": "outer"}"#),
    ("pnn", r#"{"product": "both"}"#),
    ("fibinet", r#"{"bilinear": "all"}"#),
    ("fibinet", r#"{"bilinear": "each"}"#),
    ("masknet", r#"{"blocks": "parallel"}"#),
    ("finalmlp", r#"{"gates": "sides", "fusion_heads": 2}"#),
    ("finalmlp", r#"{"gates": "off"}"#),
    ("gdcn", r#"{"structure": "parallel"}"#),
    ("edcn", r#"{"bridge": "sum", "gate_norm": false, "activation": "tanh"}"#),
    ("edcn", r#"{"bridge": "concatenation", "gate_temperature": 0.5}"#),
    ("edcn", r#"{"bridge": "attention"}"#),
    ("finalnet", r#"{"hidden_batch_norm": "frozen"}"#),
    ("finalnet", r#"{"hidden_layer_norm": true}"#),
    ("afn", r#"{"deep_hidden_units": [64, 64]}"#),
    ("hofm", r#"{"order": 2}"#),
    ("hofm", r#"{"order": 5}"#),
    ("bst", r#"{"transformer_blocks": 2, "transformer_heads": 4}"#),
    ("sasrec", r#"{"embedding_dim": 12, "transformer_blocks": 1, "transformer_heads": 3}"#),
    ("ensemble", r#"{"members": [{"name": "fm", "options": {}}, {"name": "lr", "options": {}}]}"#),
    ("din", r#"{"attention_activation": "sigmoid", "attention_units": [16, 8]}"#),
];

/// A model with its options.
#[derive(Clone)]
pub struct Variant {
    pub entry: &'static ModelEntry,
    pub options: Options,
}

/// Every registered model with its defaults, and the variants.
pub fn variants() -> impl Iterator<Item = Variant> {
    let others = VARIANTS
        .iter()
        .map(|(name, options)| Variant { entry: find(name).unwrap(), options: serde_json::from_str(options).unwrap() });
    MODELS.iter().map(|entry| Variant { entry, options: Options::new() }).chain(others)
}

/// The variants of the models that need the history of a user, or of those that do not.
pub fn variants_with(needs_history: bool) -> impl Iterator<Item = Variant> {
    variants().filter(move |variant| variant.entry.needs_history == needs_history)
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.entry.name, serde_json::to_string(&self.options).unwrap())
    }
}

impl Variant {
    pub fn build(&self, schema: &Schema, seed: u64, device: Device) -> (VarStore, Box<dyn Model>) {
        seed_torch(seed, Stream::Parameters);
        let store = VarStore::new(device);
        let model = self.entry.build(&self.options, &store.root(), schema).unwrap();
        (store, model)
    }

    /// The variant with another value for an option, if it or one of its members has the option.
    pub fn with(mut self, option: &str, value: impl Into<serde_json::Value>) -> Variant {
        let (all, value) = (self.entry.resolve(&self.options).unwrap(), value.into());
        if all.contains_key(option) {
            self.options.insert(option.into(), value);
        } else if all.contains_key("members") {
            let members = self.members().into_iter().map(|member| member.with(option, value.clone()));
            let members = members.map(|Variant { entry, options }| json!({ "name": entry.name, "options": options }));
            self.options.insert("members".into(), members.collect());
        }
        self
    }

    /// The members of an ensemble.
    pub fn members(&self) -> Vec<Variant> {
        let member = |member: &serde_json::Value| Variant {
            entry: find(member["name"].as_str().unwrap()).unwrap(),
            options: serde_json::from_value(member["options"].clone()).unwrap(),
        };
        let options = self.entry.resolve(&self.options).unwrap();
        options.get("members").and_then(|members| members.as_array()).into_iter().flatten().map(member).collect()
    }

    fn has_batch_norm(&self, modes: &[&str]) -> bool {
        let options = self.entry.resolve(&self.options).unwrap();
        let is_one = |option: &str| options.get(option).is_some_and(|mode| modes.iter().any(|one| mode == one));
        is_one("batch_norm") || is_one("hidden_batch_norm") || is_one("log_batch_norm")
    }

    /// Whether batch norm needs two rows in training.
    pub fn trains_on_statistics(&self) -> bool {
        self.has_batch_norm(&["standard", "always-batch"])
    }

    /// Whether it takes powers of embeddings, which enlarge rounding.
    pub fn takes_powers(&self) -> bool {
        self.entry.name == "afn"
    }

    /// Whether a row's score depends on the others in its batch, as Keras's notebook has it with `bn_use=True`.
    pub fn scores_by_batch(&self) -> bool {
        self.has_batch_norm(&["always-batch"])
    }
}

/// libtorch has one generator for the whole process: tests that compare random numbers take turns. One thread, because
/// those of libgomp that wait for each other are slow where cores are busy.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    turn
}
