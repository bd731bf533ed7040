//! Metrics for each value of a column.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use fm_core::calendar::{instant, time};
use fm_core::metric::{Metrics, metrics};
use fm_core::terminal::{grouped, shortened};
use fm_core::{Label, Rows};
use fm_data::RawData;
use serde::Serialize;

use super::measured::Measured;
use crate::console::{decimal, width};
use crate::metric::in_order;
use crate::periods::Periods;
use crate::targets::Targets;
use crate::text_table::{Column, fitting, markdown};

/// Number of values to print, those with the most rows.
const VALUES: usize = 30;
/// Maximum width of a value.
const WIDTH: usize = 30;

/// The rows with one value.
#[derive(Serialize)]
pub struct Part {
    /// The value, or the day, month or year of a time; `None` if it is missing.
    value: Option<String>,
    rows: usize,
    metrics: Metrics,
    /// Half the width of the 95% interval around the first metric, of the parts that are printed.
    margin: Option<f64>,
}

/// The metrics for each value of a column, or for each day, month or year if it has times: in order of time, otherwise
/// those with the most rows first. `main` is the metric that gets an interval.
pub fn parts(column: &str, measured: &Measured, logits: &[f32], label: &Label, main: &str) -> Result<Vec<Part>> {
    let (source, rows) = (&measured.source, &measured.evaluation.rows);
    let frame = source.rows.take(measured.numbers(), &[column])?;
    let texts = frame.column(column)?.str()?;
    let is_of_times = source.spec.timestamp.as_deref() == Some(column) || is_dated(column, texts.iter());
    let periods = if is_of_times { Periods::of(texts.iter()) } else { None };
    let of_value: Vec<(Option<String>, Vec<usize>)> = match periods {
        Some(Periods { rows, missing, .. }) => {
            let missing = (!missing.is_empty()).then_some((None, missing));
            rows.into_iter().map(|(period, rows)| (Some(period), rows)).chain(missing).collect()
        }
        None => {
            let mut of_value: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
            texts.iter().enumerate().for_each(|(row, text)| of_value.entry(text).or_default().push(row));
            if of_value.len() == rows.len() && rows.len() > 1 {
                bail!(
                    "`{column}` has a different value in every row: choose a column whose rows can be measured together"
                );
            }
            let mut of_value: Vec<(Option<String>, Vec<usize>)> =
                of_value.into_iter().map(|(text, rows)| (text.map(str::to_owned), rows)).collect();
            of_value.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
            of_value
        }
    };
    let targets = Targets::of(rows);
    let part = |(number, (value, rows)): (usize, (Option<String>, Vec<usize>))| {
        let error = (number < VALUES).then(|| targets.standard_error(label, logits, &rows, main)).flatten();
        Part {
            value,
            rows: rows.len(),
            metrics: targets.measure(logits, &rows, |scored| metrics(label, scored)),
            margin: error.map(|error| 1.96 * error),
        }
    };
    Ok(of_value.into_iter().enumerate().map(part).collect())
}

/// Checks that the rows have a column.
pub fn check(column: &str, source: &RawData) -> Result<()> {
    let names = source.rows.names();
    if !names.iter().any(|name| name == column) {
        bail!("the rows have no column `{column}`; their columns are {}", names.join(", "));
    }
    Ok(())
}

/// Whether the values of a column are times: dates, or numbers after 1980 in a column whose name says so.
fn is_dated<'a>(column: &str, texts: impl Iterator<Item = Option<&'a str>>) -> bool {
    const NAMES: [&str; 5] = ["time", "timestamp", "date", "datetime", "ts"];
    const YEAR_1980: i64 = 315_532_800;
    let name = column.to_lowercase();
    let is_named = name.split(|c: char| !c.is_alphanumeric()).any(|word| NAMES.contains(&word));
    let is_time = |text: &str| time(text).is_some() || is_named && instant(text).is_some_and(|at| at.0 >= YEAR_1980);
    texts.flatten().all(is_time)
}

/// A table of the parts: `main` with its interval, and the other metrics as far as they fit.
pub fn table(column: &str, parts: &[Part], main: &str) -> String {
    let shown = &parts[..parts.len().min(VALUES)];
    let value = |part: &Part| part.value.as_deref().map_or("missing".to_owned(), |value| shortened(value, WIDTH));
    let number = |value: Option<&f64>| value.map_or("–".to_owned(), |value| decimal(*value, 4));
    let with_margin = |part: &Part| {
        let margin = part.margin.map_or(String::new(), |margin| format!(" ±{}", decimal(margin, 4)));
        number(part.metrics.get(main)) + &margin
    };
    let mut columns = vec![
        Column::new(column, 0, shown.iter().map(value)),
        Column::new("rows", 1, shown.iter().map(|part| grouped(part.rows as i64))),
        Column::new(main, 1, shown.iter().map(with_margin)),
    ];
    let others = in_order(parts.iter().flat_map(|part| part.metrics.keys()));
    for (rank, name) in others.into_iter().filter(|name| *name != main).enumerate() {
        columns.push(Column::new(name, 2 + rank, shown.iter().map(|part| number(part.metrics.get(name)))));
    }
    let mut text = markdown(&fitting(columns, width()));
    if parts.len() > shown.len() {
        text += &format!("and {} more values\n", grouped((parts.len() - shown.len()) as i64));
    }
    text
}
