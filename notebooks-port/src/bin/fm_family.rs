//! The notebook on the factorization-machine family, section by section.
//!
//! Run it with `cargo run --release -p notebooks-port --bin fm_family`.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use anyhow::{Context, Result, bail, ensure};
use fm_core::{Features, Field, FieldKind, Label, Model, Schema, Side, Task};
use fm_models::layers::{
    Activation, AttentionPooling, BatchNormMode, BiInteraction, CinConfig, DnnConfig, EmbeddingConfig, Ffm, FfmForm,
    Fm, PairPooling, Pooling,
};
use fm_models::models::afm::{self, Afm};
use fm_models::models::deepfm::{self, DeepFm};
use fm_models::models::nfm::{self, Nfm};
use fm_models::models::xdeepfm::{self, XDeepFm};
use notebooks_port::{begin, dot, draw_weights, ensure_equal, markdown, pairs, parameter, seed, show, show_summary};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

/// k = 8, from N(0, 0.05²) like Keras's `random_normal`.
const EMBEDDING: EmbeddingConfig = EmbeddingConfig { embedding_dim: 8, init_std: 0.05 };

/// A seed for which no hidden layer is all zero.
const SEED: u64 = 7;

fn main() -> Result<()> {
    no_grad(notebook) // nothing is trained here
}

fn notebook() -> Result<()> {
    begin("fm_family", "Factorization Machines");
    markdown(
        r#"
        The notebook has six models of one family. Each section shows the formula, the notebook's `test_model()` with
        the number of parameters in Keras, and a batch on which the model equals its formula written as loops. Where
        the notebook differs from the paper, both forms are computed.

        `test_model()` has two features of 100 ids; here, one of these ids is for unknown values. Two features have
        only one pair. The formulas are therefore checked on four features of 6 ids and on three rows, with weights
        from $N(0, 0.5^2)$. Ids are global: those of the second feature follow those of the first.
        "#,
    );
    show(&[("inputs", &four_features()?.1.padded()?.ids)]);
    vanilla_fm()?;
    ffm()?;
    nfm()?;
    afm()?;
    deepfm()?;
    xdeepfm()
}

/// Features with `ids` ids each.
fn schema(names: &[&str], ids: usize) -> Result<Schema> {
    let field = |name: &&str| {
        let vocabulary = (1..ids).map(|id| id.to_string()).collect();
        Field::new(*name, FieldKind::Categorical, Side::Context, vocabulary)
    };
    let label = Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]);
    Ok(Schema::new(label, names.iter().map(field).collect())?)
}

/// The features of the notebook's `test_model()`.
fn test_features() -> Result<Schema> {
    schema(&["user_id", "item_id"], 100)
}

/// Four features of 6 ids, and three rows of them.
fn four_features() -> Result<(Schema, Features)> {
    let schema = schema(&["user_id", "item_id", "genre", "hour"], 6)?;
    let ids = Tensor::from_slice(&[1i64, 8, 15, 22, 3, 8, 13, 20, 5, 11, 17, 22]).view([3, 4]);
    let ones = Tensor::ones([3, 4], (Kind::Float, Device::Cpu));
    let features = Features::new(&schema, ids, ones)?;
    Ok((schema, features))
}

/// Logits, and their sigmoid, which the notebook's models return.
fn show_outputs(title: &str, logits: &Tensor) {
    show(&[(&format!("{title}, logits"), logits), (&format!("{title}, outputs"), &logits.sigmoid())]);
}

/// A naive model: table lookups of a batch, and dense layers.
struct Naive<'a> {
    store: &'a VarStore,
    ids: &'a Tensor,
}

