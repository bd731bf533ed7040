//! Checkpoints: the parameters, and what is needed to resume training, in one safetensors file.
//!
//! Parameters are stored as `model/<name>`, the learner's state as `learner/<name>`, and the rest as JSON in the file's
//! metadata, under `fm`: epoch, step, length of the tensors, and the run that the file belongs to. The metadata also
//! holds `xxh3`, the 64-bit XXH3 of all bytes of the file, with zeros in place of its own 16 digits, so that truncation
//! and changed bits are detected. A file is written completely or not at all, and loaded only if it fits completely.
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
//! checkpoint::save(&file, &store, &TrainState::default())?;
//!
//! // Elsewhere: build the same model for the same schema, and load its parameters.
//! let loaded = VarStore::new(Device::Cpu);
//! let same = fm_models::find("fm")?.build(&options, &loaded.root(), &schema)?;
//! checkpoint::load(&file, &loaded)?;
//! assert!(loaded.variables()["embedding.weight"].equal(&store.variables()["embedding.weight"]));
//!
//! // The checkpoint of another model is an error.
//! let other = VarStore::new(Device::Cpu);
//! let deepfm = fm_models::find("deepfm")?.build(&options, &other.root(), &schema)?;
//! assert!(checkpoint::load(&file, &other).unwrap_err().to_string().contains("is missing"));
//! # Ok::<(), fm_core::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};
use xxhash_rust::xxh3::Xxh3;

use super::TrainState;
use crate::atomic_file::{WriteError, replace_atomically};
use crate::bridge::floats;
use crate::error::{Error, Result};
use crate::learner::Learner;
use crate::mapped_file::MappedFile;
use crate::shards::{GIVE_ROWS, Shard, Shards, TAKE_ROWS};

/// The version of the format.
const FORMAT: u32 = 5;

/// Precedes the digits of the hash. Within any other text of the header, its quotes would be escaped.
const HASH: &[u8] = b"\"xxh3\":\"";
const HASH_DIGITS: usize = 16;

/// Precedes the names of the parameters.
const PARAMETERS: &str = "model/";

/// Precedes the names of the learner's state.
const STATES: &str = "learner/";

/// The name of the logits of progressive validation.
const LOGITS: &str = "progressive/logits";

/// Number of bytes written and read at once.
const BUFFER: usize = 1 << 16;

/// Maximum length of a header in safetensors.
const MAX_HEADER: u64 = 100_000_000;

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The length of the tensors.
    bytes: u64,
    /// What the file holds of the learner; none if it holds only parameters.
    learner: Option<LearnerState>,
    /// What the run is recognised by, if the file belongs to one; see
    /// [`TrainFiles::of_run`](super::TrainFiles::of_run).
    run: Option<String>,
    train: TrainState,
}

/// The state of a learner in a file, besides its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LearnerState {
    /// The learner, such as `batch updates by adam`.
    pub name: String,
    /// Number of steps of the run.
    pub steps: u64,
    /// See [`Learner::updates`].
    pub updates: u64,
}

/// What a file from which training resumes has beside the parameters.
pub(super) struct Training<'a> {
    pub learner: &'a dyn Learner,
    /// The learner's name, as in [`LearnerState`].
    pub name: String,
    /// The logits of progressive validation.
    pub logits: &'a [f32],
}

/// Writes the parameters. To be able to resume training, use [`Trainer::save`](super::Trainer::save).
///
/// # Errors
/// [`Error::Io`]; [`Error::Shape`] for a parameter that is not a float32 tensor; [`Error::NotFinite`]. Then the old
/// file stays.
pub fn save(path: &Path, store: &VarStore, state: &TrainState) -> Result<()> {
    write(path, Parameters { store, shards: None }, None, state, None)
}

