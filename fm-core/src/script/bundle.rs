//! Writing an archive.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use super::attributes::set_attributes;
use super::{Precision, SCHEMA_FILE, trace_forward, unknown_rows};
use crate::atomic_file::{WriteError, replace_atomically};

use crate::bridge::TracedModule;
use crate::error::{Error, Result};
use crate::features::{Features, Padded};
use crate::model::Model;
use crate::predict::Score;
use crate::schema::Schema;

/// The rows of a traced batch. A batch of one could be mistaken for something to broadcast.
const TRACED_ROWS: i64 = 2;

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
    /// What the tables are stored in.
    pub precision: Precision,
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
    /// What the model returns; [`Error::Shape`] for a catalogue of other rows than items, [`Error::Setting`] for
    /// a table that the precision cannot hold; [`Error::Torch`] for a model whose graph does not compute what it does.
    pub fn new(model: &dyn Model, store: &VarStore, schema: &Schema, options: &BundleOptions<'_>) -> Result<Bundle> {
        check_graph(model, store, schema)?;
        // Traced anew: tables can be stored otherwise only as long as the module has not run.
        let mut module = trace_forward(model, store, schema, TRACED_ROWS)?;
        module.store_tables(options.precision)?;

        let none = Catalogue { items: vec![], features: unknown_rows(schema, 0).into() };
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
        let Padded { ids, values } = features.padded()?;
        self.module.forward(&[&ids, &values])
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

impl Score for Bundle {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.logits(features)
    }
}

/// Checks that the graph computes what the model does. The tracer sees operations of tensors: it notes neither numbers that
/// `logits` reads out of a tensor nor, with tch, those that it makes one of.
fn check_graph(model: &dyn Model, store: &VarStore, schema: &Schema) -> Result<()> {
    let module = trace_forward(model, store, schema, TRACED_ROWS)?;
    // The last value of each field, the unknown one, and padding.
    let last: Vec<i64> = schema.field_of_slots().into_iter().map(|field| schema.ids(field).end - 1).collect();
    let unknown = unknown_rows(schema, TRACED_ROWS);
    let ids = Tensor::cat(&[Tensor::from_slice(&last).unsqueeze(0), unknown.ids], 0);
    let values = Tensor::cat(
        &[unknown.values.narrow(0, 0, 1) * 0.5, &unknown.values * Tensor::from_slice(&[1f32, 0.0]).unsqueeze(1)],
        0,
    );
    let found = module.forward(&[&ids, &values])?;
    let expected = no_grad(|| model.logits(&Features::unchecked(ids, values), false))?;
    if expected.size() == found.size() && found.allclose(&expected, 1e-4, 1e-5, true) {
        return Ok(());
    }
    Err(Error::Torch(
        "the exported graph does not compute what the model does: in `logits`, read no number out of a tensor, and make no \
         tensor of numbers; make it where the model is built"
            .into(),
    ))
}
