//! `fm export`

mod card;
mod served;
mod triton;
mod vectors;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use fm_args::commands::{Dtype, Export, ExportFormat, Quantization};
use fm_args::flags::Part;
use fm_core::script::{Bundle, BundleOptions, Catalogue, Origin, Precision, SETTINGS_FILE};
use fm_core::{Encoder, Error, Features, Rows, Schema};
use fm_data::catalogue::Items;
use fm_data::{MissingColumns, RawData, encode};
use fm_models::run::{BuiltModel, Run};
use tch::{Device, Kind, Tensor};

use self::card::{Latency, ModelCard, Rounding};
pub use self::served::{Exported, for_server};
use super::print;
use crate::changes::Values;
use crate::evaluation::Evaluation;
use crate::predictor::{Predictor, moved};
use crate::results::Results;

/// The extra file with the titles of the catalogue's items.
pub const TITLES: &str = "titles.json";
/// The extra file with the distribution of the training rows' values, to compare other rows with.
const VALUES: &str = "values.json";

pub fn run(args: &Export) -> Result<()> {
    let is_triton = matches!(args.format, ExportFormat::Triton);
    let is_folder = matches!(args.format, ExportFormat::Triton | ExportFormat::Vectors);
    if args.output.is_dir() && !is_folder {
        bail!("{} is a folder: name the file to write, such as model.pt", args.output.display());
    }
    if args.name.is_some() && !is_triton {
        bail!("--name is the name of a model in a Triton repository: it requires --format triton");
    }
    let run = Run::open(&args.run)?;
    check_output(args, &run)?;
    let trained = Predictor::of_run(&run, "cpu")?;
    match args.format {
        ExportFormat::Torchscript => torchscript(args, &run, &trained),
        ExportFormat::Onnx => onnx(args, &trained),
        ExportFormat::Triton => triton::run(args, &run, &trained),
        ExportFormat::Vectors => vectors::run(args, &trained),
    }
}

/// The type of the stored tables.
fn precision(args: &Export) -> Precision {
    match (args.quantize, args.dtype) {
        (Some(Quantization::Int8), _) => Precision::Int8,
        (None, Dtype::F32) => Precision::F32,
        (None, Dtype::F16) => Precision::F16,
        (None, Dtype::Bf16) => Precision::Bf16,
    }
}

/// Returns an error if the extension of the output does not match the format, or if the output would replace a file of
/// the run.
fn check_output(args: &Export, run: &Run) -> Result<()> {
    let output = args.output.display();
    if args.format == ExportFormat::Torchscript && args.output.extension().is_some_and(|extension| extension == "onnx")
    {
        bail!("{output} would contain TorchScript: add --format onnx, or name the file model.pt");
    }
    if args.output.as_os_str() == "-" {
        bail!("an exported file cannot go to standard output: name a file, such as model.pt");
    }
    if run.holds(&args.output) {
        bail!("{output} is a file of the run: name another one, such as model.pt");
    }
    Ok(())
}

fn onnx(args: &Export, trained: &Predictor<BuiltModel>) -> Result<()> {
    if args.with_catalogue || precision(args) != Precision::F32 || args.data_licence.is_some() {
        bail!(
            "ONNX files have float32 tables, and neither a catalogue nor a model card: leave out --with-catalogue, \
             --dtype, --quantize and --data-licence"
        );
    }
    fm_core::onnx::export(&args.output, trained.model.model.as_ref(), &trained.model.store, &trained.schema)?;
    let bytes = std::fs::metadata(&args.output).map_err(Error::io("read", &args.output))?.len();
    tracing::info!("wrote {}: {}", args.output.display(), card::size(bytes));
    Ok(())
}

fn torchscript(args: &Export, run: &Run, trained: &Predictor<BuiltModel>) -> Result<()> {
    let export = Measured::new(args, run, trained)?;
    let files = export.extra_files(args, run, trained, |files| export.bundle.size(files))?;
    export.bundle.save(&args.output, &borrowed(&files))?;
    export.report(std::slice::from_ref(&args.output))
}

/// A bundle with its measurements.
struct Measured {
    bundle: Bundle,
    /// The titles of the catalogue's items, by id.
    titles: Option<BTreeMap<String, String>>,
    precision: Precision,
    rounding: Option<Rounding>,
    latency: [Latency; 2],
}

impl Measured {
    fn new(args: &Export, run: &Run, trained: &Predictor<BuiltModel>) -> Result<Measured> {
        let precision = precision(args);
        let moved = moved(args.moved.data.as_ref(), &args.moved.tables);
        let source = || trained.source(&moved, &args.folders);
        if let Some(field) = trained.schema.mixed_fields().next().filter(|_| args.with_catalogue) {
            bail!(
                "`{}` depends on the item and on the rest of the row, so a catalogue cannot hold it: export without a catalogue",
                field.name
            );
        }
        let source = match (args.with_catalogue, precision) {
            (false, Precision::F32) => None,
            (true, _) => Some(source()?),
            (false, _) => source().inspect_err(|error| warn_unmeasured(error)).ok(),
        };
        let items = source
            .as_ref()
            .filter(|_| args.with_catalogue)
            .map(RawData::catalogue)
            .transpose()?
            .map(|all| all.into_items());
        let catalogue = items.as_ref().map(|items| catalogue(items, &trained.schema)).transpose()?;
        let titles = items.map(titles);
        let options = BundleOptions { catalogue: catalogue.as_ref(), precision };
        let bundle = Bundle::new(trained.model.model.as_ref(), &trained.model.store, &trained.schema, &options)?;
        let rounding = match &source {
            Some(source) if precision != Precision::F32 => rounding(&bundle, run, trained, source)?,
            _ => None,
        };
        let latency = latency(&bundle, &trained.schema)?;
        Ok(Measured { bundle, titles, precision, rounding, latency })
    }

