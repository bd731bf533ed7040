//! The notebook "Neural Factorization Machines" on sequences, section by section.
//!
//! Run it with `cargo run --release -p notebooks-port --bin nfm_sequences`.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use anyhow::{Context, Result, ensure};
use fm_core::{Encoder, Features, Field, FieldKind, Label, List, Model, Padded, Schema, Side, Task, Weighting};
use fm_models::layers::{BatchNormMode, BiInteraction, DnnConfig, EmbeddingConfig, FmInteraction};
use fm_models::models::nfm::{Config, Nfm};
use notebooks_port::{
    begin, draw_weights, embedding_column, ensure_equal, markdown, pairs, parameter, rows_of, seed, set_parameter,
    set_vectors, show, show_summary,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

/// The latent vectors that the notebook prints in full: all of its first row, and two of its second.
#[rustfmt::skip]
const SEQ_1: [(&str, [f32; 8]); 3] = [
    ("1100", [0.01905249, 0.2711436, -0.16974296, -0.41354162, -0.45203206, -0.1237737, 0.01610972, -0.3776071]),
    ("1101", [0.5781513, 0.60547346, -0.01465757, -0.36699656, -0.040447, 0.29422325, 0.35566035, -0.03534933]),
    ("1102", [-0.2970747, -0.22957708, -0.17061137, 0.08516189, 0.5246019, 0.43462422, -0.3932593, -0.07194421]),
];
#[rustfmt::skip]
const SEQ_2: [(&str, [f32; 8]); 2] = [
    ("2200", [-0.40586925, -0.642621, -0.17732742, -0.05926026, -0.18070647, -0.11091012, 0.10545808, -0.42049518]),
    ("2201", [0.50875366, -0.3321689, 0.40166482, -0.0013006, -0.04791581, -0.18354316, -0.33573154, 0.11226024]),
];
#[rustfmt::skip]
const TARGET: [(&str, [f32; 8]); 1] = [
    ("1102", [0.3518665, 0.24142267, -0.59557533, 0.02514912, -0.03666467, 0.13006938, -0.07243787, -0.21522275]),
];

/// The first row of the bi-interaction that the notebook prints.
const NET: [f32; 8] =
    [0.11230832, -0.5005896, -0.13389155, 0.1779626, 0.16597268, -0.08237883, -0.12553449, 0.24864766];

fn main() -> Result<()> {
    no_grad(notebook) // nothing is trained here
}

fn notebook() -> Result<()> {
    begin("nfm_sequences", "Neural Factorization Machines");
    let (schema, features) = preparation()?;
    let store = VarStore::new(Device::Cpu);
    let model = model(&schema, &store)?;
    let x = embeddings(&model, &features)?;
    let net = bi_interaction(&x)?;
    computation(&model, &features, net)?;
    the_papers_form(&schema, &features)
}

fn preparation() -> Result<(Schema, Features)> {
    markdown(
        r#"
        ## 0. Preparation

        There are two sequences and a target. Each field hashes its values into 10 buckets, and each bucket has a
        vector of 8 dimensions.
        "#,
    );
    let hashed = |name: &str, kind| {
        let field = Field::new(name, kind, Side::Context, Vec::new());
        Field { hash_buckets: Some(10), ..field }
    };
    let sequence = || FieldKind::MultiValued(List::new("|", 2, Weighting::Sum));
    let label = Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]);
    let fields =
        vec![hashed("seq_1", sequence()), hashed("seq_2", sequence()), hashed("target", FieldKind::Categorical)];
    let schema = Schema::new(label, fields)?;

    let rows = [["1100|1101", "2200|2201", "1102"], ["1102|1101", "2202|2201", "1103"], ["1103", "2203", "1100"]];
    let features = Encoder::new(&schema).features(&rows.map(|row| row.map(Some)))?;
    let Padded { ids, values, .. } = features.padded()?;
    println!("| seq_1 | seq_2 | target |\n|---|---|---|");
    for [seq_1, seq_2, target] in rows {
        println!("| {} | {} | {target} |", seq_1.replace('|', " "), seq_2.replace('|', " "));
    }
    println!();
    show(&[("ids", &ids), ("values", &values)]);

    let ids = rows_of(&schema, 1, &["2200", "2201", "2202", "2203"])?;
    ensure!(ids == [18, 16, 19, 18], "TensorFlow hashes 2200 to 2203 into the buckets 6, 4, 7 and 6");
    markdown("2200 and 2203 fall into the same bucket. The model cannot distinguish them.");
    Ok((schema, features))
}

/// Keras counts 561 parameters. The row for missing values adds 8 in each of the three fields.
const PARAMETERS: i64 = 561 + 3 * 8;

/// The notebook's layers as the registered model `nfm`, whose defaults are the paper's.
fn model(schema: &Schema, store: &VarStore) -> Result<Nfm> {
    markdown(
        r#"
        This is the model `nfm` with the notebook's options. Keras counts 561 parameters for these layers. The rows
        for missing values add 24 here.
        "#,
    );
    seed(0);
    let config = Config {
        embedding: EmbeddingConfig { embedding_dim: 8, init_std: 1.0 },
        dnn: DnnConfig { hidden_units: vec![16, 8], dropout: 0.0, ..DnnConfig::default() },
        pooling_dropout: 0.0,
        batch_norm: BatchNormMode::Standard,
        linear: false,
    };
    let model = Nfm::new(&store.root(), schema, &config)?;
    set_parameter(store, "embedding.weight", &embedding_column(schema.num_ids(), 8))?;
    let table = parameter(store, "embedding.weight")?;
    set_vectors(&table, schema, 0, &SEQ_1)?;
    set_vectors(&table, schema, 1, &SEQ_2)?;
    set_vectors(&table, schema, 2, &TARGET)?;
    show_summary("nfm", &model, store, PARAMETERS)?;
    Ok(model)
}

