//! The fields and the values whose interactions contribute most to the scores.

use std::collections::HashMap;

use anyhow::Result;
use fm_core::explain::{InteractionOptions, InteractionReport, ValuePair};
use fm_core::terminal::grouped;
use fm_core::{Schema, Task};
use maud::{Markup, html};

use super::absent;
use super::chart::{Align, Axis, Chart, Mark, Paint, width};
use super::page::{Cell, figure, figures, more, table};
use super::run::{Run, TestRows};
use crate::console::{decimal, percent, rounded};

/// The number of pair terms to compute, which limits the number of training rows; and the minimum number of rows.
const TERMS: usize = 150_000_000;
const ROWS: usize = 200;
/// The number of rows whose values tell interactions from main effects.
const REFERENCES: usize = 8;
/// Minimum number of rows with a pair of values for the pair to be listed.
const LEAST: usize = 20;
/// Number of pairs of values to list.
const PAIRS: usize = 12;
/// Maximum number of pairs of fields in a table.
const LISTED: usize = 40;
/// Maximum number of fields in a heat map.
const FIELDS: usize = 24;

/// The body, and the strongest pair of fields in a few words.
pub fn section(runs: &[Run]) -> Result<(String, Markup)> {
    let found = runs.iter().map(|run| Ok((run, interactions(run)?))).collect::<Result<Vec<_>>>()?;
    let reason = |run: &Run| found.iter().find(|(other, _)| other.name == run.name)?.1.as_ref().err().cloned();
    // Runs that predict the same have terms in the same unit: their maps have one scale, so that colours compare.
    let body = |run: &Run, body: &Found| {
        let full = found.iter().filter(|(other, _)| unit(other) == unit(run)).fold([0.0f64; 2], |full, (_, found)| {
            let report = found.as_ref().ok().map(|found| &found.report);
            let attention = report.and_then(|report| report.attention.as_deref());
            [
                full[0].max(report.map_or(0.0, |report| highest(&report.fields))),
                full[1].max(attention.map_or(0.0, highest)),
            ]
        });
        of_run(run, body, full)
    };
    let bodies = found.iter().map(|(run, found)| found.as_ref().ok().map(|found| body(run, found)).transpose());
    let bodies = bodies.collect::<Result<Vec<_>>>()?;
    let result = match &found[..] {
        [(run, Ok(found))] => strongest(run, &found.report.fields),
        _ => String::new(),
    };
    let body = html! {
        @if found.iter().any(|(_, found)| found.is_ok()) {
            p {
                "By the model's formula, a logit is a sum of terms. This section shows what pairs of values contribute in \
                 training rows beyond what each value contributes with any other: how much two fields interact (the mean \
                 magnitude of these terms over the rows), and the pairs of values that interact most."
                @if runs.iter().any(|run| run.task().is_ranking()) {
                    " For a ranking, it leaves out pairs without a field of the item: all candidates of a row share \
                     these terms, which do not affect the order."
                }
                @if runs.len() > 1 { " The maps of runs that predict the same have one scale of colours." }
            }
        }
        @for (run, body) in runs.iter().zip(&bodies) {
            @if let Some(body) = body { @if runs.len() > 1 { h3 { (run.name) } } (body) }
        }
        (absent(runs, reason))
    };
    Ok((result, body))
}

/// The pair of fields with the strongest terms.
fn strongest(run: &Run, matrix: &[Vec<f64>]) -> String {
    let pairs = (0..matrix.len()).flat_map(|row| (0..=row).map(move |column| (row, column)));
    let best = pairs.max_by(|a, b| matrix[a.0][a.1].total_cmp(&matrix[b.0][b.1]));
    let name = |field: usize| &run.predictor.schema.fields()[field].name;
    let best = best.filter(|&(row, column)| matrix[row][column] > 0.0);
    best.map_or_else(String::new, |(row, column)| format!("strongest between {} and {}", name(column), name(row)))
}

/// The interactions of a run's model, and what is listed.
struct Found {
    report: InteractionReport,
    pairs: Markup,
}

/// What the terms of a run's model are measured in.
fn unit(run: &Run) -> (Task, &str) {
    (run.task(), &run.predictor.schema.label().column)
}

/// The largest number of a matrix.
fn highest(matrix: &[Vec<f64>]) -> f64 {
    matrix.iter().flatten().copied().fold(0.0, f64::max)
}

