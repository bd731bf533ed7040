//! What has changed: between the training and the test rows, and since the runs that the runs of a report started from.

use anyhow::Result;
use fm_core::drift::{FieldDrift, drift};
use fm_core::metric::Metrics;
use maud::{Markup, html};

use super::page::{Cell, decimals, table};
use super::run::Run;
use crate::changes::{Changes, Values, sorted};
use crate::metric::in_order;
use crate::results::Results;

/// The largest stability index that is no change worth a word.
const STABLE: f64 = 0.1;

/// The body, and what has changed most in a few words; `None` if no run knows its training rows.
pub fn section(runs: &[Run]) -> Result<Option<(String, Markup)>> {
    let (mut bodies, mut strongest): (Vec<Markup>, Option<FieldDrift>) = (vec![], None);
    for run in runs {
        let Some(values) = Values::of_run(&run.files)? else { continue };
        if let Some(rows) = run.test_rows() {
            let schema = &run.predictor.schema;
            let found = drift(&values.fields, schema, schema, &rows.encoded);
            bodies.push(
                html! { h3 { (run.name) ": test rows, since training" } (fields("Fields of the test rows", &found)) },
            );
            let stronger = |drift: &&FieldDrift| strongest.as_ref().is_none_or(|other| drift.psi > other.psi);
            if let Some(drift) = sorted(&found).into_iter().next().filter(stronger) {
                strongest = Some(drift.clone());
            }
        }
        if let Some(changes) = values.changes {
            bodies.push(since(run, &changes)?);
        }
    }
    let result = match strongest {
        Some(drift) if drift.psi > STABLE => format!("most in {} of the test rows", drift.field),
        _ => String::new(),
    };
    let body = html! {
        p {
            "How the values of each field differ from those before. The population stability index compares their \
             distributions: below 0.1 they are alike, above 0.25 they differ. Unknown values are missing, or not in the \
             vocabulary of the rows before."
        }
        @for body in &bodies { (body) }
    };
    Ok((!bodies.is_empty()).then_some((result, body)))
}

/// The training rows beside those of the run that training started from.
fn since(run: &Run, changes: &Changes) -> Result<Markup> {
    let metrics = metrics(run, changes)?;
    Ok(html! {
        h3 { (run.name) ": training rows, since " (changes.run) }
        @if changes.fields.is_empty() {
            p { "The earlier run has not stored the distribution of its values." }
        } @else {
            (fields("Fields of the training rows", &changes.fields))
        }
        @if let Some(metrics) = metrics { (metrics) }
    })
}

fn fields(caption: &str, drifts: &[FieldDrift]) -> Markup {
    let percent = |share: f64| Cell::Number(format!("{:.1}%", 100.0 * share));
    let rows: Vec<Vec<Cell>> = sorted(drifts)
        .into_iter()
        .map(|drift| {
            let new = drift.new_values.map_or("–".into(), |count| count.to_string());
            let (field, new) = (Cell::Text(drift.field.clone()), Cell::Number(new));
            vec![field, new, percent(drift.unknown_before), percent(drift.unknown), Cell::Number(decimals(drift.psi))]
        })
        .collect();
    let head = ["field", "new values", "unknown before", "unknown", "stability index"].map(str::to_owned);
    table(caption, &head, &rows)
}

/// The metrics of the earlier model on the new rows, beside those of the run, both without a calibration.
fn metrics(run: &Run, changes: &Changes) -> Result<Option<Markup>> {
    let Some(results) = run.files.summary::<Results>()? else { return Ok(None) };
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
    Ok((!rows.is_empty()).then(|| table("The earlier model on the new rows, and this one", &head, &rows)))
}
