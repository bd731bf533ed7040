//! The interface of models, and their registry.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tch::{Tensor, nn};

use crate::candidates::Candidates;
use crate::error::{Error, Result};
use crate::explain::Explanation;
use crate::features::Features;
use crate::inner_product::{self, InnerProduct};
use crate::online::OnlineModel;
use crate::posterior::PosteriorSampler;
use crate::predict::Score;
use crate::schema::Schema;

/// A trainable model: features in, logits out. It does not depend on files, losses or optimisers. To score with a
/// model, or with anything else that returns logits, see [`Score`].
pub trait Model: Score {
    /// The logits `[B]` of a batch: log-odds for a binary task, the label in units of
    /// [`Label::scale`](crate::Label::scale) for a regression. No sigmoid is applied.
    ///
    /// With `train`, dropout is on, batch norm uses the statistics of the batch, and tables have row-sparse gradients.
    /// Do not read sizes of the batch as numbers, and do not create tensors from numbers: the exported graph would
    /// contain constants instead of the former and zeros instead of the latter.
    ///
    /// # Errors
    /// [`Error::Shape`] for features that do not match the model: another number of slots, an id outside its table, or
    /// a single row for batch norm in training.
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor>;

    /// The logits `[B, c]` of B rows with c candidate items each: those of [`Model::logits`] for each of the B · c
    /// rows. A model with an [inner product](Model::inner_product) processes what the candidates of a row share once
    /// instead of c times. Another model overrides this if its formula can do so, too.
    ///
    /// # Errors
    /// Those of [`Model::logits`].
    fn candidate_logits(&self, candidates: &Candidates<'_>, train: bool) -> Result<Tensor> {
        match self.inner_product() {
            Some(model) => inner_product::candidate_logits(model, candidates, train),
            None => Ok(self.logits(&candidates.features()?, train)?.f_view(candidates.size())?),
        }
    }

    /// The model as an inner product of a vector of the row without its item and a vector of the item, if it is one.
    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        None
    }

    /// The global bias w₀ `[1]`. Training starts with
    /// [`Objective::prior_logit`](crate::objective::Objective::prior_logit).
    fn bias(&self) -> &Tensor;

    /// Splits the logits of a batch into terms of the model's formula, which add up to [`Model::logits`] without
    /// `train`. By default, the logit without w₀ is one term.
    ///
    /// # Errors
    /// Those of [`Model::logits`].
    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("model", self.logits(features, false)?, self.bias()))
    }

    /// A penalty that training adds to the mean loss, a scalar that depends only on parameters. By default, there is
    /// none. The optimiser adds the penalty on table rows: [`TrainConfig::l2`](crate::train::TrainConfig::l2).
    fn penalty(&self) -> Option<Tensor> {
        None
    }

    /// The sampler that trains the model instead of gradient descent, if it has one.
    fn posterior_sampler(&self) -> Option<&dyn PosteriorSampler> {
        None
    }

    /// The kernel for online updates, if the model has one.
    fn online(&self) -> Option<&dyn OnlineModel> {
        None
    }

    /// The layers for a summary, in the order of computation.
    fn layers(&self) -> Vec<Layer> {
        vec![]
    }
}

impl<M: Model + ?Sized> Score for M {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.logits(features, false)
    }

    fn score_candidates(&self, candidates: &Candidates<'_>) -> Result<Tensor> {
        self.candidate_logits(candidates, false)
    }
}

/// A line of a model's summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The prefix of its parameters' names; empty if it has no parameters.
    pub name: String,
    /// Its type: "Linear", "Embedding".
    pub kind: &'static str,
    /// The shape of its output; B is the batch.
    pub output: Vec<Option<i64>>,
}

impl Layer {
    /// A layer whose output is `[B, sizes...]`.
    pub fn new(name: &str, kind: &'static str, sizes: &[i64]) -> Layer {
        let output = std::iter::once(None).chain(sizes.iter().copied().map(Some)).collect();
        Layer { name: name.to_owned(), kind, output }
    }
}

/// The options of a model by name, as in a settings file.
pub type Options = Map<String, Value>;

/// The options of a model with their defaults, which build the model.
pub trait ModelConfig: Default + Serialize + DeserializeOwned {
    /// Factor on the default L2 penalty on table rows: 0 for a model with a penalty of its own ([`Model::penalty`]).
    const L2_FACTOR: f64 = 1.0;

    /// Whether the model needs a sequence that shares the table of another field: the history of the row's user.
    const NEEDS_HISTORY: bool = false;

