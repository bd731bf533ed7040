//! `config.pbtxt`: the configuration of a Triton model, in protobuf's text format.
//!
//! Triton's PyTorch backend calls `forward`; inputs have the names of its arguments. The backend passes text as a
//! `List[str]` if its shape has only the batch dimension. Inputs and outputs of Triton have at least one more
//! dimension, of size 1, which `reshape` removes.

use std::fmt::{self, Display, Formatter};

use fm_core::device::compiled_libtorch;
use fm_core::{Schema, Task};

/// The inputs of a model.
#[derive(Clone, Copy)]
pub enum Takes {
    /// The texts of each field.
    Columns,
    /// Encoded rows.
    Ids,
}

impl Takes {
    /// The first words of a configuration written by this program.
    pub fn mark(self) -> &'static str {
        match self {
            Takes::Columns => "# Written by fm export, takes texts",
            Takes::Ids => "# Written by fm export, takes ids",
        }
    }
}

/// A configuration, as text.
pub struct Config<'a> {
    pub name: &'a str,
    /// The arguments of `forward`.
    pub inputs: &'a [String],
    pub schema: &'a Schema,
    /// Why scores are not probabilities, if they are not.
    pub shift: Option<String>,
    pub takes: Takes,
}

impl Display for Config<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: version {}, for the PyTorch backend of NVIDIA Triton Inference Server.",
            self.takes.mark(),
            env!("CARGO_PKG_VERSION")
        )?;
        self.comments(f)?;
        writeln!(f, "name: {}", quoted(self.name))?;
        writeln!(f, "platform: \"pytorch_libtorch\"\nbackend: \"pytorch\"\nmax_batch_size: 1024")?;
        for (at, input) in self.inputs.iter().enumerate() {
            let comment = match self.takes {
                Takes::Columns => {
                    let column = self.schema.columns()[at];
                    let what = if self.schema.field_index(column).is_some() { "field" } else { "column" };
                    format!("  # the {what} {}", quoted(column))
                }
                Takes::Ids => String::new(),
            };
            let (kind, shape) = self.kind_and_shape(at);
            writeln!(f, "input {{{comment}\n  name: {}\n  data_type: {kind}\n  {shape}", quoted(input))?;
            if matches!(self.takes, Takes::Columns) {
                writeln!(f, "  reshape {{ shape: [ ] }}")?;
            }
            writeln!(f, "}}")?;
        }
        writeln!(
            f,
            "output {{\n  name: \"OUTPUT__0\"\n  data_type: TYPE_FP32\n  dims: [ 1 ]\n  reshape {{ shape: [ ] }}\n}}"
        )?;
        writeln!(f, "dynamic_batching {{ max_queue_delay_microseconds: 100 }}")?;
        self.warm_up(f)
    }
}

impl Config<'_> {
    fn comments(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let label = self.schema.label();
        let column = quoted(&label.column);
        writeln!(f, "#")?;
        match label.task {
            Task::Regression => {
                writeln!(f, "# OUTPUT__0 is the prediction of {column}, within {} to {}.", label.min, label.max)?;
            }
            Task::Binary { threshold } => match &self.shift {
                None => writeln!(f, "# OUTPUT__0 is the probability that {column} is at least {threshold}.")?,
                Some(shift) => {
                    writeln!(
                        f,
                        "# OUTPUT__0 is higher where {column} is more likely to be at least {threshold}. {shift}"
                    )?;
                }
            },
            Task::Ranking { .. } => {
                writeln!(f, "# OUTPUT__0 is the score that ranks the items of one user. It has no unit.")?;
            }
        }
        let inputs = match self.takes {
            Takes::Columns => {
                "# An input is the text of a field, [batch, 1]. Empty text is a missing value. The separator of a\n\
                 # multi-valued field joins its values, as in a table."
            }
            Takes::Ids => {
                "# The inputs are encoded rows, such as `model.encode_columns` of the archive returns for text."
            }
        };
        writeln!(f, "{inputs}")?;
        // Warm-ups with `count` and batches of text require a release of mid-2022.
        writeln!(
            f,
            "# Requires Triton 22.08 or later, with a PyTorch that reads files of libtorch {}.",
            compiled_libtorch().0
        )?;
        writeln!(
            f,
            "# Without an instance_group, Triton uses every GPU, or the CPU if there is no GPU. To keep the model on \
             the CPU:"
        )?;
        writeln!(f, "# instance_group {{ kind: KIND_CPU count: 1 }}\n")
    }

    /// The type and shape of an input for one row.
    fn kind_and_shape(&self, input: usize) -> (&'static str, String) {
        match (self.takes, input) {
            (Takes::Columns, _) => ("TYPE_STRING", "dims: [ 1 ]".into()),
            (Takes::Ids, 0) => ("TYPE_INT64", format!("dims: [ {} ]", self.schema.num_slots())),
            (Takes::Ids, _) => ("TYPE_FP32", format!("dims: [ {} ]", self.schema.num_slots())),
        }
    }

    /// The first calls of a TorchScript archive are slow: libtorch profiles one call and compiles in the next, possibly
    /// again for other sizes. Zero is a valid id for every model; for text, Triton sends empty strings.
    fn warm_up(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "# The first calls optimise the graph. Triton makes them before it reports the model as ready.")?;
        for rows in [1, 2, 64] {
            writeln!(f, "model_warmup {{\n  name: \"{rows}\"\n  batch_size: {rows}\n  count: 3")?;
            for (at, input) in self.inputs.iter().enumerate() {
                let (kind, shape) = self.kind_and_shape(at);
                let value = format!("{{ data_type: {kind} {shape} zero_data: true }}");
                writeln!(f, "  inputs {{ key: {} value {value} }}", quoted(input))?;
            }
            writeln!(f, "}}")?;
        }
        Ok(())
    }
}

/// A string of the text format; always one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\{:03o}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_on_one_line_and_ends_where_it_should() {
        assert_eq!(quoted("user_id"), r#""user_id""#);
        assert_eq!(quoted("a\"b\\\n# é\0"), r#""a\"b\\\012# é\000""#);
    }
}