/// The interactions of a run's model, or the reason why they are missing.
fn interactions(run: &Run) -> Result<Result<Found, String>> {
    let rows = match &run.rows {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(format!("the data cannot be read ({error})"))),
    };
    let schema = &run.predictor.schema;
    let train = &rows.source.parts.train;
    let slots = schema.num_slots();
    let options = InteractionOptions { max_rows: 0, min_rows: LEAST, top: PAIRS, references: REFERENCES };
    let of_row = (slots * slots / 2).max(1) * options.rows_per_row(schema.num_fields());
    let count = train.len().min(ROWS.max(TERMS / of_row));
    let sample: Vec<u32> = (0..count).map(|row| train[row * train.len() / count]).collect();
    let dataset = rows.source.encode(schema, &sample)?;
    let options = InteractionOptions { max_rows: count, ..options };
    let (model, device) = (run.predictor.model.model.as_ref(), run.predictor.device);
    let Some(mut found) = InteractionReport::over(model, schema, &dataset, device, &options)? else {
        return Ok(Err(format!("{} has no terms of pairs", run.title())));
    };
    // A regression's terms are shown in the unit of its label.
    let unit = f64::from(schema.label().scale);
    found.fields.iter_mut().flatten().for_each(|strength| *strength *= unit);
    found.values.iter_mut().for_each(|pair| pair.mean *= unit);
    let pairs = pairs(&found.values, rows, schema)?;
    Ok(Ok(Found { report: found, pairs }))
}

/// The section of a run. The maps of the fields and of the attention are scaled to these numbers.
fn of_run(run: &Run, Found { report, pairs }: &Found, [fields, attention]: [f64; 2]) -> Result<Markup> {
    let names: Vec<&str> = run.predictor.schema.fields().iter().map(|field| field.name.as_str()).collect();
    let mut shown = vec![heat_map("Pairs of fields", &report.fields, fields, &names, run.paint)?];
    if let Some(matrix) = &report.attention {
        shown.push(heat_map("Attention of pairs of fields", matrix, attention, &names, run.paint)?);
    }
    shown.push(pairs.clone());
    let shares: Vec<String> = report.shares.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect();
    Ok(html! {
        p.note {
            (grouped(report.rows as i64)) " training rows."
            @if !shares.is_empty() { " Shares of the scores' variance: " (shares.join(", ").replace('-', "−")) "." }
        }
        (figures(&shown))
    })
}

/// The lower half of a symmetric matrix, with the names of the fields along the diagonal. `full` has the full colour.
fn heat_map(title: &str, matrix: &[Vec<f64>], full: f64, names: &[&str], paint: Paint) -> Result<Markup> {
    // If there are too many fields, show those with the strongest pairs.
    let mut shown: Vec<usize> = (0..names.len()).collect();
    let strength = |field: usize| matrix[field].iter().sum::<f64>();
    shown.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)));
    shown.truncate(FIELDS);
    shown.sort_unstable();
    let cells: Vec<(usize, usize, f64)> = (0..shown.len())
        .flat_map(|row| (0..=row).map(move |column| (row, column)))
        .map(|(row, column)| (row, column, matrix[shown[row]][shown[column]]))
        .collect();
    let mut strongest: Vec<&(usize, usize, f64)> = cells.iter().collect();
    strongest.retain(|cell| cell.2 > 0.0);
    strongest.sort_by(|a, b| b.2.total_cmp(&a.2));
    let size = (360, (shown.len() as u32 * 20).clamp(60, 400));
    let longest = shown.iter().map(|&field| width(names[field])).fold(0.0, f64::max);
    let count = shown.len() as f64;
    // The names are to the right of the diagonal.
    let room = count * longest / (f64::from(size.0) - longest - 20.0).max(1.0);
    let axis = |range| Axis { range, ticks: vec![], title: String::new() };
    let mut marks = vec![];
    for &(row, column, value) in &cells {
        let (left, top) = (column as f64, count - row as f64);
        let corners = [(left + 0.03, top - 0.04), (left + 0.97, top - 0.96)];
        marks.push(Mark::Block(corners, Paint::Grid, 0.35));
        if full > 0.0 {
            marks.push(Mark::Block(corners, paint, value / full));
        }
    }
    for (row, &field) in shown.iter().enumerate() {
        marks.push(Mark::Text((row as f64 + 1.2, count - row as f64 - 0.5), Align::Left, names[field].into()));
    }
    let words: Vec<String> = strongest
        .iter()
        .take(3)
        .map(|(row, column, value)| {
            format!("{} × {} {}", names[shown[*column]], names[shown[*row]], decimal(*value, 3))
        })
        .collect();
    let note = match words.is_empty() {
        true => "All are zero.".into(),
        false => format!("The full colour is {}. Strongest: {}.", decimal(full, 3), words.join(", ")),
    };
    let chart = Chart { size, x: axis(0.0..count + room + 0.2), y: axis(0.0..count), marks };
    let row = |cell: &&(usize, usize, f64)| {
        let name = |field: usize| Cell::Text(names[shown[field]].into());
        vec![name(cell.1), name(cell.0), Cell::Number(decimal(cell.2, 4))]
    };
    let rows: Vec<Vec<Cell>> = strongest.iter().take(LISTED).map(row).collect();
    let numbers = table(title, &["Field", "Field", "Strength"].map(str::to_owned), &rows);
    Ok(html! {
        div {
            (figure(title, &[], &chart.svg(&format!("{title}. {note}"))?, &note))
            @if !rows.is_empty() { (more("As a table", &numbers)) }
        }
    })
}

