//! Checkpoints: the parameters, and what it takes to go on training, in one safetensors file.
//!
//! Parameters are stored as `model/<name>`, the optimiser's state as `optimizer/<parameter>/<state>`, and the rest as
//! JSON in the file's metadata. A file is written whole or not at all, and only a file that fits completely is loaded.
//!
//! ```
//! # use fm_core::{Field, FieldKind, Label, Schema, Side, Task, tch::{Device, Kind, Tensor, nn::VarStore}};
//! # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user])?;
//! # let (folder, options) = (tempfile::tempdir().unwrap(), fm_core::model::Options::new());
//! # let file = folder.path().join("best.safetensors");
//! use fm_core::train::{TrainState, checkpoint};
//!
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&options, &store.root(), &schema)?;
//! checkpoint::save(&file, &store, None, &TrainState::default())?;
//!
//! // Elsewhere: the same model and schema, and then its parameters.
//! let loaded = VarStore::new(Device::Cpu);
//! let same = fm_models::find("fm")?.build(&options, &loaded.root(), &schema)?;
//! checkpoint::load(&file, &loaded, None)?;
//! assert!(loaded.variables()["embedding.weight"].equal(&store.variables()["embedding.weight"]));
//!
//! // Another model's is refused.
//! let other = VarStore::new(Device::Cpu);
//! let deepfm = fm_models::find("deepfm")?.build(&options, &other.root(), &schema)?;
//! assert!(checkpoint::load(&file, &other, None).unwrap_err().to_string().contains("is missing"));
//! # Ok::<(), fm_core::Error>(())
//! ```

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use super::TrainState;
use crate::atomic_file::replace_atomically;
use crate::error::{Error, Result};
use crate::optim::Optimizer;

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The optimiser's steps, if its state is in the file.
    steps: Option<u64>,
    train: TrainState,
}

/// Writes a checkpoint; with an optimiser, training can go on from it.
///
/// # Errors
/// [`Error::Io`], or [`Error::Shape`] for a parameter that is no float32 tensor; the old file stays.
pub fn save(path: &Path, store: &VarStore, optimizer: Option<&Optimizer>, state: &TrainState) -> Result<()> {
    let on_cpu = |prefix: &str, (name, tensor): (String, Tensor)| {
        (format!("{prefix}/{name}"), tensor.detach().to_device(tch::Device::Cpu).contiguous())
    };
    let mut tensors: Vec<(String, Tensor)> =
        store.variables().into_iter().map(|entry| on_cpu("model", entry)).collect();
    if let Some(optimizer) = optimizer {
        tensors.extend(optimizer.state().into_iter().map(|entry| on_cpu("optimizer", entry)));
    }
    // A fixed order, so that equal runs write equal bytes.
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let manifest = Manifest { format: FORMAT, steps: optimizer.map(Optimizer::steps), train: state.clone() };
    let manifest = serde_json::to_string(&manifest).map_err(|error| Error::Torch(error.to_string()))?;
    let metadata = Some(HashMap::from([("fm".to_owned(), manifest)]));
    let views: Vec<(&String, View<'_>)> =
        tensors.iter().map(|(name, tensor)| Ok((name, View::new(tensor)?))).collect::<Result<_>>()?;
    replace_atomically(path, |temporary| {
        safetensors::serialize_to_file(views, &metadata, temporary).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(source) => {
                Error::Io { action: "write", path: path.to_owned(), source }
            }
            other => Error::Torch(other.to_string()),
        })
    })
}

/// Reads a checkpoint into parameters of the same names and shapes, and into the optimiser if one is given.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a file that is damaged, or whose tensors are not exactly those expected.
/// Nothing is changed then.
pub fn load(path: &Path, store: &VarStore, optimizer: Option<&mut Optimizer>) -> Result<TrainState> {
    let unusable = |reason: String| Error::format("checkpoint", path, reason);
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let damaged = |error: safetensors::SafeTensorError| unusable(format!("it is damaged or cut short ({error:?})"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let manifest = header.metadata().as_ref().and_then(|metadata| metadata.get("fm"));
    let manifest = manifest.ok_or_else(|| unusable("it was not written by this program".into()))?;
    let manifest: Manifest = serde_json::from_str(manifest).map_err(|error| unusable(error.to_string()))?;
    if manifest.format > FORMAT {
        return Err(unusable(format!("its format {} is newer than {FORMAT}: update the program", manifest.format)));
    }

    let mut wanted: Vec<(String, Tensor)> =
        store.variables().into_iter().map(|(name, tensor)| (format!("model/{name}"), tensor)).collect();
    if let Some(optimizer) = &optimizer {
        wanted.extend(optimizer.state().into_iter().map(|(name, tensor)| (format!("optimizer/{name}"), tensor)));
    }
    let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let is_wanted = |name: &str| names.contains(name) || (optimizer.is_none() && name.starts_with("optimizer/"));
    if let Some(surplus) = file.names().into_iter().find(|name| !is_wanted(name)) {
        return Err(unusable(format!("it holds `{surplus}`, which the model does not have")));
    }
    let mut found = Vec::with_capacity(wanted.len());
    for (name, tensor) in wanted {
        let view = file.tensor(&name).map_err(|_| unusable(format!("`{name}` is missing")))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        if shape != tensor.size() {
            return Err(unusable(format!(
                "`{name}` has the shape {shape:?}, but schema and settings make it {:?}",
                tensor.size()
            )));
        }
        found.push((tensor, Tensor::try_from(view)?));
    }
    if optimizer.is_some() && manifest.steps.is_none() {
        return Err(unusable("it holds no state of an optimiser to go on from".into()));
    }
    no_grad(|| found.into_iter().try_for_each(|(mut tensor, source)| tensor.f_copy_(&source)))?;
    if let (Some(optimizer), Some(steps)) = (optimizer, manifest.steps) {
        optimizer.resume_at(steps);
    }
    Ok(manifest.train)
}

/// A float32 tensor as safetensors writes it.
struct View<'a> {
    tensor: &'a Tensor,
    shape: Vec<usize>,
}

impl<'a> View<'a> {
    fn new(tensor: &'a Tensor) -> Result<View<'a>> {
        crate::bridge::floats(tensor)?;
        Ok(View { tensor, shape: tensor.size().iter().map(|&size| size as usize).collect() })
    }
}

impl safetensors::View for View<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        let floats = crate::bridge::floats(self.tensor).expect("checked when the view was made");
        floats.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * 4
    }
}
