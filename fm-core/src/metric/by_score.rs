//! Rows by descending score: the sort that AUC, average precision and the curves share.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::Scored;

/// Maximum number of rows that are sorted at once, unless more of them have almost the same score. More rows are sorted one
/// range of scores at a time, so that only one range is in memory.
const ROWS: usize = 1 << 24;

/// Rows with a positive weight, by descending score. A NaN score has no position in the order and makes all counts NaN.
pub(super) struct ByScore<'a> {
    pub(super) scored: &'a Scored<'a>,
    /// The ranges of scores, as the upper halves of [`descending`] bits.
    ranges: Vec<RangeInclusive<u16>>,
    /// The [`key`]s of the rows in the only range; empty if there are several.
    order: Vec<u64>,
}

/// Rows with the same score.
pub(super) struct Tie {
    pub(super) score: f32,
    /// The weight of the positive rows.
    pub(super) positives: f64,
    /// The weight of the negative rows.
    pub(super) negatives: f64,
}

impl<'a> ByScore<'a> {
    /// Sorts the rows, of which there can be at most 2³².
    pub(super) fn new(scored: &'a Scored<'a>) -> ByScore<'a> {
        ByScore::in_ranges(scored, ROWS)
    }

    /// As [`ByScore::new`], with about this number of rows in a range.
    pub(super) fn in_ranges(scored: &'a Scored<'a>, rows: usize) -> ByScore<'a> {
        let mut by_score = ByScore { scored, ranges: ranges(scored.scores, rows), order: vec![] };
        if let [range] = by_score.ranges.as_slice() {
            by_score.order = by_score.sorted(range);
        }
        by_score
    }

    /// The keys of the rows in a range.
    fn sorted(&self, range: &RangeInclusive<u16>) -> Vec<u64> {
        let weighted = self.scored.scores.iter().enumerate().filter(|(row, _)| self.scored.weight(*row) > 0.0);
        let keys = weighted.map(|(row, &score)| key(score, row));
        let mut order: Vec<u64> = keys.filter(|key| range.contains(&((key >> 48) as u16))).collect();
        order.sort_unstable();
        order
    }

    fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(|range| {
            let order = match self.ranges.len() {
                1 => Cow::Borrowed(self.order.as_slice()),
                _ => Cow::Owned(self.sorted(range)),
            };
            (0..order.len()).map(move |at| order[at])
        })
    }

    /// The number and weight of each row, and whether it is positive.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, f64, bool)> + '_ {
        self.keys().map(|key| self.row(key))
    }

    /// The rows, grouped by score.
    pub(super) fn ties(&self) -> impl Iterator<Item = Tie> + '_ {
        let mut keys = self.keys().peekable();
        std::iter::from_fn(move || {
            let first = keys.next()?;
            let mut tie = Tie { score: self.scored.scores[number(first)], positives: 0.0, negatives: 0.0 };
            let mut next = Some(first);
            while let Some((_, weight, is_positive)) = next.map(|key| self.row(key)) {
                *(if is_positive { &mut tie.positives } else { &mut tie.negatives }) += weight;
                next = keys.next_if(|key| key >> 32 == first >> 32);
            }
            Some(tie)
        })
    }

    fn row(&self, key: u64) -> (usize, f64, bool) {
        let row = number(key);
        let weight = if self.scored.scores[row].is_nan() { f64::NAN } else { self.scored.weight(row) };
        (row, weight, self.scored.is_positive(row))
    }
}

/// Ranges of scores with about `rows` rows each.
fn ranges(scores: &[f32], rows: usize) -> Vec<RangeInclusive<u16>> {
    if scores.len() <= rows {
        return vec![0..=u16::MAX];
    }
    let mut counts = vec![0; 1 << 16];
    scores.iter().for_each(|&score| counts[(descending(score) >> 16) as usize] += 1);
    let (mut ranges, mut start, mut count) = (vec![], 0, 0);
    for (bits, more) in (0..=u16::MAX).zip(counts) {
        if count > 0 && count + more > rows {
            ranges.push(start..=bits - 1);
            (start, count) = (bits, 0);
        }
        count += more;
    }
    ranges.push(start..=u16::MAX);
    ranges
}

/// An integer that sorts by descending score and then by ascending number: the upper bits are the score in descending
/// order, the lower bits the number. Sorting integers is several times faster than sorting indices by score.
pub(super) fn key(score: f32, number: usize) -> u64 {
    u64::from(descending(score)) << 32 | number as u64
}

/// The number in a [`key`].
pub(super) fn number(key: u64) -> usize {
    key as u32 as usize
}

/// Bits in the descending order of scores. 0 and -0 have the same bits.
fn descending(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    // As integers, floats of the same sign are ordered by magnitude.
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_descend_as_scores_ascend() {
        let ascending = [f32::NEG_INFINITY, -3e38, -1.5, -1e-45, 0.0, 1e-45, 1.5, 3e38, f32::INFINITY];
        assert!(ascending.windows(2).all(|pair| descending(pair[0]) > descending(pair[1])));
        assert_eq!(descending(-0.0), descending(0.0));
    }

    proptest! {
        #[test]
        fn rows_are_in_the_same_order_in_several_ranges(
            rows in prop::collection::vec((-3_i8..3, any::<bool>(), 0_u8..3), 1..50),
            max in 0..20_usize,
        ) {
            let scores: Vec<f32> = rows.iter().map(|row| if row.0 == 2 { f32::NAN } else { row.0.into() }).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let scored = Scored::new(&scores, &labels).with_weights(Some(&weights));
            let (whole, several) = (ByScore::new(&scored), ByScore::in_ranges(&scored, max));
            prop_assert_eq!(whole.ranges.len(), 1);
            let rows = |by_score: &ByScore<'_>| by_score.rows().map(|(row, ..)| row).collect::<Vec<_>>();
            prop_assert_eq!(rows(&whole), rows(&several));
            let ties = |by_score: &ByScore<'_>| {
                let weights = |tie: Tie| (tie.positives.to_bits(), tie.negatives.to_bits());
                by_score.ties().map(weights).collect::<Vec<_>>()
            };
            prop_assert_eq!(ties(&whole), ties(&several));
        }
    }
}
