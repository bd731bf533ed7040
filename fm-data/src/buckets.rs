//! The borders between the buckets of a numeric field.

use fm_core::schema::MAX_BUCKETS;

/// The largest number that is its own category in [`criteo_edges`].
const SMALL: f64 = 2.0;

/// The edges of at most `buckets` buckets that hold about equally many numbers. If there are no more distinct numbers than
/// buckets, each number has its own bucket. An edge is in the middle between two neighbouring numbers.
pub(crate) fn quantile_edges(mut numbers: Vec<f64>, buckets: u32) -> Vec<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let runs: Vec<&[f64]> = numbers.chunk_by(|a, b| a == b).collect();
    let each_has_one = runs.len() <= buckets as usize;
    let mut edges = vec![];
    // Numbers in the current bucket, and in all that are not closed, this one among them.
    let (mut held, mut left) = (0, numbers.len());
    for (at, run) in runs.iter().enumerate() {
        let open = buckets as usize - edges.len();
        // A number that occurs often may fill several shares: the others are divided anew among the remaining buckets.
        let share = left as f64 / open as f64;
        // Close the bucket before this number if its share would be missed by more with it.
        let is_full = held as f64 >= share || (held + run.len()) as f64 - share > share - held as f64;
        if at > 0 && open > 1 && (each_has_one || (held > 0 && is_full)) {
            edges.push(between(runs[at - 1][0], run[0]));
            left -= held;
            held = 0;
        }
        held += run.len();
    }
    edges
}

/// A number greater than `low` and at most `high`, in the middle if possible.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if middle > low && middle <= high { middle } else { high }
}

/// The edges of the categories of Criteo's winners: ⌊ln(number)²⌋ for numbers greater than 2, and ⌊number⌋ for the others. A
/// category without a number here belongs to the one below it.
pub(crate) fn criteo_edges(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let mut categories: Vec<Category> = numbers.into_iter().map(Category::of).collect();
    categories.dedup();
    // The first bucket has no start. Of too many categories, the lowest ones are one bucket.
    let first = categories.len().saturating_sub(MAX_BUCKETS - 1).max(1);
    categories.into_iter().skip(first).map(Category::start).collect()
}

/// A category of Criteo's winners.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Category {
    /// ⌊number⌋ of a small number.
    Small(f64),
    /// ⌊ln(number)²⌋ of a greater one.
    Square(f64),
}

impl Category {
    fn of(number: f64) -> Category {
        match number <= SMALL {
            true => Category::Small(number.floor()),
            false => Category::Square(square_of_log(number).floor()),
        }
    }

    /// Its smallest number.
    fn start(self) -> f64 {
        let square = match self {
            // Adding 0 makes it of -0.
            Category::Small(floor) => return floor + 0.0,
            Category::Square(0.0) => return SMALL.next_up(),
            Category::Square(square) => square,
        };
        // The exponential function rounds: the nearest number whose logarithm has this square.
        let mut start = square.sqrt().exp();
        while square_of_log(start) >= square {
            start = start.next_down();
        }
        while square_of_log(start) < square {
            start = start.next_up();
        }
        start
    }
}

fn square_of_log(number: f64) -> f64 {
    number.ln() * number.ln()
}

#[cfg(test)]
mod tests {
    use fm_core::number::bucket;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_distinct_numbers_have_a_bucket_each() {
        assert_eq!(quantile_edges(vec![3.0, 1.0, 1.0, -2.0, 1.0], 32), [-0.5, 2.0]);
        assert_eq!(quantile_edges(vec![3.0, 1.0, 1.0, -2.0, 1.0], 3), [-0.5, 2.0]);
        assert_eq!(quantile_edges(vec![5.0; 9], 32), [0.0; 0]);
        // Neighbouring numbers have none between them, and the middle of extreme ones is finite.
        assert_eq!(quantile_edges(vec![1.0, 1.0f64.next_up()], 2), [1.0f64.next_up()]);
        assert_eq!(quantile_edges(vec![f64::MIN, f64::MAX, 0.0], 3), [f64::MIN / 2.0, f64::MAX / 2.0]);
    }

