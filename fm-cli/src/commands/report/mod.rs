//! `fm report`

mod axis;
mod buckets;
mod changes;
mod chart;
mod classification;
mod components;
mod curves;
mod embeddings;
mod examples;
mod failures;
mod figures;
mod interactions;
mod matters;
mod page;
mod placement;
mod regression;
mod run;
mod settings;
mod slices;
mod summary;
mod thinning;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Report;
use fm_core::atomic_file::write_atomically;
use fm_core::{Error, Task};
use maud::{Markup, html};

use self::page::Section;
use self::run::{Group, Run};

pub fn run(args: &Report) -> Result<()> {
    let output = args.output.display();
    if args.output.is_dir() {
        bail!("{output} is a folder: name the file to write, such as report.html");
    }
    let is_there = args.output.exists();
    if is_there && !is_report(&args.output)? {
        bail!("{output} exists and is not a report: choose another `--output`, or remove it");
    }
    if let Some(folder) = &args.figures {
        figures::check(folder)?;
    }
    let runs = run::open(args)?;
    if runs.iter().any(|run| run.files.holds(&args.output)) {
        bail!("{output} is a file of a run: name another one, such as report.html");
    }
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let title = format!("Report on {}", names.join(", "));
    let groups = run::groups(&runs);
    let page = page::page(&title, &summary::section(&runs, &groups)?, &sections(&runs, &groups)?);
    write_atomically(&args.output, |file| file.write_all(page.as_bytes()))?;
    let earlier = if is_there { ", in place of an earlier report" } else { "" };
    tracing::info!("wrote {output}, {:.0} kB{earlier}", page.len() as f64 / 1e3);
    if let Some(folder) = &args.figures {
        let charts = figures::write(&page, folder)?;
        tracing::info!("wrote {charts} charts into {}", folder.display());
    }
    Ok(())
}

/// Whether a file is empty or an earlier report. Nothing else is overwritten.
fn is_report(path: &Path) -> Result<bool> {
    let mut start = vec![];
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    read.map_err(Error::io("read", path))?;
    Ok(start.is_empty() || String::from_utf8_lossy(&start).contains(page::MARK))
}

fn sections(runs: &[Run], groups: &[Group<'_>]) -> Result<Vec<Section>> {
    let has_task = |is_task: fn(&Task) -> bool| runs.iter().any(|run| is_task(&run.task()));
    let open = |id, title, body| Section { id, title, result: String::new(), is_open: true, body };
    let closed = |id, title, result, body| Section { id, title, result, is_open: false, body };
    let mut sections = vec![];
    if has_task(|task| matches!(task, Task::Binary { .. })) {
        sections.push(open("classification", "Probabilities", classification::body(runs)?));
    }
    if has_task(|task| matches!(task, Task::Regression)) {
        sections.push(open("regression", "Predictions", regression::body(runs)?));
    }
    sections.push(open("matters", "Which fields matter", matters::body(runs)?));
    let (result, body) = failures::section(runs, groups)?;
    sections.push(closed("failures", "Where the models fail", result, body));
    if let Some((result, body)) = changes::section(runs)? {
        sections.push(closed("changes", "What has changed", result, body));
    }
    let (result, body) = interactions::section(runs)?;
    sections.push(closed("interactions", "Interactions", result, body));
    sections.push(closed("curves", "Learning curves", curves::result(runs), curves::body(runs)?));
    if runs.iter().any(embeddings::has_map) {
        sections.push(closed("embeddings", "Map of the items", String::new(), embeddings::body(runs)?));
    }
    if runs.iter().any(examples::has_users) {
        sections.push(closed("examples", "Recommendations", String::new(), examples::body(runs, groups)?));
    }
    sections.push(closed("settings", "Settings", String::new(), settings::body(runs)?));
    Ok(sections)
}

/// One sentence per run that is missing from a section.
fn absent(runs: &[Run], reason: impl Fn(&Run) -> Option<String>) -> Markup {
    html! { @for run in runs { @if let Some(reason) = reason(run) { p { (run.name) ": " (reason) "." } } } }
}

/// Why a run has no scored test rows; `None` if it has some.
fn no_test_rows(run: &Run) -> Option<String> {
    match &run.rows {
        Err(error) => Some(format!("the data cannot be read ({error})")),
        Ok(rows) if rows.logits.is_empty() => Some("there are no test rows".into()),
        Ok(_) => None,
    }
}

/// The heading of a group of runs, if there are several groups.
fn heading(group: &Group<'_>, groups: &[Group<'_>]) -> Markup {
    let names: Vec<&str> = group.runs.iter().map(|(run, _)| run.name.as_str()).collect();
    html! { @if groups.len() > 1 { h3 { (names.join(", ")) } } }
}
