//! The factorization machine, averaged over its posterior distribution.

use std::ops::ControlFlow;

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::posterior::{PosteriorSampler, PosteriorSweeps};
use fm_core::{
    Error, Features, Field, FieldKind, InnerProduct, Model, ModelConfig, ModelEntry, Result, Rows, Schema, Task,
};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Device, Kind, Tensor, no_grad};

use crate::gibbs::{Chain, Group, Hyperprior, Layout, Likelihood, Parameters};
use crate::layers::{EmbeddingConfig, Fm, check_size};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "bayesian_fm",
    "Bayesian FM",
    (
        2011,
        "Freudenthaler, Schmidt-Thieme and Rendle: Bayesian factorization machines, NIPS workshop",
        "https://www.ismll.uni-hildesheim.de/pub/pdfs/FreudenthalerRendle_BayesianFactorizationMachines.pdf",
    ),
    "all pairs of values, as inner products, averaged over the parameters that fit the rows",
);

/// The options.
#[derive(Clone, Copy, Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// k: length of the latent vectors of a draw. Sweeps are fastest if k + 2 is a multiple of 8.
    pub embedding_dim: i64,
    /// S: number of latest draws to keep. The exported vectors have the length k S.
    pub samples: i64,
    /// Number of sweeps per epoch. The last one is kept as a draw.
    pub thin: usize,
    /// Number of epochs before the first draw that is averaged. Until then, only the last draw scores.
    pub burn_in: usize,
    /// Standard deviation of the initial latent vectors.
    pub init_std: f64,
    /// The constants of the priors.
    #[serde(flatten)]
    pub hyperprior: Hyperprior,
}

impl Default for Config {
    fn default() -> Config {
        let hyperprior = Hyperprior::default();
        Config { embedding_dim: 22, samples: 16, thin: 4, burn_in: 18, init_std: 0.1, hyperprior }
    }
}

/// ŷ = 1/S Σ_t [w₀ᵗ + Σ_s wᵗ_{id_s} x_s + Σ_{s<t'} ⟨vᵗ_{id_s}, vᵗ_{id_t'}⟩ x_s x_t'], the mean score of S draws from
/// the posterior.
///
/// This mean is itself one factorization machine: w₀ and w are the means over the draws, and the vector of an id is
/// [v¹; ...; v^S] / √S, of length k S.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Freudenthaler, Schmidt-Thieme and Rendle, Bayesian factorization machines, NIPS workshop 2011; Rendle,
/// Factorization machines with libFM, ACM TIST 2012, section 3.3, <https://doi.org/10.1145/2168752.2168771>.
#[derive(Debug)]
pub struct BayesianFm {
    /// The mean of the draws.
    pub fm: Fm,
    config: Config,
    schema: Schema,
    /// w₀ of the current draw `[1]`, and the vector followed by the weight of each id `[n, k + 1]`, in the units of
    /// [`Scale`].
    bias: Tensor,
    ids: Tensor,
    /// w₀ and w of the kept draws `[S, n + 1]`, to compute the mean again when a draw is dropped.
    kept: Tensor,
}

impl ModelConfig for Config {
    /// The chain decides the scale of the parameters.
    const L2_FACTOR: f64 = 0.0;

    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        self.check()?;
        let Config { embedding_dim: k, samples, init_std, .. } = *self;
        // Each draw fills a part of the vectors, which start at zero.
        let wide = EmbeddingConfig { embedding_dim: k * samples, init_std: 0.0 };
        let fm = Fm::new(path, schema, &wide)?;
        let (n, options) = (schema.num_ids(), (Kind::Float, path.device()));
        let ids = Tensor::f_zeros([n, k + 1], options)?;
        let _ = no_grad(|| ids.narrow(1, 0, k).f_normal_(0.0, init_std))?;
        let (bias, kept) = (Tensor::f_zeros([1], options)?, Tensor::f_zeros([samples, n + 1], options)?);
        Ok(Box::new(BayesianFm { fm, config: *self, schema: schema.clone(), bias, ids, kept }))
    }
}

