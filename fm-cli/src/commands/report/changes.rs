//! What has changed since the runs that the runs of a report started from.

use anyhow::Result;
use fm_core::metric::Metrics;
use maud::{Markup, html};

use super::page::{Cell, decimals, table};
use super::run::Run;
use crate::changes::{Changes, Values, sorted};
use crate::metric::in_order;

/// The changes of the runs that have some.
pub fn all(runs: &[Run]) -> Result<Vec<(&Run, Changes)>> {
    let mut found = vec![];
    for run in runs {
        if let Some(changes) = Values::of_run(&run.files)?.and_then(|values| values.changes) {
            found.push((run, changes));
        }
    }
    Ok(found)
}

pub fn body(all: &[(&Run, Changes)]) -> Markup {
    html! {
        p {
            "The training rows beside those of the run that training started from. The population stability index compares the "
            "distributions of values: below 0.1 they are alike, above 0.25 they differ. Unknown values are missing, or not in "
            "the earlier run's vocabulary."
        }
        @for (run, changes) in all {
            h3 { (run.name) ", since " (changes.run) }
            @if changes.fields.is_empty() {
                p { "The earlier run has not stored the distribution of its values." }
            } @else {
                (fields(changes))
            }
            @if let Some(metrics) = metrics(run, changes) { (metrics) }
        }
    }
}

fn fields(changes: &Changes) -> Markup {
    let percent = |share: f64| Cell::Number(format!("{:.1}%", 100.0 * share));
    let rows: Vec<Vec<Cell>> = sorted(&changes.fields)
        .into_iter()
        .map(|drift| {
            let new = drift.new_values.map_or("–".into(), |count| count.to_string());
            let (field, new) = (Cell::Text(drift.field.clone()), Cell::Number(new));
            vec![field, new, percent(drift.unknown_before), percent(drift.unknown), Cell::Number(decimals(drift.psi))]
        })
        .collect();
    let head = ["field", "new values", "unknown before", "unknown", "stability index"].map(str::to_owned);
    table("Fields", &head, &rows)
}

/// The metrics of the earlier model on the new rows, beside those of the run.
fn metrics(run: &Run, changes: &Changes) -> Option<Markup> {
    let results = run.results.as_ref()?;
    let parts = [("validation", &changes.valid, &results.valid), ("test", &changes.test, &results.test)];
    let rows = |(part, before, after): (&str, &Metrics, &Metrics)| -> Vec<Vec<Cell>> {
        in_order(before.keys().filter(|name| after.contains_key(*name)))
            .into_iter()
            .map(|name| {
                let cells = [before, after].map(|metrics| Cell::metric(metrics.get(name).copied()));
                std::iter::once(Cell::Text(format!("{name}, {part}"))).chain(cells).collect()
            })
            .collect()
    };
    let rows: Vec<Vec<Cell>> = parts.into_iter().flat_map(rows).collect();
    let head = ["metric", "before", "after"].map(str::to_owned);
    (!rows.is_empty()).then(|| table("The earlier model on the new rows, and this one", &head, &rows))
}
