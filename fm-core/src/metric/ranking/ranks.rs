//! Ranks of items, from the scores of all items.

use super::super::by_score::{key, number};

/// The ranks of a user's `relevant` items among all items that are not `excluded`, by descending score. Ranks start at
/// 0 and are returned in ascending order. `scores` `[items]` are the model's scores. `excluded` `[items]` marks items
/// that are not candidates, such as those that the user has seen. Relevant items that are excluded have no rank, and
/// duplicates count once.
///
/// A relevant item ranks after all other items with the same score. NaN also counts against the model: a relevant item
/// with a NaN score ranks last, any other item first.
///
/// Only the relevant items are sorted; each candidate is compared with them.
///
/// # Panics
/// If the lengths of `excluded` and `scores` differ, or a relevant item is out of range.
///
/// ```
/// use fm_core::metric::ranking::ranks;
///
/// assert_eq!(ranks(&[0.3, 0.9, 0.5, 0.1], &[3, 2], &[false; 4]), [1, 3]);
/// assert_eq!(ranks(&[0.3, 0.9, 0.5, 0.1], &[3, 2], &[true, true, false, false]), [0, 1]);
/// assert_eq!(ranks(&[0.5; 4], &[0, 1], &[false; 4]), [2, 3]); // ties count against the model
/// ```
pub fn ranks(scores: &[f32], relevant: &[u32], excluded: &[bool]) -> Vec<u32> {
    assert_eq!(scores.len(), excluded.len(), "for each score, whether its item is excluded");
    let mut relevant: Vec<usize> = relevant.iter().map(|&item| item as usize).filter(|&item| !excluded[item]).collect();
    relevant.sort_unstable();
    relevant.dedup();
    let or = |score: f32, nan: f32| if score.is_nan() { nan } else { score };
    let mut places: Vec<f32> = relevant.iter().map(|&item| or(scores[item], f32::NEG_INFINITY)).collect();
    places.sort_unstable_by(|a, b| b.total_cmp(a));
    let Some(&least) = places.last() else { return vec![] };

    // The position of the first relevant item that a candidate does not rank behind.
    let first_beaten = |score: f32| places.partition_point(|&place| place > score);
    let mut candidates = vec![0u32; places.len()];
    for (&score, &is_excluded) in scores.iter().zip(excluded) {
        let score = or(score, f32::INFINITY);
        if score >= least && !is_excluded {
            candidates[first_beaten(score)] += 1;
        }
    }
    // Relevant items do not count against each other.
    for &item in &relevant {
        candidates[first_beaten(or(scores[item], f32::INFINITY))] -= 1;
    }
    let mut before = 0;
    let place = |(position, candidates): (usize, u32)| {
        before += candidates;
        before + position as u32
    };
    candidates.into_iter().enumerate().map(place).collect()
}

/// The k items with the highest scores that are not `excluded`, in descending order. Ties are in the order of items,
/// and NaN comes last. Used for [`coverage`](super::coverage()).
///
/// # Panics
/// If the lengths of `excluded` and `scores` differ.
///
/// ```
/// use fm_core::metric::ranking::top;
///
/// assert_eq!(top(&[0.3, 0.9, 0.5, 0.5], 2, &[false; 4]), [1, 2]);
/// assert_eq!(top(&[0.3, 0.9, 0.5, 0.5], 9, &[false, true, false, false]), [2, 3, 0]);
/// ```
pub fn top(scores: &[f32], k: usize, excluded: &[bool]) -> Vec<u32> {
    assert_eq!(scores.len(), excluded.len(), "for each score, whether its item is excluded");
    let score = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    let candidates = scores.iter().zip(excluded).enumerate().filter(|(_, (_, is_excluded))| !**is_excluded);
    let mut keys: Vec<u64> = candidates.map(|(item, (&given, _))| key(score(given), item)).collect();
    if k < keys.len() {
        keys.select_nth_unstable(k);
        keys.truncate(k);
    }
    keys.sort_unstable();
    keys.into_iter().map(|key| number(key) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_excluded_relevant_item_has_no_rank() {
        assert_eq!(ranks(&[0.9, 0.5], &[0], &[true, false]), [0; 0]);
        assert_eq!(ranks(&[0.9, 0.5], &[0, 1], &[true, false]), [0]);
        assert_eq!(ranks(&[0.9, 0.5], &[], &[false, false]), [0; 0]);
        assert_eq!(ranks(&[], &[], &[]), [0; 0]);
    }

    #[test]
    fn positive_and_negative_zero_are_tied() {
        assert_eq!(ranks(&[0.0, -0.0, 0.0], &[2], &[false; 3]), [2]);
        assert_eq!(top(&[-0.0, 0.0], 1, &[false; 2]), [0]);
    }

    #[test]
    fn a_nan_score_counts_against_the_model() {
        let nan = f32::NAN;
        assert_eq!(ranks(&[nan, f32::NEG_INFINITY, 0.1], &[0], &[false; 3]), [2]);
        assert_eq!(ranks(&[nan, 0.9, 0.1], &[1], &[false; 3]), [1]);
        assert_eq!(ranks(&[nan; 3], &[0, 1], &[false; 3]), [1, 2]);
        assert_eq!(top(&[nan, 0.1, -nan], 2, &[false; 3]), [1, 0]);
    }

    /// All candidates in the worst order for the relevant items.
    fn sorted(scores: &[f32], is_relevant: impl Fn(u32) -> bool, excluded: &[bool]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..scores.len() as u32).filter(|&item| !excluded[item as usize]).collect();
        order.sort_by(|&a, &b| {
            let by_score = scores[b as usize].total_cmp(&scores[a as usize]);
            by_score.then(is_relevant(a).cmp(&is_relevant(b)))
        });
        order
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_a_full_sort(
            items in prop::collection::vec((0u8..6, any::<bool>(), any::<bool>()), 0..40),
            k in 0usize..50,
        ) {
            let scores: Vec<f32> = items.iter().map(|item| f32::from(item.0)).collect();
            let excluded: Vec<bool> = items.iter().map(|item| item.2).collect();
            let relevant: Vec<u32> = (0..items.len() as u32).filter(|&item| items[item as usize].1).collect();
            let order = sorted(&scores, |item| relevant.contains(&item), &excluded);
            let expected: Vec<u32> =
                (0..).zip(&order).filter(|(_, item)| relevant.contains(item)).map(|(rank, _)| rank).collect();
            let twice: Vec<u32> = relevant.iter().rev().chain(&relevant).copied().collect();
            prop_assert_eq!(&ranks(&scores, &relevant, &excluded), &expected);
            prop_assert_eq!(&ranks(&scores, &twice, &excluded), &expected);

            let order = sorted(&scores, |_| false, &excluded);
            prop_assert_eq!(&top(&scores, k, &excluded), &order[..k.min(order.len())]);
        }
    }
}