    /// Creates the parameters under `path`, for rows of `schema`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid option; [`Error::Setting`] or [`Error::Shape`] for a schema that the model
    /// does not support, such as a single field for a model that pairs fields.
    fn build(&self, path: &nn::Path<'_>, schema: &Schema) -> Result<Box<dyn Model>>;
}

/// A registered model.
///
/// ```
/// use fm_core::model::Options;
///
/// let fm = fm_models::find("fm")?;
/// let options = Options::from_iter([("embedding_dim".to_owned(), 8.into())]);
/// assert_eq!(fm.resolve(&options)?["embedding_dim"], 8);
/// assert_eq!(fm.resolve(&options)?["init_std"], 0.01); // by default
/// let typo = Options::from_iter([("embeding_dim".to_owned(), 8.into())]);
/// assert!(fm.resolve(&typo).unwrap_err().to_string().contains("did you mean `embedding_dim`?"));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ModelEntry {
    /// The name in commands and files.
    pub name: &'static str,
    /// The name in the literature.
    pub title: &'static str,
    /// The year of the paper.
    pub year: u16,
    /// Authors, title, venue.
    pub paper: &'static str,
    /// The link to the paper.
    pub url: &'static str,
    /// The interactions that the model captures, in a few words.
    pub captures: &'static str,
    /// [`ModelConfig::L2_FACTOR`].
    pub l2_factor: f64,
    /// [`ModelConfig::NEEDS_HISTORY`].
    pub needs_history: bool,
    build: fn(&Options, &nn::Path<'_>, &Schema) -> Result<Box<dyn Model>>,
    resolve: fn(&Options) -> Result<Options>,
    describe: fn() -> schemars::Schema,
}

impl ModelEntry {
    /// The entry of the model with the options `C`.
    ///
    /// `C` derives `JsonSchema`, so that a program can show the options with their documentation.
    pub const fn new<C: ModelConfig + JsonSchema>(
        name: &'static str,
        title: &'static str,
        (year, paper, url): (u16, &'static str, &'static str),
        captures: &'static str,
    ) -> ModelEntry {
        ModelEntry {
            name,
            title,
            year,
            paper,
            url,
            captures,
            l2_factor: C::L2_FACTOR,
            needs_history: C::NEEDS_HISTORY,
            build: |options, path, schema| parse::<C>(options)?.build(path, schema),
            resolve: |options| options_of(&parse::<C>(options)?),
            describe: describe::<C>,
        }
    }

    /// The options as a JSON schema, each with the documentation of its field.
    pub fn describe(&self) -> schemars::Schema {
        (self.describe)()
    }

    /// Builds the model. Options that are not given have their defaults. Parameters are drawn from libtorch's
    /// generator: call [`seed_torch`](crate::seed::seed_torch) first for the same ones each time.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown option, an invalid value, or a schema that the model does not support;
    /// [`Error::Shape`] for a schema with rows of an unsupported shape.
    pub fn build(&self, options: &Options, path: &nn::Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        (self.build)(options, path, schema).map_err(|error| self.named(error))
    }

    /// All options with their values: the given ones, and the defaults of the others.
    ///
    /// # Errors
    /// Those of [`ModelEntry::build`].
    pub fn resolve(&self, options: &Options) -> Result<Options> {
        (self.resolve)(options).map_err(|error| self.named(error))
    }

    fn named(&self, error: Error) -> Error {
        match error {
            Error::Setting(_) | Error::OutOfRange { .. } | Error::Unknown { .. } | Error::Unsupported(_) => {
                Error::Model { model: self.name, source: Box::new(error) }
            }
            other => other,
        }
    }
}

/// The JSON schema of a part of the settings, with all references inlined.
pub fn describe<T: JsonSchema>() -> schemars::Schema {
    SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

fn options_of<C: ModelConfig>(config: &C) -> Result<Options> {
    match serde_json::to_value(config) {
        Ok(Value::Object(options)) => Ok(options),
        Ok(_) => Err(Error::Setting("its options are not a table".into())),
        Err(error) => Err(Error::json("the options of a model")(error)),
    }
}

fn parse<C: ModelConfig>(options: &Options) -> Result<C> {
    let mut all = options_of(&C::default())?;
    for (name, value) in options {
        match all.get_mut(name) {
            Some(default) => *default = value.clone(),
            None => return Err(Error::unknown("option", name, all.keys().cloned())),
        }
    }
    serde_json::from_value(Value::Object(all)).map_err(|error| {
        // The error does not name the option: find the first one that is invalid by itself.
        let is_wrong = |(name, value): &(&String, &Value)| {
            let mut alone = options_of(&C::default()).unwrap_or_default();
            alone.insert((*name).clone(), (*value).clone());
            serde_json::from_value::<C>(Value::Object(alone)).is_err()
        };
        match options.iter().find(is_wrong) {
            Some((name, _)) => Error::Setting(format!("option `{name}`: {error}")),
            None => Error::Setting(error.to_string()),
        }
    })
}

/// The entry of this name in a registry.
///
/// # Errors
/// [`Error::Unknown`], with the closest name and all names.
pub fn find<'a>(registry: &'a [ModelEntry], name: &str) -> Result<&'a ModelEntry> {
    let names = registry.iter().map(|entry| entry.name);
    registry.iter().find(|entry| entry.name == name).ok_or_else(|| Error::unknown("model", name, names))
}
