//! Charts as SVG. Their colours come from the page's style sheet, so they adapt to dark mode and to print.

use anyhow::{Result, anyhow};
use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use super::axis::Axis;

/// Maximum number of distinguishable series in a chart.
pub const SERIES: usize = 8;

/// A colour of the style sheet, with a light and a dark version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// The background.
    Back,
    /// Text.
    Text,
    /// References to compare with; their lines are dashed.
    Muted,
    /// Axes and grid.
    Grid,
    /// The run or the kind with this number.
    Series(usize),
}

impl Paint {
    const ALL: [Paint; 4] = [Paint::Back, Paint::Text, Paint::Muted, Paint::Grid];

    /// The colour in the style sheet.
    pub fn css(self) -> String {
        match self {
            Paint::Back => "var(--back)".into(),
            Paint::Text => "var(--text)".into(),
            Paint::Muted => "var(--muted)".into(),
            Paint::Grid => "var(--grid)".into(),
            Paint::Series(number) => format!("var(--series-{})", number % SERIES),
        }
    }

    /// A placeholder for this colour until the drawing is done.
    fn stand_in(self) -> RGBColor {
        match self {
            Paint::Back => RGBColor(1, 2, 0),
            Paint::Text => RGBColor(1, 2, 1),
            Paint::Muted => RGBColor(1, 2, 2),
            Paint::Grid => RGBColor(1, 2, 3),
            Paint::Series(number) => RGBColor(1, 3, (number % SERIES) as u8),
        }
    }
}

/// A shape in the coordinates of the axes. Points that are not finite are not drawn.
#[derive(Clone, Debug)]
pub enum Mark {
    /// Points joined by a line.
    Line(Vec<(f64, f64)>, Paint),
    /// The same, less prominent.
    Faint(Vec<(f64, f64)>, Paint),
    /// Filled circles of a radius in pixels.
    Dots(Vec<(f64, f64)>, Paint, f64),
    /// A filled circle with a tooltip.
    Named((f64, f64), Paint, f64, String),
    /// A filled rectangle between two corners, with its opacity.
    Block([(f64, f64); 2], Paint, f64),
    /// Text to the right or to the left of a point, or centred on it.
    Text((f64, f64), Align, String),
}

/// The part of a text that is at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Centre,
    Right,
}

/// A chart. Its size is in CSS pixels, before scaling.
#[derive(Clone, Debug)]
pub struct Chart {
    pub size: (u32, u32),
    pub x: Axis,
    pub y: Axis,
    pub marks: Vec<Mark>,
}

/// The size of most charts: text is legible on a phone, and three fit side by side on a desktop.
pub const SIZE: (u32, u32) = (360, 240);
/// The height of text in pixels.
pub const TEXT: f64 = 11.0;
/// The margin above and to the right of the area of the axes.
const ABOVE: f64 = 8.0;
const RIGHT: f64 = 12.0;
/// Pixels of plotters per pixel of the chart. plotters counts whole pixels, and the browser scales the drawing down.
const FINE: f64 = 10.0;

/// An upper bound for the width of a text in pixels, without measuring a font.
pub fn width(text: &str) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '!' | '|' | '\'' | '(' | ')' | '[' | ']' | ' ' | 'f' | 't'
        | 'r' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
        'A'..='Z' => 0.7,
        c if u32::from(c) < 0x1100 => 0.58,
        _ => 1.05,
    };
    TEXT * 1.08 * text.chars().map(em).sum::<f64>()
}