impl Naive<'_> {
    /// The rows of a table that slot `i` looks up: `[B, k]`
    fn row(&self, table: &str, i: i64) -> Result<Tensor> {
        Ok(parameter(self.store, table)?.index_select(0, &self.ids.select(1, i)))
    }

    /// v_i `[B, k]` of all slots.
    fn vectors(&self) -> Result<Vec<Tensor>> {
        (0..self.ids.size()[1]).map(|i| self.row("embedding.weight", i)).collect()
    }

    /// w₀ + Σ_i w_i `[B]`
    fn first_order(&self) -> Result<Tensor> {
        let weight = |i| Ok(self.row("linear.weight", i)?.squeeze_dim(1));
        let weights = (0..self.ids.size()[1]).map(weight).collect::<Result<Vec<Tensor>>>()?;
        Ok(weights.iter().sum::<Tensor>() + parameter(self.store, "bias")?)
    }

    /// W x + b of a dense layer: `[B, in]` → `[B, out]`
    fn dense(&self, layer: &str, x: &Tensor) -> Result<Tensor> {
        let weight = parameter(self.store, &format!("{layer}.weight"))?;
        let product = x.matmul(&weight.tr());
        Ok(match parameter(self.store, &format!("{layer}.bias")) {
            Ok(bias) => product + bias,
            Err(_) => product,
        })
    }

    /// Three hidden layers and the output: `[B, in]` → `[B]`
    fn deep(&self, x: Tensor) -> Result<Tensor> {
        let mut h = x;
        for layer in 0..3 {
            h = self.dense(&format!("dnn.linear_{layer}"), &h)?.relu();
        }
        Ok(self.dense("output", &h)?.squeeze_dim(1))
    }
}

fn vanilla_fm() -> Result<()> {
    markdown(
        r#"
        ## Vanilla FM

        $$\hat{y}(x) = w_0 + \sum_{i=1}^{n} w_i x_i + \sum_{i=1}^{n} \sum_{j=i+1}^{n} \langle v_i, v_j \rangle x_i x_j$$

        Each feature has a weight. The weight of a pair of features is the inner product of their vectors, so even a
        pair that never occurs in training has one. For a million users and ten thousand items, separate weights for
        all features and pairs would be $10^6 + 10^4 + 10^{10}$ parameters, or 10 billion. With vectors of 10
        dimensions it is $11 (10^6 + 10^4)$, or 11 million.

        `test_model()` has a bias, and for each of 200 ids a weight and a vector of 8 dimensions.
        "#,
    );
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = Fm::new(&store.root(), &test_features()?, &EMBEDDING)?;
    show_summary("FM", &model, &store, 1801)?;

    markdown(
        r#"
        The model computes all pairs at once, as $\frac{1}{2} \sum_f [(\sum_i v_{if} x_i)^2 - \sum_i v_{if}^2 x_i^2]$.
        The sum over individual pairs is the same:
        "#,
    );
    let (schema, features) = four_features()?;
    let store = VarStore::new(Device::Cpu);
    let model = Fm::new(&store.root(), &schema, &EMBEDDING)?;
    draw_weights(&store);
    let logits = model.logits(&features, false)?;

    let naive = Naive { store: &store, ids: &features.padded()?.ids };
    let v = naive.vectors()?;
    let second_order: Tensor = pairs(4).map(|(i, j)| dot(&v[i], &v[j])).sum();
    let first_order = naive.first_order()?;
    show(&[("first order", &first_order), ("second order", &second_order)]);
    show_outputs("FM", &logits);
    ensure_equal("FM", &logits, &(first_order + second_order))?;

    markdown(
        r#"
        The notebook's layer adds an offset to each feature's id. If the id is too large, it reads the rows of the
        next feature. Here that is an error:
        "#,
    );
    let beyond = Features::new(
        &schema,
        Tensor::from_slice(&[6i64, 8, 15, 22]).view([1, 4]),
        features.padded()?.values.narrow(0, 0, 1),
    );
    println!("```\n{}\n```\n", beyond.err().context("id 6 is the item's, not the user's")?);
    Ok(())
}

