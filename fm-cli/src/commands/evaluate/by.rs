//! Metrics for each value of a column.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use fm_core::calendar::time;
use fm_core::metric::{MetricSet, Metrics, metric, metrics, standard_errors};
use fm_core::terminal::{grouped, shortened};
use fm_core::{Label, Records, Rows};
use fm_data::RawData;
use serde::Serialize;

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
    /// Half the width of the 95% interval around the first metric.
    margin: Option<f64>,
}

/// The metrics for each value of a column, or for each day, month or year if it has times: in order of time, otherwise those with
/// the most rows first. `main` is the metric that gets an interval.
pub fn parts(
    (column, source): (&str, &RawData),
    numbers: &[u32],
    (rows, logits): (&Records, &[f32]),
    label: &Label,
    main: &str,
) -> Result<Vec<Part>> {
    let names = source.rows.names();
    if !names.iter().any(|name| name == column) {
        bail!("the rows have no column `{column}`; their columns are {}", names.join(", "));
    }
    let frame = source.rows.take(numbers, &[column])?;
    let texts = frame.column(column)?.str()?;
    let is_of_times = source.spec.timestamp.as_deref() == Some(column) || is_dated(column, texts.iter());
    let periods = if is_of_times { Periods::of(texts.iter()) } else { None };
    let of_value: Vec<(Option<String>, Vec<usize>)> = match periods {
        Some(periods) => periods.rows.into_iter().map(|(period, rows)| (Some(period), rows)).collect(),
        None => {
            let mut of_value: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
            texts.iter().enumerate().for_each(|(row, text)| of_value.entry(text).or_default().push(row));
            let mut of_value: Vec<(Option<String>, Vec<usize>)> =
                of_value.into_iter().map(|(text, rows)| (text.map(str::to_owned), rows)).collect();
            of_value.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
            of_value
        }
    };
    if of_value.len() == rows.len() && rows.len() > 1 {
        bail!("`{column}` has another value in each row: choose a column whose rows can be measured together");
    }
    let targets = Targets::of(rows);
    let is_sampled = MetricSet::of(label.task).find(main).is_ok_and(|entry| !entry.is_within_groups);
    let part = |(value, rows): (Option<String>, Vec<usize>)| {
        let of_sample = |units: &[usize]| {
            let units: Vec<usize> = units.iter().map(|unit| rows[*unit]).collect();
            targets.measure(logits, &units, |scored| Some([metric(label, scored, main)?]))
        };
        let errors = if is_sampled { standard_errors(rows.len(), of_sample) } else { None };
        Part {
            value,
            rows: rows.len(),
            metrics: targets.measure(logits, &rows, |scored| metrics(label, scored)),
            margin: errors.map(|[error]| 1.96 * error),
        }
    };
    Ok(of_value.into_iter().map(part).collect())
}

/// Whether the values of a column are times: dates, or numbers in a column whose name says so.
fn is_dated<'a>(column: &str, mut texts: impl Iterator<Item = Option<&'a str>>) -> bool {
    let name = column.to_lowercase();
    ["time", "date"].iter().any(|word| name.contains(word))
        || texts.all(|text| text.is_some_and(|text| time(text).is_some()))
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