    /// The extra files of an archive, by name. `size` returns the size of the archive with the given files.
    fn extra_files(
        &self,
        args: &Export,
        run: &Run,
        trained: &Predictor<BuiltModel>,
        size: impl Fn(&[(&str, &str)]) -> fm_core::Result<u64>,
    ) -> Result<Vec<(&'static str, String)>> {
        // A run that was interrupted has no summary yet.
        let results = Results::of_run(run)?;
        let mut files = vec![
            (SETTINGS_FILE, trained.settings.to_toml()?),
            (Origin::FILE, serde_json::to_string_pretty(&run.origin())?),
        ];
        if let Some(results) = &results {
            files.push(("metrics.json", serde_json::to_string_pretty(results)?));
        }
        if let Some(values) = Values::of_run(run)? {
            files.push((VALUES, serde_json::to_string(&values.fields)?));
        }
        if let Some(titles) = &self.titles {
            files.push((TITLES, serde_json::to_string(titles)?));
        }
        let card = ModelCard {
            settings: &trained.settings,
            schema: &trained.schema,
            results: results.as_ref(),
            items: self.titles.as_ref().map(BTreeMap::len),
            data_licence: args.data_licence.as_deref(),
            shift: trained.shift(),
            is_calibrated: trained.is_calibrated,
            precision: self.precision,
            rounding: self.rounding.as_ref(),
            bytes: size(&borrowed(&files))?,
        };
        files.push(("model_card.md", card.to_string()));
        Ok(files)
    }

    /// Reports the written files, their sizes and the cost of rounding.
    fn report(&self, archives: &[PathBuf]) -> Result<()> {
        if let Some(rounding) = &self.rounding {
            print(rounding.to_string().trim_end())?;
        }
        for archive in archives {
            let bytes = std::fs::metadata(archive).map_err(Error::io("read", archive))?.len();
            tracing::info!("wrote {}, {}", archive.display(), card::size(bytes));
        }
        tracing::info!("forward takes {}, plus the time to encode raw values", card::latencies(&self.latency));
        Ok(())
    }
}

fn borrowed<'a>(files: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

/// The titles of items, by id.
fn titles(items: Items) -> BTreeMap<String, String> {
    items.ids.into_iter().zip(items.titles).collect()
}

fn catalogue(items: &Items, schema: &Schema) -> Result<Catalogue> {
    // Fields of the user and the context are not the item's.
    let encoded = encode(&items.frame, &Encoder::new(schema), None, MissingColumns::Unknown)?;
    let rows: Vec<usize> = (0..items.ids.len()).collect();
    let features = encoded.batch(&rows, Device::Cpu)?.features;
    Ok(Catalogue { items: items.ids.clone(), features })
}

fn warn_unmeasured(reason: &dyn Display) {
    tracing::warn!("the cost of rounding was not measured: {reason}");
}

/// Test metrics of the run's model and of the exported one; `None` if the test rows have changed since training.
fn rounding(bundle: &Bundle, run: &Run, trained: &Predictor<BuiltModel>, source: &RawData) -> Result<Option<Rounding>> {
    let test = Evaluation::new(trained, source, Part::Test)?;
    if test.has_changed(run) {
        warn_unmeasured(&"the data has changed since training");
        return Ok(None);
    }
    let label = trained.schema.label();
    let before = test.metrics(&trained.model, label, Device::Cpu)?;
    Ok(Some(Rounding { before, after: test.metrics(bundle, label, Device::Cpu)? }))
}

/// The median time that the model takes for encoded rows.
pub fn latency(bundle: &Bundle, schema: &Schema) -> Result<[Latency; 2]> {
    let measure = |rows: usize, times: usize| -> Result<Latency> {
        let features = various_rows(schema, rows as i64);
        let mut seconds = vec![];
        // The first runs optimise the graph.
        for time in 0..times + 3 {
            let start = Instant::now();
            let _ = bundle.logits(&features)?;
            if time >= 3 {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        seconds.sort_by(f64::total_cmp);
        Ok(Latency { rows, seconds: seconds[seconds.len() / 2] })
    };
    Ok([measure(1, 50)?, measure(1000, 10)?])
}

/// Rows that cycle through all ids of each field, with every slot filled.
fn various_rows(schema: &Schema, rows: i64) -> Features {
    let slots = schema.field_of_slots().into_iter().enumerate().map(|(slot, field)| {
        let ids = schema.ids(field);
        // Neighbours in a batch are not neighbours in the table.
        let steps = Tensor::arange(rows, (Kind::Int64, Device::Cpu)) * 7919 + slot as i64;
        steps.remainder(ids.end - ids.start) + ids.start
    });
    let ids = Tensor::stack(&slots.collect::<Vec<_>>(), 1);
    let values = Tensor::ones(ids.size(), (Kind::Float, Device::Cpu));
    Features::unchecked(ids, values)
}
