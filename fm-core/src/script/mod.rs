//! TorchScript archives that serve a model: traced once from the model's own `logits`, with the parameters under their
//! names and the schema beside them.
//!
//! ```
//! # use fm_core::{Encoder, Field, FieldKind, Label, Schema, Side, Task, tch::{Device, nn::VarStore}};
//! # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! # let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
//! # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user, item])?;
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("model.pt");
//! use fm_core::script::{Scorer, export};
//!
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
//! export(&file, model.as_ref(), &store, &schema, &[("note.txt", "not trained")])?;
//!
//! // Elsewhere: the file alone.
//! let scorer = Scorer::load(&file, Device::Cpu)?;
//! let features = Encoder::new(scorer.schema()).features(&[[Some("ann"), Some("b")], [Some("carl"), None]])?;
//! assert!(scorer.logits(&features)?.allclose(&model.logits(&features, false)?, 0.0, 1e-6, false));
//! assert_eq!(scorer.extra_file("note.txt")?, "not trained");
//! # Ok::<(), fm_core::Error>(())
//! ```

mod trace;

use std::fs::File;
use std::path::{Path, PathBuf};

use tch::nn::VarStore;
use tch::{CModule, Device, Tensor, no_grad};

use crate::atomic_file::replace_atomically;
use crate::batch::Features;
use crate::bridge;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::schema::Schema;
pub(crate) use trace::trace_forward;
use trace::unknown_rows;

/// The name of the schema among the archive's extra files.
const SCHEMA_FILE: &str = "schema.json";

/// Writes a TorchScript archive whose `forward(ids [B, S] int64, values [B, S] float32) -> logits [B]` takes any B,
/// with dropout off, and whose parameters bear the names that they have in `store`. `schema.json` and `files` (name,
/// text) can be read from it with `_extra_files`.
///
/// The model must be on the CPU.
///
/// # Errors
/// What the model returns, and [`Error::Io`] or [`Error::Torch`] if the file cannot be written; then there is no file,
/// or the old one.
pub fn export(
    path: impl AsRef<Path>,
    model: &dyn Model,
    store: &VarStore,
    schema: &Schema,
    files: &[(&str, &str)],
) -> Result<()> {
    let schema_json = schema.to_json();
    let mut extra = vec![(SCHEMA_FILE, schema_json.as_str())];
    extra.extend_from_slice(files);

    // Two rows: a batch of one could be mistaken for something to broadcast.
    let module = trace_forward(model, store, schema, 2)?;
    replace_atomically(path, |temporary| module.save(&mut File::create(temporary)?, &extra))
}

/// A loaded archive of [`export`]: the schema, and scores for encoded rows. It needs no model's code.
#[derive(Debug)]
pub struct Scorer {
    path: PathBuf,
    module: CModule,
    schema: Schema,
    device: Device,
}

impl Scorer {
    /// Loads an archive onto a device.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such file; [`Error::Format`] if it is no archive of [`export`], or its schema is
    /// not its model's.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Scorer> {
        let path = path.as_ref();
        let schema = read_text(path, SCHEMA_FILE)?;
        let schema = Schema::from_json(&schema).map_err(|error| unusable(path, error.to_string()))?;
        let mut module =
            CModule::load_on_device(path, device).map_err(|error| unusable(path, Error::from(error).to_string()))?;
        module.f_set_eval()?;
        let scorer = Scorer { path: path.to_owned(), module, schema, device };
        match scorer.logits(&unknown_rows(&scorer.schema, 1)) {
            Ok(logits) if logits.size() == [1] => Ok(scorer),
            _ => Err(unusable(path, "its schema does not fit its model".into())),
        }
    }

    /// The schema of the rows that it scores.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The logits `[B]` of a batch, float32 on the CPU; [`Label::prediction`](crate::Label::prediction) of the schema's
    /// label makes a probability or a label of each.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn logits(&self, features: &Features) -> Result<Tensor> {
        let (ids, values) = (features.ids.to_device(self.device), features.values.to_device(self.device));
        Ok(no_grad(|| self.module.forward_ts(&[ids, values]))?.to_device(Device::Cpu))
    }

    /// The text of one of the archive's extra files.
    ///
    /// # Errors
    /// [`Error::Format`] if there is none of this name.
    pub fn extra_file(&self, name: &str) -> Result<String> {
        read_text(&self.path, name)
    }
}

fn read_text(path: &Path, name: &str) -> Result<String> {
    // libtorch's own message for a missing file is no help.
    std::fs::File::open(path).map_err(Error::io("read", path))?;
    let bytes = bridge::read_extra_file(path, name).map_err(|error| match error {
        // Its first sentence; the others guess at what happened to the file.
        Error::Torch(text) => unusable(path, text.split(". ").next().unwrap_or_default().to_owned()),
        other => other,
    })?;
    String::from_utf8(bytes).map_err(|_| unusable(path, format!("its {name} is no UTF-8")))
}

fn unusable(path: &Path, reason: String) -> Error {
    Error::format("exported model", path, format!("{reason}; write it anew with `fm export`"))
}