/// The strongest pairs of values.
fn pairs(found: &[ValuePair], rows: &TestRows, schema: &Schema) -> Result<Markup> {
    if found.is_empty() {
        return Ok(html! { p { "No pair of values occurs in enough rows to be listed." } });
    }
    let titles: HashMap<String, String> = match &rows.source.spec.item {
        Some(_) => {
            let items = rows.source.catalogue()?.into_items();
            items.ids.into_iter().zip(items.titles).collect()
        }
        None => HashMap::new(),
    };
    let of_items = rows.source.spec.fields_of_items();
    let value = |pair: &ValuePair, side: usize| {
        let name = &pair.fields[side];
        let known = pair.values[side].as_ref().map(|value| match titles.get(value) {
            Some(title) if of_items.contains(&name.as_str()) => title.clone(),
            _ => value.clone(),
        });
        format!("{name}: {}", known.unwrap_or_else(|| unnamed(schema, name, pair.ids[side])))
    };
    let row = |pair: &ValuePair| {
        let mean = if pair.mean.abs() < 0.01 { format!("{:+.1e}", pair.mean) } else { format!("{:+.3}", pair.mean) };
        vec![
            Cell::Text(value(pair, 0)),
            Cell::Text(value(pair, 1)),
            Cell::Number(mean.replace('-', "−")),
            Cell::Number(grouped(pair.rows as i64)),
        ]
    };
    let head = ["Value", "Value", "Mean term", "Rows"].map(str::to_owned);
    Ok(table("Pairs of values with the strongest terms", &head, &found.iter().map(row).collect::<Vec<_>>()))
}

/// A value of a field by its id.
pub fn value_name(schema: &Schema, name: &str, id: i64) -> String {
    let Some(position) = schema.field_index(name) else { return String::new() };
    let place = usize::try_from(id - schema.ids(position).start - 1).ok();
    let known = place.and_then(|place| schema.vocabulary(position).get(place));
    known.cloned().unwrap_or_else(|| unnamed(schema, name, id))
}

/// A description of an id that has no text.
fn unnamed(schema: &Schema, name: &str, id: i64) -> String {
    let Some(position) = schema.field_index(name) else { return String::new() };
    let field = &schema.fields()[position];
    match (&field.kind, id - schema.ids(position).start) {
        (kind, 1..) if kind.is_dense() => "a number".into(),
        (kind, place @ 1..) if kind.is_numeric() => interval(kind.edges().unwrap_or_default(), place as usize - 1),
        (kind, _) if kind.is_numeric() => "missing".into(),
        (_, bucket @ 1..) => format!("bucket {}", bucket - 1),
        (_, _) if schema.vocabulary(position).is_empty() => "missing".into(),
        (_, _) => "unknown".into(),
    }
}

/// The numbers of a bucket.
fn interval(edges: &[f64], bucket: usize) -> String {
    let from = bucket.checked_sub(1).and_then(|before| edges.get(before));
    match (from, edges.get(bucket)) {
        (None, None) => "any number".into(),
        (None, Some(to)) => format!("below {}", rounded(*to)),
        (Some(from), Some(to)) => format!("{} to below {}", rounded(*from), rounded(*to)),
        (Some(from), None) => format!("{} or more", rounded(*from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_named_by_their_numbers() {
        let edges = [-0.5, 2.000_000_000_000_000_4, 1234.5678];
        let names = [0, 1, 2, 3].map(|bucket| interval(&edges, bucket));
        assert_eq!(names, ["below -0.5", "-0.5 to below 2", "2 to below 1234.57", "1234.57 or more"]);
        assert_eq!(interval(&[], 0), "any number");
    }

    #[test]
    fn maps_with_one_scale_have_colours_that_compare() {
        let svg = |strength: f64| {
            let matrix = [vec![0.0, strength], vec![strength, 0.0]];
            heat_map("Pairs", &matrix, 4.0, &["user", "item"], Paint::Series(0)).unwrap().into_string()
        };
        let colour = |svg: &str, opacity: &str| {
            svg.contains(&format!("opacity=\"{opacity}\" fill=\"{}\"", Paint::Series(0).css()))
        };
        let [full, half] = [4.0, 2.0].map(svg);
        assert!(colour(&half, "0.5") && !colour(&full, "0.5"), "{half}");
    }
}
