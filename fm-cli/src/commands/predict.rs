//! `fm predict`

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use fm_args::commands::Predict;
use fm_core::error::nearest;
use fm_core::{Encoder, Field, Records, Schema};
use fm_data::table::{DecimalMark, Needed, ReadOptions, check_output, columns_of_fields, needed_columns, take_columns};
use fm_data::{MissingColumns, TableReader, TableSpec, TableWriter, encode};
use polars::prelude::*;

use crate::extremes::Extremes;
use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::predictor::Predictor;
use crate::progress::RowProgress;
use crate::values::Unknown;

/// The name of the added column.
const SCORE: &str = "score";

/// Some rows of the input.
struct Chunk {
    /// The columns to write.
    kept: DataFrame,
    /// All columns.
    table: DataFrame,
    encoded: Records,
    /// How far the input has been read.
    bytes_read: u64,
}

pub fn run(args: &Predict) -> Result<()> {
    let is_stdout = is_standard(&args.output);
    if !is_stdout {
        check_output(&args.output)?;
    }
    let predictor = Predictor::open(&args.model, &args.device.device)?;
    let declared = predictor.settings.data.schema.as_ref();
    let columns = Columns::of(args, &predictor.schema, declared);
    let options = columns.read_options(&predictor.schema, declared);
    let reader = if is_standard(&args.input) {
        TableReader::from_standard_input(&options).map_err(|error| of_row(error.into()))?
    } else {
        TableReader::open_with(&args.input, &options).map_err(|error| of_row(error.into()))?
    };
    let names = reader.names().to_vec();
    let missing = missing_columns(&predictor.schema, &reader, columns.missing)?;
    let stop = stop_at_ctrl_c()?;
    let writer = if is_stdout { TableWriter::stdout() } else { TableWriter::create(&args.output)? };
    let mut progress = RowProgress::new(reader.bytes());
    let mut unknown = Unknown::new(&predictor.schema);
    let mut extremes = Extremes::default();
    let label = predictor.schema.label();

    // Three chunks are in progress: one is read and encoded, one is scored, one is written.
    let (read, chunks) = sync_channel(0);
    let (scored, tables) = sync_channel(0);
    let encoder = Encoder::new(predictor.schema.clone());
    let reading = spawn(move || read_chunks(&columns, reader, &encoder, &read));
    let writing = spawn(move || write_tables(writer, tables));
    let scoring = loop {
        if stop.load(Ordering::Relaxed) {
            let left = if is_stdout { "the table is incomplete" } else { "no file was written" };
            break Err(Interrupted(format!("interrupted after {} rows: {left}", progress.rows())).into());
        }
        let Chunk { mut kept, table, encoded, bytes_read } = match chunks.recv_timeout(Duration::from_millis(100)) {
            Ok(chunk) => chunk,
            // Input may arrive slowly. Meanwhile, react to Ctrl-C and to a failed writer.
            Err(RecvTimeoutError::Timeout) if writing.is_finished() => break Ok(()),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break joined(reading).map_err(of_row),
        };
        if progress.rows() == 0 {
            if names.iter().any(|name| name == SCORE) && !predictor.schema.columns().contains(&SCORE) {
                tracing::info!(
                    "the column `{SCORE}` of the input is left out: that of the output has the scores of this model"
                );
            }
            if args.keep.is_none() && !args.only_scores {
                let names: Vec<String> = names.iter().filter(|name| *name != SCORE).cloned().collect();
                warn_of_left_out(&names, &kept);
            }
        }
        unknown.add(&encoded);
        unknown.find_examples(&encoded, &table, |row| row);
        extremes.add_rows(&encoded);
        let appended = predictor.logits(&encoded).and_then(|logits| {
            extremes.add_logits(&logits);
            let scores: Vec<f32> = logits.into_iter().map(|logit| label.prediction(logit)).collect();
            append_scores(&mut kept, &scores)
        });
        if let Err(error) = appended {
            break Err(error);
        }
        progress.add(kept.height(), bytes_read);
        if scored.send(kept).is_err() {
            break Ok(());
        }
    };
    // The writer ends, and removes its file unless it is told to keep it. Do not join the reader: it may be waiting for
    // input that never comes.
    drop(scored);
    match scoring {
        // The writer may block, too, if nobody reads standard output.
        Err(error) if is_stdout => return Err(error),
        scoring => {
            let written = joined(writing);
            scoring?;
            written?.finish()?;
        }
    }

    let done = progress.finish();
    let fields = predictor.schema.fields();
    let is_missing = |field: &&Field| {
        let parts = predictor.schema.parts(field).map(|part| &fields[part]);
        parts.chain([*field]).any(|field| field.columns().any(|column| missing.iter().any(|name| name == column)))
    };
    let missing: Vec<String> = fields.iter().filter(is_missing).map(|field| field.name.clone()).collect();
    unknown.warn("", &missing);
    let is_new = |field: &str| !missing.iter().any(|name| name == field) && !unknown.reports(field);
    for (field, rows) in unknown.by_role().into_iter().filter(|(field, _)| is_new(field)) {
        tracing::warn!("the {field} is unknown in {rows} of {} rows", progress.rows());
    }
    extremes.warn_of_clamped(&predictor.schema, "rows");
    extremes.warn_of_scores("");
    let output = if is_stdout { "standard output".into() } else { args.output.display().to_string() };
    tracing::info!("scored {done} to {output}");
    Ok(())
}

