//! `fm data convert`

mod sparse;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::spawn;
use std::time::Duration;

use anyhow::{Result, bail};
use fm_args::commands::Convert;
use fm_data::table::{BadRows, Needed, ReadOptions, check_output, files, sparse_fields, take_columns};
use fm_data::{TableReader, TableWriter};
use polars::prelude::DataFrame;

use super::predict::{is_standard, joined, warn_of_left_out};
use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::progress::RowProgress;
use crate::settings::on_bad_row;

pub fn run(args: &Convert) -> Result<()> {
    let Convert { input, output, columns, .. } = args;
    let is_stdout = is_standard(output);
    if !is_stdout {
        check_output(output)?;
        if !is_standard(input) {
            check_distinct(input, output)?;
        }
    }
    let output_fields = if is_stdout { None } else { sparse_fields(output) };
    match output_fields {
        Some(has_fields) if sparse_fields(input) != Some(has_fields) => return sparse::run(args, has_fields),
        _ if args.schema.is_some() || args.label.is_some() => {
            bail!("{} needs no schema and no label: only libsvm and libffm files do", output.display())
        }
        _ => {}
    }
    let bad_rows = BadRows::new(on_bad_row(&args.bad_rows)?.unwrap_or_default());
    let mut options = ReadOptions { bad_rows: bad_rows.clone(), ..ReadOptions::default() };
    options.columns.needed = columns.iter().flatten().map(Needed::any).collect();
    options.columns.others = columns.is_none();
    // To know whether a sparse file is copied, the start of the input has been read, which is kept then.
    let reader = if is_standard(input) && output_fields.is_none() {
        TableReader::from_standard_input(&options)?
    } else {
        TableReader::open_with(input, &options)?
    };
    let names = reader.names().to_vec();
    if let Some(name) = columns.iter().flatten().find(|&name| !names.contains(name)) {
        return Err(fm_data::Error::MissingColumn { name: name.clone(), there: names }.into());
    }
    let stop = stop_at_ctrl_c()?;
    let mut writer = if is_stdout { TableWriter::stdout() } else { TableWriter::create(output)? };
    let mut progress = RowProgress::new(reader.bytes());
    // One chunk is read while another is written.
    let (read, chunks) = sync_channel(0);
    let kept = columns.clone();
    let reading = spawn(move || read_chunks(reader, kept.as_deref(), &read));
    let mut is_first = true;
    loop {
        if stop.load(Ordering::Relaxed) {
            let left = if is_stdout { "the table is incomplete" } else { "no file was written" };
            return Err(Interrupted(format!("interrupted after {} rows: {left}", progress.rows())).into());
        }
        let (mut table, bytes_read): (DataFrame, u64) = match chunks.recv_timeout(Duration::from_millis(100)) {
            Ok(chunk) => chunk,
            // Input may arrive slowly. Meanwhile, react to Ctrl-C.
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if std::mem::take(&mut is_first) {
            if table.width() == 0 {
                bail!("{} has no columns of text, numbers or plain lists", input.display());
            }
            if columns.is_none() {
                warn_of_left_out(&names, &table);
            }
        }
        writer.write(&mut table)?;
        progress.add(table.height(), bytes_read);
    }
    joined(reading)?;
    let skipped = bad_rows.finish(input, progress.rows())?;
    writer.finish()?;
    skipped.warning().iter().for_each(|warning| tracing::warn!("{warning}"));
    let output = if is_stdout { "standard output".into() } else { output.display().to_string() };
    tracing::info!("wrote {} to {output}", progress.finish());
    Ok(())
}

/// Fails if the output is one of the files to read, or would become a part of the folder that is read.
fn check_distinct(input: &Path, output: &Path) -> Result<()> {
    let Ok(folder) = output.parent().map_or_else(
        || Path::new(".").canonicalize(),
        |folder| match folder {
            folder if folder.as_os_str().is_empty() => Path::new(".").canonicalize(),
            folder => folder.canonicalize(),
        },
    ) else {
        // The writer says that there is no such folder.
        return Ok(());
    };
    let place = folder.join(output.file_name().unwrap_or_default());
    let place = place.canonicalize().unwrap_or(place);
    if files(input)?.iter().any(|file| file.canonicalize().is_ok_and(|file| file == place)) {
        bail!("{} is a file to read: give another one to write", output.display());
    }
    if input.is_dir() && input.canonicalize().is_ok_and(|input| place.starts_with(input)) {
        bail!("{} is in the folder to read and would be a part of it: write it elsewhere", output.display());
    }
    Ok(())
}

/// Sends the input until it ends or the receiver is gone.
fn read_chunks(mut reader: TableReader, columns: Option<&[String]>, to: &SyncSender<(DataFrame, u64)>) -> Result<()> {
    while let Some(table) = reader.next() {
        let table = table?;
        let table = columns.map_or_else(|| Ok(table.clone()), |names| take_columns(&table, names))?;
        if to.send((table, reader.bytes_read())).is_err() {
            break;
        }
    }
    Ok(())
}