impl Config {
    fn check(&self) -> Result<()> {
        let refuse = |name: &str, value: &dyn std::fmt::Display, range: &str| {
            Err(Error::out_of_range(format!("BayesianFm: {name}"), value, range))
        };
        if !(1..=MAX_DIM).contains(&self.embedding_dim) {
            return refuse("embedding_dim", &self.embedding_dim, &format!("1 to {MAX_DIM}"));
        }
        check_size("BayesianFm", "samples", self.samples)?;
        check_size("BayesianFm", "embedding_dim times samples", self.embedding_dim * self.samples)?;
        if self.thin == 0 {
            return refuse("thin", &self.thin, "at least 1");
        }
        if !self.init_std.is_finite() || self.init_std < 0.0 {
            return refuse("init_std", &self.init_std, "a number of at least 0");
        }
        let Hyperprior { alpha_0, beta_0, gamma_0 } = self.hyperprior;
        for (name, value) in [("alpha_0", alpha_0), ("beta_0", beta_0), ("gamma_0", gamma_0)] {
            if !value.is_finite() || value <= 0.0 {
                return refuse(name, &value, "a number above 0");
            }
        }
        Ok(())
    }
}

/// Maximum length of the vectors of a draw. A sweep takes time proportional to its square.
const MAX_DIM: i64 = 512;

impl Model for BayesianFm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.fm.logits(features, train)
    }

    fn bias(&self) -> &Tensor {
        self.fm.bias()
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        Some(&self.fm)
    }

    fn layers(&self) -> Vec<Layer> {
        self.fm.layers()
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        self.fm.explain(features)
    }

    fn posterior_sampler(&self) -> Option<&dyn PosteriorSampler> {
        Some(self)
    }
}

impl PosteriorSampler for BayesianFm {
    fn state(&self) -> Vec<(String, Tensor)> {
        [("bias", &self.bias), ("ids", &self.ids), ("kept", &self.kept)]
            .map(|(name, tensor)| (format!("draw/{name}"), tensor.shallow_clone()))
            .into()
    }

    fn begin<'a>(&'a self, rows: &dyn Rows) -> Result<Box<dyn PosteriorSweeps + 'a>> {
        let is_sequence = |field: &&Field| matches!(field.kind, FieldKind::Sequence(_));
        if let Some(Field { name, .. }) = self.schema.fields().iter().find(is_sequence) {
            let reason = format!("BayesianFm: field `{name}` is a sequence: declare it multi-valued");
            return Err(Error::Unsupported(reason));
        }
        if let Some(Field { name, shares: Some(owner), .. }) =
            self.schema.fields().iter().find(|field| field.shares.is_some())
        {
            let reason = format!("BayesianFm: field `{name}` shares the table of `{owner}`: leave out `shares`");
            return Err(Error::Unsupported(reason));
        }
        let group = |field: usize| Group {
            ids: self.schema.ids(field).start as usize..self.schema.ids(field).end as usize,
            is_exclusive: self.schema.fields()[field].kind.list().is_none(),
        };
        let groups: Vec<Group> = (0..self.schema.num_fields()).map(group).collect();
        let k = self.config.embedding_dim as usize;
        let mut layout = Layout::new(rows, &self.schema, Chain::max_parts(rows.len(), k))?;
        // Scores are in the unit of the model's logits.
        let unit = self.schema.label().scale;
        layout.labels.iter_mut().for_each(|label| *label /= unit);
        let (likelihood, scale) = match self.schema.label().task {
            Task::Regression => (Likelihood::Gaussian, Scale::of(&layout.labels, &layout.weights)),
            Task::Binary { .. } => (Likelihood::Logistic, Scale { center: 0.0, spread: 1.0 }),
            Task::Ranking { .. } => {
                let reason = "BayesianFm supports ratings and binary labels, but not rankings: use fm";
                return Err(Error::Unsupported(reason.into()));
            }
        };
        if likelihood == Likelihood::Logistic && layout.weights.iter().any(|&weight| weight != 1.0) {
            return Err(Error::Unsupported("BayesianFm: rows of a binary task cannot have weights".into()));
        }
        layout.labels.iter_mut().for_each(|label| *label = (*label - scale.center) / scale.spread);
        let chain = Chain::new(layout, likelihood, self.config.hyperprior, &groups, k);
        Ok(Box::new(Sampling { model: self, chain, scale }))
    }
}