/// An error with what to do about a row that cannot be read. It is not left out, because the lines of the output would no
/// longer be those of the input.
fn of_row(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(fm_data::Error::BadRow(row)) => {
            anyhow!("{row}: `fm data convert --on-bad-row skip` writes the table without such rows")
        }
        _ => error,
    }
}

/// The columns to read from the input, and those to write.
struct Columns {
    /// `None` keeps all.
    kept: Option<Vec<String>>,
    missing: MissingColumns,
    /// The columns with numbers, and the character before their fractions.
    numeric: Vec<String>,
    decimal: DecimalMark,
    /// The name of the input, for errors.
    origin: String,
}

impl Columns {
    fn of(args: &Predict, schema: &Schema, declared: Option<&TableSpec>) -> Columns {
        let missing = if args.allow_missing { MissingColumns::Unknown } else { MissingColumns::Error };
        let kept = if args.only_scores { Some(vec![]) } else { args.keep.clone() };
        let numeric = schema.fields().iter().filter(|field| field.kind.is_numeric() && !field.derived.is_derived());
        let numeric = numeric.map(|field| field.column().to_owned()).collect();
        let decimal = declared.map(|spec| spec.decimal).unwrap_or_default();
        Columns { kept, missing, numeric, decimal, origin: args.input.display().to_string() }
    }

    /// The fields and the columns to write are needed. Without a list of the latter, all others are read as far as that
    /// is possible.
    fn read_options(&self, schema: &Schema, declared: Option<&TableSpec>) -> ReadOptions {
        let mut options = ReadOptions { separator: declared.and_then(|spec| spec.separator), ..ReadOptions::default() };
        options.columns.needed = needed_columns(schema);
        options.columns.needed.extend(self.kept.iter().flatten().map(Needed::any));
        options.columns.others = self.kept.is_none();
        options
    }
}

/// Whether a path stands for standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// The columns of fields that the input lacks. Warns of them, since all their values count as missing.
fn missing_columns(schema: &Schema, reader: &TableReader, allowed: MissingColumns) -> Result<Vec<String>> {
    let there: HashSet<&str> = reader.names().iter().map(String::as_str).collect();
    let fields = schema.columns();
    let missing: Vec<String> =
        fields.iter().filter(|name| !there.contains(*name)).map(|&name| name.to_owned()).collect();
    match missing.first() {
        None => return Ok(missing),
        Some(name) if allowed == MissingColumns::Error => {
            return Err(fm_data::Error::MissingColumn { name: name.clone(), there: reader.names().to_vec() }.into());
        }
        // An error of the encoder.
        Some(_) if missing.len() == fields.len() => return Ok(missing),
        Some(_) => {}
    }
    let others: Vec<&str> = reader.names().iter().map(String::as_str).filter(|name| !fields.contains(name)).collect();
    let near = |field: &String| Some(format!("`{}` for `{field}`", nearest(field, others.iter().copied())?));
    let near: Vec<String> = missing.iter().filter_map(near).collect();
    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    tracing::warn!("the input has no column {}: all its values count as missing{hint}", missing.join(", "));
    Ok(missing)
}

/// Warns of columns of the input that have no text form, so that the output lacks them.
pub fn warn_of_left_out(names: &[String], kept: &DataFrame) {
    let there: HashSet<&str> = kept.get_column_names().into_iter().map(|name| name.as_str()).collect();
    let left_out: Vec<&str> = names.iter().map(String::as_str).filter(|name| !there.contains(name)).collect();
    if !left_out.is_empty() {
        tracing::warn!(
            "the output lacks the columns {}, which hold maps, structs or nested lists, or share a name: store them as text to \
             keep them",
            left_out.join(", ")
        );
    }
}

/// Sends the encoded input until it ends or the receiver is gone.
fn read_chunks(
    columns: &Columns,
    mut reader: TableReader,
    encoder: &Encoder<Schema>,
    to: &SyncSender<Chunk>,
) -> Result<()> {
    while let Some(table) = reader.next() {
        let table = table?;
        let kept = columns.kept.as_ref().map_or_else(|| Ok(table.clone()), |names| take_columns(&table, names))?;
        let kept = without_score(&kept, encoder.schema(), &columns.origin)?;
        let table = columns.decimal.with_points(&table, columns.numeric.iter().map(String::as_str))?;
        let table = columns_of_fields(&table, encoder.schema())?;
        let encoded = encode(&table, encoder, None, columns.missing)?;
        if to.send(Chunk { kept, table, encoded, bytes_read: reader.bytes_read() }).is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes all received tables, and returns the writer: the file must not replace an earlier one if reading fails.
fn write_tables(mut writer: TableWriter, tables: Receiver<DataFrame>) -> Result<TableWriter> {
    for mut table in tables {
        writer.write(&mut table)?;
    }
    Ok(writer)
}

/// The result of a thread. Its panic continues in this thread.
pub fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// A table without its column of earlier scores, such as a table that `fm predict` or `fm evaluate` wrote. `origin` names
/// the table, for errors.
pub fn without_score(table: &DataFrame, schema: &Schema, origin: &str) -> Result<DataFrame> {
    if table.column(SCORE).is_err() {
        return Ok(table.clone());
    }
    if schema.columns().contains(&SCORE) || schema.label().column == SCORE {
        bail!(
            "{origin} has a column `{SCORE}`, which the model was trained with: leave it out of the output with `--keep`"
        );
    }
    Ok(table.drop(SCORE)?)
}

/// Adds the column `score`.
pub fn append_scores(table: &mut DataFrame, scores: &[f32]) -> Result<()> {
    table.with_column(Float32Chunked::from_slice(SCORE.into(), scores).into_column())?;
    Ok(())
}