fn ffm() -> Result<()> {
    markdown(
        r#"
        ## Field-aware Factorization Machines (FFM)

        | model | for each | learns |
        |---|---|---|
        | linear | feature | a weight |
        | poly-2 | pair of features | a weight |
        | FM | feature | a vector |
        | FFM | feature and field | a vector |

        $$\phi(w, x) = w_0 + \sum_{i=1}^{n} w_i x_i +
        \sum_{i=1}^{n} \sum_{j=i+1}^{n} \langle v_{i, f_j}, v_{j, f_i} \rangle x_i x_j$$

        `test_model()` has a bias, 200 weights, and two vectors of 8 dimensions for each of 200 ids.
        "#,
    );
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = Ffm::new(&store.root(), &test_features()?, &EMBEDDING, FfmForm::Summed)?;
    show_summary("FFM", &model, &store, 3401)?;

    markdown(
        r#"
        **The notebook's form** is not its formula. For each field it sums the vectors of all features, and then
        multiplies these sums: $\sum_{f<g} \langle \sum_i v_{i,f}, \sum_j v_{j,g} \rangle$. Each feature therefore
        interacts with every feature, including itself, regardless of their fields. Four fields give 96 products
        instead of 6. The paper's form is the default of the model `ffm`. Here both forms have the same weights:
        "#,
    );
    let (schema, features) = four_features()?;
    let store = VarStore::new(Device::Cpu);
    let notebook = Ffm::new(&store.root(), &schema, &EMBEDDING, FfmForm::Summed)?;
    draw_weights(&store);
    let mut same_weights = VarStore::new(Device::Cpu);
    let paper = Ffm::new(&same_weights.root(), &schema, &EMBEDDING, FfmForm::FieldAware)?;
    same_weights.copy(&store)?;

    let naive = Naive { store: &store, ids: &features.padded()?.ids };
    let rows = naive.vectors()?;
    let v = |i: usize, f: usize| rows[i].narrow(1, 8 * f as i64, 8); // of slot i, for partners of field f
    let sum_for = |f| (0..4).map(|i| v(i, f)).sum::<Tensor>();
    let summed: Tensor = pairs(4).map(|(f, g)| dot(&sum_for(f), &sum_for(g))).sum();
    let field_aware: Tensor = pairs(4).map(|(i, j)| dot(&v(i, j), &v(j, i))).sum();
    let first_order = naive.first_order()?;

    let (notebook, paper) = (notebook.logits(&features, false)?, paper.logits(&features, false)?);
    show(&[("first order", &first_order), ("the notebook's pairs", &summed), ("the paper's pairs", &field_aware)]);
    show_outputs("the notebook's form", &notebook);
    show_outputs("the paper's form", &paper);
    ensure_equal("the notebook's form", &notebook, &(&first_order + summed))?;
    ensure_equal("the paper's form", &paper, &(first_order + field_aware))
}

/// Hidden layers of 8, 4 and 2 units, without Keras's dropout after the last one.
fn hidden_layers() -> DnnConfig {
    DnnConfig { hidden_units: vec![8, 4, 2], activation: Activation::Relu, dropout: 0.0, ..DnnConfig::default() }
}