/// x `[3, 5, 8]`
fn embeddings(model: &Nfm, features: &Features) -> Result<Tensor> {
    markdown(
        r#"
        The vectors of all slots are concatenated. The program uses the vectors that the notebook prints in full. The
        others are random: normal with standard deviation $1/\sqrt{8}$, truncated at two standard deviations.
        "#,
    );
    let x = model.embedding.slots(features, false)?;
    show(&[("x", &x)]);
    ensure!(x.size() == [3, 5, 8]);
    let seq_2 = |row| x.get(row).get(2);
    ensure!(seq_2(0) == seq_2(2), "2200 and 2203 share a vector");
    Ok(x)
}

/// `[3, 8]`
fn bi_interaction(x: &Tensor) -> Result<Tensor> {
    markdown(
        r#"
        ## 1. Bi-Interaction

        $$f_{BI} = \sum_{s<t} x_s v_s \odot x_t v_t =
        \frac{1}{2} \left[ \left( \sum_s x_s v_s \right)^2 - \sum_s (x_s v_s)^2 \right]$$

        All pairs are multiplied element by element and summed into one vector. The first row equals the notebook's.
        "#,
    );
    let squared_sum = x.sum_dim_intlist(1, false, Kind::Float).square();
    let summed_squares = x.square().sum_dim_intlist(1, false, Kind::Float);
    let net = (squared_sum - summed_squares) * 0.5;
    show(&[("net", &net)]);

    let slot = |s: usize| x.select(1, s as i64);
    let naive: Tensor = pairs(5).map(|(s, t)| slot(s) * slot(t)).sum();
    ensure_equal("the double sum", &net, &naive)?;
    ensure_equal("BiInteraction", &BiInteraction.forward(x)?, &naive)?;
    ensure_equal("the notebook's first row", &net.get(0), &Tensor::from_slice(&NET))?;
    markdown("The sum of its 8 elements is the second order of an FM.");
    let fm = FmInteraction.forward(x)?;
    ensure_equal("FmInteraction", &net.sum_dim_intlist(1, false, Kind::Float), &fm)?;
    Ok(net)
}

fn computation(model: &Nfm, features: &Features, net: Tensor) -> Result<()> {
    markdown(
        r#"
        ## 1.1 Computation

        $$\hat{y} = \sigma \left( h^T \mathrm{relu}(W_2 \mathrm{relu}(W_1 \mathrm{BN}(f_{BI}) + b_1) + b_2) + b \right),
        \qquad \mathrm{BN}(x) = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + 0.001}} + \beta$$

        The hidden layers have 16 and 8 units. The notebook calls its layers outside of a model, so batch norm is in
        inference mode. It is never trained and still has a mean of 0 and a variance of 1: it only divides by
        $\sqrt{1.001}$.
        "#,
    );
    let bn = model.batch_norm.as_ref().context("the model has batch norm")?;
    let normalised = bn.forward(&net, false)?;
    let hidden = model.tower.dnn.forward(&normalised, false)?;
    let output = (model.tower.output.forward(&hidden)? + &model.bias).sigmoid();
    show(&[("bn(net)", &normalised), ("dnn(bn(net))", &hidden), ("output", &output)]);
    ensure_equal("batch norm", &normalised, &(net / 1.001f64.sqrt()))?;
    let logits = model.logits(features, false)?;
    ensure_equal("the model nfm", &output.squeeze_dim(1), &logits.sigmoid())
}

fn the_papers_form(schema: &Schema, features: &Features) -> Result<()> {
    markdown(
        r#"
        ## The paper's form

        $$\hat{y} = w_0 + \sum_s w_{id_s} x_s + h^T \mathrm{DNN}(\mathrm{dropout}(\mathrm{BN}(f_{BI})))$$

        The paper has a linear part, which the notebook omits, and dropout on the pooled vector. In training, batch
        norm uses the mean and variance of the batch. These are the defaults of the model `nfm`:
        "#,
    );
    seed(1);
    let store = VarStore::new(Device::Cpu);
    let config = Config {
        embedding: EmbeddingConfig { embedding_dim: 8, ..EmbeddingConfig::default() },
        dnn: DnnConfig { hidden_units: vec![16, 8], ..DnnConfig::default() },
        ..Config::default()
    };
    let model = Nfm::new(&store.root(), schema, &config)?;
    show_summary("nfm", &model, &store, PARAMETERS + schema.num_ids())?;
    draw_weights(&store);
    let logits = model.logits(features, false)?;
    let linear = model.linear.as_ref().context("the model has a linear part")?.forward(features, false)?;
    show(&[("linear part", &linear), ("logits", &logits), ("probabilities", &logits.sigmoid())]);

    let bn = model.batch_norm.as_ref().context("the model has batch norm")?;
    let pooled = BiInteraction.forward(&model.embedding.slots(features, false)?)?;
    let trained = bn.forward(&pooled, true)?;
    let beta = parameter(&store, "batch_norm.beta")?;
    ensure_equal("the mean of a training batch", &trained.mean_dim(0i64, false, Kind::Float), &beta)
}