/// The units of the chain: a label, in units of the model's logits, is `center` + `spread` × a label of the chain, so the
/// priors suit labels of any unit.
#[derive(Clone, Copy, Debug)]
struct Scale {
    center: f32,
    spread: f32,
}

impl Scale {
    /// The weighted mean and standard deviation of labels.
    fn of(labels: &[f32], weights: &[f32]) -> Scale {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mean_of = |part: &dyn Fn(f64) -> f64| {
            let rows = labels.iter().zip(weights);
            rows.map(|(&label, &weight)| f64::from(weight) * part(f64::from(label))).sum::<f64>() / total
        };
        let center = mean_of(&|label| label);
        let spread = mean_of(&|label| (label - center).powi(2)).sqrt() as f32;
        Scale { center: center as f32, spread: if spread > 0.0 { spread } else { 1.0 } }
    }

    /// Converts a mean squared error to the unit of the labels; does not change a logistic loss.
    fn loss(&self, loss: f64) -> f64 {
        loss * f64::from(self.spread).powi(2)
    }
}

/// Sweeps over rows, which update the mean of the draws.
struct Sampling<'a> {
    model: &'a BayesianFm,
    chain: Chain,
    scale: Scale,
}

impl PosteriorSweeps for Sampling<'_> {
    fn advance(
        &mut self,
        epoch: usize,
        seed: u64,
        progress: &mut dyn FnMut(f64, f64) -> ControlFlow<()>,
    ) -> Result<Option<f64>> {
        let BayesianFm { bias, ids, config, .. } = self.model;
        let read = |tensor: &Tensor| Vec::<f32>::try_from(tensor.to_device(Device::Cpu).flatten(0, -1));
        let mut parameters = Parameters { bias: read(bias)?[0], ids: read(ids)? };
        let mut rng = Pcg64::seed_from_u64(seed);
        let (mut loss, mut expected) = (f64::NAN, None);
        for sweep in 0..config.thin {
            let mut part =
                |part: f64, loss: f64| progress((sweep as f64 + part) / config.thin as f64, self.scale.loss(loss));
            match self.chain.sweep(&mut parameters, &mut rng, &mut part) {
                ControlFlow::Continue((before, draw)) => (loss, expected) = (before, Some(draw)),
                ControlFlow::Break(()) => return Ok(None),
            }
        }
        no_grad(|| {
            write(bias, &[parameters.bias])?;
            write(ids, &parameters.ids)?;
            expected.iter().try_for_each(|draw| self.keep(epoch, draw))
        })?;
        Ok(Some(self.scale.loss(loss)))
    }
}

impl Sampling<'_> {
    /// Adds the draw of an epoch to the mean. It replaces the oldest draw if there are already S.
    fn keep(&self, epoch: usize, draw: &Parameters) -> Result<()> {
        let BayesianFm { fm, config, kept, .. } = self.model;
        let Config { embedding_dim: k, samples, burn_in, .. } = *config;
        // During the burn-in, each draw replaces the previous one.
        let before = epoch.saturating_sub(burn_in).saturating_sub(1) as i64;
        let (column, count) = (before % samples, (before + 1).min(samples));
        let Scale { center, spread } = self.scale;

        let table = &fm.embedding.table;
        if 0 < before && before < samples {
            // The mean is now over more draws.
            let _ = table.shallow_clone().f_mul_scalar_((before as f64 / count as f64).sqrt())?;
        }
        let draws = Tensor::from_slice(&draw.ids).view([-1, k + 1]).to_device(table.device());
        let vectors = draws.narrow(1, 0, k) * (f64::from(spread) / count as f64).sqrt();
        table.narrow(1, column * k, k).f_copy_(&vectors)?;

        let bias = f64::from(center) + f64::from(spread) * f64::from(draw.bias);
        let place = kept.get(column);
        place.narrow(0, 0, 1).f_copy_(&Tensor::from(bias as f32).view([1]))?;
        place.narrow(0, 1, kept.size()[1] - 1).f_copy_(&(draws.select(1, k) * f64::from(spread)))?;
        let mean = kept.narrow(0, 0, count).f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        fm.bias.shallow_clone().f_copy_(&mean.narrow(0, 0, 1))?;
        fm.linear.weight.shallow_clone().f_copy_(&mean.narrow(0, 1, mean.size()[0] - 1).unsqueeze(1))?;
        Ok(())
    }
}