fn nfm() -> Result<()> {
    markdown(
        r#"
        ## Neural Factorization Machine (NFM)

        $$f_{BI} = \sum_{i<j} x_i v_i \odot x_j v_j, \qquad
        \hat{y} = \sigma(h^T \mathrm{DNN}(\mathrm{BN}(f_{BI})) + b)$$

        The pairs of an FM are summed into a vector instead of a number, and a deep network follows. Without hidden
        layers and with $h = 1$ it is an FM.

        `test_model()` has 200 vectors of 8 dimensions, batch norm's 2 × 8 parameters and 2 × 8 statistics, hidden
        layers of 8, 4 and 2 units, and an output. The statistics are not trained.
        "#,
    );
    let notebook_form = |batch_norm| nfm::Config {
        embedding: EMBEDDING,
        dnn: hidden_layers(),
        pooling_dropout: 0.0,
        batch_norm,
        linear: false,
    };
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = Nfm::new(&store.root(), &test_features()?, &notebook_form(BatchNormMode::AlwaysBatch))?;
    show_summary("NFM", &model, &store, 1753)?;
    let trainable: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
    ensure!(trainable == 1737, "{trainable} parameters are trainable, and in Keras 1737");

    let (schema, features) = four_features()?;
    let store = VarStore::new(Device::Cpu);
    let model = Nfm::new(&store.root(), &schema, &notebook_form(BatchNormMode::AlwaysBatch))?;
    draw_weights(&store);
    let naive = Naive { store: &store, ids: &features.padded()?.ids };
    let v = naive.vectors()?;
    let f_bi: Tensor = pairs(4).map(|(i, j)| &v[i] * &v[j]).sum();
    let of_batch = |f_bi: &Tensor| -> Result<Tensor> {
        let mean = f_bi.mean_dim(0i64, false, Kind::Float);
        let variance = (f_bi - &mean).square().mean_dim(0i64, false, Kind::Float);
        let gamma = parameter(&store, "batch_norm.gamma")?;
        Ok((f_bi - mean) / (variance + 0.001).sqrt() * gamma + parameter(&store, "batch_norm.beta")?)
    };
    let logits = model.logits(&features, false)?;
    show(&[("Bi-Interaction", &f_bi), ("batch norm", &of_batch(&f_bi)?)]);
    show_outputs("NFM", &logits);
    ensure_equal("NFM", &logits, &(naive.deep(of_batch(&f_bi)?)? + parameter(&store, "bias")?))?;

    markdown(
        r#"
        **The notebook's batch norm** is called with `training=bn_use`. By default it therefore uses the statistics of
        the batch even in prediction. A single row is its own mean, so every single row has the same score. With
        `bn_use=False` the layer is not off, but keeps its initial statistics. It should use the statistics of the
        batch in training, and the moving ones in prediction. The scores of the three rows, one at a time:
        "#,
    );
    let mut same_weights = VarStore::new(Device::Cpu);
    let standard = Nfm::new(&same_weights.root(), &schema, &notebook_form(BatchNormMode::Standard))?;
    same_weights.copy(&store)?;
    let one_by_one = |model: &Nfm| -> Result<Tensor> {
        let rows = features.padded()?;
        let row = |row: usize| rows.narrow(row..row + 1).into();
        let logits = (0..3).map(|i| model.logits(&row(i), false)).collect::<fm_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&logits, 0))
    };
    let (always_batch, standard) = (one_by_one(&model)?, one_by_one(&standard)?);
    show(&[("the notebook's form, logits", &always_batch), ("with moving statistics, logits", &standard)]);
    ensure_equal("rows by themselves", &always_batch, &always_batch.get(0).expand([3], false))?;
    ensure!(standard.std(false).double_value(&[]) > 1e-3, "with moving statistics, rows differ");

    markdown(
        r#"
        **The paper's form** also has a linear part, $w_0 + \sum_i w_i x_i$, and dropout on the pooled vector. It is
        the default of the model `nfm`, with one more weight for each of 200 ids.
        "#,
    );
    let store = VarStore::new(Device::Cpu);
    let config = nfm::Config { embedding: EMBEDDING, dnn: hidden_layers(), ..nfm::Config::default() };
    show_summary("NFM of the paper", &Nfm::new(&store.root(), &test_features()?, &config)?, &store, 1753 + 200)
}

