//! Which fields matter: what becomes of the metric without each of them.

use anyhow::Result;
use fm_args::flags::Part;
use fm_core::Task;
use fm_core::terminal::{grouped, shortened};
use maud::{Markup, html};

use super::absent;
use super::chart::{Axis, Chart, Mark, Paint, SIZE};
use super::no_test_rows;
use super::page::{Cell, decimals, figure, figures, more, table};
use super::run::Run;
use super::summary::{capitalized, metric_name};
use crate::importance::{Estimate, Importance, importance};

/// Maximum number of fields in a chart.
const FIELDS: usize = 15;
/// Maximum length of a field's name next to its bar.
const NAME: usize = 18;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let mut found: Vec<(&Run, Result<Importance, String>)> = vec![];
    for run in runs {
        let Some(rows) = run.test_rows() else { continue };
        found.push((run, importance(&run.predictor, &rows.source, Part::Test).map_err(|error| error.to_string())));
    }
    let (mut charts, mut tables) = (vec![], vec![]);
    for (run, found) in &found {
        let Ok(found) = found else { continue };
        charts.push(chart(run, found)?);
        tables.push(numbers(run, found, runs.len() > 1));
    }
    let failed = |run: &Run| {
        let of = found.iter().find(|(other, _)| other.name == run.name);
        of.and_then(|(_, found)| found.as_ref().err().cloned()).or_else(|| no_test_rows(run))
    };
    Ok(html! {
        @if !charts.is_empty() {
            p {
                "How much worse the model gets if the values of a field are shuffled between the test rows, so that they say "
                "nothing. Fields that say the same can replace each other, and then each matters little."
            }
        }
        (figures(&charts))
        @if !tables.is_empty() { (more("The numbers, and other measures", &html! { @for table in &tables { (table) } })) }
        (absent(runs, failed))
    })
}

/// A bar for each field with its interval, the most important at the top.
fn chart(run: &Run, found: &Importance) -> Result<Markup> {
    let shown = &found.fields[..found.fields.len().min(FIELDS)];
    let count = shown.len();
    let (mut marks, mut values) = (vec![], vec![0.0]);
    for (at, field) in shown.iter().rev().enumerate() {
        let (place, Estimate { value, .. }) = (at as f64, field.shuffled);
        marks.push(Mark::Block([(0.0, place + 0.32), (value, place - 0.32)], run.paint, 0.75));
        let margin = field.shuffled.margin().unwrap_or(0.0);
        marks.push(Mark::Line(vec![(value - margin, place), (value + margin, place)], Paint::Text));
        values.extend([value - margin, value + margin]);
    }
    marks.push(Mark::Line(vec![(0.0, -0.5), (0.0, count as f64 - 0.5)], Paint::Grid));
    let metric = metric_name(&found.metric);
    let y = Axis::named(shown.iter().rev().map(|field| shortened(&field.field, NAME)), "");
    let size = (SIZE.0, 50 + 17 * count.max(3) as u32);
    let chart = Chart { size, x: Axis::over(values, &format!("{metric} gets worse by")), y, marks };
    let words: Vec<String> =
        shown.iter().take(5).map(|field| format!("{} {}", field.field, decimals(field.shuffled.value))).collect();
    let title = format!("{}: fields by what {metric} loses without them", run.name);
    let svg = chart.svg(&format!("{title}: {}.", words.join(", ")))?;
    let rest = found.fields.len() - count;
    let others = if rest > 0 { format!(" {rest} more fields are in the table.") } else { String::new() };
    let note = format!("On {} {}, with 95% intervals.{others}", grouped(found.count as i64), found.measured);
    Ok(figure(&title, &[], &svg, &note))
}

fn numbers(run: &Run, found: &Importance, is_named: bool) -> Markup {
    let label = run.predictor.schema.label();
    let unit = match label.task {
        Task::Regression => format!("in units of {}", label.column),
        Task::Binary { .. } => "in log-odds".into(),
        Task::Ranking { .. } => "in units of the score".into(),
    };
    let with_margin = |estimate: Estimate| {
        let margin = estimate.margin().map_or(String::new(), |margin| format!(" ±{}", decimals(margin)));
        Cell::Number(format!("{}{margin}", decimals(estimate.value)))
    };
    let row = |field: &crate::importance::FieldImportance| {
        let name = Cell::Text(field.field.clone());
        vec![name, with_margin(field.shuffled), with_margin(field.missing), with_margin(field.mean_shapley)]
    };
    let head = [
        "Field".to_owned(),
        "Values shuffled".into(),
        "Values missing".into(),
        format!("Mean |Shapley|, {unit}, of {} rows", found.explained),
    ];
    let caption = format!("by how much {} gets worse without a field", metric_name(&found.metric));
    let caption = if is_named { format!("{}: {caption}", run.name) } else { capitalized(&caption) };
    table(&caption, &head, &found.fields.iter().map(row).collect::<Vec<_>>())
}