/// Like [`save`], with the state of training and the run if they are given. Rows of divided tables come from the
/// processes that own them, which serve this one.
pub(super) fn write(
    path: &Path,
    parameters: Parameters<'_>,
    training: Option<Training<'_>>,
    state: &TrainState,
    run: Option<&str>,
) -> Result<()> {
    let mut tensors = parameters.named(training.as_ref().map(|training| training.learner));
    let logits = training.as_ref().map(|training| training.logits).filter(|logits| !logits.is_empty());
    tensors.extend(logits.map(|logits| (LOGITS.to_owned(), Named { tensor: Tensor::from_slice(logits), shard: None })));

    let (mut header, mut bytes) = (serde_json::Map::new(), 0);
    for (name, of_name) in &tensors {
        let shape = of_name.size();
        let end = bytes + 4 * shape.iter().product::<i64>() as u64;
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [bytes, end] }));
        bytes = end;
    }
    let has_state = training.is_some();
    let learner = training.map(|Training { learner, name, .. }| {
        let (steps, updates) = (learner.steps(), learner.updates());
        LearnerState { name, steps, updates }
    });
    let manifest = Manifest { format: FORMAT, bytes, learner, run: run.map(str::to_owned), train: state.clone() };
    let manifest = serde_json::to_string(&manifest).map_err(Error::json("the state of training"))?;
    header.insert("__metadata__".into(), json!({ "fm": manifest, "xxh3": "0".repeat(HASH_DIGITS) }));
    let mut header = serde_json::to_vec(&header).map_err(Error::json("the header of a checkpoint"))?;
    // The tensors start at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    let digits =
        place_of_digits(&header).ok_or_else(|| Error::format("checkpoint", path, "its header has no hash"))? + 8;

    if let Some((name, Named { tensor, .. })) = tensors.iter().find(|(_, of)| of.tensor.kind() != Kind::Float) {
        return Err(Error::shape("checkpoint", format!("`{name}` of kind Float"), format!("{:?}", tensor.kind())));
    }
    replace_atomically(path, |file| -> std::result::Result<(), WriteError> {
        let mut file = Hashing { file: BufWriter::new(file), hash: Xxh3::new() };
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let mut buffer = vec![0; BUFFER];
        let mut put = |name: &str, numbers: &[f32]| -> std::result::Result<(), WriteError> {
            for numbers in numbers.chunks(BUFFER / 4) {
                // What cannot be loaded must not replace what can.
                if name.starts_with(PARAMETERS) && !numbers.iter().all(|x| x.is_finite()) {
                    return Err(WriteError::Other(not_finite(name)));
                }
                buffer.chunks_exact_mut(4).zip(numbers).for_each(|(bytes, x)| bytes.copy_from_slice(&x.to_le_bytes()));
                file.write_all(&buffer[..4 * numbers.len()])?;
            }
            Ok(())
        };
        parameters.serve_me(GIVE_ROWS, has_state)?;
        let mut written: std::result::Result<(), WriteError> = Ok(());
        for (name, Named { tensor, shard }) in &tensors {
            match (shard, parameters.shards) {
                // The others send all rows, even if they cannot be written.
                (Some(shard), Some(shards)) => shards.give(shard, tensor, |numbers| {
                    if written.is_ok() {
                        written = put(name, numbers);
                    }
                })?,
                _ if written.is_err() => {}
                // One at a time leaves the device.
                _ => written = put(name, floats(&tensor.to_device(Device::Cpu).contiguous())?),
            }
        }
        written?;
        let Hashing { mut file, hash } = file;
        file.seek(SeekFrom::Start(digits as u64))?;
        file.write_all(format!("{:016x}", hash.digest()).as_bytes())?;
        Ok(file.flush()?)
    })
}

/// The parameters of a model, and which of them are tables that are divided among processes.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a> {
    pub store: &'a VarStore,
    pub shards: Option<&'a Shards<'a>>,
}

/// A parameter, or a state of it. Of a divided table, the tensor has the own rows.
struct Named<'a> {
    tensor: Tensor,
    shard: Option<&'a Shard>,
}

