//! `fm export`

use std::path::PathBuf;

use clap::ValueEnum;

use crate::completion;
use crate::flags::{Folders, Moved};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm export runs/deepfm-1 --output model.pt\n  \
                        fm export runs/deepfm-1 --output model.pt --with-catalogue --dtype f16\n  \
                        fm export runs/deepfm-1 --output model.onnx --format onnx\n  \
                        fm export runs/deepfm-1 --output repository --format triton\n  \
                        fm export runs/fm-1 --output vectors --format vectors")]
pub struct Export {
    /// The folder of a run
    #[arg(add = completion::runs())]
    pub run: PathBuf,
    /// The file to write; for triton, the model repository; for vectors, a new folder
    #[arg(short, long, value_name = "FILE|DIR", help_heading = "Output")]
    pub output: PathBuf,
    /// The format to write
    #[arg(long, value_enum, default_value = "torchscript", help_heading = "Output")]
    pub format: ExportFormat,
    /// For triton: the model's name in the repository [default: the name of the model]
    #[arg(long, value_parser = folder_name, help_heading = "Output")]
    pub name: Option<String>,
    /// Include all items, so that the file can recommend without the data
    #[arg(long, help_heading = "Output")]
    pub with_catalogue: bool,
    /// Type of the stored tables; computation stays in f32
    #[arg(long, value_enum, default_value = "f32", conflicts_with = "quantize", help_heading = "Output")]
    pub dtype: Dtype,
    /// Quantize the tables of vectors, with a scale for each row
    #[arg(long, value_enum, help_heading = "Output")]
    pub quantize: Option<Quantization>,
    /// Licence of the data, for the model card
    ///
    /// Licence of the data, for the model card. By default GroupLens' terms for MovieLens, and "not stated" for other
    /// data.
    #[arg(long, value_name = "TEXT", value_parser = line_of_text, help_heading = "Output")]
    pub data_licence: Option<String>,
    /// The location of data that has moved.
    #[command(flatten)]
    pub moved: Moved,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
}

/// The format of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One file for PyTorch and libtorch: raw values or ids in, predictions out
    Torchscript,
    /// One file for ONNX runtimes: ids in, logits out
    Onnx,
    /// Two models in a repository of NVIDIA Triton: raw values or ids in, predictions out
    Triton,
    /// Vectors of all items and users for an index, if their inner product is the score: Parquet and NumPy arrays
    Vectors,
}

/// The type of stored tables.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Dtype {
    /// As trained
    F32,
    /// Half the size; keeps three to four digits
    F16,
    /// Half the size; keeps two to three digits, and the range of f32
    Bf16,
}

/// The type of quantized tables.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Quantization {
    /// 8 bits per number
    Int8,
}

/// A name that is a valid folder on any system and needs no escaping in a URL.
fn folder_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(is_plain) {
        return Err("it must start with a letter or a digit and contain only letters, digits, `_`, `-` and `.`".into());
    }
    Ok(text.to_owned())
}

fn line_of_text(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it must not be empty".into()),
        line if line.chars().any(char::is_control) => Err("it must be one line".into()),
        line => Ok(line.into()),
    }
}
