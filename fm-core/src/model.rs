//! What every model is, and how it is registered under a name.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tch::{Tensor, nn};

use crate::error::{Error, Result, nearest};
use crate::explain::Explanation;
use crate::features::Features;
use crate::ranking::Candidates;
use crate::sampler::Sampler;
use crate::schema::Schema;

/// A model: features in, logits out. It knows no file, no loss and no optimiser.
pub trait Model {
    /// The logits `[B]` of a batch: log-odds of a binary task, the label itself of a regression. No sigmoid is applied.
    ///
    /// With `train`, dropout is on, batch norm uses the batch's statistics, and tables give row-sparse gradients.
    /// No size of the batch may be read as a number, and no tensor made of numbers: the exported graph would have the one frozen,
    /// and zeros for the other.
    ///
    /// # Errors
    /// [`Error::Shape`] for features that do not fit the model: another number of slots, an id outside its table, a
    /// single row where batch norm trains.
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor>;

    /// The logits `[B, c]` of B rows with c items each, as [`Model::logits`] has them for each of the B · c rows. A model whose
    /// formula lets it work on what the items share once, and not c times, says so here.
    ///
    /// # Errors
    /// As [`Model::logits`].
    fn candidate_logits(&self, candidates: &Candidates<'_>, train: bool) -> Result<Tensor> {
        Ok(self.logits(&candidates.features()?, train)?.f_view(candidates.size())?)
    }

    /// The global bias w₀ `[1]`, which training starts at [`Label::prior_logit`](crate::Label::prior_logit).
    fn bias(&self) -> &Tensor;

    /// The logits of a batch as sums of parts, by the model's formula: they add up to what [`Model::logits`] gives without
    /// `train`. A model that does not say how its formula splits has one lump.
    ///
    /// # Errors
    /// As [`Model::logits`].
    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("model", self.logits(features, false)?))
    }

    /// What training adds to the mean loss, a scalar that depends on parameters alone; nothing for most models. The penalty
    /// on table rows is the optimiser's: [`TrainConfig::l2`](crate::train::TrainConfig::l2).
    fn penalty(&self) -> Option<Tensor> {
        None
    }

    /// What trains the model instead of gradients, if it is a model whose parameters are drawn.
    fn sampler(&self) -> Option<&dyn Sampler> {
        None
    }

    /// The layers in the order of the computation, for a summary; none where nobody asks for one.
    fn layers(&self) -> Vec<Layer> {
        vec![]
    }
}

/// A line of a model's summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The prefix of its parameters' names; empty for none.
    pub name: String,
    /// What it is: "Linear", "Embedding".
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

/// A model's options by name, as a settings file gives them.
pub type Options = Map<String, Value>;

/// The options of one model, with their defaults, and how it is built from them.
pub trait ModelConfig: Default + Serialize + DeserializeOwned {
    /// The part of the usual L2 penalty on table rows that the model is trained with, where nobody asks for another: 0 for
    /// one that has a penalty of its own instead, [`Model::penalty`].
    const L2_FACTOR: f64 = 1.0;

    /// Makes the parameters under `path` for rows of `schema`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an option out of its range; [`Error::Setting`] or [`Error::Shape`] for a schema that the
    /// model cannot have, such as one of a single field where it crosses fields.
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
    /// Where the paper is.
    pub url: &'static str,
    /// What the model captures, in a few words.
    pub captures: &'static str,
    /// [`ModelConfig::L2_FACTOR`].
    pub l2_factor: f64,
    build: fn(&Options, &nn::Path<'_>, &Schema) -> Result<Box<dyn Model>>,
    resolve: fn(&Options) -> Result<Options>,
    describe: fn() -> schemars::Schema,
}

impl ModelEntry {
    /// The entry of the model that `C` configures.
    ///
    /// `C` derives `JsonSchema`, by which a program can show the options with their documentation.
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
            build: |options, path, schema| parse::<C>(options)?.build(path, schema),
            resolve: |options| options_of(&parse::<C>(options)?),
            describe: describe::<C>,
        }
    }

    /// The options as a JSON schema, in which each bears the documentation of its field.
    pub fn describe(&self) -> schemars::Schema {
        (self.describe)()
    }

    /// Builds the model; options that are not given have their defaults. Parameters are drawn from libtorch's
    /// generator: [`seed_torch`](crate::seed::seed_torch) before makes them the same each time.
    ///
    /// # Errors
    /// [`Error::Setting`] for an option that the model does not have, or whose value it cannot have; what the model
    /// finds wrong with the schema.
    pub fn build(&self, options: &Options, path: &nn::Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        (self.build)(options, path, schema).map_err(|error| self.named(error))
    }

    /// All options with their values: those given, and the defaults of the others.
    ///
    /// # Errors
    /// As [`ModelEntry::build`].
    pub fn resolve(&self, options: &Options) -> Result<Options> {
        (self.resolve)(options).map_err(|error| self.named(error))
    }

    fn named(&self, error: Error) -> Error {
        match error {
            Error::Setting(reason) => Error::Setting(format!("model {}: {reason}", self.name)),
            other => other,
        }
    }
}

/// The JSON schema of a part of the settings, with all that it refers to in its place.
pub fn describe<T: JsonSchema>() -> schemars::Schema {
    SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

fn options_of<C: ModelConfig>(config: &C) -> Result<Options> {
    match serde_json::to_value(config) {
        Ok(Value::Object(options)) => Ok(options),
        _ => Err(Error::Setting("its options are no table".into())),
    }
}

fn parse<C: ModelConfig>(options: &Options) -> Result<C> {
    let mut all = options_of(&C::default())?;
    for (name, value) in options {
        match all.get_mut(name) {
            Some(default) => *default = value.clone(),
            None => {
                let known: Vec<&str> = all.keys().map(String::as_str).collect();
                let hint = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "it has none".to_owned(),
                    None => format!("it has {}", known.join(", ")),
                };
                return Err(Error::Setting(format!("there is no option `{name}`: {hint}")));
            }
        }
    }
    serde_json::from_value(Value::Object(all)).map_err(|error| {
        // The error does not say which option it is about: the first that is wrong by itself.
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
/// [`Error::Setting`] that suggests the near name and lists all.
pub fn find<'a>(registry: &'a [ModelEntry], name: &str) -> Result<&'a ModelEntry> {
    registry.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = registry.iter().map(|entry| entry.name).collect();
        let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
        Error::Setting(format!(
            "there is no model `{name}`: {}there are {}",
            hint.unwrap_or_default(),
            names.join(", ")
        ))
    })
}
