//! The axes of charts: their ranges and labels.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis: its range, and the positions and text of its labels.
#[derive(Clone, Debug)]
pub struct Axis {
    pub range: Range<f64>,
    pub ticks: Vec<(f64, String)>,
    pub title: String,
}

impl Axis {
    /// An axis over all `values` with a margin, labelled with round numbers.
    pub fn over(values: impl IntoIterator<Item = f64>, title: &str) -> Axis {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = if high > low { 0.05 * (high - low) } else { 0.5 * low.abs().max(1e-3) };
        Axis::new(low - room..high + room, title)
    }

    /// An axis over `range`, labelled with round numbers.
    pub fn new(range: Range<f64>, title: &str) -> Axis {
        Axis { ticks: ticks(&range, 6, 0.0), range, title: title.into() }
    }

    /// An axis over whole numbers from 1 to `last`.
    pub fn counting(last: usize, title: &str) -> Axis {
        let range = 0.5..last.max(1) as f64 + 0.5;
        Axis { ticks: ticks(&range, 8, 1.0), range, title: title.into() }
    }

    /// An axis with one position per name: 0, 1, 2 and so on.
    pub fn named(names: impl IntoIterator<Item = String>, title: &str) -> Axis {
        let ticks: Vec<(f64, String)> = names.into_iter().enumerate().map(|(at, name)| (at as f64, name)).collect();
        Axis { range: -0.5..ticks.len() as f64 - 0.5, ticks, title: title.into() }
    }

    /// An axis without labels, for points of which only the distances have a meaning.
    pub fn bare(values: impl IntoIterator<Item = f64>) -> Axis {
        Axis { ticks: vec![], ..Axis::over(values, "") }
    }

    /// The same axis with only every n-th label, so that labels of this width do not touch on an axis of this length.
    /// Both are in pixels.
    pub fn with_room_for(&self, width: f64, length: f64) -> Axis {
        let [first, second, ..] = &self.ticks[..] else { return self.clone() };
        let apart = (second.0 - first.0) / (self.range.end - self.range.start) * length;
        let step = (width / apart).ceil().max(1.0) as usize;
        Axis { ticks: self.ticks.iter().step_by(step).cloned().collect(), ..self.clone() }
    }

    /// Sets the length of the axis and keeps its centre.
    pub fn widen(&mut self, length: f64) {
        let middle = (self.range.start + self.range.end) / 2.0;
        self.range = middle - length / 2.0..middle + length / 2.0;
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.range.start) / (self.range.end - self.range.start);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        // Leave out the minor points.
        if hint.weight().allow_light_points() { vec![] } else { self.ticks.iter().map(|tick| tick.0).collect() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|tick| tick.0 == *value).map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

/// About `count` round numbers within a range, at least `least` apart, as numbers and as text.
fn ticks(range: &Range<f64>, count: usize, least: f64) -> Vec<(f64, String)> {
    let wanted = (range.end - range.start) / count as f64;
    let power = 10f64.powf(wanted.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= wanted);
    let step = step.unwrap_or(wanted).max(least);
    if !step.is_normal() {
        return vec![];
    }
    let decimals = (-(step * 1.001).log10().floor()).clamp(0.0, 9.0) as usize;
    let (first, last) = ((range.start / step).ceil() as i64, (range.end / step).floor() as i64);
    (first..=last).map(|n| n as f64 * step).map(|at| (at, format!("{at:.decimals$}").replace('-', "−"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn labels_are_round_numbers_with_just_enough_decimals() {
        assert_eq!(labels(&Axis::new(0.0..1.0, "")), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::new(-3.0..12.0, "")), ["0", "5", "10"]);
        assert_eq!(labels(&Axis::new(-0.02..0.031, "")), ["−0.02", "−0.01", "0.00", "0.01", "0.02", "0.03"]);
        assert_eq!(labels(&Axis::new(0.0..1e6, "")), ["0", "200000", "400000", "600000", "800000", "1000000"]);
    }

    #[test]
    fn epochs_are_whole_numbers_even_if_there_are_few() {
        assert_eq!(labels(&Axis::counting(1, "")), ["1"]);
        assert_eq!(labels(&Axis::counting(3, "")), ["1", "2", "3"]);
        assert_eq!(labels(&Axis::counting(40, "")), ["5", "10", "15", "20", "25", "30", "35", "40"]);
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let axis = Axis::named(["a", "b", "c", "d", "e", "f"].map(str::to_owned), "");
        assert_eq!(labels(&axis.with_room_for(49.0, 300.0)), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(labels(&axis.with_room_for(51.0, 300.0)), ["a", "c", "e"]);
        assert_eq!(labels(&axis.with_room_for(101.0, 300.0)), ["a", "d"]);
    }

    #[test]
    fn any_values_give_an_axis_with_a_margin() {
        for values in
            [vec![], vec![0.0], vec![7.0, 7.0], vec![f64::NAN, 1.0], vec![1e-300, 2e-300], vec![-1e300, 1e300]]
        {
            let axis = Axis::over(values.iter().copied(), "");
            assert!(axis.range.start < axis.range.end && axis.range.end.is_finite(), "{values:?}: {axis:?}");
            assert!(axis.ticks.len() < 20 && axis.ticks.iter().all(|(at, _)| at.is_finite()), "{values:?}: {axis:?}");
            let inside = values.iter().filter(|value| value.is_finite());
            assert!(inside.clone().all(|value| axis.range.contains(value)), "{values:?}: {axis:?}");
        }
    }
}
