//! Recommendations for a few users, next to the items that they rated highest.

use anyhow::Result;
use fm_core::terminal::grouped;
use fm_data::RawData;
use fm_data::catalogue::Catalogue;
use fm_data::table::TextColumns;
use maud::{Markup, html};

use super::run::{Activity, Group, Run};
use super::{absent, heading};
use crate::console::decimals_of;
use crate::selection::Selection;

const TOP: usize = 10;

/// Whether a run has users and items.
pub fn has_users(run: &Run) -> bool {
    let spec = run.rows.as_ref().ok().map(|rows| &rows.source.spec);
    spec.is_some_and(|spec| spec.user.is_some() && spec.item.is_some())
}

pub fn body(runs: &[Run], groups: &[Group<'_>]) -> Result<Markup> {
    let mut parts = vec![];
    for group in groups {
        let source = group.source();
        let body = match (&source.spec.user, &source.spec.item) {
            (Some(user), Some(item)) => users(group, user, item)?,
            _ => html! {
                p { "Recommendations need a user and an item: declare both in schema.toml." }
            },
        };
        parts.push(html! { (heading(group, groups)) (body) });
    }
    Ok(html! {
        @for part in &parts { (part) }
        (absent(runs, |run| run.rows.as_ref().err().map(|error| format!("the data cannot be read ({error})"))))
    })
}

fn users(group: &Group<'_>, user: &str, item: &str) -> Result<Markup> {
    let source = group.source();
    let activity = Activity::of(source, user)?;
    let mut order: Vec<usize> = (0..activity.values.len()).filter(|&code| activity.counts[code] > 0).collect();
    order.sort_by_key(|&code| (std::cmp::Reverse(activity.counts[code]), &activity.values[code]));
    let mut chosen: Vec<(usize, &str)> = vec![];
    let places = [
        (0, "the most active"),
        (order.len() / 2, "of median activity"),
        (order.len().saturating_sub(1), "the least active"),
    ];
    for (place, what) in places {
        // With few users, one user may be in several places.
        if let Some(&code) = order.get(place).filter(|code| chosen.iter().all(|(other, _)| other != *code)) {
            chosen.push((code, what));
        }
    }
    let catalogues = group.runs.iter().map(|(_, rows)| rows.source.catalogue()).collect::<Result<Vec<_>, _>>()?;
    let mut parts = vec![];
    for (code, what) in chosen {
        let (name, rows) = (&activity.values[code], activity.counts[code]);
        let title = format!(
            "User {name}, {what}: {} training {}",
            grouped(rows as i64),
            if rows == 1 { "row" } else { "rows" }
        );
        let mine = |row: &&u32| activity.codes[**row as usize] as usize == code;
        let rated = rated(source, item, source.parts.train.iter().filter(mine).copied().collect())?;
        parts.push(html! { h3 { (title) } (lists(group, &catalogues, name, &rated)?) });
    }
    Ok(html! {
        p {
            "For three users: the training rows with the highest " code { (source.spec.label) }
            ", the latest first among equals, and, of the items without a row of the user, those with the best \
             scores. Each has its " code { (source.spec.label) } " or its score: a prediction without limits."
        }
        @for part in &parts { (part) }
    })
}

/// The titles and labels of a user's rows, the highest label first, then the latest.
fn rated(source: &RawData, item: &str, mut rows: Vec<u32>) -> Result<Vec<(String, f32)>> {
    let label = |row: u32| source.labels[row as usize];
    let time = |row: u32| source.timestamps.as_ref().map_or(0, |times| times[row as usize]);
    rows.sort_by(|&a, &b| label(b).total_cmp(&label(a)).then((time(b), b).cmp(&(time(a), a))));
    let items = source.rows.column(item)?;
    let titles = source.spec.title.as_ref().map(|title| source.rows.column(title)).transpose()?;
    let name = |row: u32| {
        let title = titles.as_ref().and_then(|titles| titles.get(row as usize));
        title.filter(|title| !title.trim().is_empty()).or(items.get(row as usize)).unwrap_or("–").to_owned()
    };
    Ok(rows.into_iter().take(TOP).map(|row| (name(row), label(row))).collect())
}

/// The user's highest-rated items, and the best items by each run.
fn lists(group: &Group<'_>, catalogues: &[Catalogue<'_>], user: &str, rated: &[(String, f32)]) -> Result<Markup> {
    let rated = rated.iter().map(|(title, label)| (title.clone(), label.to_string())).collect();
    let mut lists: Vec<(String, Vec<(String, String)>)> = vec![("Rated highest".into(), rated)];
    for ((run, _), catalogue) in group.runs.iter().zip(catalogues) {
        let unseen = catalogue.unseen(user)?.items;
        let best = run.predictor.best(&unseen, TOP, &[], &Selection::of_all(&unseen))?;
        let digits = decimals_of(run.predictor.schema.label(), 3);
        let item = |(row, score): (usize, f32)| (unseen.titles[row].clone(), format!("{score:.digits$}"));
        lists.push((format!("Recommended by {}", run.name), best.into_iter().map(item).collect()));
    }
    Ok(html! {
        div.lists {
            @for (title, items) in &lists {
                div {
                    h4 { (title) }
                    @if items.is_empty() { p.note { "None: there are no other items." } }
                    ol { @for (name, number) in items { li { span { (number) } bdi { (name) } } } }
                }
            }
        }
    })
}
