//! The charts of a report as SVG files, for papers and slides: in the light colours, with their legends.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

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

/// By this, a chart of a report is recognised. Nothing else is ever removed.
const MARK: &str = "<!-- fm report -->";

/// Checks that charts can be written to a folder: it does not exist, or contains only charts of earlier reports.
pub fn check(folder: &Path) -> Result<()> {
    for path in files(folder)? {
        if !is_chart(&path) {
            bail!(
                "{} has other files than the charts of a report, such as {}: name another folder",
                folder.display(),
                path.file_name().unwrap_or_default().display()
            );
        }
    }
    Ok(())
}

/// Writes each chart of a page to a file with its number and its title, and then removes the other charts in the folder.
/// Returns their number.
pub fn write(page: &str, folder: &Path) -> Result<usize> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut figures: Vec<Figure<'_>> = vec![];
    for figure in page.split("<figure>").skip(1).filter_map(Figure::read) {
        // The chart of the first screen occurs again in its section.
        if !figures.iter().any(|other| (other.title, other.drawing) == (figure.title, figure.drawing)) {
            figures.push(figure);
        }
    }
    let path =
        |(number, figure): (usize, &Figure<'_>)| folder.join(format!("{:02}-{}.svg", number + 1, slug(figure.title)));
    let paths: Vec<PathBuf> = figures.iter().enumerate().map(path).collect();
    for (path, figure) in paths.iter().zip(&figures) {
        write_atomically(path, |file| file.write_all(figure.svg().as_bytes()))?;
    }
    for path in files(folder)?.iter().filter(|path| !paths.contains(path) && is_chart(path)) {
        std::fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    Ok(figures.len())
}

/// The files of a folder; none if there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        entries => {
            let entries = entries.map_err(Error::io("read", folder))?;
            let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
            Ok(paths.map_err(Error::io("read", folder))?)
        }
    }
}

fn is_chart(path: &Path) -> bool {
    let mut start = [0; 4096];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|length| String::from_utf8_lossy(&start[..length]).contains(MARK))
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
             font-family=\"{FONT}\" role=\"img\" aria-label=\"{description}\">\n{MARK}\n<title>{title}</title>\n\
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
        std::fs::write(charts.join("2024-sales.svg"), "<svg/>").unwrap();
        assert!(check(&charts).unwrap_err().to_string().contains("2024-sales.svg"));
        assert_eq!(write(&first, &charts).unwrap(), 1);
        assert_eq!(files(&charts).unwrap().len(), 2);
        std::fs::remove_file(charts.join("2024-sales.svg")).unwrap();
        assert!(check(&charts).is_ok() && check(&folder.path().join("new")).is_ok());
    }
}
