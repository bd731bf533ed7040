//! `fm data convert`, from any table to sparse lines.

use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use fm_args::commands::Convert;
use fm_core::terminal::line;
use fm_data::{DataConfig, Declared, SparseRows, TableWriter, presets};

use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::progress::{RowProgress, during};
use crate::settings::{on_bad_row, report};

/// Encodes the table and writes its rows, with a line for each field that says which indices it has.
pub fn run(args: &Convert, has_fields: bool) -> Result<()> {
    if args.columns.is_some() {
        bail!("a sparse file has the fields of a schema, not columns: give `--schema` instead of `--columns`");
    }
    let mut config = DataConfig {
        data: Some(args.input.to_string_lossy().into_owned()),
        schema: args.schema.as_deref().map(presets::declaration).transpose()?.map(|(spec, _)| spec),
        label: args.label.clone(),
        on_bad_row: on_bad_row(&args.bad_rows)?.unwrap_or_default(),
        ..DataConfig::default()
    };
    if let Some(Declared { mut spec, inferred }) = fm_data::declare(&config)? {
        if let Some(inferred) = inferred {
            report(&inferred);
            // All values keep an index of their own.
            spec.fields.iter_mut().for_each(|field| field.min_count = 1);
        }
        if let Some(weight) = &spec.weight {
            tracing::warn!("the weights in column `{weight}` are lost: sparse files have none");
        }
        config.schema = Some(spec);
    }
    let rows = during("reading data", || SparseRows::open(&config, has_fields))?;
    let (stop, skipped) = (stop_at_ctrl_c()?, rows.skipped.clone());
    for (field, (indices, name)) in rows.indices().enumerate() {
        let name = line(name);
        let (first, last) = (indices.start, indices.end - 1);
        match has_fields {
            true => tracing::info!("field {field} is `{name}`, with the indices {first} to {last}"),
            false => tracing::info!("indices {first} to {last} are those of `{name}`"),
        }
    }
    let mut writer = TableWriter::create(&args.output)?;
    let mut progress = RowProgress::of_rows(rows.len() as u64);
    for chunk in rows {
        if stop.load(Ordering::Relaxed) {
            return Err(Interrupted(format!("interrupted after {} rows: no file was written", progress.rows())).into());
        }
        let mut chunk = chunk?;
        writer.write(&mut chunk)?;
        progress.add(chunk.height(), (progress.rows() + chunk.height()) as u64);
    }
    writer.finish()?;
    skipped.iter().for_each(|warning| tracing::warn!("{warning}"));
    tracing::info!("wrote {} to {}", progress.finish(), args.output.display());
    Ok(())
}
