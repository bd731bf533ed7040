//! Reduces the points of long curves without a visible difference.

/// Points closer than this count as equal, for a curve within the unit square.
const GRID: f64 = 1.0 / 2000.0;
/// Maximum distance between the curve and its simplified form: half a pixel of a chart.
const TOLERANCE: f64 = 1.0 / 700.0;

/// A simplified curve within the unit square, by the Douglas-Peucker algorithm: a section becomes a line if none of its
/// points are farther from the line than the tolerance.
///
/// Source: Douglas and Peucker, Algorithms for the reduction of the number of points required to represent a digitized
/// line or its caricature, 1973, <https://doi.org/10.3138/FM57-6770-U75U-7727>.
pub fn thin(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = points.into_iter().collect();
    let last = points.last().copied();
    let cell = |(x, y): (f64, f64)| ((x / GRID).round() as i64, (y / GRID).round() as i64);
    points.dedup_by_key(|point| cell(*point));
    if let (Some(end), Some(last)) = (points.last_mut(), last) {
        *end = last;
    }
    let mut keep = vec![false; points.len()];
    if let [first, .., last] = &mut keep[..] {
        (*first, *last) = (true, true);
    }
    let mut stretches = vec![(0, points.len().saturating_sub(1))];
    while let Some((from, to)) = stretches.pop() {
        let distance = |&at: &usize| distance(points[at], points[from], points[to]);
        let farthest = (from + 1..to).max_by(|a, b| distance(a).total_cmp(&distance(b)));
        if let Some(middle) = farthest.filter(|at| distance(at) > TOLERANCE) {
            keep[middle] = true;
            stretches.extend([(from, middle), (middle, to)]);
        }
    }
    let kept = points.iter().zip(&keep).filter(|(_, keep)| **keep || points.len() == 1);
    kept.map(|(point, _)| *point).collect()
}

/// The distance of a point from the line between two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let length = x.hypot(y);
    let (dx, dy) = (point.0 - from.0, point.1 - from.1);
    if length > 0.0 { (x * dy - y * dx).abs() / length } else { dx.hypot(dy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_only_its_ends_and_corners_are_kept() {
        let line: Vec<(f64, f64)> = (0..=1000).map(|n| (f64::from(n) / 1000.0, f64::from(n) / 2000.0)).collect();
        assert_eq!(thin(line), [(0.0, 0.0), (1.0, 0.5)]);
        assert_eq!(
            thin([(0.0, 0.0), (0.0, 0.5), (0.0, 1.0), (0.5, 1.0), (1.0, 1.0)]),
            [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
        );
        assert_eq!(thin([(0.3, 0.4)]), [(0.3, 0.4)]);
        assert_eq!(thin([]), []);
    }

    #[test]
    fn three_hundred_points_follow_a_curve_of_a_hundred_thousand() {
        // A curve like a good classifier's, with the steps of single rows.
        let course = |x: f64| x.powf(0.2);
        let points: Vec<(f64, f64)> =
            (0..=100_000).map(|n| f64::from(n) / 1e5).map(|x| (x, course((x * 300.0).floor() / 300.0))).collect();
        let thinned = thin(points.iter().copied());
        assert!((3..=700).contains(&thinned.len()), "{}", thinned.len());
        for &(x, y) in &points {
            let next = thinned.partition_point(|point| point.0 < x).clamp(1, thinned.len() - 1);
            let beside = distance((x, y), thinned[next - 1], thinned[next]);
            let corner = thinned.iter().map(|point| (point.0 - x).hypot(point.1 - y)).fold(f64::MAX, f64::min);
            assert!(beside.min(corner) < 2.0 * TOLERANCE, "({x}, {y}) is {beside} away");
        }
    }
}
