//! Counts of numbers by size.

use std::sync::atomic::{AtomicU64, Ordering};

/// A histogram with fixed bounds, which threads add to at the same time.
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// The numbers up to each bound, and above the last one.
    counts: Vec<AtomicU64>,
    /// The sum, in millionths.
    sum: AtomicU64,
}

impl Histogram {
    /// Counts numbers by these ascending bounds.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Adds a number of at least 0.
    pub fn observe(&self, number: f64) {
        let at = self.bounds.partition_point(|bound| *bound < number);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((number * 1e6) as u64, Ordering::Relaxed);
    }

    /// For each bound, the number of numbers up to it; the last one is infinite.
    pub fn cumulative(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let mut total = 0;
        let up_to = |(bound, count): (f64, &AtomicU64)| {
            total += count.load(Ordering::Relaxed);
            (bound, total)
        };
        bounds.zip(&self.counts).map(up_to).collect()
    }

    /// The sum of all numbers, to a millionth each.
    pub fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_up_to_every_bound_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 9.0].into_iter().for_each(|number| histogram.observe(number));
        assert_eq!(histogram.cumulative(), [(1.0, 2), (2.0, 3), (f64::INFINITY, 4)]);
        assert_eq!(histogram.sum(), 12.0);
    }
}
