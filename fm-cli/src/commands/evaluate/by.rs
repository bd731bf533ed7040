//! Metrics for each value of a column.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use fm_core::calendar::{date, instant, time};
use fm_core::metric::{MetricSet, Metrics, metric, metrics, standard_errors};
use fm_core::terminal::{grouped, shortened};
use fm_core::{Label, Records, Rows};
use fm_data::RawData;
use serde::Serialize;

use crate::console::{decimal, width};
use crate::metric::in_order;
use crate::targets::Targets;
use crate::text_table::{Column, fitting, markdown};

/// Number of values to print, those with the most rows.
const VALUES: usize = 30;
/// Maximum number of days; more are summed up by month.
const DAYS: usize = 62;
/// Maximum width of a value.
const WIDTH: usize = 30;
const SECONDS_OF_DAY: i64 = 86_400;

/// The rows with one value.
#[derive(Serialize)]
pub struct Part {
    /// The value, or the day or month of a time; `None` if it is missing.
    value: Option<String>,
    rows: usize,
    metrics: Metrics,
    /// Half the width of the 95% interval around the first metric.
    margin: Option<f64>,
}

/// The metrics for each value of a column, or for each day or month if it has times: in order of time, otherwise those with
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
    let declared = source.spec.timestamp.as_deref() == Some(column);
    let days = texts.iter().map(|text| day(text?, column, declared)).collect::<Option<Vec<i64>>>();
    let mut of_value: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    match &days {
        Some(days) => {
            let are_many = days.iter().collect::<std::collections::BTreeSet<_>>().len() > DAYS;
            for (row, day) in days.iter().enumerate() {
                let text = date(*day).to_string();
                let text = if are_many { text[..text.len() - "-01".len()].to_owned() } else { text };
                of_value.entry(Some(text)).or_default().push(row);
            }
        }
        None => {
            for (row, text) in texts.iter().enumerate() {
                of_value.entry(text.map(str::to_owned)).or_default().push(row);
            }
        }
    }
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
    let mut parts: Vec<(Option<String>, Vec<usize>)> = of_value.into_iter().collect();
    if days.is_none() {
        parts.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    }
    Ok(parts.into_iter().map(part).collect())
}

/// The day of a text in a column; `None` if it is not a time. A number is one only in a column of times.
fn day(text: &str, column: &str, is_declared: bool) -> Option<i64> {
    let is_of_times = is_declared || ["time", "date"].iter().any(|word| column.to_lowercase().contains(word));
    let (seconds, has_date) = instant(text)?;
    (has_date && (is_of_times || time(text).is_some())).then(|| seconds.div_euclid(SECONDS_OF_DAY))
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
