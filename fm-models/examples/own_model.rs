//! A custom model, trained, saved and exported like those of the registry:
//! `cargo run --release -p fm-models --example own_model`.
//!
//! It is the field-weighted factorization machine of Pan et al., WWW 2018, <https://arxiv.org/abs/1806.03514>: a new
//! layer, and layers of `fm_models`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use fm_core::model::Layer;
use fm_core::script::{Bundle, BundleOptions, Scorer};
use fm_core::seed::{Stream, seed_torch};
use fm_core::tch::nn::{Init, Path, VarStore};
use fm_core::tch::{Device, Kind, Tensor, no_grad};
use fm_core::train::{EpochRecord, TrainConfig, Trainer, checkpoint};
use fm_core::{
    Encoder, Features, Field, Label, Model, ModelConfig, Records, Result, Schema, Side, Task, evaluate, predict,
};
use fm_models::layers::{Embedding, EmbeddingConfig, Linear, PairwiseProduct, bias};
use serde::{Deserialize, Serialize};

/// Σ_p r_p Σ_d e_{p,d}: each pair of fields has a weight.
///
/// # Shapes
/// `[B, P, k]` → `[B]`
struct PairWeights {
    weight: Tensor,
}

impl PairWeights {
    /// A `weight` `[P]` of ones.
    fn new(path: Path<'_>, pairs: i64) -> PairWeights {
        PairWeights { weight: path.var("weight", &[pairs], Init::Const(1.0)) }
    }

    fn forward(&self, pairs: &Tensor) -> Result<Tensor> {
        Ok(pairs.sum_dim_intlist(-1, false, Kind::Float).f_matmul(&self.weight)?)
    }
}

/// The options.
#[derive(Default, Serialize, Deserialize)]
struct Config {
    #[serde(flatten)]
    embedding: EmbeddingConfig,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} r_{f,g} ⟨e_f, e_g⟩
struct FwFm {
    bias: Tensor,
    linear: Linear,
    embedding: Embedding,
    pairs: PairwiseProduct,
    weights: PairWeights,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        let fields = schema.num_fields() as i64;
        Ok(Box::new(FwFm {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            embedding: Embedding::new(path / "embedding", schema, &self.embedding)?,
            pairs: PairwiseProduct::new(fields)?,
            weights: PairWeights::new(path / "pairs", fields * (fields - 1) / 2),
        }))
    }
}

impl Model for FwFm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let embeddings = self.embedding.forward(features, train)?; // [B, F, k]
        let second_order = self.weights.forward(&self.pairs.forward(&embeddings)?)?; // [B]
        Ok(self.linear.forward(features, train)? + second_order + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("pairs", "PairWeights", &[]),
        ]
    }
}

/// Rows with their labels: a reader likes the books of the same kind, on any day.
fn rows(schema: &Schema, is_in: fn(usize) -> bool) -> Result<Records> {
    let pairs = (0..30).flat_map(|reader| (0..40).map(move |book| (reader, book)));
    let pairs = pairs.filter(|(reader, book)| is_in((reader * 7 + book * 3) % 5));
    let row = |(reader, book)| ([reader, book, (reader + book) % 7], f32::from(reader % 3 == book % 3));
    let (rows, liked): (Vec<[usize; 3]>, Vec<f32>) = pairs.map(row).unzip();
    Records::from_indices(schema, &rows, &liked)
}

fn main() -> Result<(), Box<dyn Error>> {
    let label = Label::fit("liked", Task::Binary { threshold: 1.0 }, [1.0, 0.0, 0.0]);
    let fields = vec![
        Field::categorical("reader", Side::User, 30),
        Field::categorical("book", Side::Item, 40),
        Field::categorical("day", Side::Context, 7),
    ];
    let schema = Schema::new(label, fields)?;
    let (train, valid) = (rows(&schema, |fifth| fifth > 0)?, rows(&schema, |fifth| fifth == 0)?);

    // Train it like any other model.
    seed_torch(1, Stream::Parameters);
    let store = VarStore::new(Device::Cpu);
    let model = Config::default().build(&store.root(), &schema)?;
    let config = TrainConfig { epochs: 10, batch_size: 64, lr: 0.02, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
    let mut report = |epoch: &EpochRecord| println!("epoch {:2}: {:?}", epoch.epoch, epoch.valid);
    trainer.fit(&train, &valid, &mut report)?;
    assert!(evaluate(model.as_ref(), schema.label(), &valid, Device::Cpu)?["auc"] > 0.95);
    let logits = predict(model.as_ref(), &valid, Device::Cpu)?;

    // Save it, and load it into a newly built model.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("fwfm.safetensors");
    trainer.save(&file)?;
    let loaded = VarStore::new(Device::Cpu);
    let same = Config::default().build(&loaded.root(), &schema)?;
    checkpoint::load(&file, &loaded)?;
    assert_eq!(predict(same.as_ref(), &valid, Device::Cpu)?, logits);

    // Export it. The file contains the schema, so it encodes and scores rows without this program, here or in PyTorch.
    let file = folder.path().join("fwfm.pt");
    Bundle::new(model.as_ref(), &store, &schema, &BundleOptions::default())?.save(&file, &[])?;
    let scorer = Scorer::load(&file, Device::Cpu)?;
    let features =
        Encoder::new(scorer.schema()).features(&[["1", "4", "0"], ["1", "5", "?"]].map(|row| row.map(Some)))?;
    let (exported, eager) = (scorer.logits(&features)?, no_grad(|| model.logits(&features, false))?);
    assert!(exported.allclose(&eager, 0.0, 1e-6, false));
    let liked: Vec<f32> =
        Vec::<f32>::try_from(exported)?.into_iter().map(|logit| schema.label().prediction(logit)).collect();
    println!("reader 1 likes book 4 with probability {:.3}, and book 5 with {:.3}", liked[0], liked[1]);
    assert!(liked[0] > 0.9 && liked[1] < 0.1);
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