/// Overwrites a tensor.
fn write(tensor: &Tensor, numbers: &[f32]) -> Result<()> {
    Ok(tensor.shallow_clone().f_copy_(&Tensor::f_from_slice(numbers)?.f_view(tensor.size().as_slice())?)?)
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;
    use crate::gibbs::tests::{World, score};
    use crate::oracle::{Draw, Vector, features, numbers};

    const REGRESSION: Task = Task::Regression;
    const BINARY: Task = Task::Binary { threshold: 0.5 };

    fn build(config: &Config, schema: &Schema) -> (VarStore, Box<dyn Model>) {
        let store = VarStore::new(Device::Cpu);
        let model = config.build(&store.root(), schema).unwrap();
        (store, model)
    }

    fn state(model: &dyn Model) -> Vec<(String, Tensor)> {
        model.posterior_sampler().unwrap().state()
    }

    /// The state and the parameters by name.
    fn all(store: &VarStore, model: &dyn Model) -> Vec<(String, Tensor)> {
        let mut all = state(model);
        all.extend(store.variables());
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    fn copy(from: &[(String, Tensor)], to: &[(String, Tensor)]) {
        for (name, tensor) in to {
            let (_, from) = from.iter().find(|(other, _)| other == name).unwrap();
            no_grad(|| tensor.shallow_clone().copy_(from));
        }
    }

    fn values(tensors: &[(String, Tensor)]) -> Vec<(String, Vector)> {
        tensors.iter().map(|(name, tensor)| (name.clone(), numbers(tensor))).collect()
    }

    fn advance(sweeps: &mut dyn PosteriorSweeps, epoch: usize) -> f64 {
        sweeps.advance(epoch, epoch as u64, &mut |_, _| ControlFlow::Continue(())).unwrap().unwrap()
    }

    fn scores(model: &dyn Model, world: &World) -> Vector {
        numbers(&model.logits(&features(&world.schema, &world.rows), false).unwrap())
    }

    fn labels(task: Task, n: usize, draw: &mut Draw) -> Vector {
        let label = |number: f64| if task == BINARY { f64::from(number > 0.0) } else { 3.0 + 20.0 * number };
        draw.vector(n).into_iter().map(label).collect()
    }

    #[test]
    fn its_score_is_the_mean_of_the_last_draws() {
        let (samples, burn_in) = (3, 2);
        for task in [REGRESSION, BINARY] {
            let mut draw = Draw(1);
            let world = World::new(task, [6, 5], 60, &mut draw);
            let rows = world.tensor_rows(&labels(task, 60, &mut draw), None);
            let of_one = Config { embedding_dim: 2, samples: 1, thin: 2, burn_in: 0, ..Config::default() };
            let (_one, one) = build(&of_one, &world.schema);
            let (_mean, mean) = build(&Config { samples, burn_in, ..of_one }, &world.schema);
            copy(&state(&*one)[..2], &state(&*mean)[..2]);
            let (mut of_draws, mut of_means) = (
                one.posterior_sampler().unwrap().begin(&rows).unwrap(),
                mean.posterior_sampler().unwrap().begin(&rows).unwrap(),
            );
            let mut draws = vec![];
            for epoch in 1..=burn_in + 2 * samples as usize + 1 {
                assert_eq!(advance(&mut *of_draws, epoch), advance(&mut *of_means, epoch));
                draws.push(scores(&*one, &world));
                let kept = epoch.saturating_sub(burn_in).clamp(1, samples as usize);
                let last = &draws[epoch - kept..];
                for (at, found) in scores(&*mean, &world).into_iter().enumerate() {
                    let expected = last.iter().map(|draw| draw[at]).sum::<f64>() / kept as f64;
                    let close = (found - expected).abs() < 1e-5 * (1.0 + expected.abs());
                    assert!(close, "row {at} after epoch {epoch}: {found}, and the mean of {kept} draws is {expected}");
                }
            }
        }
    }

    /// If a row can contain two ids of the field, the draws themselves are kept. The unit of the chain is the standard
    /// deviation of the labels, that of the scores is the scale of the label.
    #[test]
    fn its_score_is_that_of_the_draw_in_the_unit_of_the_labels() {
        let kind = FieldKind::MultiValued(fm_core::List::new("|", 2, fm_core::Weighting::Sum));
        let field = fm_core::Field::new("tags", kind, fm_core::Side::Item, vec!["a".into(), "b".into()]);
        let unit = 1024.0;
        let schema = Schema::new(fm_core::Label::fit("y", REGRESSION, [0.0, 2.0 * unit as f32]), vec![field]).unwrap();
        let world = World { schema, rows: [0.5, 1.0, -2.0].map(|x| vec![(1, 1.0), (2, x)]).into() };
        let (_store, model) = build(&Config { embedding_dim: 3, ..Config::default() }, &world.schema);
        let rows = world.tensor_rows(&[100.0, 101.0, 105.0].map(|label| unit * label), Some(&[3.0, 0.0, 1.0]));
        let mut sweeps = model.posterior_sampler().unwrap().begin(&rows).unwrap();
        advance(&mut *sweeps, 1);
        let parameters = values(&state(&*model));
        let single = |at: usize| parameters[at].1.iter().map(|&number| number as f32).collect::<Vec<f32>>();
        let draw = Parameters { bias: single(0)[0], ids: single(1) };
        // The weighted mean, and √(3/4 · 1.25² + 1/4 · 3.75²).
        let (center, spread) = (101.25, 4.6875f64.sqrt());
        let expected: Vector = world.rows.iter().map(|row| center + spread * score(&draw, 3, row)).collect();
        for (found, expected) in scores(&*model, &world).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
        let losses = [100.0, 105.0].iter().zip([expected[0], expected[2]]).zip([0.75, 0.25]);
        let loss: f64 = losses.map(|((label, score), share)| share * (label - score) * (label - score)).sum();
        // The loss before the only sweep of an epoch.
        let (_store, again) = build(&Config { embedding_dim: 3, thin: 1, ..Config::default() }, &world.schema);
        copy(&state(&*model), &state(&*again));
        let found = advance(&mut *again.posterior_sampler().unwrap().begin(&rows).unwrap(), 2);
        assert!((found - loss).abs() < 1e-3 * (1.0 + loss), "the loss is {found}, not {loss}");
    }

    #[test]
    fn a_chain_that_resumes_in_a_new_model_ends_like_one_that_never_stopped() {
        for task in [REGRESSION, BINARY] {
            let mut draw = Draw(2);
            let world = World::new(task, [6, 5], 60, &mut draw);
            let rows = world.tensor_rows(&labels(task, 60, &mut draw), None);
            let config = Config { embedding_dim: 6, samples: 2, thin: 2, burn_in: 1, ..Config::default() };
            let (store, model) = build(&config, &world.schema);
            let mut sweeps = model.posterior_sampler().unwrap().begin(&rows).unwrap();
            for epoch in 1..=2 {
                advance(&mut *sweeps, epoch);
            }
            let (fresh_store, fresh) = build(&config, &world.schema);
            copy(&all(&store, &*model), &all(&fresh_store, &*fresh));
            let mut going_on = fresh.posterior_sampler().unwrap().begin(&rows).unwrap();
            for epoch in 3..=5 {
                assert_eq!(advance(&mut *sweeps, epoch), advance(&mut *going_on, epoch));
                assert_eq!(values(&all(&store, &*model)), values(&all(&fresh_store, &*fresh)));
            }
        }
    }

    /// With many rows, a sweep reports progress several times.
    #[test]
    fn interrupting_an_epoch_changes_nothing() {
        let n = 120_000;
        let mut draw = Draw(3);
        let world = World::new(REGRESSION, [400, 300], n, &mut draw);
        let rows = world.tensor_rows(&labels(REGRESSION, n, &mut draw), None);
        let config = Config { embedding_dim: 1, thin: 2, samples: 2, ..Config::default() };
        let (store, model) = build(&config, &world.schema);
        let mut sweeps = model.posterior_sampler().unwrap().begin(&rows).unwrap();
        let unchanged: Vec<(String, Tensor)> =
            all(&store, &*model).into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect();
        let before = values(&unchanged);
        let mut last = 0.0;
        for part in [0.0, 0.3, 0.6] {
            let mut progress = |done: f64, _: f64| {
                last = done;
                if done > part { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            assert_eq!(sweeps.advance(1, 1, &mut progress).unwrap(), None);
            assert!(part < last && last <= 1.0);
            assert_eq!(values(&all(&store, &*model)), before);
        }
        let mut parts = vec![];
        let mut progress = |done: f64, loss: f64| {
            parts.push((done, loss));
            ControlFlow::Continue(())
        };
        let loss = sweeps.advance(1, 1, &mut progress).unwrap().unwrap();
        let after = values(&all(&store, &*model));
        assert_ne!(after, before);
        assert!(parts.is_sorted_by(|a, b| a.0 < b.0) && parts[parts.len() - 1].0 <= 1.0, "{parts:?}");
        assert_eq!(parts[parts.len() - 1].1, loss);
        // An interrupted sweep leaves no trace.
        let (fresh_store, fresh) = build(&config, &world.schema);
        copy(&unchanged, &all(&fresh_store, &*fresh));
        assert_eq!(advance(&mut *fresh.posterior_sampler().unwrap().begin(&rows).unwrap(), 1), loss);
        assert_eq!(values(&all(&fresh_store, &*fresh)), after);
    }

    #[test]
    fn equal_labels_are_learnt_and_one_row_is_enough() {
        for (task, label) in [(REGRESSION, 4.2), (BINARY, 1.0)] {
            for (n, k, weight) in [(1, 1, 1.0), (1, 22, 1.0), (40, 1, 1.0), (40, 22, 1.0), (40, 22, 1e6)] {
                let world = World::new(task, [3, 2], n, &mut Draw(4));
                let weights = vec![weight; n];
                let rows = world.tensor_rows(&vec![label; n], (task == REGRESSION).then_some(&weights));
                let config = Config { embedding_dim: k, burn_in: 5, ..Config::default() };
                let (_store, model) = build(&config, &world.schema);
                let mut sweeps = model.posterior_sampler().unwrap().begin(&rows).unwrap();
                for epoch in 1..=20 {
                    assert!(advance(&mut *sweeps, epoch).is_finite());
                }
                for score in scores(&*model, &world) {
                    let is_near = if task == BINARY { score > 0.0 } else { (score - label).abs() < 1.0 };
                    assert!(score.is_finite() && (n == 1 || is_near), "{task:?}, {n} rows, k {k}: {score}");
                }
            }
        }
    }

    #[test]
    fn a_weight_counts_as_that_many_rows_in_the_unit_of_the_labels() {
        let once = Scale::of(&[1.0, 4.0, 9.0], &[2.0, 1.0, 0.0]);
        let twice = Scale::of(&[1.0, 1.0, 4.0], &[1.0; 3]);
        assert_eq!((once.center, once.spread), (twice.center, twice.spread));
        assert_eq!((once.center, once.spread), (2.0, 2f32.sqrt()));
    }

    #[test]
    fn weights_of_a_binary_task_and_rankings_are_errors() {
        let world = World::of_pairs(BINARY, [2, 1]);
        let of = |task: Task, weights: &[f64]| {
            let label = fm_core::Label { task, ..world.schema.label().clone() };
            let schema = Schema::new(label, world.schema.fields().to_vec()).unwrap();
            let (_store, model) = build(&Config::default(), &schema);
            let rows = world.tensor_rows(&[0.0, 1.0], Some(weights));
            model.posterior_sampler().unwrap().begin(&rows).err().map(|error| error.to_string())
        };
        assert_eq!(of(BINARY, &[1.0, 1.0]), None);
        assert!(of(BINARY, &[1.0, 2.0]).unwrap().contains("cannot have weights"));
        assert!(of(Task::Ranking { threshold: None }, &[1.0, 1.0]).unwrap().contains("not rankings: use fm"));
    }
}
