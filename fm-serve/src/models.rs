//! The models that are served, by name.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Result;
use crate::metrics::ModelMetrics;
use crate::model::{Model, Stamp};
use crate::options::ModelFile;
use crate::problem::Problem;
use crate::v2::ENCODED;

/// A name, its file, and the model that was loaded last.
pub(crate) struct Slot {
    pub name: String,
    pub path: PathBuf,
    pub metrics: ModelMetrics,
    model: RwLock<Arc<Model>>,
}

impl Slot {
    /// The current model. A request keeps the one that it began with.
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the model for the requests that follow.
    pub fn replace(&self, model: Model) {
        let new = Arc::new(model);
        // The old one is dropped without the lock.
        let old = std::mem::replace(&mut *self.model.write().unwrap_or_else(PoisonError::into_inner), new);
        drop(old);
    }
}

/// The form of a model's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Raw values, one input per column.
    Columns,
    /// Encoded rows.
    Encoded,
}

/// All slots, in the order of the command line, each with the stamp of the file that was loaded.
pub(crate) struct Models {
    slots: Vec<Arc<Slot>>,
}

impl Models {
    /// Loads all files, and returns their stamps, too.
    ///
    /// # Errors
    /// The error of the first file that cannot be loaded.
    pub fn load(files: &[ModelFile]) -> Result<(Models, Vec<Option<Stamp>>)> {
        let (mut slots, mut stamps) = (vec![], vec![]);
        for ModelFile { name, path } in files {
            stamps.push(Stamp::of(path));
            let model = Model::load(path)?;
            let metrics = ModelMetrics::new();
            let model = RwLock::new(Arc::new(model));
            slots.push(Arc::new(Slot { name: name.clone(), path: path.clone(), metrics, model }));
        }
        Ok((Models { slots }, stamps))
    }

    /// All slots.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// The slot of a name, or the first one without a name.
    ///
    /// # Errors
    /// 404 for an unknown name.
    pub fn find(&self, name: Option<&str>) -> Result<&Arc<Slot>, Problem> {
        let found = match name {
            None => self.slots.first(),
            Some(name) => self.slots.iter().find(|slot| slot.name == name),
        };
        found.ok_or_else(|| self.unknown(name.unwrap_or_default()))
    }

    /// The slot and the form of a name of the Open Inference Protocol.
    ///
    /// # Errors
    /// 404 for an unknown name.
    pub fn find_form(&self, name: &str) -> Result<(&Arc<Slot>, Form), Problem> {
        let encoded = name.strip_suffix(ENCODED);
        match self.find(Some(name)) {
            Ok(slot) => Ok((slot, Form::Columns)),
            Err(unknown) => encoded
                .and_then(|name| self.find(Some(name)).ok())
                .map_or(Err(unknown), |slot| Ok((slot, Form::Encoded))),
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        let names: Vec<&str> = self.slots.iter().map(|slot| slot.name.as_str()).collect();
        Problem::not_found(format!("there is no model `{name}`; the models are {}", names.join(", ")))
    }
}