impl Named<'_> {
    /// The whole shape.
    fn size(&self) -> Vec<i64> {
        self.shard.map_or_else(|| self.tensor.size(), |shard| shard.size().to_vec())
    }
}

impl<'a> Parameters<'a> {
    /// The parameters, and the learner's state, by their names in a file: in a fixed order, so that equal runs write
    /// equal bytes.
    fn named(self, learner: Option<&dyn Learner>) -> BTreeMap<String, Named<'a>> {
        let parameter = |(name, tensor): (String, Tensor)| {
            let shard = self.shards.and_then(|shards| shards.find(&name));
            let tensor = shard.map_or(tensor, |shard| shard.own.shallow_clone()).detach();
            (format!("{PARAMETERS}{name}"), Named { tensor, shard })
        };
        let state = |(name, tensor): (String, Tensor)| {
            let shard = self.shards.and_then(|shards| shards.of_state(&name));
            (format!("{STATES}{name}"), Named { tensor: tensor.detach(), shard })
        };
        let states = learner.map(|learner| learner.state()).unwrap_or_default();
        self.store.variables().into_iter().map(parameter).chain(states.into_iter().map(state)).collect()
    }

    /// Asks the other processes for what a file needs, if tables are divided.
    fn serve_me(self, command: i64, has_state: bool) -> Result<()> {
        let Some(shards) = self.shards else { return Ok(()) };
        shards.group().begin_step(&[command, i64::from(has_state)]).map(drop)
    }
}

fn not_finite(name: &str) -> Error {
    Error::NotFinite { parameter: name.strip_prefix(PARAMETERS).unwrap_or(name).to_owned() }
}

/// Reads a checkpoint into parameters of the same names and shapes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a file that is damaged, whose tensors are not exactly the expected ones, or
/// whose parameters are not all finite. Then nothing is changed.
pub fn load(path: &Path, store: &VarStore) -> Result<TrainState> {
    Checkpoint::open(path)?.load(Parameters { store, shards: None }, None)
}

/// An intact checkpoint file.
pub(super) struct Checkpoint {
    path: PathBuf,
    file: MappedFile,
}

