//! A map of the items: the vectors of the most popular items, in the two dimensions in which they vary most.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::Result;
use fm_core::terminal::shortened;
use fm_core::{Encoder, Field, FieldKind, Schema, Side};
use fm_data::table::strings;
use fm_data::{MissingColumns, RawData, encode};
use maud::{Markup, html};
use tch::{Device, Tensor};

use super::chart::{Axis, Chart, Mark, Paint, SERIES};
use super::components::{Components, principal_components};
use super::page::legend;
use super::placement::place;
use super::run::{Activity, Run};

/// The parameter with a vector per value.
const TABLE: &str = "embedding.weight";
/// Number of items to show.
const ITEMS: usize = 150;
/// Maximum number of kinds of items with their own colour.
const KINDS: usize = SERIES - 1;
/// Maximum length of a title next to a point, in characters.
const LONGEST: usize = 26;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let mut maps = vec![];
    for run in runs {
        let map = match map(run)? {
            Ok(map) => map,
            Err(reason) => html! { p { (run.name) ": " (reason) "." } },
        };
        maps.push(html! { @if runs.len() > 1 { h3 { (run.name) } } (map) });
    }
    Ok(html! { @for map in &maps { (map) } })
}

/// Whether a run has items whose map could say something: a map of numbers says nothing.
pub fn has_map(run: &Run) -> bool {
    let (schema, rows) = (&run.predictor.schema, run.rows.as_ref().ok());
    let Some((item, rows)) = schema.item().zip(rows) else { return false };
    let has_words = |text: &String| text.chars().any(char::is_alphabetic);
    let has_kinds = schema.field_index(item).is_some_and(|item| kind_field(schema, item).is_some());
    let titles = rows.source.catalogue().map(|catalogue| catalogue.into_items().titles);
    has_kinds || titles.is_ok_and(|titles| titles.iter().filter(|title| has_words(title)).count() * 2 > titles.len())
}

/// The map of a run, or the reason why it is missing.
fn map(run: &Run) -> Result<Result<Markup, String>> {
    let (rows, schema) = (&run.rows, &run.predictor.schema);
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(format!("the data cannot be read ({error})"))),
    };
    let Some(field) = schema.item().and_then(|item| schema.field_index(item)) else {
        return Ok(Err("no field is declared as the item: name one as `item` in schema.toml".into()));
    };
    let Some(table) = run.predictor.model.store.variables().remove(TABLE) else {
        return Ok(Err(format!("{} has no table that gives each item one vector", run.title())));
    };
    let kind = kind_field(schema, field);
    let items = popular(&rows.source, schema, field, kind)?;
    let ids: Vec<i64> = items.iter().map(|item| item.id).collect();
    let vectors = table.to_device(Device::Cpu).f_index_select(0, &Tensor::from_slice(&ids))?;
    let Some(components) = principal_components(&vectors)? else {
        return Ok(Err("too few items have their own vectors for a map".into()));
    };
    let (paints, kinds) = paints(&items);
    let [first, second] = components.explained.map(|part| format!("{:.0}%", 100.0 * part));
    let words = format!("{}: map of the {} items with the most training rows", run.name, items.len());
    let draw = |width| chart(&items, &components, &paints, width).svg(&words);
    Ok(Ok(html! {
        figure {
            @if let Some(kind) = kind {
                figcaption { "Items by " (kind.name) }
                (legend(&kinds))
            }
            div.wide { (draw(760)?) }
            div.narrow { (draw(360)?) }
            p.note {
                "The " (items.len()) " items with the most training rows. The axes explain " (first) " and " (second)
                " of the variance of their vectors of length " (vectors.size()[1])
                " (principal components) and have the same scale: items close together are similar to the model."
                @if kind.is_some_and(|kind| kind.kind != FieldKind::Categorical) {
                    " An item with several values has the colour of its rarest value that has a colour."
                }
            }
        }
    }))
}

/// An item of the map.
struct Item {
    title: String,
    id: i64,
    /// The item's values of the field that colours the map.
    kinds: Vec<String>,
}

/// The field that colours the items: if possible a field with several values per item, and of these the one with the
/// fewest distinct values.
fn kind_field(schema: &Schema, item: usize) -> Option<&Field> {
    let fields = schema.fields().iter().enumerate().filter(|(at, field)| *at != item && field.side == Side::Item);
    let fields = fields.filter(|(_, field)| !field.kind.is_numeric());
    let fewest = fields.min_by_key(|&(at, field)| (field.kind == FieldKind::Categorical, schema.ids(at).count()));
    fewest.map(|(_, field)| field)
}

