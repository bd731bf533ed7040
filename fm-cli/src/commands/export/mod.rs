//! `fm export`

mod card;
mod triton;

use std::time::Instant;

use anyhow::{Result, bail};
use fm_core::device::DeviceChoice;
use fm_core::script::{Bundle, BundleOptions, Catalogue};
use fm_core::train::RunDir;
use fm_core::{Encoder, Error, Features, Rows, Schema};
use fm_data::source::Source;
use fm_data::{Dataset, MissingColumns, encode};
use tch::Device;

use self::card::{Latency, ModelCard};
use super::train::Results;
use crate::args::{Export, ExportFormat};
use crate::predictor::Predictor;
use crate::progress::during;
use crate::settings::data_dir;

pub fn run(args: &Export) -> Result<()> {
    let is_triton = matches!(args.format, ExportFormat::Triton);
    if args.output.is_dir() && !is_triton {
        bail!("{} is a folder: name the file to write, such as model.pt", args.output.display());
    }
    if args.name.is_some() && !is_triton {
        bail!("--name is the name of a model in a repository: it goes with --format triton alone");
    }
    let run = RunDir::open(&args.run)?;
    let trained = Predictor::open_run(&run, DeviceChoice::Cpu)?;
    match args.format {
        ExportFormat::Torchscript => torchscript(args, &run, &trained),
        ExportFormat::Onnx => bail!("not yet"),
        ExportFormat::Triton => triton::run(args, &run, &trained),
    }
}

fn torchscript(args: &Export, run: &RunDir, trained: &Predictor) -> Result<()> {
    let catalogue = args.with_catalogue.then(|| catalogue(args, trained)).transpose()?;
    let options = BundleOptions { catalogue: catalogue.as_ref() };
    let bundle = Bundle::new(trained.model.as_ref(), &trained.store, &trained.schema, &options)?;

    let latency = latency(&bundle, &trained.schema)?;
    let items = catalogue.as_ref().map(|catalogue| catalogue.items.len());
    let files = extra_files(args, run, trained, items, &latency, |files| bundle.size(files))?;
    bundle.save(&args.output, &borrowed(&files))?;

    let bytes = std::fs::metadata(&args.output).map_err(Error::io("read", &args.output))?.len();
    tracing::info!("wrote {}: {}; {}", args.output.display(), card::size(bytes), card::latencies(&latency));
    Ok(())
}

/// What an archive holds beside the model, by name. `size` tells the archive's size with some of it.
fn extra_files(
    args: &Export,
    run: &RunDir,
    trained: &Predictor,
    items: Option<usize>,
    latency: &[Latency],
    size: impl Fn(&[(&str, &str)]) -> fm_core::Result<u64>,
) -> Result<Vec<(&'static str, String)>> {
    // A run that was interrupted has no summary yet.
    let results = results(run)?;
    let mut files = vec![("settings.toml", trained.settings.to_toml()?)];
    if let Some(results) = &results {
        files.push(("metrics.json", serde_json::to_string_pretty(results)?));
    }
    let card = ModelCard {
        settings: &trained.settings,
        schema: &trained.schema,
        results: results.as_ref(),
        items,
        data_licence: args.data_licence.as_deref(),
        bytes: size(&borrowed(&files))?,
        latency,
    };
    files.push(("model_card.md", card.to_string()));
    Ok(files)
}

fn borrowed<'a>(files: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

/// `summary.json`, if the run has got so far.
fn results(run: &RunDir) -> Result<Option<Results>> {
    let path = run.summary();
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path)(error).into()),
        Ok(text) => match serde_json::from_str(&text) {
            Ok(results) => Ok(Some(results)),
            Err(error) => Err(Error::format("summary", &path, error.to_string()).into()),
        },
    }
}

/// The run's rows, from where they lay in training or from where they are now.
fn source(args: &Export, trained: &Predictor) -> Result<Source> {
    let config = trained.settings.data.clone().moved(args.data.clone());
    let data_dir = data_dir(&args.folders)?;
    Ok(during("reading data", || Source::open(&config, &data_dir))?)
}

fn catalogue(args: &Export, trained: &Predictor) -> Result<Catalogue> {
    let items = source(args, trained)?.items()?;
    let schema = &trained.schema;
    // Fields of user and context are not the item's.
    let encoded = encode(&items.frame, schema, None, MissingColumns::Unknown)?;
    let rows: Vec<u32> = (0..items.ids.len() as u32).collect();
    let unlabelled = vec![0.0; rows.len()];
    let features = Dataset::new(schema, encoded, unlabelled)?.batch(&rows, Device::Cpu)?.features;
    Ok(Catalogue { items: items.ids, features })
}

/// The median time that the model takes for encoded rows.
fn latency(bundle: &Bundle, schema: &Schema) -> Result<[Latency; 2]> {
    let measure = |rows: usize, times: usize| -> Result<Latency> {
        let features = unknown_rows(schema, rows)?;
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

fn unknown_rows(schema: &Schema, rows: usize) -> Result<Features> {
    Ok(Encoder::new(schema).features(&vec![vec![None; schema.num_fields()]; rows])?)
}