impl Chart {
    /// The chart as an `svg` element. `description` describes it in words.
    pub fn svg(&self, description: &str) -> Result<Markup> {
        let mut drawing = String::new();
        self.draw(&mut drawing).map_err(|error| anyhow!("cannot draw a chart: {error}"))?;
        // The opening tag has sizes in pixels and no description; a new one takes its place.
        let (_, drawing) = drawing.split_once('>').unwrap_or_default();
        let mut drawing = drawing.replace(" font-family=\"inherit\"", "").replace(" opacity=\"1\"", "");
        for paint in Paint::ALL.into_iter().chain((0..SERIES).map(Paint::Series)) {
            let RGBColor(r, g, b) = paint.stand_in();
            drawing = drawing.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"{}\"", paint.css()));
        }
        // plotters has no titles. Named circles are the last circles of the drawing, in order.
        let names: Vec<&String> = self.marks.iter().filter_map(|mark| mark.name()).collect();
        let drawing = name_circles(&drawing, &names);
        let drawing = drawing.trim_end().strip_suffix("</svg>").unwrap_or(&drawing);
        let view = format!("0 0 {} {}", f64::from(self.size.0) * FINE, f64::from(self.size.1) * FINE);
        let style = format!("max-width:{}px", f64::from(self.size.0) * 1.25);
        Ok(html! {
            svg viewBox=(view) style=(style) role="img" aria-label=(description) { (PreEscaped(drawing)) }
        })
    }

    /// The width and the height of the area of the axes in pixels.
    pub fn inner(&self) -> (f64, f64) {
        let (left, below) = self.beside();
        (f64::from(self.size.0) - left - RIGHT, f64::from(self.size.1) - ABOVE - below)
    }

    /// The space for labels on the left and below.
    fn beside(&self) -> (f64, f64) {
        let widest = self.y.ticks.iter().map(|(_, label)| width(label)).reduce(f64::max);
        let (labels, title) = (!self.x.ticks.is_empty(), !self.x.title.is_empty());
        (
            widest.map_or(1.0, |widest| widest + 8.0),
            1.0 + if labels { 19.0 } else { 0.0 } + if title { 14.0 } else { 0.0 },
        )
    }

    fn draw(&self, target: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let fine = |pixels: f64| (pixels * FINE).round() as u32;
        let size = (fine(self.size.0.into()), fine(self.size.1.into()));
        let root = SVGBackend::with_string(target, size).into_drawing_area();
        let (left, below) = self.beside();
        let widest = self.x.ticks.iter().map(|(_, label)| width(label)).fold(0.0, f64::max);
        let x = self.x.with_room_for(widest, self.inner().0);
        let mut chart = ChartBuilder::on(&root)
            .margin_top(fine(ABOVE))
            .margin_right(fine(RIGHT))
            .x_label_area_size(fine(below))
            .y_label_area_size(fine(left))
            .build_cartesian_2d(x.clone(), self.y.clone())?;
        let text = |paint: Paint| ("inherit", TEXT * FINE * 1.24).into_font().color(&paint.stand_in());
        let grid = Paint::Grid.stand_in().stroke_width(fine(0.8));
        // Without labels, there is no axis to draw.
        if !(self.x.ticks.is_empty() && self.y.ticks.is_empty()) {
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(grid)
                .axis_style(grid)
                .label_style(text(Paint::Text))
                .axis_desc_style(text(Paint::Muted))
                .set_all_tick_mark_size(fine(3.0))
                .x_labels(x.ticks.len())
                .y_labels(self.y.ticks.len())
                .x_desc(&self.x.title)
                .draw()?;
        }
        let is_finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let (named, others): (Vec<&Mark>, Vec<&Mark>) = self.marks.iter().partition(|mark| mark.name().is_some());
        for mark in others.into_iter().chain(named) {
            match mark {
                Mark::Line(points, paint) => {
                    let points: Vec<(f64, f64)> = points.iter().copied().filter(is_finite).collect();
                    let width = if *paint == Paint::Muted { 1.2 } else { 1.8 };
                    chart
                        .plotting_area()
                        .draw(&PathElement::new(points, paint.stand_in().stroke_width(fine(width))))?;
                }
                Mark::Faint(points, paint) => {
                    let points: Vec<(f64, f64)> = points.iter().copied().filter(is_finite).collect();
                    let style = paint.stand_in().mix(0.5).stroke_width(fine(1.8));
                    chart.plotting_area().draw(&PathElement::new(points, style))?;
                }
                Mark::Dots(points, paint, radius) => {
                    for point in points.iter().copied().filter(is_finite) {
                        chart.plotting_area().draw(&Circle::new(point, fine(*radius), paint.stand_in().filled()))?;
                    }
                }
                Mark::Named(point, paint, radius, _) if is_finite(point) => {
                    chart.plotting_area().draw(&Circle::new(*point, fine(*radius), paint.stand_in().filled()))?;
                }
                Mark::Block(corners, paint, opacity) if corners.iter().all(is_finite) => {
                    let style = paint.stand_in().mix(*opacity).filled();
                    chart.plotting_area().draw(&Rectangle::new(*corners, style))?;
                }
                Mark::Text(at, align, words) if is_finite(at) => {
                    let align = match align {
                        Align::Left => HPos::Left,
                        Align::Centre => HPos::Center,
                        Align::Right => HPos::Right,
                    };
                    let style = text(Paint::Text).pos(Pos::new(align, VPos::Center));
                    chart.plotting_area().draw(&Text::new(words.as_str(), *at, style))?;
                }
                Mark::Named(..) | Mark::Block(..) | Mark::Text(..) => {}
            }
        }
        root.present()
    }
}