/// The items with the most training rows, among those with their own vectors.
fn popular(source: &RawData, schema: &Schema, field: usize, kind: Option<&Field>) -> Result<Vec<Item>> {
    let items = source.catalogue()?.into_items();
    let encoded = encode(&items.frame, &Encoder::new(schema), None, MissingColumns::Unknown)?;
    let activity = Activity::of(source, &schema.fields()[field].name)?;
    let counts: HashMap<&str, usize> =
        activity.values.iter().map(String::as_str).zip(activity.counts.iter().copied()).collect();
    let kinds = kind.map(|kind| strings(&items.frame, &kind.name)).transpose()?;
    let id = |row: usize| encoded.row(row).field(field).ids().next().map_or(schema.ids(field).start, i64::from);
    let count = |row: usize| counts.get(items.ids[row].as_str()).copied().unwrap_or(0);
    let mut rows: Vec<usize> =
        (0..items.ids.len()).filter(|&row| id(row) != schema.ids(field).start && count(row) > 0).collect();
    rows.sort_by_key(|&row| Reverse(count(row)));
    rows.truncate(ITEMS);
    let reading = kind.map(|kind| source.reading(&kind.name)).unwrap_or_default();
    let values = |row: usize| -> Vec<String> {
        let cell = kinds.as_ref().and_then(|kinds| kinds.get(row));
        match kind.and_then(|kind| kind.kind.list()) {
            Some(list) => reading
                .pieces(cell, list)
                .map(|(value, _)| value.into_owned())
                .filter(|value| !value.is_empty())
                .collect(),
            None => cell.and_then(|text| reading.value(text)).map(str::to_owned).into_iter().collect(),
        }
    };
    Ok(rows.into_iter().map(|row| Item { title: items.titles[row].clone(), id: id(row), kinds: values(row) }).collect())
}

/// The colour of each item, and the legend.
fn paints(items: &[Item]) -> (Vec<Paint>, Vec<(Paint, String)>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for kind in items.iter().flat_map(|item| &item.kinds) {
        *counts.entry(kind).or_default() += 1;
    }
    let mut kinds: Vec<(&str, usize)> = counts.into_iter().collect();
    kinds.sort_by_key(|&(kind, count)| (Reverse(count), kind));
    kinds.truncate(KINDS);
    let rarest = |item: &Item| kinds.iter().rposition(|(kind, _)| item.kinds.iter().any(|own| own == kind));
    let paints: Vec<Paint> = items.iter().map(|item| rarest(item).map_or(Paint::Muted, Paint::Series)).collect();
    let mut legend: Vec<(Paint, String)> =
        kinds.iter().enumerate().map(|(at, (kind, _))| (Paint::Series(at), (*kind).to_owned())).collect();
    if paints.contains(&Paint::Muted) {
        legend.push((Paint::Muted, "others".into()));
    }
    (paints, legend)
}

fn chart(items: &[Item], components: &Components, paints: &[Paint], width: u32) -> Chart {
    let points = &components.points;
    let (mut x, mut y) = (Axis::bare(points.iter().map(|at| at.0)), Axis::bare(points.iter().map(|at| at.1)));
    // Both axes have the same scale. The height follows from the points, within limits.
    let shape = (y.range.end - y.range.start) / (x.range.end - x.range.start);
    let size = (width, (f64::from(width) * shape.clamp(0.5, 1.0)) as u32);
    let mut chart = Chart { size, x: x.clone(), y: y.clone(), marks: vec![] };
    let (width, height) = chart.inner();
    let unit = ((x.range.end - x.range.start) / width).max((y.range.end - y.range.start) / height);
    x.widen(unit * width);
    y.widen(unit * height);
    let pixel = |(a, b): (f64, f64)| ((a - x.range.start) / unit, (y.range.end - b) / unit);
    let back = |(a, b): (f64, f64)| (x.range.start + a * unit, y.range.end - b * unit);
    let pixels: Vec<(f64, f64)> = points.iter().copied().map(pixel).collect();
    let texts: Vec<String> = items.iter().map(|item| shortened(&item.title, LONGEST)).collect();
    let dots = points.iter().zip(paints).zip(items);
    chart.marks.extend(dots.map(|((&at, &paint), item)| Mark::Named(at, paint, 3.2, item.title.clone())));
    for label in place(&pixels, &texts, (width, height)) {
        chart.marks.push(Mark::Text(back(label.at), label.align, texts[label.point].clone()));
    }
    Chart { x, y, ..chart }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_the_colour_of_its_rarest_kind_among_the_most_frequent_ones() {
        let item = |kinds: &[&str]| Item {
            title: String::new(),
            id: 0,
            kinds: kinds.iter().map(|&kind| kind.into()).collect(),
        };
        let items = [item(&["drama"]), item(&["drama", "war"]), item(&["war"]), item(&["drama"]), item(&[])];
        let (paints, legend) = paints(&items);
        assert_eq!(paints, [0, 1, 1, 0].map(Paint::Series).into_iter().chain([Paint::Muted]).collect::<Vec<_>>());
        assert_eq!(legend[..2], [(Paint::Series(0), "drama".into()), (Paint::Series(1), "war".into())]);
        assert_eq!(legend[2], (Paint::Muted, "others".into()));
    }
}
