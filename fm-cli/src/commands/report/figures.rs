//! The charts of a report as SVG files, for papers and slides: in the light colours, with their legends.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use fm_core::Error;
use fm_core::atomic_file::write_atomically;

/// The style sheet of the page, which begins with the light colours.
const STYLE: &str = include_str!("page.css");
/// Units of a drawing per pixel.
const UNIT: usize = 10;
/// The height of a line of the legend, and of its text, in units.
const LINE: usize = 18 * UNIT;
const TEXT: usize = 12 * UNIT;
const FONT: &str = "Helvetica, Arial, sans-serif";

/// Checks that charts can be written to a folder: it is empty, or does not exist yet, or has the charts of an earlier
/// report, which are numbered.
pub fn check(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io("read", folder))?,
    };
    for entry in entries {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(|c: char| c.is_ascii_digit()) && name.ends_with(".svg")) {
            bail!(
                "{} has other files than the charts of a report, such as {name}: name another folder",
                folder.display()
            );
        }
    }
    Ok(())
}

/// Writes each chart of a page to a file with its number and its title. Earlier charts are removed. Returns their number.
pub fn write(page: &str, folder: &Path) -> Result<usize> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))?.flatten() {
        std::fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
    }
    let mut titles: Vec<&str> = vec![];
    for figure in page.split("<figure>").skip(1).filter_map(Figure::read) {
        // The chart of the first screen occurs again in its section.
        if titles.contains(&figure.title) {
            continue;
        }
        titles.push(figure.title);
        let path = folder.join(format!("{:02}-{}.svg", titles.len(), slug(figure.title)));
        write_atomically(path, |file| file.write_all(figure.svg().as_bytes()))?;
    }
    Ok(titles.len())
}

/// A chart of the page. Its texts are escaped.
struct Figure<'a> {
    title: &'a str,
    /// The colour and the name of each series.
    legend: Vec<(&'a str, &'a str)>,
    width: usize,
    height: usize,
    description: &'a str,
    drawing: &'a str,
}

impl<'a> Figure<'a> {
    /// Reads what [`figure`](super::page::figure) and [`Chart::svg`](super::chart::Chart::svg) have written.
    fn read(html: &'a str) -> Option<Figure<'a>> {
        let title = between(html, "<figcaption>", "</figcaption>")?;
        let (before, svg) = html.split_once("<svg viewBox=\"0 0 ")?;
        let item = |item: &'a str| Some((between(item, "background:", "\"")?, between(item, "</span>", "</li>")?));
        let legend = before.split("<li>").skip(1).filter_map(item).collect();
        let (size, svg) = svg.split_once('"')?;
        let (width, height) = size.split_once(' ')?;
        let description = between(svg, "aria-label=\"", "\"")?;
        let drawing = between(svg, ">", "</svg>")?;
        Some(Figure { title, legend, width: width.parse().ok()?, height: height.parse().ok()?, description, drawing })
    }

    fn svg(&self) -> String {
        let Figure { title, legend, width, description, drawing, .. } = self;
        let above = legend.len() * LINE;
        let height = self.height + above;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{}\" height=\"{}\" \
             font-family=\"{FONT}\" role=\"img\" aria-label=\"{description}\">\n<title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"var(--back)\"/>\n",
            width / UNIT,
            height / UNIT
        );
        for (line, (colour, name)) in legend.iter().enumerate() {
            let (top, size) = (line * LINE + (LINE - TEXT) / 2, TEXT * 3 / 4);
            // Writing to a string does not fail.
            let _ = writeln!(
                svg,
                "<rect x=\"{UNIT}\" y=\"{}\" width=\"{size}\" height=\"{size}\" fill=\"{colour}\"/>\n\
                 <text x=\"{LINE}\" y=\"{}\" font-size=\"{TEXT}\" fill=\"var(--text)\">{name}</text>",
                top + TEXT / 8,
                top + TEXT * 7 / 8
            );
        }
        let _ = write!(svg, "<g transform=\"translate(0 {above})\">{drawing}</g>\n</svg>\n");
        // The page's style sheet dashes these lines.
        svg = svg.replace("stroke=\"var(--muted)\"", "stroke=\"var(--muted)\" stroke-dasharray=\"40 40\"");
        for (name, colour) in colours() {
            svg = svg.replace(&format!("var({name})"), colour);
        }
        svg
    }
}

/// The light colours by their names.
fn colours() -> impl Iterator<Item = (&'static str, &'static str)> {
    let light = between(STYLE, ":root {", "}").unwrap_or_default();
    light.split(';').filter_map(|colour| colour.trim().split_once(": "))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// The words of a title in a file name.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.take(12).map(str::to_lowercase).collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::super::chart::{Axis, Chart, Mark, Paint, SIZE};
    use super::super::page::figure;
    use super::*;

    #[test]
    fn a_chart_is_a_file_without_the_page() {
        let marks = vec![Mark::Line(vec![(1.0, 0.5), (2.0, 0.6)], Paint::Muted)];
        let chart = Chart { size: SIZE, x: Axis::counting(3, "epoch"), y: Axis::new(0.0..1.0, ""), marks };
        let chart = chart.svg("one \"line\"").unwrap();
        let legend = [(Paint::Series(0), "a < b".to_owned()), (Paint::Muted, "chance".to_owned())];
        let first = figure("ROC curve: a & b", &legend, &chart, "a note").into_string();
        let page = format!("<p>text</p>{first}{first}{}", figure("Other", &[], &chart, "").into_string());
        let folder = tempfile::tempdir().unwrap();
        let charts = folder.path().join("charts");
        assert_eq!(write(&page, &charts).unwrap(), 2);
        let svg = std::fs::read_to_string(charts.join("01-roc-curve-a-amp-b.svg")).unwrap();
        for part in
            ["viewBox=\"0 0 3600 2760\"", "a &lt; b</text>", "fill=\"#0072b2\"", "stroke-dasharray", "<title>ROC"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("var(") && !svg.contains("a note"), "{svg}");

        // Another report replaces the charts, and nothing else is removed.
        assert_eq!(write(&page[..page.len() / 2], &charts).unwrap(), 1);
        assert!(check(&charts).is_ok() && check(&folder.path().join("new")).is_ok());
        std::fs::write(charts.join("notes.txt"), "").unwrap();
        assert!(check(&charts).unwrap_err().to_string().contains("notes.txt"));
    }
}
