//! Settings, versions, rows and files, and how to train the same model again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use fm_core::device::compiled_libtorch;
use fm_core::terminal::grouped;
use maud::{Markup, html};

use super::page::{Cell, table};
use super::run::Run;
use super::summary::training;
use crate::training::shell_word;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let settings_of = |run: &Run| run.files.settings_path().to_string_lossy().into_owned();
    let mut declarations: Vec<(String, Vec<&str>)> = vec![];
    for run in runs {
        let Some(spec) = &run.predictor.settings.data.schema else { continue };
        let text = toml::to_string(spec)?;
        match declarations.iter_mut().find(|known| known.0 == text) {
            Some(known) => known.1.push(&run.name),
            None => declarations.push((text, vec![&run.name])),
        }
    }
    Ok(html! {
        (training(runs))
        p { "Written by fm " (env!("CARGO_PKG_VERSION")) " with libtorch " (compiled_libtorch().0) "." }
        h3 { "How to train it again" }
        @for run in runs {
            // The runs of an ensemble are not known here.
            @if run.results.as_ref().is_some_and(|results| results.epochs == 0) {
                p.note { (run.name) " combines trained models, which its settings list: see " code { "fm ensemble --help" } }
            } @else {
                @if runs.len() > 1 { p.note { (run.name) } }
                pre { code { "fm train --config " (shell_word(&settings_of(run))) } }
            }
        }
        @for (declaration, names) in &declarations {
            p.note { "schema.toml" @if names.len() < runs.len() { " of " (names.join(", ")) } }
            pre { code { (declaration.trim_end()) } }
        }
        (values(runs)?)
        (rows(runs)?)
        (files(runs))
    })
}

/// All settings. Those that differ come first, with the value of each run.
fn values(runs: &[Run]) -> Result<Markup> {
    let settings = runs.iter().map(|run| run.predictor.settings.by_key()).collect::<Result<Vec<_>>>()?;
    let names: BTreeSet<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    let (same, different): (Vec<&String>, Vec<&String>) =
        names.into_iter().partition(|name| settings.iter().all(|run| run.get(*name) == settings[0].get(*name)));
    let value =
        |run: &BTreeMap<String, String>, name: &str| Cell::Text(run.get(name).map_or("–".into(), String::clone));
    let row = |name: &&String, runs: &[BTreeMap<String, String>]| {
        std::iter::once(Cell::Text((*name).clone())).chain(runs.iter().map(|run| value(run, name))).collect::<Vec<_>>()
    };
    let head = |values: Vec<String>| [vec!["Setting".into()], values].concat();
    let names = runs.iter().map(|run| run.name.clone()).collect();
    let differing: Vec<Vec<Cell>> = different.iter().map(|name| row(name, &settings)).collect();
    let shared: Vec<Vec<Cell>> = same.iter().map(|name| row(name, &settings[..1])).collect();
    let title = if runs.len() > 1 { "Settings shared by all runs" } else { "Settings" };
    Ok(html! {
        @if !differing.is_empty() { (table("Settings that differ", &head(names), &differing)) }
        (table(title, &head(vec!["Value".into()]), &shared))
    })
}

/// A part of the rows, shared by some runs.
struct Part<'a> {
    name: String,
    digest: String,
    count: Option<usize>,
    runs: Vec<&'a str>,
}

/// The rows of each part, with the digest that reveals changed data. Runs with the same digest share a line.
fn rows(runs: &[Run]) -> Result<Markup> {
    let mut found: Vec<Part<'_>> = vec![];
    for run in runs {
        for (name, digest) in run.files.digests() {
            let count = run.results.as_ref().and_then(|results| results.rows.get(name)).copied();
            match found.iter_mut().find(|part| part.name == name && part.digest == digest) {
                Some(part) => (part.count, _) = (part.count.or(count), part.runs.push(&run.name)),
                None => found.push(Part { name: name.into(), digest: digest.into(), count, runs: vec![&run.name] }),
            }
        }
    }
    let row = |Part { name, digest, count, runs: of }: Part<'_>| {
        let whose = if of.len() == runs.len() { "all".into() } else { of.join(", ") };
        let count = count.map_or("–".into(), |count| grouped(count as i64));
        vec![Cell::Text(name), Cell::Number(count), Cell::Text(digest), Cell::Text(whose)]
    };
    let rows: Vec<Vec<Cell>> = found.into_iter().map(row).collect();
    let has_changed = |run: &&Run| run.rows.as_ref().is_ok_and(|rows| rows.has_changed);
    let changed: Vec<&str> = runs.iter().filter(has_changed).map(|run| run.name.as_str()).collect();
    Ok(html! {
        @if !changed.is_empty() {
            p {
                strong { "The data has changed since these runs; the report shows the current data: " (changed.join(", ")) "." }
            }
        }
        (table("Rows, with a digest of their ids and labels", &["Part", "Rows", "Digest", "Runs"].map(str::to_owned), &rows))
    })
}

/// The size of each file of each run.
fn files(runs: &[Run]) -> Markup {
    let size =
        |path: &Path| Cell::Number(std::fs::metadata(path).map_or("–".into(), |file| grouped(file.len() as i64)));
    let paths: Vec<_> = runs.iter().map(|run| run.files.all_files()).collect();
    let name = |file: usize| {
        let path = paths[0][file].strip_prefix(runs[0].files.folder()).unwrap_or(&paths[0][file]);
        Cell::Text(path.display().to_string())
    };
    let row = |file: usize| [name(file)].into_iter().chain(paths.iter().map(|files| size(&files[file]))).collect();
    let rows: Vec<Vec<Cell>> = (0..paths[0].len()).map(row).collect();
    let head: Vec<String> =
        ["File".into()].into_iter().chain(runs.iter().map(|run| run.files.folder().display().to_string())).collect();
    table("Files, in bytes", &head, &rows)
}