    #[test]
    fn buckets_have_about_as_many_numbers_each() {
        let skewed: Vec<f64> = (0..1000).map(|n| (f64::from(n) / 100.0).exp()).collect();
        let edges = quantile_edges(skewed.clone(), 10);
        let mut counts = [0; 10];
        skewed.iter().for_each(|&number| counts[bucket(number, &edges)] += 1);
        assert_eq!(counts, [100; 10]);
        // Half of the numbers are 0, which leaves nine buckets to the others.
        let zeros = skewed.iter().copied().chain([0.0; 1000]).collect();
        let edges = quantile_edges(zeros, 10);
        assert_eq!((edges.len(), edges[0]), (9, 0.5));
        let mut counts = [0; 10];
        skewed.iter().for_each(|&number| counts[bucket(number, &edges)] += 1);
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|count| (110..=112).contains(count)), "{counts:?}");
    }

    #[test]
    fn categories_of_criteo_are_integers_and_rounded_squares_of_logarithms() {
        let e = std::f64::consts::E;
        // ln(3)² is 1.2, ln(5)² 2.6, ln(1000)² 47.7; none is in category 0.
        let edges = criteo_edges(vec![-1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 4.0, 1000.0]);
        assert_eq!(edges[..3], [0.0, 1.0, 2.0]);
        assert!((edges[3] - e).abs() < 1e-12 && (edges[4] - 2f64.sqrt().exp()).abs() < 1e-12, "{edges:?}");
        assert!((edges[5] - 47f64.sqrt().exp()).abs() < 1e-9 && edges.len() == 6, "{edges:?}");
        let place = |number| bucket(number, &edges);
        assert_eq!([-9.0, -1.0, -0.5, 0.0, 1.9, 2.0, 3.0, 4.0, 5.0].map(place), [0, 0, 0, 1, 2, 3, 4, 4, 5]);
        // Categories that training has not seen belong to the one below.
        assert_eq!([400.0, 999.0, 1e9].map(place), [5, 6, 6]);
        assert_eq!(criteo_edges(vec![2.0, 2.5]), [2.0f64.next_up()]);
        assert_eq!(criteo_edges(vec![-0.0, 0.5, 0.0]), [0.0; 0]);
        assert_eq!(criteo_edges((0..70_000).map(|n| -f64::from(n)).collect()).len(), MAX_BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn every_number_of_training_is_in_the_bucket_of_its_category(numbers in prop::collection::vec(
            prop_oneof![any::<f64>(), -5.0..100.0, 0.0..1e9, (-9i32..200).prop_map(f64::from)], 1..200,
        )) {
            let numbers: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
            let edges = criteo_edges(numbers.clone());
            for pair in numbers.chunks_exact(2) {
                let same = Category::of(pair[0]) == Category::of(pair[1]);
                prop_assert_eq!(same, bucket(pair[0], &edges) == bucket(pair[1], &edges), "{:?}", pair);
            }
        }

        #[test]
        fn edges_ascend_and_every_bucket_has_a_number(
            numbers in prop::collection::vec(prop_oneof![any::<f64>(), (-9i32..9).prop_map(f64::from)], 0..200),
            buckets in 1u32..50,
        ) {
            let numbers: Vec<f64> = numbers.into_iter().filter(|number| number.is_finite()).collect();
            let edges = quantile_edges(numbers.clone(), buckets);
            prop_assert!(edges.is_sorted_by(|a, b| a < b) && edges.len() < buckets as usize);
            let mut distinct = numbers.clone();
            distinct.sort_unstable_by(f64::total_cmp);
            distinct.dedup();
            let filled = distinct.iter().map(|&number| bucket(number, &edges)).collect::<std::collections::BTreeSet<_>>();
            if !numbers.is_empty() {
                prop_assert!(filled.into_iter().eq(0..=edges.len()));
            }
            if distinct.len() <= buckets as usize {
                prop_assert_eq!(edges.len() + 1, distinct.len().max(1));
            }
        }
    }
}
