//! Writing archives.

use std::io::Write;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Tensor, no_grad_guard};

use super::archive::{RECORDS_FILE, Records};
use super::attributes::set_attributes;
use super::trace::{OF_ITEMS, OF_USERS, trace_vectors};
use super::{Precision, SCHEMA_FILE, trace_forward, unknown_rows};
use crate::atomic_file::{WriteError, replace_atomically};
use crate::bridge::TracedModule;
use crate::error::{Error, Result};
use crate::features::{Features, Padded};
use crate::inner_product::InnerProduct;
use crate::model::Model;
use crate::predict::Score;
use crate::schema::Schema;

/// The source of the methods, one file after another.
const METHODS: &str =
    concat!(include_str!("methods.py"), "\n", include_str!("hashing.py"), "\n", include_str!("derived.py"));

/// The source of the methods of a model with an inner product.
const VECTORS: &str = include_str!("vectors.py");

/// The number of rows of the traced batch. A single row could be broadcast by mistake.
const TRACED_ROWS: i64 = 2;

/// The items that a file can recommend.
#[derive(Debug)]
pub struct Catalogue {
    /// `[N]`: the ids that `recommend` returns.
    pub items: Vec<String>,
    /// `[N, S]`: a row for each item. Only its item slots are used.
    pub features: Features,
}

/// Options of an archive.
#[derive(Debug, Default)]
pub struct BundleOptions<'a> {
    /// The items for `recommend`, which fails without a catalogue.
    pub catalogue: Option<&'a Catalogue>,
    /// The number type of the tables.
    pub precision: Precision,
}

/// A traced model that can be written as an archive.
#[derive(Debug)]
pub struct Bundle {
    pub(super) module: TracedModule,
    pub(super) schema_json: String,
    /// The columns that the schema's fields read.
    pub(super) columns: Vec<String>,
}

impl Bundle {
    /// Traces the model in prediction mode, and adds the methods.
    ///
    /// The model must be on the CPU.
    ///
    /// # Errors
    /// Errors of the model; [`Error::Shape`] for a catalogue without exactly one row per item; [`Error::Unsupported`]
    /// for a table with a number out of the precision's range; [`Error::Torch`] if the graph does not compute the same
    /// as the model.
    pub fn new(model: &dyn Model, store: &VarStore, schema: &Schema, options: &BundleOptions<'_>) -> Result<Bundle> {
        let vectors = model.inner_product().filter(|_| schema.mixed_fields().next().is_none());
        check_graph(&traced(model, vectors, store, schema)?, model, vectors, schema)?;
        // Trace again, because the type of tables can only change before the module has run.
        let mut module = traced(model, vectors, store, schema)?;
        module.store_tables(options.precision)?;

        let none = Catalogue { items: vec![], features: unknown_rows(schema, 0).into() };
        let catalogue = options.catalogue.unwrap_or(&none);
        if catalogue.items.len() != catalogue.features.len() {
            let expected = format!("a row for each of {} items", catalogue.items.len());
            return Err(Error::shape("catalogue", expected, catalogue.features.len().to_string()));
        }
        set_attributes(&mut module, schema, catalogue)?;
        module.define(METHODS)?;
        if vectors.is_some() {
            module.define(VECTORS)?;
        }
        let columns = schema.columns().into_iter().map(str::to_owned).collect();
        Ok(Bundle { module, schema_json: schema.to_json(), columns })
    }

