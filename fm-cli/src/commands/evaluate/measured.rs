//! Which rows are measured.

use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Evaluate;
use fm_args::flags::Part;
use fm_core::Rows;
use fm_core::terminal::grouped;
use fm_data::{Moved, RawData};
use fm_models::Run;
use fm_models::run::BuiltModel;

use crate::evaluation::{Evaluation, rows_of};
use crate::predictor::{Predictor, moved};
use crate::results::Results;
use crate::suspicions::KnownRows;

/// The rows to measure a run on.
pub struct Measured {
    pub source: RawData,
    pub part: Part,
    pub evaluation: Evaluation,
    /// Where the rows are from.
    pub data: String,
    /// Whether they are new rows: all rows of a data set, instead of a part of the run's data.
    pub is_new: bool,
}

impl Measured {
    /// The rows that the flags ask for.
    pub fn new(args: &Evaluate, run: &Run, predictor: &Predictor<BuiltModel>) -> Result<Measured> {
        match (&args.data, args.part) {
            (Some(data), None) => new_rows(args, run, predictor, data),
            (data, part) => {
                let moved = moved(data.as_ref(), &args.tables);
                let source = predictor.source(&moved, &args.folders)?;
                part_of(predictor, source, part.unwrap_or(Part::Test), &moved)
            }
        }
    }

    /// Their numbers in the source.
    pub fn numbers(&self) -> &[u32] {
        rows_of(&self.source, self.part)
    }

    /// The name of their file.
    pub fn file(&self) -> String {
        Path::new(&self.data).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What they are, and what each of them is: `test` and `test rows`.
    pub fn names(&self) -> (String, String) {
        match self.is_new {
            true => (format!("new rows of {}", self.file()), format!("rows of {}", self.file())),
            false => (self.part.name().to_owned(), format!("{} rows", self.part.name())),
        }
    }

    /// Warns of rows that were skipped, and of rows that are not those of training any more.
    pub fn warn(&self, run: &Run) {
        self.source.skipped.iter().for_each(|warning| tracing::warn!("{warning}"));
        if !self.is_new && self.evaluation.has_changed(run) {
            let part = self.part.name();
            tracing::warn!("the data has changed since training: the {part} rows may include training rows");
        }
    }
}

/// A part of the run's data.
fn part_of(predictor: &Predictor<BuiltModel>, source: RawData, part: Part, moved: &Moved) -> Result<Measured> {
    let evaluation = Evaluation::new(predictor, &source, part)?;
    let config = predictor.settings.data.clone().moved(moved.clone())?;
    let table = match part {
        // Without a validation table, training rows validate.
        Part::Valid => config.valid.or(config.train),
        Part::Train => config.train,
        Part::Test => config.test,
    };
    let data = config.data.or_else(|| Some(table?.to_string_lossy().into_owned())).unwrap_or_default();
    Ok(Measured { source, part, evaluation, data, is_new: false })
}

/// All rows of a data set or, if it turns out to be the run's own at another location, its test rows.
fn new_rows(args: &Evaluate, run: &Run, predictor: &Predictor<BuiltModel>, data: &str) -> Result<Measured> {
    let is_ranking = predictor.schema.label().task.is_ranking();
    let source = if is_ranking { None } else { Some(predictor.new_rows(data, &args.folders)?) };
    if is_ranking || predictor.settings.data.data.is_some() {
        let total = source.as_ref().map(|source| source.labels.len());
        if let Some(own) = own_data(args, run, predictor, data, total)? {
            tracing::info!("{data} is the data of the run: its test rows are measured, or those of --part");
            return Ok(own);
        }
    }
    let Some(source) = source else {
        bail!(
            "a ranking is measured without the items that users already have, so {data} alone is not enough, and it is not the \
             data of the run: train on a table with the old and the new rows, with `--split time` or `--test {data}`"
        );
    };
    if source.labels.is_empty() {
        bail!("{data} has no rows to measure on");
    }
    let evaluation = Evaluation::new(predictor, &source, Part::Test)?;
    warn_of_known_rows(args, run, predictor, &evaluation, data)?;
    Ok(Measured { source, part: Part::Test, evaluation, data: data.to_owned(), is_new: true })
}

/// The test rows of a data set, if it has the rows that the run was trained on. `rows` is its number of rows, if known.
fn own_data(
    args: &Evaluate,
    run: &Run,
    predictor: &Predictor<BuiltModel>,
    data: &str,
    rows: Option<usize>,
) -> Result<Option<Measured>> {
    let trained = Results::of_run(run)?;
    let trained = trained.map(|results| results.rows.values().sum::<usize>());
    if rows.is_some() && trained.is_some() && rows != trained {
        return Ok(None);
    }
    let moved = moved(Some(&data.to_owned()), &args.tables);
    // What cannot be split as the run's data was is not its data.
    let Ok(source) = predictor.source(&moved, &args.folders) else { return Ok(None) };
    if Evaluation::new(predictor, &source, Part::Train)?.has_changed(run) {
        return Ok(None);
    }
    part_of(predictor, source, Part::Test, &moved).map(Some)
}

/// Warns if new rows are training rows.
fn warn_of_known_rows(
    args: &Evaluate,
    run: &Run,
    predictor: &Predictor<BuiltModel>,
    evaluation: &Evaluation,
    data: &str,
) -> Result<()> {
    let rows = &evaluation.rows;
    let known = if run.digest("train") == Some(rows.digest().as_str()) {
        Some(rows.len())
    } else if let Ok(source) = predictor.source(&Moved::default(), &args.folders) {
        let train = source.encode(&predictor.schema, &source.parts.train)?;
        if run.digest("train") == Some(train.digest().as_str()) {
            KnownRows::of(&train, &[rows]).among(rows)
        } else {
            None
        }
    } else {
        None
    };
    if let Some(known) = known {
        tracing::warn!(
            "{} of the {} rows of {data} are training rows of the run: their metrics say little about new rows; leave them out",
            grouped(known as i64),
            grouped(rows.len() as i64)
        );
    }
    Ok(())
}
