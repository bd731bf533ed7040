//! Writing an archive.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use super::attributes::set_attributes;
use super::{SCHEMA_FILE, unknown_rows};
use crate::atomic_file::{WriteError, replace_atomically};
use crate::batch::Features;
use crate::bridge::{self, TracedModule};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::schema::Schema;

/// The items that a file can recommend.
#[derive(Debug)]
pub struct Catalogue {
    /// `[N]`: what `recommend` returns of each.
    pub items: Vec<String>,
    /// `[N, S]`: a row of each, of which the item's own slots are used.
    pub features: Features,
}

/// What an archive holds beside the model.
#[derive(Debug, Default)]
pub struct BundleOptions<'a> {
    /// The items for `recommend`; without them, it says that there are none.
    pub catalogue: Option<&'a Catalogue>,
}

/// A model that is ready to be written as an archive.
#[derive(Debug)]
pub struct Bundle {
    pub(super) module: TracedModule,
    pub(super) schema_json: String,
    /// The names of the schema's fields.
    pub(super) fields: Vec<String>,
}

impl Bundle {
    /// Traces the model, with dropout off and batch norm on its moving statistics, and gives the module its methods.
    ///
    /// The model must be on the CPU.
    ///
    /// # Errors
    /// What the model returns; [`Error::Shape`] for a catalogue of other rows than items, [`Error::Torch`].
    pub fn new(model: &dyn Model, store: &VarStore, schema: &Schema, options: &BundleOptions<'_>) -> Result<Bundle> {
        let mut parameters: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        // Two rows: a batch of one could be mistaken for something to broadcast.
        let Features { ids, values } = unknown_rows(schema, 2);
        let mut module = no_grad(|| {
            bridge::trace("fm.Model", &parameters, &[("ids", &ids), ("values", &values)], &mut |inputs| {
                let features = Features { ids: inputs[0].shallow_clone(), values: inputs[1].shallow_clone() };
                model.logits(&features, false)
            })
        })?;

        let none = Catalogue { items: vec![], features: unknown_rows(schema, 0) };
        let catalogue = options.catalogue.unwrap_or(&none);
        if catalogue.items.len() != catalogue.features.len() {
            let expected = format!("a row for each of {} items", catalogue.items.len());
            return Err(Error::shape("catalogue", expected, catalogue.features.len().to_string()));
        }
        set_attributes(&mut module, schema, catalogue)?;
        module.define(include_str!("methods.py"))?;
        let fields = schema.fields().iter().map(|field| field.name.clone()).collect();
        Ok(Bundle { module, schema_json: schema.to_json(), fields })
    }

    /// The logits `[B]` that the archive will give.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn logits(&self, features: &Features) -> Result<Tensor> {
        self.module.forward(&[&features.ids, &features.values])
    }

    /// The bytes that [`Bundle::save`] would write.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn size(&self, files: &[(&str, &str)]) -> Result<u64> {
        struct Counter(u64);
        impl Write for Counter {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 += bytes.len() as u64;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut counter = Counter(0);
        match self.write(&mut counter, files) {
            Ok(()) => Ok(counter.0),
            Err(WriteError::Other(error)) => Err(error),
            Err(WriteError::Io(error)) => Err(Error::Torch(error.to_string())),
        }
    }

    /// Writes the archive, whole or not at all. `schema.json` and `files` (name, text) can be read from it with
    /// `_extra_files`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Torch`] if the file cannot be written; then there is no file, or the old one.
    pub fn save(&self, path: impl AsRef<Path>, files: &[(&str, &str)]) -> Result<()> {
        replace_atomically(path, |temporary| self.write(&mut File::create(temporary)?, files))
    }

    /// As [`Bundle::save`], into an open file.
    ///
    /// # Errors
    /// What writing to `file` gives, or [`Error::Torch`]; there may be half an archive then.
    pub fn write(&self, file: &mut dyn Write, files: &[(&str, &str)]) -> std::result::Result<(), WriteError> {
        self.module.save(file, &[&[(SCHEMA_FILE, self.schema_json.as_str())], files].concat())
    }
}