impl Checkpoint {
    /// Opens a file and checks its hash.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a damaged file.
    pub(super) fn open(path: &Path) -> Result<Checkpoint> {
        // Reads the file first: a disk error is then an error, whereas in a mapped file it would end the program.
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let whole = is_whole(&mut file).map_err(Error::io("read", path))?;
        let damaged = |what: &str| Error::format("checkpoint", path, format!("it is damaged or truncated ({what})"));
        match whole {
            // Mapped, so that the tables in it need no memory.
            Some(true) => Ok(Checkpoint { path: path.to_owned(), file: MappedFile::of(&file, path)? }),
            Some(false) => Err(damaged("its hash does not match its content")),
            None => Err(damaged("it has no hash")),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The progress of training.
    ///
    /// # Errors
    /// [`Error::Format`] for a file of another version.
    pub(super) fn state(&self) -> Result<TrainState> {
        Ok(self.manifest()?.train)
    }

    /// Checks that the file belongs to a run, if there is one.
    ///
    /// # Errors
    /// [`Error::Format`] for a file of another run, or of another version.
    pub(super) fn check_run(&self, run: Option<&str>) -> Result<()> {
        let found = self.manifest()?.run;
        if run.is_some_and(|run| found.as_deref() != Some(run)) {
            return Err(self.unusable("it belongs to another run"));
        }
        Ok(())
    }

    fn unusable(&self, reason: impl Into<String>) -> Error {
        Error::format("checkpoint", &self.path, reason)
    }

    fn manifest(&self) -> Result<Manifest> {
        let (_, header) =
            SafeTensors::read_metadata(self.file.bytes()).map_err(|error| self.unusable(format!("{error:?}")))?;
        let manifest = header.metadata().as_ref().and_then(|metadata| metadata.get("fm"));
        let manifest = manifest.ok_or_else(|| self.unusable("it was not written by this program"))?;
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        match serde_json::from_str(manifest) {
            Ok(Format { format: FORMAT }) => {}
            Ok(Format { format }) => {
                return Err(self.unusable(format!("its format is {format}, but this version reads only {FORMAT}")));
            }
            Err(error) => return Err(self.unusable(error.to_string())),
        }
        serde_json::from_str(manifest).map_err(|error| self.unusable(error.to_string()))
    }

    /// Copies its tensors to the parameters, and to the learner's state if one is given.
    ///
    /// # Errors
    /// Those of [`load`].
    pub(super) fn load(
        &self,
        parameters: Parameters<'_>,
        learner: Option<&mut (dyn Learner + '_)>,
    ) -> Result<TrainState> {
        let manifest = self.manifest()?;
        let file = SafeTensors::deserialize(self.file.bytes()).map_err(|error| self.unusable(format!("{error:?}")))?;
        let wanted = parameters.named(learner.as_deref());
        let is_wanted =
            |name: &str| wanted.contains_key(name) || name == LOGITS || (learner.is_none() && name.starts_with(STATES));
        if let Some(surplus) = file.names().into_iter().find(|name| !is_wanted(name)) {
            return Err(self.unusable(format!("it contains `{surplus}`, which the model does not have")));
        }
        let mut found = Vec::with_capacity(wanted.len());
        for (name, of_name) in &wanted {
            let view = file.tensor(name).map_err(|_| self.unusable(format!("`{name}` is missing")))?;
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            if view.dtype() != Dtype::F32 {
                return Err(self.unusable(format!("`{name}` has the type {:?}, not F32", view.dtype())));
            }
            if shape != of_name.size() {
                return Err(self.unusable(format!(
                    "`{name}` has the shape {shape:?}, but by schema and settings it must be {:?}",
                    of_name.size()
                )));
            }
            self.check_finite(name, view.data())?;
            found.push((of_name, view));
        }
        if learner.is_some() && manifest.learner.is_none() {
            return Err(self.unusable("it contains only parameters, so training cannot resume from it"));
        }
        parameters.serve_me(TAKE_ROWS, learner.is_some())?;
        for (Named { tensor, shard }, view) in found {
            match (shard, parameters.shards) {
                (Some(shard), Some(shards)) => shards.take(shard, tensor, view.data())?,
                _ => {
                    let source = Tensor::try_from(view)?;
                    no_grad(|| tensor.shallow_clone().f_copy_(&source))?;
                }
            }
        }
        if let (Some(learner), Some(LearnerState { steps, updates, .. })) = (learner, manifest.learner) {
            learner.resume_at(steps, updates);
        }
        Ok(manifest.train)
    }

    fn check_finite(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // Little-endian, as the whole file is.
        let is_finite = |bytes: &[u8]| bytes.try_into().is_ok_and(|bytes| f32::from_le_bytes(bytes).is_finite());
        match name.strip_prefix(PARAMETERS) {
            Some(parameter) if !bytes.chunks_exact(4).all(is_finite) => {
                Err(self.unusable(format!("`{parameter}` holds numbers that are infinite or NaN")))
            }
            _ => Ok(()),
        }
    }

    /// What the file holds of the learner; none if it holds only parameters.
    ///
    /// # Errors
    /// [`Error::Format`] for a file of another version.
    pub(super) fn learner(&self) -> Result<Option<LearnerState>> {
        Ok(self.manifest()?.learner)
    }

    /// The parameters by name.
    ///
    /// # Errors
    /// [`Error::Format`] for a file of another version, or with parameters that are not finite.
    pub(super) fn parameters(&self) -> Result<BTreeMap<String, Tensor>> {
        self.tensors(PARAMETERS)
    }

    /// The tensors of the learner's state by name.
    ///
    /// # Errors
    /// As [`Checkpoint::parameters`].
    pub(super) fn states(&self) -> Result<BTreeMap<String, Tensor>> {
        self.tensors(STATES)
    }

    /// The logits of progressive validation so far.
    ///
    /// # Errors
    /// [`Error::Format`] for logits that are not a list of numbers.
    pub(super) fn logits(&self) -> Result<Vec<f32>> {
        match self.tensors(LOGITS)?.remove("") {
            Some(logits) => {
                Vec::try_from(logits).map_err(|_| self.unusable(format!("`{LOGITS}` is not a list of numbers")))
            }
            None => Ok(vec![]),
        }
    }

    /// The tensors whose names have a prefix, by the rest of their names.
    fn tensors(&self, prefix: &str) -> Result<BTreeMap<String, Tensor>> {
        self.manifest()?;
        let file = SafeTensors::deserialize(self.file.bytes()).map_err(|error| self.unusable(format!("{error:?}")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            self.check_finite(&name, view.data())?;
            if let Some(name) = name.strip_prefix(prefix) {
                tensors.insert(name.to_owned(), Tensor::try_from(view)?);
            }
        }
        Ok(tensors)
    }
}

/// The number of steps done when a checkpoint was written, read from its header; `None` if training cannot resume from
/// it.
pub(super) fn steps(path: &Path) -> Option<u64> {
    Some(glance(path)?.learner?.steps)
}

/// How far training had come when a checkpoint was written, from its header alone.
pub(super) fn progress(path: &Path) -> Option<TrainState> {
    Some(glance(path)?.train)
}

/// The epoch and the hash of a checkpoint, from its header alone.
pub(super) fn stamp(path: &Path) -> Option<(usize, String)> {
    let (manifest, mut metadata) = read_manifest(path)?;
    Some((manifest.train.epoch, metadata.remove("xxh3")?))
}

/// The manifest of a checkpoint, from its header alone; none if there is no usable one.
fn glance(path: &Path) -> Option<Manifest> {
    Some(read_manifest(path)?.0)
}

fn read_manifest(path: &Path) -> Option<(Manifest, BTreeMap<String, String>)> {
    let header = header(&mut File::open(path).ok()?).ok()??;
    #[derive(Deserialize)]
    struct Header {
        __metadata__: BTreeMap<String, String>,
    }
    let Header { __metadata__: metadata } = serde_json::from_slice(&header).ok()?;
    let manifest = serde_json::from_str(metadata.get("fm")?).ok()?;
    Some((manifest, metadata))
}

/// The header of a file; `None` if the file is truncated.
fn header(file: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    let mut header = vec![];
    if file.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = u64::from_le_bytes(length);
    // Reads at most the whole file, whatever length a damaged header claims.
    let read = file.take(length.min(MAX_HEADER)).read_to_end(&mut header)?;
    Ok((read as u64 == length).then_some(header))
}

/// The position of the hash's digits in a header.
fn place_of_digits(header: &[u8]) -> Option<usize> {
    let place = header.windows(HASH.len()).position(|bytes| bytes == HASH)? + HASH.len();
    (place + HASH_DIGITS <= header.len()).then_some(place)
}

/// Whether the hash of a file matches its content; `None` if it has no hash.
fn is_whole(file: &mut impl Read) -> std::io::Result<Option<bool>> {
    let Some(mut header) = header(file)? else { return Ok(None) };
    let Some(place) = place_of_digits(&header) else { return Ok(None) };
    let digits = &mut header[place..place + HASH_DIGITS];
    let written = digits.to_vec();
    digits.fill(b'0');
    let mut hash = Xxh3::new();
    hash.update(&(header.len() as u64).to_le_bytes());
    hash.update(&header);
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(Some(written == format!("{:016x}", hash.digest()).as_bytes()))
}

/// Hashes a file while it is written.
struct Hashing<'a> {
    file: BufWriter<&'a mut File>,
    hash: Xxh3,
}

impl Hashing<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }
}
