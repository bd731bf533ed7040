//! What can go wrong, each as one line that says what, where and what to do.

use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the library. `Display` is a single line; `source` gives what lies behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path} is not a usable {what}: {reason}")]
    Format {
        /// What was expected: "checkpoint", "schema", "exported model".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor or a batch does not have the shape or the content that the operation needs.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The layer, loss or metric.
        operation: &'static str,
        /// The shape or content that it takes.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// An id lies outside the rows of its table.
    #[error("slot {slot} of row {row} holds id {id}, but field `{field}` has the ids {first} to {last}")]
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
    /// A schema contradicts itself.
    #[error("the schema is invalid: {0}")]
    Schema(String),
    /// An option of a model, an optimiser or the trainer has a value that it cannot have.
    #[error("invalid setting: {0}")]
    Setting(String),
    /// A new run cannot be created, because its folder is not empty.
    #[error("{path} exists already")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// Training cannot resume from any checkpoint of a run.
    #[error("{path} cannot be resumed: {reason}")]
    NotResumable {
        /// The run's folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The device is not there.
    #[error("{0}")]
    Device(String),
    /// A gradient left the range of numbers.
    #[error("the gradient of `{parameter}` is not finite{}", and_others(*.others))]
    Gradient {
        /// The first parameter by name whose gradient is infinite or not a number.
        parameter: String,
        /// How many others' gradients are so, too.
        others: usize,
    },
    /// Training left the range of numbers.
    #[error("{what} became {value} at step {step} of epoch {epoch}: {cause}")]
    Diverged {
        /// "the loss", or a metric over the validation rows, or a gradient.
        what: String,
        /// What it became: infinite or not a number.
        value: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
        /// What is likely behind it, and what to do.
        cause: String,
    },
    /// A formula cannot be written as ONNX.
    #[error("cannot export to ONNX: {0}")]
    Onnx(String),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; use as `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// An [`Error::Format`] of `path`.
    pub fn format(what: &'static str, path: impl AsRef<Path>, reason: impl Into<String>) -> Error {
        Error::Format { what, path: path.as_ref().to_owned(), reason: reason.into() }
    }

    /// An [`Error::Shape`] of `operation`.
    pub fn shape(operation: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Shape { operation, expected: expected.into(), found: found.into() }
    }
}

fn and_others(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => ", nor that of 1 other parameter".into(),
        _ => format!(", nor those of {others} other parameters"),
    }
}

/// The first line of a C++ exception; the rest is its stack trace. TorchScript's interpreter has the trace before it.
pub(crate) fn first_line(text: &str) -> String {
    if let Some(error) = text.lines().find_map(|line| line.strip_prefix("RuntimeError: ")) {
        return error.strip_prefix("AssertionError: ").unwrap_or(error).trim().to_owned();
    }
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown error").trim().to_owned()
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Error {
        Error::Torch(first_line(&error.to_string()))
    }
}

/// The element of `known` that is nearest to `given`, if one is near: for "did you mean".
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
    fn a_typo_finds_the_near_name_and_nonsense_finds_none() {
        let models = ["lr", "fm", "deepfm", "xdeepfm"];
        assert_eq!(nearest("depfm", models), Some("deepfm"));
        assert_eq!(nearest("DeepFM", models), Some("deepfm"));
        assert_eq!(nearest("transformer", models), None);
    }
}
