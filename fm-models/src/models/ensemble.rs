//! An ensemble: the mean of several models.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::ranking::Candidates;
use fm_core::{Error, Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::bias;
use crate::run::ModelSettings;

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "ensemble",
    "Ensemble",
    (
        2017,
        "Lakshminarayanan, Pritzel, Blundell: Simple and scalable predictive uncertainty estimation using deep \
         ensembles, NeurIPS",
        "https://arxiv.org/abs/1612.01474",
    ),
    "what its members capture, with less of what chance added to each",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The models, each with its name and its options.
    pub members: Vec<ModelSettings>,
}

impl Default for Config {
    fn default() -> Config {
        Config { members: vec![ModelSettings::default(); 2] }
    }
}

/// ŷ = w₀ + (1/M) Σ_m ŷ_m: the mean of the logits of M models of the same fields.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Lakshminarayanan et al., NeurIPS 2017, section 2.4, <https://arxiv.org/abs/1612.01474>, whose members are
/// trained one by one from different initial values; they average probabilities. `fm ensemble` combines trained
/// models, with w₀ = 0.
pub struct Ensemble {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// The models ŷ_m.
    pub members: Vec<Box<dyn Model>>,
}

impl Ensemble {
    /// Creates the parameters of the members under `path`: see [`prefix`].
    ///
    /// # Errors
    /// [`Error::Setting`] for no members, and the errors of the members.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Ensemble> {
        if config.members.is_empty() {
            return Err(Error::Setting("Ensemble: members is empty: it must have at least 1".into()));
        }
        let member = |(number, member): (usize, &ModelSettings)| {
            let build = || member.entry()?.build(&member.options, &(path / prefix(number)), schema);
            build().map_err(|error| Error::Setting(format!("Ensemble: members: {error}")))
        };
        let members = config.members.iter().enumerate().map(member).collect::<Result<_>>()?;
        Ok(Ensemble { bias: bias(path), members })
    }

    fn share(&self) -> f64 {
        1.0 / self.members.len() as f64
    }

    /// w₀ and the mean of what each member gives.
    fn mean(&self, of: impl Fn(&dyn Model) -> Result<Tensor>) -> Result<Tensor> {
        let parts = self.members.iter().map(|member| of(member.as_ref())).collect::<Result<Vec<_>>>()?;
        Ok(sum(parts) * self.share() + &self.bias)
    }

    /// The vectors of all members one after another.
    fn joined(&self, of: impl Fn(&dyn InnerProduct) -> Result<Half>) -> Result<Half> {
        let halves = self.members.iter().filter_map(|member| member.inner_product()).map(of);
        let (vectors, own): (Vec<Tensor>, Vec<Option<Tensor>>) =
            halves.collect::<Result<Vec<_>>>()?.into_iter().map(|half| (half.vectors, half.own)).unzip();
        let own: Vec<Tensor> = own.into_iter().flatten().collect();
        let own = (!own.is_empty()).then(|| sum(own) * self.share());
        Ok(Half { vectors: Tensor::cat(&vectors, 1), own })
    }
}

/// The first name of the parameters of a member, before the names of its own.
pub fn prefix(member: usize) -> String {
    format!("member_{member}")
}

fn sum(tensors: Vec<Tensor>) -> Tensor {
    tensors.into_iter().reduce(|sum, tensor| sum + tensor).expect("an ensemble has members")
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Ensemble::new(path, schema, self)?))
    }
}

impl Model for Ensemble {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.mean(|member| member.logits(features, train))
    }

    fn candidate_logits(&self, candidates: &Candidates<'_>, train: bool) -> Result<Tensor> {
        self.mean(|member| member.candidate_logits(candidates, train))
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        self.members.iter().all(|member| member.inner_product().is_some()).then_some(self)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        let parts = self.members.iter().map(|member| member.explain(features)).collect::<Result<Vec<_>>>()?;
        let mean = |of: fn(&Explanation) -> Option<&Tensor>| {
            let tensors: Vec<Tensor> = parts.iter().filter_map(of).map(Tensor::shallow_clone).collect();
            (!tensors.is_empty()).then(|| sum(tensors) * self.share())
        };
        let mut lumps: Vec<(&'static str, Tensor)> = vec![];
        for (name, lump) in parts.iter().flat_map(|parts| &parts.lumps) {
            let lump = lump * self.share();
            match lumps.iter_mut().find(|(other, _)| other == name) {
                Some((_, sum)) => *sum = &*sum + lump,
                None => lumps.push((name, lump)),
            }
        }
        let bias = mean(|parts| Some(&parts.bias)).map_or_else(|| self.bias.shallow_clone(), |mean| mean + &self.bias);
        Ok(Explanation {
            first_order: mean(|parts| parts.first_order.as_ref()),
            pairs: mean(|parts| parts.pairs.as_ref()),
            lumps,
            ..Explanation::new(&bias)
        })
    }

    fn penalty(&self) -> Option<Tensor> {
        let penalties: Vec<Tensor> = self.members.iter().filter_map(|member| member.penalty()).collect();
        (!penalties.is_empty()).then(|| sum(penalties) * self.share())
    }

    fn layers(&self) -> Vec<Layer> {
        let of_members = self.members.iter().enumerate().flat_map(|(number, member)| {
            member.layers().into_iter().map(move |layer| {
                let name =
                    if layer.name.is_empty() { String::new() } else { format!("{}.{}", prefix(number), layer.name) };
                Layer { name, ..layer }
            })
        });
        [Layer::new("bias", "Bias", &[])].into_iter().chain(of_members).collect()
    }
}

/// The vectors of an item are divided by M, so that the sum over all members is their mean.
impl InnerProduct for Ensemble {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let Half { vectors, own } = self.joined(|member| member.of_rows(rows, train))?;
        let own = own.map_or_else(|| self.bias.expand([vectors.size()[0]], true), |own| own + &self.bias);
        Ok(Half { vectors, own: Some(own) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        let Half { vectors, own } = self.joined(|member| member.of_items(items, train))?;
        Ok(Half { vectors: vectors * self.share(), own })
    }
}
