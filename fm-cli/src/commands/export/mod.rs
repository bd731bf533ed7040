//! `fm export`

mod card;

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
    if args.output.is_dir() {
        bail!("{} is a folder: name the file to write, such as model.pt", args.output.display());
    }
    let run = RunDir::open(&args.run)?;
    let trained = Predictor::open_run(&run, DeviceChoice::Cpu)?;
    match args.format {
        ExportFormat::Torchscript => torchscript(args, &run, &trained),
        ExportFormat::Onnx | ExportFormat::Triton => bail!("not yet"),
    }
}

fn torchscript(args: &Export, run: &RunDir, trained: &Predictor) -> Result<()> {
    let catalogue = args.with_catalogue.then(|| catalogue(args, trained)).transpose()?;
    let options = BundleOptions { catalogue: catalogue.as_ref() };
    let bundle = Bundle::new(trained.model.as_ref(), &trained.store, &trained.schema, &options)?;

    let settings = trained.settings.to_toml()?;
    // A run that was interrupted has no summary yet.
    let results = results(run)?;
    let metrics = results.as_ref().map(serde_json::to_string_pretty).transpose()?;
    let mut files = vec![("settings.toml", settings.as_str())];
    files.extend(metrics.as_deref().map(|metrics| ("metrics.json", metrics)));

    let latency = latency(&bundle, &trained.schema)?;
    let card = ModelCard {
        settings: &trained.settings,
        schema: &trained.schema,
        results: results.as_ref(),
        items: catalogue.as_ref().map(|catalogue| catalogue.items.len()),
        data_licence: args.data_licence.as_deref(),
        bytes: bundle.size(&files)?,
        latency: &latency,
    };
    let card = card.to_string();
    files.push(("model_card.md", &card));
    bundle.save(&args.output, &files)?;

    let bytes = std::fs::metadata(&args.output).map_err(Error::io("read", &args.output))?.len();
    tracing::info!("wrote {}: {}; {}", args.output.display(), card::size(bytes), card::latencies(&latency));
    Ok(())
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
