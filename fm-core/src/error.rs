//! Errors. Each message is one line that says what is wrong, where, and what to do.

use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the library. `Display` is a single line; `source` is the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The content of a file is invalid.
    #[error("{path} is not a usable {what}: {reason}")]
    Format {
        /// What was expected: "checkpoint", "schema", "exported model".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A value cannot be written as JSON.
    #[error("cannot write {what} as JSON: {source}")]
    Json {
        /// The value.
        what: &'static str,
        /// The error of the serialiser.
        source: serde_json::Error,
    },
    /// A tensor or a batch does not have the shape or the content that the operation needs.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The layer, loss or metric.
        operation: &'static str,
        /// The expected shape or content.
        expected: String,
        /// The found shape or content.
        found: String,
    },
    /// An id is outside the range of its field.
    #[error("slot {slot} of row {row} has id {id}, but field `{field}` has the ids {first} to {last}")]
    IdOutOfRange {
        /// The row within the batch.
        row: usize,
        /// The slot within the row.
        slot: usize,
        /// The id found.
        id: i64,
        /// The field that the slot belongs to.
        field: String,
        /// The field's first id.
        first: i64,
        /// The field's last id.
        last: i64,
    },
    /// A schema is inconsistent.
    #[error("the schema is invalid: {0}")]
    Schema(String),
    /// A number is outside its range.
    #[error("{name} is {value}: it must be {range}")]
    OutOfRange {
        /// The setting.
        name: String,
        /// Its value.
        value: String,
        /// The range: "at least 1".
        range: String,
    },
    /// An unknown name.
    #[error("unknown {what} `{name}`{} known: {}", did_you_mean(.near.as_deref()), .known.join(", "))]
    Unknown {
        /// What was looked up: "model", "metric for regression".
        what: String,
        /// The given name.
        name: String,
        /// The closest known name, if one is close.
        near: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A setting is not supported by the task, the model, the device, or another setting.
    #[error("{0}")]
    Unsupported(String),
    /// An option of a model has an invalid value.
    #[error("{0}")]
    Setting(String),
    /// A model cannot be built from its options and the schema.
    #[error("model {model}: {source}")]
    Model {
        /// The name in the registry.
        model: &'static str,
        /// What is wrong.
        source: Box<Error>,
    },
    /// Rows cannot be trained on or evaluated.
    #[error("{0}")]
    Rows(String),
    /// The validation rows do not define the monitored metric.
    #[error("the monitored metric, {metric}, is not defined on the validation rows: monitor another one")]
    UndefinedMetric {
        /// The metric.
        metric: String,
    },
    /// A new run cannot be created, because its folder is not empty.
    #[error("{path} already exists")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// Training cannot resume from any checkpoint of a run.
    #[error("{path} cannot be resumed: {reason}")]
    NotResumable {
        /// The run's folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Training cannot start from the parameters of another run.
    #[error("cannot warm-start: {0}")]
    WarmStart(String),
    /// An exported file has no catalogue to recommend items from.
    #[error("{path} has no catalogue of items")]
    NoCatalogue {
        /// The file.
        path: PathBuf,
    },
    /// The device is not available.
    #[error("{0}")]
    Device(String),
    /// A gradient is infinite or NaN.
    #[error("the gradient of `{parameter}` is not finite{}", and_others(*.others))]
    Gradient {
        /// The name of the first parameter whose gradient is infinite or NaN.
        parameter: String,
        /// The number of other gradients that are infinite or NaN.
        others: usize,
    },
    /// A parameter is infinite or NaN.
    #[error("`{parameter}` holds numbers that are infinite or NaN")]
    NotFinite {
        /// The parameter.
        parameter: String,
    },
    /// Another process works in a folder.
    #[error("{path} is in use by {holder}")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process and its machine.
        holder: String,
    },
    /// Training diverged.
    #[error("{what} became {value} at step {step} of epoch {epoch}: {cause}")]
    Diverged {
        /// "the loss", a gradient, or a metric over the validation rows.
        what: String,
        /// Its value: infinite or NaN.
        value: f64,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The step within the epoch, counted from 1.
        step: usize,
        /// The likely cause, and what to do.
        cause: String,
    },
    /// The processes that train together cannot meet, disagree, or lose one of them.
    #[error("{0}")]
    Group(String),
    /// Another of the processes that train together has failed, and says why itself.
    #[error("rank {rank} failed: see its message")]
    PeerFailed {
        /// Its rank.
        rank: usize,
    },
    /// A formula cannot be written as ONNX.
    #[error("cannot export to ONNX: {0}")]
    Onnx(String),
    /// There is not enough memory.
    #[error("there is not enough memory for {0}")]
    Memory(String),
    /// libtorch rejected an operation.
    #[error("libtorch: {0}")]
    Torch(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; use as `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// An [`Error::Memory`] for a failed allocation; use as `.map_err(Error::memory(|| "the table".into()))`.
    pub fn memory(what: impl FnOnce() -> String) -> impl FnOnce(tch::TchError) -> Error {
        move |error| match is_about_memory(&error.to_string()) {
            true => Error::Memory(what()),
            false => error.into(),
        }
    }

    /// An [`Error::Format`] of `path`.
    pub fn format(what: &'static str, path: impl AsRef<Path>, reason: impl Into<String>) -> Error {
        Error::Format { what, path: path.as_ref().to_owned(), reason: reason.into() }
    }

    /// An [`Error::Json`] for `what`; use as `.map_err(Error::json("settings"))`.
    pub fn json(what: &'static str) -> impl FnOnce(serde_json::Error) -> Error {
        move |source| Error::Json { what, source }
    }

    /// An [`Error::OutOfRange`].
    pub fn out_of_range(name: impl Into<String>, value: impl ToString, range: impl Into<String>) -> Error {
        Error::OutOfRange { name: name.into(), value: value.to_string(), range: range.into() }
    }

    /// An [`Error::Unknown`], with the closest of the `known` names.
    pub fn unknown(what: impl Into<String>, name: &str, known: impl IntoIterator<Item = impl Into<String>>) -> Error {
        let known: Vec<String> = known.into_iter().map(Into::into).collect();
        let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Error::Unknown { what: what.into(), name: name.to_owned(), near, known }
    }

    /// An [`Error::Shape`] of `operation`.
    pub fn shape(operation: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Shape { operation, expected: expected.into(), found: found.into() }
    }
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(|| ";".to_owned(), |near| format!("; did you mean `{near}`?"))
}

fn and_others(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => ", nor that of 1 other parameter".into(),
        _ => format!(", nor those of {others} other parameters"),
    }
}

/// The message of a C++ exception, without its stack trace: the first line, or the last error of TorchScript's
/// interpreter.
pub(crate) fn first_line(text: &str) -> String {
    if let Some(error) = text.lines().find_map(|line| line.strip_prefix("RuntimeError: ")) {
        return error.strip_prefix("AssertionError: ").unwrap_or(error).trim().to_owned();
    }
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown error").trim().to_owned()
}

/// Whether a message of libtorch is about a failed allocation.
pub fn is_about_memory(text: &str) -> bool {
    ["out of memory", "not enough memory", "can't allocate", "alloc_cpu"].iter().any(|sign| text.contains(sign))
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Error {
        Error::Torch(first_line(&error.to_string()))
    }
}

/// The element of `known` that is closest to `given`, if one is close, for "did you mean".
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_trace_is_cut_to_its_message() {
        assert_eq!(first_line("\nindex out of range\nframe #0: c10::Error"), "index out of range");
        let interpreter = "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript:\n  File \
                           \"x\", line 3\n    assert k\n    ~~ <--- HERE\nRuntimeError: AssertionError: no k\n";
        assert_eq!(first_line(interpreter), "no k");
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_closest_and_all_known_names() {
        let error = |name| Error::unknown("model", name, ["lr", "deepfm"]).to_string();
        assert_eq!(error("depfm"), "unknown model `depfm`; did you mean `deepfm`? known: lr, deepfm");
        assert_eq!(error("transformer"), "unknown model `transformer`; known: lr, deepfm");
    }

    #[test]
    fn a_typo_finds_the_closest_name_and_nonsense_finds_none() {
        let models = ["lr", "fm", "deepfm", "xdeepfm"];
        assert_eq!(nearest("depfm", models), Some("deepfm"));
        assert_eq!(nearest("DeepFM", models), Some("deepfm"));
        assert_eq!(nearest("transformer", models), None);
    }
}
