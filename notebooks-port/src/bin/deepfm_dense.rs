//! The article on DeepFM with dense features, section by section.
//!
//! Run it with `cargo run --release -p notebooks-port --bin deepfm_dense`.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use anyhow::{Context, Result, ensure};
use fm_core::model::Options;
use fm_core::train::{EpochRecord, TrainConfig, Trainer};
use fm_core::{Features, Field, FieldKind, Label, Model, Padded, Rows, Schema, Side, Task, TensorRows};
use fm_models::layers::{Activation, DnnConfig, EmbeddingConfig, FmInteraction};
use fm_models::models::deepfm::{Config, DeepFm, Form};
use fm_models::models::deepfm_dense::DenseFeaturesDeepFm;
use notebooks_port::{begin, dot, draw_weights, ensure_equal, markdown, pairs, parameter, seed, show, show_summary};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

/// The number of genres, items and users, including one of each for unknown values.
const IDS: [i64; 3] = [6, 40, 60];

fn main() -> Result<()> {
    begin("deepfm_dense", "Recommender models: DeepFM");
    main_idea();
    model_structure();
    let schema = schema()?;
    no_grad(|| implementation(&schema))?;
    the_papers_form(&schema)?;
    training(&schema)
}

fn main_idea() {
    markdown(
        r#"
        The article explains [DeepFM](https://arxiv.org/abs/1703.04247) (Guo, Tang, Ye, Li and He, 2017) and lists its
        code, without running it. This program builds the article's model, computes its parts, and trains it next to
        the paper's.

        ## Main idea

        DeepFM = FM + DNN. The wide part of Wide & Deep requires products of features chosen by hand. DeepFM replaces
        it with a factorization machine, which learns the products of all pairs. The deep network learns interactions
        of higher order.
        "#,
    );
}

fn model_structure() {
    markdown(
        r#"
        ## Model structure

        $$\hat{y} = \sigma(y_{FM} + y_{DNN})$$

        Both parts have the same input: one vector of $k$ dimensions per field, regardless of the number of values.
        The vectors are not pretrained with an FM. Both parts train them jointly.

        ### FM (Factorization Machines)

        $$y_{FM} = \langle w, x \rangle + \sum_{i=1}^{d} \sum_{j=i+1}^{d} \langle v_i, v_j \rangle x_i x_j$$

        It also has weights for pairs that never occur in training. Its time is linear in the number of features.

        ## Deep

        $$y_{DNN} = h^T \mathrm{relu}(W_L \cdots \mathrm{relu}(W_1 [v_1 x_1; \ldots; v_F x_F] + b_1) \cdots + b_L)$$

        A feed-forward network over the concatenated vectors.
        "#,
    );
}

/// The article's two lists of columns, three embedded ones and two numbers, each sorted by name like `DenseFeatures`.
fn schema() -> Result<Schema> {
    let embedded = |(name, ids): (&str, i64)| {
        let vocabulary = (1..ids).map(|id| id.to_string()).collect();
        Field::new(name, FieldKind::Categorical, Side::Context, vocabulary)
    };
    let number = |name| Field::new(name, FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::Context, Vec::new());
    let mut fields: Vec<Field> = ["genre", "item", "user"].into_iter().zip(IDS).map(embedded).collect();
    fields.extend(["age", "price"].map(number));
    let label = Label::fit("click", Task::Binary { threshold: 1.0 }, [0.0, 1.0]);
    Ok(Schema::new(label, fields)?)
}

/// Rows of ids, which count from 0 in each field, and of numbers.
fn features(schema: &Schema, ids: &Tensor, numbers: &Tensor) -> Result<Features> {
    let firsts: Vec<i64> = (0..3).map(|field| schema.ids(field).start).collect();
    // The slot of a number has the second id of its field. The first is for missing numbers.
    let of_numbers: Vec<i64> = (3..5).map(|field| schema.ids(field).start + 1).collect();
    let rows = ids.size()[0];
    let of_numbers = Tensor::from_slice(&of_numbers).expand([rows, 2], false);
    let ids = Tensor::cat(&[ids + Tensor::from_slice(&firsts), of_numbers], 1);
    let values = Tensor::cat(&[Tensor::ones([rows, 3], (Kind::Float, Device::Cpu)), numbers.shallow_clone()], 1);
    Ok(Features::new(schema, ids, values)?)
}

/// The options of both forms. The article's hidden layers have 256, 128 and 64 units by default, for larger tables.
fn config(form: Form) -> Config {
    let dnn =
        DnnConfig { hidden_units: vec![32, 16], activation: Activation::Relu, dropout: 0.0, ..DnnConfig::default() };
    Config { embedding: EmbeddingConfig { embedding_dim: 6, init_std: 0.05 }, dnn, form }
}

fn implementation(schema: &Schema) -> Result<()> {
    markdown(
        r#"
        ## Implementation

        ### Model

        $$\hat{y} = \sigma \left( a^T \left[ \sum_{f,d} e_{f,d} + b; \sum_{f<g} \langle e_f, e_g \rangle;
        \mathrm{DNN}([e_1; \ldots; e_F; x_1; \ldots; x_N]) \right] + c \right)$$

        $e$ are the vectors of `genre`, `item` and `user`, and $x$ are the numbers `age` and `price`. There are 6, 40
        and 60 values, vectors of 6 dimensions, and hidden layers of 32 and 16 units.
        "#,
    );
    seed(0);
    let store = VarStore::new(Device::Cpu);
    let model = DenseFeaturesDeepFm::new(&store.root(), schema, &config(Form::DenseFeatures))?;
    // Vectors, first order, hidden layers over 3 · 6 + 2 numbers, output over 1 + 1 + 16.
    let keras = (6 + 40 + 60) * 6 + 1 + (20 * 32 + 32) + (32 * 16 + 16) + (18 + 1);
    show_summary("DeepFM on dense features", &model, &store, keras)?;

    markdown(
        r#"
        ### Modules

        The three parts for three rows, with weights from $N(0, 0.5^2)$:
        "#,
    );
    draw_weights(&store);
    let ids = Tensor::from_slice(&[1i64, 7, 3, 5, 7, 41, 2, 30, 11]).view([3, 3]);
    let numbers = Tensor::from_slice(&[0.5f32, -1.0, -0.3, 0.2, 1.2, 0.8]).view([3, 2]);
    let features = features(schema, &ids, &numbers)?;

    // The same steps as in the article's `call`.
    let (embeddings, dnn_inputs) = model.inputs(&features, false)?; // [3, 3, 6] and [3, 2]
    let flat = embeddings.flatten(1, -1);
    let first_order = flat.sum_dim_intlist(-1, true, Kind::Float) + parameter(&store, "first_order_bias")?;
    let second_order = FmInteraction.forward(&embeddings)?.unsqueeze(1);
    let dnn_out = model.dnn.forward(&Tensor::cat(&[&flat, &dnn_inputs], 1), false)?;
    let both = Tensor::cat(&[&first_order, &second_order, &dnn_out], 1);
    let outputs = model.output.forward(&both)?.sigmoid();
    show(&[
        ("Linear: first_order", &first_order),
        ("FM: second_order", &second_order),
        ("DNN: dnn_out", &dnn_out),
        ("outputs", &outputs),
    ]);

    let e = |f: usize| embeddings.select(1, f as i64);
    let naive: Tensor = pairs(3).map(|(f, g)| dot(&e(f), &e(g))).sum();
    ensure_equal("the pairs", &second_order.squeeze_dim(1), &naive)?;
    let mut h = Tensor::cat(&[&flat, &numbers], 1);
    for layer in ["dnn.linear_0", "dnn.linear_1"] {
        let weight = parameter(&store, &format!("{layer}.weight"))?;
        h = (h.matmul(&weight.tr()) + parameter(&store, &format!("{layer}.bias"))?).relu();
    }
    ensure_equal("the deep part", &dnn_out, &h)?;
    let logits = model.logits(&features, false)?;
    ensure_equal("the model", &outputs.squeeze_dim(1), &logits.sigmoid())
}

fn the_papers_form(schema: &Schema) -> Result<()> {
    markdown(
        r#"
        ### The paper's form

        The article's code differs from the formulas above in three places:

        | | article's code | paper |
        |---|---|---|
        | first order | $\sum_{f,d} e_{f,d} + b$, without weights | $\sum_i w_i x_i$ |
        | pairs | of embedded fields only | of all fields, with the vector of a number scaled by it |
        | output | $\sigma(a^T [\ldots] + c)$, a dense layer over the parts | $\sigma(y_{FM} + y_{DNN})$ |

        The code stores `l2_linear_reg` but never uses it. The paper's form is the default of the model `deepfm`; the
        article's is `form = "dense-features"`. The paper's form has a weight per id, two vectors per number (one for
        missing numbers), and a network over 5 vectors instead of 3 vectors and 2 numbers:
        "#,
    );
    let store = VarStore::new(Device::Cpu);
    let model = DeepFm::new(&store.root(), schema, &config(Form::Paper))?;
    let ids = 6 + 40 + 60 + 2 + 2;
    show_summary("DeepFM", &model, &store, 1 + ids + ids * 6 + (30 * 32 + 32) + (32 * 16 + 16) + 16)
}

/// Clicks that depend on user, item and age: 3 ⟨p_user, q_item⟩ + 1.5 · age · r_genre, as log-odds.
fn synthetic_rows(schema: &Schema, n: i64) -> Result<TensorRows> {
    let options = (Kind::Float, Device::Cpu);
    let ids: Vec<Tensor> =
        IDS.iter().map(|&ids| Tensor::randint_low(1, ids, [n], (Kind::Int64, Device::Cpu))).collect();
    let numbers = Tensor::randn([n, 2], options);
    let [genre, item, user] = [(0, 1), (1, 3), (2, 3)]
        .map(|(field, width)| Tensor::randn([IDS[field], width], options).index_select(0, &ids[field]));
    let log_odds = dot(&user, &item) * 3.0 + numbers.select(1, 0) * genre.squeeze_dim(1) * 1.5;
    let labels = Tensor::rand([n], options).lt_tensor(&log_odds.sigmoid()).to_kind(Kind::Float);
    let Padded { ids, values, .. } = features(schema, &Tensor::stack(&ids, 1), &numbers)?.padded()?;
    Ok(TensorRows::new(schema, ids, values, labels)?)
}

fn training(schema: &Schema) -> Result<()> {
    markdown(
        r#"
        ### Training

        There are 5,000 rows, of which 4,000 are for training. Their clicks depend on the pair of user and item, and
        on the pair of age and genre. Training uses Adam with a learning rate of 0.005, batches of 128 and the
        logistic loss. A model that predicts the mean has a loss of 0.693.
        "#,
    );
    seed(1);
    let rows = synthetic_rows(schema, 5000)?;
    let part = |from: usize, to: usize| -> Result<TensorRows> {
        let batch = rows.batch(&(from..to).collect::<Vec<usize>>(), Device::Cpu)?;
        let Padded { ids, values, .. } = batch.features.padded()?;
        Ok(TensorRows::new(schema, ids, values, batch.labels)?)
    };
    let (train, valid) = (part(0, 4000)?, part(4000, 5000)?);

    let fit = |form: &str| -> Result<Vec<EpochRecord>> {
        seed(2);
        let store = VarStore::new(Device::Cpu);
        let options = Options::from_iter([
            ("form".into(), form.into()),
            ("embedding_dim".into(), 6.into()),
            ("init_std".into(), 0.05.into()),
            ("hidden_units".into(), vec![32, 16].into()),
            ("dropout".into(), 0.0.into()),
        ]);
        let model = fm_models::find("deepfm")?.build(&options, &store.root(), schema)?;
        let config = TrainConfig { epochs: 15, batch_size: 128, lr: 0.005, patience: 0, ..TrainConfig::default() };
        let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
        let mut records = Vec::new();
        let mut log = |record: &EpochRecord| records.push(record.clone());
        trainer.fit(&train, &valid, &mut log)?;
        Ok(records)
    };
    let (article, paper) = (fit("dense-features")?, fit("paper")?);

    println!("| epoch | article: loss | held out | AUC | paper: loss | held out | AUC |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    let is_shown = |epoch: usize| epoch == 1 || epoch.is_multiple_of(3);
    for (article, paper) in article.iter().zip(&paper).filter(|(record, _)| is_shown(record.epoch)) {
        print!("| {} |", article.epoch);
        for EpochRecord { train_loss, valid, .. } in [article, paper] {
            print!(" {train_loss:.4} | {:.4} | {:.4} |", valid["logloss"], valid["auc"]);
        }
        println!();
    }
    println!();
    for records in [&article, &paper] {
        let (first, last) = records.first().zip(records.last()).context("there was an epoch")?;
        ensure!(last.train_loss < 0.8 * first.train_loss, "the training loss does not fall");
        let auc = last.valid.get("auc").context("both classes are there")?;
        ensure!(*auc > 0.7, "the AUC on rows held out is {auc}");
    }
    markdown(
        r#"
        ## References

        - Guo, Tang, Ye, Li, He: [DeepFM: a factorization-machine based neural network for CTR
          prediction](https://arxiv.org/abs/1703.04247), IJCAI 2017
        - Rendle: [Factorization machines](https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf), ICDM 2010
        - The article's code: [RecModel](https://github.com/BENULL/RecModel/tree/master/deepfm)
        "#,
    );
    Ok(())
}
