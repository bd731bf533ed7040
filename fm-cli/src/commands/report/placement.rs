//! Places labels next to points, as many as fit without overlap.

use super::chart::{Align, TEXT, width};

/// A rectangle: left, top, right and bottom in pixels.
type Box = [f64; 4];

/// A label: the index of its point, and the position and alignment of its text.
#[derive(Debug, PartialEq)]
pub struct Label {
    pub point: usize,
    pub at: (f64, f64),
    pub align: Align,
}

/// The distance of a label from the centre of its point.
const GAP: f64 = 6.0;

/// Places the labels of points within an area of this size, in pixels. The first points come first. A label is to the
/// right, to the left, above or below its point, wherever it covers neither a label nor another point; otherwise it is
/// left out.
pub fn place(points: &[(f64, f64)], texts: &[String], size: (f64, f64)) -> Vec<Label> {
    let mut placed: Vec<(Label, Box)> = vec![];
    for (point, (&(x, y), text)) in points.iter().zip(texts).enumerate() {
        let (long, high) = (width(text), TEXT * 1.15);
        let beside = [
            (Align::Left, (x + GAP, y), x + GAP),
            (Align::Right, (x - GAP, y), x - GAP - long),
            (Align::Centre, (x, y - GAP - high / 2.0), x - long / 2.0),
            (Align::Centre, (x, y + GAP + high / 2.0), x - long / 2.0),
        ];
        let free = beside.into_iter().find_map(|(align, at, left)| {
            let area = [left, at.1 - high / 2.0, left + long, at.1 + high / 2.0];
            let is_inside = area[0] >= 0.0 && area[1] >= 0.0 && area[2] <= size.0 && area[3] <= size.1;
            let is_free = placed.iter().all(|(_, other)| !overlap(area, *other))
                && points.iter().enumerate().all(|(other, &at)| other == point || !overlap(area, around(at)));
            (is_inside && is_free).then_some((Label { point, at, align }, area))
        });
        placed.extend(free);
    }
    placed.into_iter().map(|(label, _)| label).collect()
}

fn overlap(a: Box, b: Box) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

/// The area that a point covers.
fn around((x, y): (f64, f64)) -> Box {
    [x - 3.0, y - 3.0, x + 3.0, y + 3.0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(count: usize) -> Vec<String> {
        vec!["a film".into(); count]
    }

    #[test]
    fn a_lonely_point_has_its_label_to_the_right_and_one_at_the_edge_to_the_left() {
        let label = |point| place(&[point], &texts(1), (200.0, 100.0)).remove(0);
        assert_eq!(label((50.0, 50.0)), Label { point: 0, at: (50.0 + GAP, 50.0), align: Align::Left });
        assert_eq!(label((195.0, 50.0)), Label { point: 0, at: (195.0 - GAP, 50.0), align: Align::Right });
    }

    #[test]
    fn only_the_first_of_points_in_the_same_place_is_labelled() {
        let points = [(50.0, 50.0), (51.0, 50.0), (50.0, 51.0)];
        let labelled: Vec<usize> =
            place(&points, &texts(3), (200.0, 100.0)).into_iter().map(|label| label.point).collect();
        assert_eq!(labelled.first(), Some(&0));
        let many: Vec<(f64, f64)> = (0..100).map(|n| (50.0 + f64::from(n % 10), 50.0 + f64::from(n / 10))).collect();
        assert!(place(&many, &texts(100), (200.0, 100.0)).len() < 30);
    }

    #[test]
    fn no_label_covers_another_label_or_a_point() {
        let points: Vec<(f64, f64)> = (0..60).map(|n| (f64::from(n * 37 % 300), f64::from(n * 53 % 200))).collect();
        let labels = place(&points, &texts(60), (300.0, 200.0));
        assert!(labels.len() > 5);
        let area = |label: &Label| {
            let long = width("a film");
            let left = label.at.0
                - match label.align {
                    Align::Left => 0.0,
                    Align::Centre => long / 2.0,
                    Align::Right => long,
                };
            [left, label.at.1 - TEXT / 2.0, left + long, label.at.1 + TEXT / 2.0]
        };
        for (at, label) in labels.iter().enumerate() {
            assert!(labels[..at].iter().all(|other| !overlap(area(label), area(other))), "{label:?}");
            assert!(points.iter().all(|&(x, y)| !overlap(area(label), [x, y, x, y])), "{label:?}");
        }
    }
}
