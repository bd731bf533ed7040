//! Archives for servers that only call `forward`.

use std::io::Write;

use super::Bundle;
use crate::atomic_file::WriteError;
use crate::error::Result;

/// Words that cannot be names of arguments: keywords of Python and TorchScript, and names that an archive's code uses.
/// libtorch would rename such an argument when saving, and the server would expect an input with the new name.
#[rustfmt::skip]
const RESERVED: [&str; 54] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield",
    "Ellipsis", "NoneType", "self", "torch",
    "CONSTANTS", "_", "__torch__", "annotate", "aten", "attribute", "fork", "getattr", "inf", "infj", "nan", "nanj", "ops",
    "unchecked_cast", "uninitialized",
];

/// An archive for a server that only calls `forward`, such as NVIDIA Triton. Its `forward` returns predictions `[B]`,
/// and its submodule `model` is the module of the [`Bundle`].
#[derive(Debug)]
pub struct Served {
    archive: Bundle,
    arguments: Vec<String>,
}

impl Bundle {
    /// An archive with `forward(ids, values)` → predictions.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch fails.
    pub fn served_ids(&self) -> Result<Served> {
        let source =
            "def forward(self, ids: Tensor, values: Tensor) -> Tensor:\n    return self.model.predict(ids, values)\n";
        self.served("fm.Ids", source, vec!["ids".into(), "values".into()])
    }

    /// An archive with `forward(column, ...)` → predictions. Each argument is a `List[str]` of the same length, in the
    /// order of the schema's [columns](crate::Schema::columns): those of its fields. The arguments have the names of the
    /// columns, or `INPUT__0`, `INPUT__1`, ... if one of them is not a valid name.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch fails.
    pub fn served_columns(&self) -> Result<Served> {
        let arguments = arguments(&self.columns);
        let parameters: String = arguments.iter().map(|argument| format!(", {argument}: List[str]")).collect();
        // Names of columns occur in the source only if they are valid names of arguments.
        let columns =
            arguments.iter().enumerate().map(|(at, argument)| format!("self.model._inputs[{at}]: {argument}"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let source =
            format!("def forward(self{parameters}) -> Tensor:\n    return self.model.score_columns({{{columns}}})\n");
        self.served("fm.Columns", &source, arguments)
    }

    fn served(&self, class_name: &str, source: &str, arguments: Vec<String>) -> Result<Served> {
        let module = self.module.wrap(class_name, source)?;
        let archive = Bundle { module, schema_json: self.schema_json.clone(), columns: self.columns.clone() };
        Ok(Served { archive, arguments })
    }
}

impl Served {
    /// The names of the arguments of `forward`.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The same as [`Bundle::size`].
    ///
    /// # Errors
    /// Those of [`Bundle::size`].
    pub fn size(&self, files: &[(&str, &str)]) -> Result<u64> {
        self.archive.size(files)
    }

    /// The same as [`Bundle::write`].
    ///
    /// # Errors
    /// Those of [`Bundle::write`].
    pub fn write(&self, file: &mut dyn Write, files: &[(&str, &str)]) -> std::result::Result<(), WriteError> {
        self.archive.write(file, files)
    }
}

/// Names of arguments for columns: either all are names of columns, or none.
fn arguments(columns: &[String]) -> Vec<String> {
    let is_identifier = |name: &String| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    if columns.iter().all(|name| is_identifier(name) && !RESERVED.contains(&name.as_str())) {
        return columns.to_vec();
    }
    (0..columns.len()).map(|column| format!("INPUT__{column}")).collect()
}
