//! The notebook on rating regression with a factorization machine, cell by cell.
//!
//! Run it with `cargo run --release -p notebooks-port --bin fm_regression`. It reads MovieLens 100K from the
//! folder of `fm data download ml-100k`.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::{Context, Result, ensure};
use fm_core::metric::{Scored, mae, rmse};
use fm_core::model::Layer;
use fm_core::optim::OptimizerConfig;
use fm_core::seed::permutation;
use fm_core::train::{EpochRecord, Observer, TrainConfig, Trainer};
use fm_core::{Features, Field, FieldKind, Label, Model, Rows, Schema, Side, Task, TensorRows, predict};
use fm_data::movielens;
use fm_models::layers::{Dense, DenseFm};
use notebooks_port::{begin, dot, ensure_equal, markdown, pairs, parameter, seed, set_parameter, show, show_summary};
use polars::prelude::*;
use tch::nn::{Path, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// The columns of x.
const COLUMNS: [&str; 5] = ["year", "gender", "age", "occupation", "zip"];
const SEED: u64 = 0;
const EPOCHS: usize = 50;

fn main() -> Result<()> {
    let folder = movielens::locate(&movielens::data_dir(None)?, "ml-100k")?;
    let release = movielens::read(&folder)?;
    begin("fm_regression", "FM regression on MovieLens");
    formula();
    let (x, y) = table(&release)?;
    let data = Data::split(&x, &y)?;
    let schema = data.schema()?;
    let (store, model) = model(&schema)?;
    let x = four_rows();
    layer(&store, &model, &x)?;
    let (train, test) = (data.rows(&schema, &data.train)?, data.rows(&schema, &data.test)?);
    training(&schema, &store, &model, &[&train, &test])?;
    fold(&schema, &store, &model, &x, &test)
}

fn formula() {
    markdown(
        r#"
        ## The formula

        A linear model, plus the product of each pair of features with its own weight:

        $$y = \omega_0 + \sum_{i=1}^{n} \omega_i x_i + \sum_{i=1}^{n-1} \sum_{j=i+1}^{n} \omega_{ij} x_i x_j$$

        These are too many weights to learn from sparse features. With $\omega_{ij} = \langle v_i, v_j \rangle$ each
        feature has a vector of $k$ dimensions instead. The sum over pairs is half of the sum over all $i$ and $j$,
        without the products of a feature with itself:

        $$\sum_{i=1}^{n} \sum_{j=i+1}^{n} \langle v_i, v_j \rangle x_i x_j =
        \frac{1}{2} \sum_{i=1}^{n} \sum_{j=1}^{n} \langle v_i, v_j \rangle x_i x_j -
        \frac{1}{2} \sum_{i=1}^{n} \langle v_i, v_i \rangle x_i x_i$$

        For each of the $k$ dimensions the double sum is the square of a sum, so the time is linear in $n$:

        $$\frac{1}{2} \sum_{f=1}^{k} \left( \left( \sum_{i=1}^{n} v_{i,f} x_i \right)^2 -
        \sum_{i=1}^{n} v_{i,f}^2 x_i^2 \right)$$
        "#,
    );
}

/// The numeric features x, null where missing, and the ratings y.
fn table(release: &movielens::MovieLens) -> Result<(DataFrame, Vec<f32>)> {
    markdown(
        r#"
        ## The data

        The data is [MovieLens 100K](https://grouplens.org/datasets/movielens/100k/) (Harper and Konstan, 2015): each
        rating with the attributes of its film and its user. Ids, genres, title and timestamp are dropped. The
        remaining attributes are numbers: the film's year, and the user's gender (1 for women), age, occupation (its
        alphabetical rank) and region (the first digit of the zip code). The rating is $y$.
        "#,
    );
    let data = release.frame()?;

    let occupations: BTreeSet<&str> = data.column("occupation")?.str()?.iter().flatten().collect();
    let occupations: Vec<&str> = occupations.into_iter().collect();
    let number = |name: &str, text: &str| match name {
        "gender" => Some(f64::from(text == "F")),
        "occupation" => occupations.binary_search(&text).ok().map(|place| place as f64),
        "zip" => text.get(..1)?.parse().ok(), // Canadian codes start with a letter
        _ => text.parse().ok(),
    };
    let numbers = |name: &str| -> PolarsResult<Column> {
        let column = data.column(name)?.str()?.iter();
        let numbers: Float64Chunked = column.map(|text| number(name, text?)).collect();
        Ok(numbers.with_name(name.into()).into_column())
    };
    let x = DataFrame::new(data.height(), COLUMNS.into_iter().map(numbers).collect::<PolarsResult<_>>()?)?;
    let y: Vec<f32> = data.column("rating")?.f32()?.iter().flatten().collect();
    ensure!(y.len() == x.height(), "a rating is missing");

    println!("{} ratings.\n\n| column | minimum | maximum | missing |\n|---|---:|---:|---:|", x.height());
    for column in x.columns() {
        let numbers = column.f64()?;
        let (min, max) = numbers.min().zip(numbers.max()).context("a column is empty")?;
        println!("| {} | {min} | {max} | {} |", column.name(), numbers.null_count());
    }
    println!();
    Ok((x, y))
}

/// Standardised features, row by row, and the rows of the training and test sets.
struct Data<'a> {
    x: Vec<f32>,
    y: &'a [f32],
    /// (mean, standard deviation) of each column.
    scale: Vec<(f64, f64)>,
    train: Vec<u32>,
    test: Vec<u32>,
}

impl<'a> Data<'a> {
    fn split(x: &DataFrame, y: &'a [f32]) -> Result<Data<'a>> {
        markdown(
            r#"
            A random three quarters of the rows are for training, the others for testing. Each column is standardised:
            $(x - \mu) / \sigma$. The notebook computes $\mu$ and $\sigma$ over all rows before the split, which leaks
            the test rows into training. Here they come from the training rows only. With this many rows, the
            difference is small:
            "#,
        );
        let order = permutation(SEED, 1, y.len());
        let (train, test) = order.split_at(y.len() * 3 / 4);
        let mut scale = Vec::new();
        println!("| column | mean, all rows | mean, training rows | std, all rows | std, training rows |");
        println!("|---|---:|---:|---:|---:|");
        for column in x.columns() {
            let numbers: Vec<Option<f64>> = column.f64()?.iter().collect();
            let (all_mean, all_std) = statistics(&numbers, &order);
            let (mean, std) = statistics(&numbers, train);
            println!("| {} | {all_mean:.4} | {mean:.4} | {all_std:.4} | {std:.4} |", column.name());
            ensure!(mean != all_mean && std != all_std, "the statistics are those of all rows");
            scale.push((mean, std));
        }
        println!("\n{} rows for training, {} for the test.\n", train.len(), test.len());

        let mut standardised = vec![0f32; x.height() * COLUMNS.len()];
        for ((place, column), (mean, std)) in x.columns().iter().enumerate().zip(&scale) {
            for (row, number) in column.f64()?.iter().enumerate() {
                // A missing number is the mean.
                standardised[row * COLUMNS.len() + place] = number.map_or(0.0, |number| ((number - mean) / std) as f32);
            }
        }
        Ok(Data { x: standardised, y, scale, train: train.to_vec(), test: test.to_vec() })
    }

    /// Five numbers, and the rating.
    fn schema(&self) -> Result<Schema> {
        let field = |(name, &(mean, std)): (&str, &(f64, f64))| {
            let kind = FieldKind::Numeric { mean, std };
            Field::new(name, kind, Side::Context, Vec::new())
        };
        let label = Label::fit("rating", Task::Regression, self.train.iter().map(|&row| self.y[row as usize]));
        // As in the notebook, outputs are ratings as they are.
        let label = Label { scale: 1.0, ..label };
        Ok(Schema::new(label, COLUMNS.into_iter().zip(&self.scale).map(field).collect())?)
    }

    fn rows(&self, schema: &Schema, rows: &[u32]) -> Result<TensorRows> {
        let n = COLUMNS.len();
        let x: Vec<f32> = rows.iter().flat_map(|&row| &self.x[row as usize * n..][..n]).copied().collect();
        let y: Vec<f32> = rows.iter().map(|&row| self.y[row as usize]).collect();
        let shape = [rows.len() as i64, n as i64];
        // The second id of a numeric field is that of a number.
        let ids: Vec<i64> = (0..n).map(|field| schema.ids(field).start + 1).collect();
        let ids = Tensor::from_slice(&ids).expand(shape, false).contiguous();
        Ok(TensorRows::new(schema, ids, Tensor::from_slice(&x).view(shape), Tensor::from_slice(&y))?)
    }
}

/// Mean and standard deviation of the numbers in some rows.
fn statistics(numbers: &[Option<f64>], rows: &[u32]) -> (f64, f64) {
    let there = || rows.iter().filter_map(|&row| numbers[row as usize]);
    let n = there().count() as f64;
    let mean = there().sum::<f64>() / n;
    (mean, (there().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// ŷ = ⟨a, FM(x)⟩ + c, with an FM of several units.
#[derive(Debug)]
struct FmRegression {
    fm: DenseFm,
    outputs: Dense,
    /// c.
    bias: Tensor,
    units: i64,
}

impl FmRegression {
    /// The notebook's `FM(units, k)` and its `Dense(1)`.
    fn new(path: &Path<'_>, n: usize, units: i64, k: i64) -> Result<FmRegression> {
        let fm = DenseFm::new(path / "fm", n as i64, units, k)?;
        let outputs = Dense::new(path / "outputs", units, 1, true)?;
        let bias = outputs.bias().context("it was made with one")?.shallow_clone();
        Ok(FmRegression { fm, outputs, bias, units })
    }
}

impl Model for FmRegression {
    fn logits(&self, features: &Features, _train: bool) -> fm_core::Result<Tensor> {
        Ok(self.outputs.forward(&self.fm.forward(&features.padded()?.values)?)?.squeeze_dim(-1))
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn layers(&self) -> Vec<Layer> {
        vec![Layer::new("fm", "DenseFm", &[self.units]), Layer::new("outputs", "Dense", &[1])]
    }
}

fn model(schema: &Schema) -> Result<(VarStore, FmRegression)> {
    markdown(
        r#"
        ## The layer and the model

        $$\mathrm{FM}(x)_u = b_u + \sum_{i=1}^{n} w_{i,u} x_i + \frac{1}{2} \sum_{f=1}^{k} \left(
        \left( \sum_{i=1}^{n} v_{i,f} x_i \right)^2 - \sum_{i=1}^{n} v_{i,f}^2 x_i^2 \right),
        \qquad \hat{y} = \sum_u a_u \mathrm{FM}(x)_u + c$$

        There are 32 units that share their pairs, $k = 10$, and a dense layer with one output: 32 biases, 5 × 32
        weights, 5 × 10 elements of vectors, 32 weights and a bias.
        "#,
    );
    seed(SEED);
    let store = VarStore::new(Device::Cpu);
    let model = FmRegression::new(&store.root(), schema.num_fields(), 32, 10)?;
    show_summary("FM regression", &model, &store, 32 + 5 * 32 + 5 * 10 + 32 + 1)?;
    Ok((store, model))
}

/// Four rows of numbers like standardised features, `[4, 5]`.
fn four_rows() -> Tensor {
    seed(SEED + 1);
    Tensor::randn([4, 5], (Kind::Float, Device::Cpu))
}

/// The two terms of the notebook's `call`, against the double sum.
fn layer(store: &VarStore, model: &FmRegression, x: &Tensor) -> Result<()> {
    markdown(
        r#"
        The outputs for four rows from $N(0, 1)$, before training. `linear_terms` has a column per unit, of which four
        are shown. All units share `pair_interactions`.
        "#,
    );
    let (linear_terms, pair_interactions, output) = no_grad(|| -> Result<_> {
        Ok((model.fm.linear_terms(x)?, model.fm.pair_interactions(x)?, model.fm.forward(x)?))
    })?;
    show(&[
        ("x", x),
        ("linear_terms", &linear_terms.narrow(1, 0, 4)),
        ("pair_interactions", &pair_interactions),
        ("output", &output.narrow(1, 0, 4)),
    ]);
    let latent = parameter(store, "fm.latent")?; // [k, n]
    let v_x = |i: usize| latent.select(1, i as i64) * x.select(1, i as i64).unsqueeze(1); // v_i x_i, [B, k]
    let naive: Tensor = pairs(5).map(|(i, j)| dot(&v_x(i), &v_x(j))).sum();
    ensure_equal("the pairs", &pair_interactions.squeeze_dim(1), &naive)?;
    ensure_equal("the layer", &output, &(linear_terms + pair_interactions))
}

/// Prints a row of the table every few epochs.
struct Table<'a> {
    rows: &'a [&'a TensorRows; 2],
    losses: Vec<f64>,
}

impl Observer for Table<'_> {
    fn epoch(&mut self, record: &EpochRecord, trainer: &Trainer<'_>) -> fm_core::Result<ControlFlow<()>> {
        self.losses.push(record.train_loss);
        if record.epoch == 1 || record.epoch.is_multiple_of(5) {
            print!("| {} | {:.4} |", record.epoch, record.train_loss);
            for rows in self.rows {
                let predictions = predict(trainer.model, *rows, Device::Cpu)?;
                let (mse, mae) = errors(&predictions, &rows.labels());
                print!(" {mse:.4} | {mae:.4} |");
            }
            println!();
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The mean squared and the mean absolute error.
fn errors(predictions: &[f32], labels: &[f32]) -> (f64, f64) {
    let missing = f64::NAN; // if there are no rows
    let scored = Scored::new(predictions, labels);
    (rmse(&scored).map_or(missing, |rmse| rmse * rmse), mae(&scored).unwrap_or(missing))
}

fn training(schema: &Schema, store: &VarStore, model: &FmRegression, rows: &[&TensorRows; 2]) -> Result<()> {
    markdown(
        r#"
        ## Training

        Training uses RMSprop with a learning rate of 0.001, squared error, batches of 256 and 50 epochs. `loss` is
        the mean over the steps of an epoch; the errors are measured after the epoch. The notebook initialises the
        last bias to 0 and spends its first epochs on learning the mean rating. The training loop here initialises it
        to the mean.
        "#,
    );
    let &[train, test] = rows;
    let config = TrainConfig {
        epochs: EPOCHS,
        batch_size: 256,
        lr: 0.001,
        patience: 0,
        seed: SEED,
        optimizer: OptimizerConfig::RmsProp { rho: 0.9, epsilon: 1e-7, legacy: false },
        ..TrainConfig::default()
    };
    println!(
        "| epoch | loss | MSE, training | MAE, training | MSE, test | MAE, test |\n|---:|---:|---:|---:|---:|---:|"
    );
    let mut table = Table { rows, losses: Vec::new() };
    Trainer::new(model, store, schema.label(), config)?.fit(train, test, &mut table)?;
    println!();

    let mean = schema.label().mean;
    let variance = |rows: &TensorRows| errors(&vec![mean; rows.len()], &rows.labels()).0;
    let mse = errors(&predict(model, test, Device::Cpu)?, &test.labels()).0;
    markdown(&format!(
        r#"
        A model that always predicts the mean rating, {mean:.4}, has a squared error of {:.4} on the training rows and
        {:.4} on the test rows. Attributes such as age and gender explain little of a rating. The ids would explain
        more, but the notebook drops them.
        "#,
        variance(train),
        variance(test)
    ));
    let (first, last) = table.losses.first().zip(table.losses.last()).context("there was an epoch")?;
    ensure!(last < first && *last < variance(train), "the loss falls from {first} to {last}");
    ensure!(mse < variance(test), "the error on the test rows is {mse}");
    Ok(())
}

/// Σ_u a_u FM(x)_u + c = s · FM'(x) + c, with s = Σ_u a_u and FM' of one unit.
fn fold(schema: &Schema, store: &VarStore, model: &FmRegression, x: &Tensor, test: &TensorRows) -> Result<()> {
    markdown(
        r#"
        ## One FM, written 32 times

        All units have the same pairs, and the dense layer sums the units. With $s = \sum_u a_u$:

        $$\hat{y} = \left( c + \sum_u a_u b_u \right) + \sum_i \left( \sum_u a_u w_{i,u} \right) x_i +
        s \sum_{i<j} \langle v_i, v_j \rangle x_i x_j$$

        This is one FM whose pairs have a common factor. A model with one unit is equivalent. It has the weights
        $\sum_u a_u w_{i,u} / s$, the bias $\sum_u a_u b_u / s$, the same vectors, and $s$ and $c$ in the dense layer:
        "#,
    );
    let a = parameter(store, "outputs.weight")?; // [1, units]
    let s = a.sum(Kind::Float);
    let folded_store = VarStore::new(Device::Cpu);
    let folded = FmRegression::new(&folded_store.root(), schema.num_fields(), 1, 10)?;
    set_parameter(&folded_store, "fm.weight", &(a.matmul(&parameter(store, "fm.weight")?) / &s))?;
    set_parameter(&folded_store, "fm.bias", &(a.matmul(&parameter(store, "fm.bias")?) / &s))?;
    set_parameter(&folded_store, "fm.latent", &parameter(store, "fm.latent")?)?;
    set_parameter(&folded_store, "outputs.weight", &s.view([1, 1]))?;
    set_parameter(&folded_store, "outputs.bias", &parameter(store, "outputs.bias")?)?;
    show_summary("FM regression, one unit", &folded, &folded_store, 1 + 5 + 5 * 10 + 1 + 1)?;

    let on_x =
        |model: &FmRegression| -> Result<Tensor> { Ok(no_grad(|| model.outputs.forward(&model.fm.forward(x)?))?) };
    let (expected, found) = (on_x(model)?, on_x(&folded)?);
    show(&[("32 units, on x", &expected), ("one unit, on x", &found)]);
    ensure_equal("one unit on x", &found, &expected)?;
    let predictions = |model| -> Result<Tensor> { Ok(Tensor::from_slice(&predict(model, test, Device::Cpu)?)) };
    ensure_equal("one unit on the test rows", &predictions(&folded)?, &predictions(model)?)?;
    println!("The predictions for all {} test rows are also the same.", test.len());
    Ok(())
}
