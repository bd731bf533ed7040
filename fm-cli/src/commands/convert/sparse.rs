//! `fm data convert`, from any table to sparse lines.

use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use fm_args::commands::Convert;
use fm_core::terminal::line;
use fm_data::{DataConfig, Declared, SparseRows, TableSpec, TableWriter};

use crate::commands::predict::is_standard;
use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::progress::{RowProgress, during};
use crate::settings::report;

/// Encodes the table and writes its rows, with a line for each field that says which indices it has.
pub fn run(args: &Convert, has_fields: bool) -> Result<()> {
    if is_standard(&args.input) {
        bail!("standard input cannot become {}: save it as a file", args.output.display());
    }
    if args.columns.is_some() {
        bail!("a sparse file has the fields of a schema, not columns: give `--schema` instead of `--columns`");
    }
    let mut config = DataConfig {
        data: Some(args.input.to_string_lossy().into_owned()),
        schema: args.schema.as_ref().map(TableSpec::load).transpose()?,
        label: args.label.clone(),
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
    let stop = stop_at_ctrl_c()?;
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
    tracing::info!("wrote {} to {}", progress.finish(), args.output.display());
    Ok(())
}
