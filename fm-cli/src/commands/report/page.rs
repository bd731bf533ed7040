//! The page: its frame, its sections and their elements.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Paint;
use crate::console::decimal;

/// By this, a report is recognised.
pub const MARK: &str = r#"<meta name="generator" content="fm report"/>"#;

/// A part of the page under a heading.
pub struct Section {
    /// The anchor of links.
    pub id: &'static str,
    pub title: &'static str,
    /// Its main result in a few words, which a closed section shows, too.
    pub result: String,
    /// Whether it is open at first.
    pub is_open: bool,
    pub body: Markup,
}

/// The whole file. The summary comes first, and is always open.
pub fn page(title: &str, summary: &Markup, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (PreEscaped(r#"<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>"#))
                (PreEscaped(r#"<meta name="color-scheme" content="light dark"/>"#))
                (PreEscaped(MARK))
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                header {
                    h1 { (title) }
                    nav aria-label="Sections" {
                        ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                    }
                }
                main {
                    (summary)
                    // A link to an element in a closed part opens it.
                    @for section in sections {
                        details open=[section.is_open.then_some("open")] {
                            summary {
                                h2 { (section.title) }
                                @if !section.result.is_empty() { span.result { (section.result) } }
                            }
                            section id=(section.id) aria-label=(section.title) { (section.body) }
                        }
                    }
                }
            }
        }
    };
    // Titles may contain control characters, which are not allowed in a document.
    let is_text = |c: char| !c.is_control() || c == '\n';
    page.into_string().chars().map(|c| if is_text(c) { c } else { '\u{fffd}' }).collect()
}

/// What only some readers need, closed at first.
pub fn more(title: &str, body: &Markup) -> Markup {
    html! { details.more { summary { (title) } (body) } }
}

/// Charts side by side, as many as fit.
pub fn figures(figures: &[Markup]) -> Markup {
    html! { @if !figures.is_empty() { div.figures { @for figure in figures { (figure) } } } }
}

/// A chart with its title and legend.
pub fn figure(title: &str, legend: &[(Paint, String)], chart: &Markup, note: &str) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            (self::legend(legend))
            (chart)
            @if !note.is_empty() { p.note { (note) } }
        }
    }
}

/// The legend: the meaning of each colour.
pub fn legend(legend: &[(Paint, String)]) -> Markup {
    html! {
        @if !legend.is_empty() {
            ul.legend {
                @for (paint, name) in legend {
                    li { span.swatch style={ "background:" (paint.css()) } {} (name) }
                }
            }
        }
    }
}

/// A cell of a table.
pub enum Cell {
    Text(String),
    Number(String),
    /// The best number of its row.
    Best(String),
    /// Sentences, which need more space.
    Words(String),
}

impl Cell {
    /// A metric, or a dash if it is missing.
    pub fn metric(value: Option<f64>) -> Cell {
        Cell::Number(value.map_or("–".into(), decimals))
    }
}

/// A number with four decimals.
pub fn decimals(value: f64) -> String {
    decimal(value, 4).replace('-', "−")
}

/// A table whose first column names the rows. It scrolls if it is wider than the page.
pub fn table(caption: &str, head: &[String], rows: &[Vec<Cell>]) -> Markup {
    let is_number =
        |column: usize| rows.iter().any(|row| !matches!(row.get(column), None | Some(Cell::Text(_) | Cell::Words(_))));
    html! {
        div.scroll role="region" tabindex="0" aria-label={ "Table: " (caption) } {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (column, name) in head.iter().enumerate() {
                            th scope="col" class=[is_number(column).then_some("number")] { (name) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in row.iter().enumerate() { (self::cell(column, cell)) } }
                    }
                }
            }
        }
    }
}

fn cell(column: usize, cell: &Cell) -> Markup {
    match cell {
        Cell::Text(text) if column == 0 => html! { th scope="row" { bdi { (text) } } },
        Cell::Number(text) if column == 0 => html! { th.number scope="row" { (text) } },
        Cell::Text(text) => html! { td { bdi { (text) } } },
        Cell::Words(text) => html! { td.words { (text) } },
        Cell::Number(text) => html! { td.number { (text) } },
        Cell::Best(text) => html! { td.number { strong { (text) } } },
    }
}
