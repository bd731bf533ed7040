//! `fm predict`

use anyhow::{Result, bail};
use fm_core::Encoder;
use fm_data::table::check_output;
use fm_data::{MissingColumns, encode, read_table, write_table};
use polars::prelude::*;

use crate::args::Predict;
use crate::predictor::Predictor;
use crate::progress::during;

/// The column that is added.
const SCORE: &str = "score";

pub fn run(args: &Predict) -> Result<()> {
    check_output(&args.output)?;
    let predictor = Predictor::open(&args.model, args.device)?;
    let mut table = read_table(&args.input)?;
    check_no_score(&table, &args.input.display())?;
    let missing = if args.allow_missing { MissingColumns::Unknown } else { MissingColumns::Error };
    let encoded = encode(&table, &Encoder::new(&predictor.schema), None, missing)?;
    for (field, rows) in predictor.unknown(&encoded.ids) {
        tracing::warn!("training has not seen the {field} in {rows} of {} rows", encoded.num_rows);
    }
    let scores = during("scoring", || predictor.scores(encoded))?;
    append_scores(&mut table, &scores)?;
    write_table(&args.output, &mut table)?;
    tracing::info!("scored {} rows to {}", scores.len(), args.output.display());
    Ok(())
}

/// Checks that the rows have no column that scores would overwrite.
pub fn check_no_score(table: &DataFrame, origin: &dyn std::fmt::Display) -> Result<()> {
    if table.column(SCORE).is_ok() {
        bail!("{origin} already has a column `{SCORE}`: rename it");
    }
    Ok(())
}

/// Adds the column `score`.
pub fn append_scores(table: &mut DataFrame, scores: &[f32]) -> Result<()> {
    table.with_column(Float32Chunked::from_slice(SCORE.into(), scores).into_column())?;
    Ok(())
}