fn afm() -> Result<()> {
    markdown(
        r#"
        ## Attentional Factorization Machines (AFM)

        $$\hat{y}_{AFM}(x) = w_0 + \sum_{i=1}^{n} w_i x_i +
        p^T \sum_{i=1}^{n} \sum_{j=i+1}^{n} a_{ij} (v_i \odot v_j) x_i x_j,
        \qquad a_{ij} = \mathrm{softmax}_{ij}(h^T \mathrm{relu}(W (v_i \odot v_j) x_i x_j + b))$$

        A network of width $t$ computes the weight of each pair.

        `test_model()` has 200 vectors of 8 dimensions, attention of width 8, and an output. The last layer of the
        attention has a bias, which cancels in the softmax. The only pair of two features always has the weight 1, so
        the parameters of the attention are never trained.
        "#,
    );
    let notebook_form = |pooling| afm::Config {
        embedding: EMBEDDING,
        pooling,
        attention_dim: 8,
        attention_l2: 0.0,
        attention_bias: true,
        dropout: 0.0,
        linear: false,
    };
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = Afm::new(&store.root(), &test_features()?, &notebook_form(Pooling::Attention))?;
    show_summary("AFM", &model, &store, 1690)?;
    let attention = attention_of(&model)?;
    let one_pair = attention.weights(&Tensor::rand([3, 1, 8], (Kind::Float, Device::Cpu)))?;
    ensure_equal("the weight of one pair", &one_pair, &one_pair.ones_like())?;

    let (schema, features) = four_features()?;
    let store = VarStore::new(Device::Cpu);
    let model = Afm::new(&store.root(), &schema, &notebook_form(Pooling::Attention))?;
    draw_weights(&store);
    let naive = Naive { store: &store, ids: &features.padded()?.ids };
    let v = naive.vectors()?;
    let products: Vec<Tensor> = pairs(4).map(|(i, j)| &v[i] * &v[j]).collect();
    let scores =
        products.iter().map(|pair| naive.dense("attention.score", &naive.dense("attention.hidden", pair)?.relu()));
    let exponentials = scores.map(|score| Ok(score?.exp())).collect::<Result<Vec<_>>>()?;
    let total: Tensor = exponentials.iter().sum();
    let pooled: Tensor = products.iter().zip(&exponentials).map(|(pair, e)| pair * e / &total).sum();

    let stacked = Tensor::stack(&products, 1); // [B, 6, k]
    let attention = attention_of(&model)?;
    let weights = attention.weights(&stacked)?.squeeze_dim(2);
    let logits = model.logits(&features, false)?;
    markdown("The weights of the pairs (0,1), (0,2), (0,3), (1,2), (1,3) and (2,3) sum to 1:");
    show(&[("a", &weights)]);
    show_outputs("AFM", &logits);
    ensure_equal("the attention", &weights, &(Tensor::cat(&exponentials, 1) / &total))?;
    ensure_equal("AFM", &logits, &(naive.dense("output", &pooled)?.squeeze_dim(1) + parameter(&store, "bias")?))?;

    markdown(
        r#"
        **The notebook's other modes** pool the pairs without attention. `avg` is the mean. `max` is a sum in the
        code, which is the pooling of an FM. The model `afm` has both: `pooling = "max"` and `pooling = "sum"`.
        "#,
    );
    let pool = |pooling| -> Result<Tensor> {
        let store = VarStore::new(Device::Cpu);
        Ok(Afm::new(&store.root(), &schema, &notebook_form(pooling))?.pooling.forward(&stacked)?)
    };
    let (mean, sum, max) = (pool(Pooling::Mean)?, pool(Pooling::Sum)?, pool(Pooling::Max)?);
    show(&[("avg", &mean), ("the notebook's max", &sum), ("the maximum", &max)]);
    ensure_equal("avg", &mean, &(&sum / 6.0))?;
    ensure_equal("the notebook's max", &sum, &BiInteraction.forward(&Tensor::stack(&v, 1))?)?;
    for pair in &products {
        ensure!(max.ge_tensor(pair).all().int64_value(&[]) == 1, "a pair is greater than the maximum");
    }

    markdown(
        r#"
        **The paper's form** has a linear part, which is in the notebook's formula but not in its code, and dropout on
        the pairs, which the notebook declares but never applies. Its L2 penalty is on the attention's matrix, the
        notebook's on the vectors. It is the default of the model `afm`: 200 more weights here, and no bias in the
        last layer of the attention.
        "#,
    );
    let store = VarStore::new(Device::Cpu);
    let config = afm::Config { embedding: EMBEDDING, attention_dim: 8, ..afm::Config::default() };
    show_summary("AFM of the paper", &Afm::new(&store.root(), &test_features()?, &config)?, &store, 1690 + 200 - 1)
}

/// The attention of a model that uses it for pooling.
fn attention_of(model: &Afm) -> Result<&AttentionPooling> {
    match &model.pooling {
        PairPooling::Attention(attention) => Ok(attention),
        other => bail!("the model pools by {other:?}"),
    }
}

fn deepfm() -> Result<()> {
    markdown(
        r#"
        ## Deep Factorization Machines (DeepFM)

        $$\hat{y} = \sigma \left( \sum_i w_i x_i + \sum_{i<j} \langle v_i, v_j \rangle x_i x_j +
        h^T \mathrm{DNN}([v_1 x_1; \ldots; v_F x_F]) + b \right)$$

        An FM and a deep network share the same vectors.

        `test_model()` has 200 vectors of 8 dimensions, 200 weights, hidden layers of 8, 4 and 2 units over 16 inputs,
        and an output.
        "#,
    );
    let config = deepfm::Config { embedding: EMBEDDING, dnn: hidden_layers(), ..deepfm::Config::default() };
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = DeepFm::new(&store.root(), &test_features()?, &config)?;
    show_summary("DeepFM", &model, &store, 1985)?;

    let (schema, features) = four_features()?;
    let store = VarStore::new(Device::Cpu);
    let model = DeepFm::new(&store.root(), &schema, &config)?;
    draw_weights(&store);
    let naive = Naive { store: &store, ids: &features.padded()?.ids };
    let v = naive.vectors()?;
    let second_order: Tensor = pairs(4).map(|(i, j)| dot(&v[i], &v[j])).sum();
    let fm = naive.first_order()? + second_order;
    let deep = naive.deep(Tensor::cat(&v, 1))?;
    let logits = model.logits(&features, false)?;
    show(&[("FM", &fm), ("deep", &deep)]);
    show_outputs("DeepFM", &logits);
    ensure_equal("DeepFM", &logits, &(fm + deep))?;
    markdown(
        r#"
        **The paper's form** is the same without $b$, which is the bias of the deep part's output in the notebook and
        $w_0$ here. The notebook applies dropout after the last hidden layer only. The paper and the model `deepfm`
        apply it after each one.
        "#,
    );
    Ok(())
}