impl Mark {
    fn name(&self) -> Option<&String> {
        match self {
            Mark::Named(point, _, _, name) => (point.0.is_finite() && point.1.is_finite()).then_some(name),
            _ => None,
        }
    }
}

/// Adds titles to the last circles of a drawing.
fn name_circles(drawing: &str, names: &[&String]) -> String {
    let circles = drawing.matches("<circle").count();
    let mut pieces = drawing.split("<circle");
    let mut named = pieces.next().unwrap_or_default().to_owned();
    for (number, piece) in pieces.enumerate() {
        named.push_str("<circle");
        match (number + names.len()).checked_sub(circles).and_then(|place| names.get(place)) {
            Some(name) => {
                let title = html! { title { (name) } }.into_string();
                named.push_str(&piece.replacen("/>", &format!(">{title}</circle>"), 1));
            }
            None => named.push_str(piece),
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(marks: Vec<Mark>) -> String {
        let chart = Chart { size: SIZE, x: Axis::counting(3, "epoch"), y: Axis::new(0.0..1.0, ""), marks };
        chart.svg("a \"chart\"").unwrap().into_string()
    }

    #[test]
    fn all_colours_come_from_the_style_sheet() {
        let drawn = svg(vec![
            Mark::Line(vec![(1.0, 0.5), (2.0, 0.6)], Paint::Series(1)),
            Mark::Dots(vec![(1.0, 0.5)], Paint::Muted, 2.0),
        ]);
        assert!(drawn.contains("stroke=\"var(--series-1)\"") && drawn.contains("fill=\"var(--muted)\""), "{drawn}");
        assert!(!drawn.contains("\"#") && drawn.contains("aria-label=\"a &quot;chart&quot;\""), "{drawn}");
    }

    #[test]
    fn points_that_are_not_finite_are_left_out() {
        let odd = [(1.0, f64::NAN), (f64::INFINITY, 0.5), (2.0, 0.5)];
        let named = |point| Mark::Named(point, Paint::Text, 3.0, "name".into());
        let drawn = svg(vec![Mark::Dots(odd.to_vec(), Paint::Text, 2.0), named(odd[0]), named(odd[2])]);
        assert_eq!((drawn.matches("<circle").count(), drawn.matches("<title>name</title>").count()), (2, 1), "{drawn}");
        let text = Mark::Text((f64::NAN, 0.5), Align::Left, "nowhere".into());
        assert!(!svg(vec![text, Mark::Block([(1.0, 0.0), (2.0, f64::NAN)], Paint::Text, 1.0)]).contains("nowhere"));
    }

    #[test]
    fn each_circle_has_its_own_name_even_if_others_have_none() {
        let named = |x: f64, name: &str| Mark::Named((x, 0.5), Paint::Series(0), 3.0, name.into());
        let drawn = svg(vec![named(1.0, "<a>"), Mark::Dots(vec![(2.0, 0.5); 2], Paint::Text, 2.0), named(3.0, "b")]);
        let circles: Vec<&str> = drawn.split("<circle").skip(1).collect();
        let is_named = |circle: &&str| circle.contains("<title>");
        assert_eq!(circles.iter().map(is_named).collect::<Vec<_>>(), [false, false, true, true]);
        assert!(circles[2].contains("<title>&lt;a&gt;</title>") && circles[3].contains("<title>b</title>"), "{drawn}");
    }
}
