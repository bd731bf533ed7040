//! From the scores of all items to the places of some.

use super::super::by_score::{key, number};

/// The places, from 0 on and ascending, of a user's `relevant` items among all items that are not `excluded`, by
/// descending score. `scores` and `excluded` `[items]` say what the model gives each item, and which ones are no candidates,
/// such as those that the user has seen; a relevant item that is excluded has no place. One that is named twice counts once.
///
/// An item comes after all of the same score that are not relevant, and a score that is NaN counts against the model, too:
/// such an item comes after all others if it is relevant, and before them if it is not.
///
/// Nothing is sorted but the relevant items: each candidate is compared with them.
///
/// # Panics
/// If there are not as many `excluded` as `scores`, or a relevant item is none of them.
///
/// ```
/// use fm_core::metric::ranking::ranks;
///
/// assert_eq!(ranks(&[0.3, 0.9, 0.5, 0.1], &[3, 2], &[false; 4]), [1, 3]);
/// assert_eq!(ranks(&[0.3, 0.9, 0.5, 0.1], &[3, 2], &[true, true, false, false]), [0, 1]);
/// assert_eq!(ranks(&[0.5; 4], &[0, 1], &[false; 4]), [2, 3]); // they cannot be told apart
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

    // The first of the relevant items that a candidate is not behind.
    let first_beaten = |score: f32| places.partition_point(|&place| place > score);
    let mut candidates = vec![0u32; places.len()];
    for (&score, &is_excluded) in scores.iter().zip(excluded) {
        let score = or(score, f32::INFINITY);
        if score >= least && !is_excluded {
            candidates[first_beaten(score)] += 1;
        }
    }
    // Among each other, relevant items stand in their order.
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

/// The k items of the greatest scores, from the greatest on, of those that are not `excluded`, for
/// [`coverage`](super::coverage()). Of equal scores, and of NaN, which come last, the first item is taken first.
///
/// # Panics
/// If there are not as many `excluded` as `scores`.
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
    fn a_relevant_item_that_is_excluded_has_no_place() {
        assert_eq!(ranks(&[0.9, 0.5], &[0], &[true, false]), [0; 0]);
        assert_eq!(ranks(&[0.9, 0.5], &[0, 1], &[true, false]), [0]);
        assert_eq!(ranks(&[0.9, 0.5], &[], &[false, false]), [0; 0]);
        assert_eq!(ranks(&[], &[], &[]), [0; 0]);
    }

    #[test]
    fn zeros_of_both_signs_are_tied() {
        assert_eq!(ranks(&[0.0, -0.0, 0.0], &[2], &[false; 3]), [2]);
        assert_eq!(top(&[-0.0, 0.0], 1, &[false; 2]), [0]);
    }

    #[test]
    fn a_score_that_is_no_number_counts_against_the_model() {
        let nan = f32::NAN;
        assert_eq!(ranks(&[nan, f32::NEG_INFINITY, 0.1], &[0], &[false; 3]), [2]);
        assert_eq!(ranks(&[nan, 0.9, 0.1], &[1], &[false; 3]), [1]);
        assert_eq!(ranks(&[nan; 3], &[0, 1], &[false; 3]), [1, 2]);
        assert_eq!(top(&[nan, 0.1, -nan], 2, &[false; 3]), [1, 0]);
    }

    /// All candidates in the order that is worst for the relevant items.
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
        fn they_are_those_of_a_full_sort(
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