fn xdeepfm() -> Result<()> {
    markdown(
        r#"
        ## Extreme Deep Factorization Machines (xDeepFM)

        $$X^{l+1}_h = \sum_{i=1}^{F} \sum_{j=1}^{H_l} W^l_{h,i,j} (X^0_i \odot X^l_j), \qquad
        p^l_h = \sum_d X^l_{h,d}, \qquad
        \hat{y} = \sigma(\mathrm{linear} + c^T [p^1; p^2; \ldots] + h^T \mathrm{DNN} + b)$$

        Layer $l$ of the compressed interaction network (CIN) multiplies $l + 1$ features, vector by vector. The deep
        network next to it has no such bound. $X^0$ are the vectors of the features.

        `test_model()` has 200 vectors of 8 dimensions, 200 weights, CIN layers of 4 maps each with filters of 4 × 4
        and 8 × 4, hidden layers of 8, 4 and 2 units, and two outputs. Keras prints 2,042 because its summary misses
        the variable `bias`; the model has 2,043.
        "#,
    );
    let config = xdeepfm::Config {
        embedding: EMBEDDING,
        dnn: hidden_layers(),
        cin: CinConfig { cin_size: vec![4, 4], cin_split: false, cin_activation: Activation::Linear },
        part_biases: true,
    };
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = XDeepFm::new(&store.root(), &test_features()?, &config)?;
    show_summary("xDeepFM", &model, &store, 2043)?;

    let (schema, features) = four_features()?;
    let store = VarStore::new(Device::Cpu);
    let model = XDeepFm::new(&store.root(), &schema, &config)?;
    draw_weights(&store);
    let naive = Naive { store: &store, ids: &features.padded()?.ids };
    let x_0 = naive.vectors()?;
    let mut maps = Vec::new(); // of all layers
    let mut x_l: Vec<Tensor> = x_0.iter().map(Tensor::shallow_clone).collect();
    for layer in 0..2 {
        let filter = parameter(&store, &format!("cin.weight_{layer}"))?; // [H, F · H_l]
        let map = |h: i64| -> Tensor {
            let weight = |i: usize, j: usize| filter.double_value(&[h, (i * x_l.len() + j) as i64]);
            let all = (0..4).flat_map(|i| (0..x_l.len()).map(move |j| (i, j)));
            all.map(|(i, j)| &x_0[i] * &x_l[j] * weight(i, j)).sum()
        };
        let next: Vec<Tensor> = (0..4).map(map).collect();
        maps.extend(next.iter().map(|map| map.sum_dim_intlist(-1, true, Kind::Float)));
        x_l = next;
    }
    let cin = Tensor::cat(&maps, 1); // [B, H_1 + H_2]
    let explicit = naive.dense("cin_output", &cin)?.squeeze_dim(1);
    let implicit = naive.deep(Tensor::cat(&x_0, 1))?;
    let linear = naive.first_order()?;

    let found = model.cin.forward(&model.embedding.forward(&features, false)?)?;
    let logits = model.logits(&features, false)?;
    show(&[("CIN", &cin), ("linear", &linear), ("CIN's part", &explicit), ("the deep part", &implicit)]);
    show_outputs("xDeepFM", &logits);
    ensure_equal("CIN", &found, &cin)?;
    ensure_equal("xDeepFM", &logits, &(linear + explicit + implicit))?;

    markdown(
        r#"
        **The paper's form** is the same function with one bias, $b$, which includes those of the two outputs. The
        model `xdeepfm` has no separate ones by default, and thus 2 parameters fewer.
        "#,
    );
    let store = VarStore::new(Device::Cpu);
    let config = xdeepfm::Config { part_biases: false, ..config };
    show_summary("xDeepFM of the paper", &XDeepFm::new(&store.root(), &test_features()?, &config)?, &store, 2043 - 2)
}