    /// The logits `[B]` of the archive.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn logits(&self, features: &Features) -> Result<Tensor> {
        let Padded { ids, values } = features.padded()?;
        self.module.run("forward", &[&ids, &values])
    }

    /// The size of the archive in bytes.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn size(&self, files: &[(&str, &str)]) -> Result<u64> {
        let mut counted = Counted::default();
        match self.write(&mut counted, files) {
            Ok(()) => Ok(counted.length),
            Err(WriteError::Other(error)) => Err(error),
            Err(WriteError::Io(error)) => Err(Error::Torch(error.to_string())),
        }
    }

    /// Writes the archive atomically. `schema.json`, `records.json` and `files` (name, text) are its extra files,
    /// readable with `_extra_files`. Equal bundles with equal files give equal bytes.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Torch`] if the file cannot be written. An existing file then remains.
    pub fn save(&self, path: impl AsRef<Path>, files: &[(&str, &str)]) -> Result<()> {
        replace_atomically(path, |temporary| self.write(temporary, files))
    }

    /// Like [`Bundle::save`], into an open file.
    ///
    /// # Errors
    /// Errors of writing to `file`, or [`Error::Torch`]. A partial archive can remain.
    pub fn write(&self, file: &mut dyn Write, files: &[(&str, &str)]) -> std::result::Result<(), WriteError> {
        let files = [&[(SCHEMA_FILE, self.schema_json.as_str())][..], files].concat();
        // Checksums are known at the end only, so that the list of them takes a second pass.
        let mut counted = Counted::default();
        self.module.save(&mut counted, &files)?;
        let records = Records::of_end(&counted.end, counted.length);
        let records = records.ok_or_else(|| Error::Torch("libtorch wrote an archive of an unknown form".into()))?;
        let records = records.to_json();
        self.module.save(file, &[&files[..], &[(RECORDS_FILE, records.as_str())]].concat())
    }
}

/// Maximum number of bytes at the end of an archive that hold its directory: some ten thousand records.
const DIRECTORY: usize = 1 << 21;

/// Counts what is written, and keeps its end.
#[derive(Default)]
struct Counted {
    length: u64,
    end: Vec<u8>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.length += bytes.len() as u64;
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(DIRECTORY)..]);
        if self.end.len() > 2 * DIRECTORY {
            self.end.drain(..self.end.len() - DIRECTORY);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Score for Bundle {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.logits(features)
    }
}

/// The module with all methods that are traced.
fn traced(
    model: &dyn Model,
    vectors: Option<&dyn InnerProduct>,
    store: &VarStore,
    schema: &Schema,
) -> Result<TracedModule> {
    let mut module = trace_forward(model, store, schema, TRACED_ROWS)?;
    vectors.map_or(Ok(()), |vectors| trace_vectors(&mut module, vectors, schema, TRACED_ROWS))?;
    Ok(module)
}

/// Checks that the graphs compute the same as the model. The tracer records operations on tensors. It misses numbers
/// that a model reads from tensors and, with tch, tensors that it creates from numbers.
fn check_graph(
    module: &TracedModule,
    model: &dyn Model,
    vectors: Option<&dyn InnerProduct>,
    schema: &Schema,
) -> Result<()> {
    // The last value of each field, an unknown value, and padding.
    let last: Vec<i64> = schema.field_of_slots().into_iter().map(|field| schema.ids(field).end - 1).collect();
    let unknown = unknown_rows(schema, TRACED_ROWS);
    let ids = Tensor::cat(&[Tensor::from_slice(&last).unsqueeze(0), unknown.ids], 0);
    let values = Tensor::cat(
        &[unknown.values.narrow(0, 0, 1) * 0.5, &unknown.values * Tensor::from_slice(&[1f32, 0.0]).unsqueeze(1)],
        0,
    );
    let features = Features::unchecked(ids.shallow_clone(), values.shallow_clone());
    let check = |method: &str, expected: &Tensor, of: &str| {
        let found = module.run(method, &[&ids, &values])?;
        if expected.size() == found.size() && found.allclose(expected, 1e-4, 1e-5, true) {
            return Ok(());
        }
        Err(Error::Torch(format!(
            "the exported graph does not compute the same as the model: in `{of}`, read no number from a tensor and \
             create no tensor from numbers; create it where the model is built"
        )))
    };
    let _no_gradients = no_grad_guard();
    check("forward", &model.logits(&features, false)?, "logits")?;
    let Some(vectors) = vectors else { return Ok(()) };
    let of_items = vectors.of_items(&features, false)?;
    check(OF_ITEMS, &of_items.of_index(), "of_items")?;
    check(OF_USERS, &vectors.of_rows(&features, false)?.of_query(&of_items), "of_rows")
}
