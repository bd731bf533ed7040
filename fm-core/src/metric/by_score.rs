//! Rows by descending score: the sort that AUC, average precision and the curves share.

use super::Scored;

/// Rows with a positive weight, by descending score. A NaN score has no position in the order and makes all counts NaN.
pub(super) struct ByScore<'a> {
    pub(super) scored: &'a Scored<'a>,
    /// The [`key`]s of the rows.
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
        let weighted = scored.scores.iter().enumerate().filter(|(row, _)| scored.weight(*row) > 0.0);
        let mut order: Vec<u64> = weighted.map(|(row, &score)| key(score, row)).collect();
        order.sort_unstable();
        ByScore { scored, order }
    }

    /// The number and weight of each row, and whether it is positive.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, f64, bool)> + '_ {
        self.order.iter().map(|&key| self.row(key))
    }

    /// The rows, grouped by score.
    pub(super) fn ties(&self) -> impl Iterator<Item = Tie> + '_ {
        self.order.chunk_by(|a, b| a >> 32 == b >> 32).map(|tied| {
            let mut tie = Tie { score: self.scored.scores[number(tied[0])], positives: 0.0, negatives: 0.0 };
            for (_, weight, is_positive) in tied.iter().map(|&key| self.row(key)) {
                *(if is_positive { &mut tie.positives } else { &mut tie.negatives }) += weight;
            }
            tie
        })
    }

    fn row(&self, key: u64) -> (usize, f64, bool) {
        let row = number(key);
        let weight = if self.scored.scores[row].is_nan() { f64::NAN } else { self.scored.weight(row) };
        (row, weight, self.scored.is_positive(row))
    }
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
    use super::*;

    #[test]
    fn bits_descend_as_scores_ascend() {
        let ascending = [f32::NEG_INFINITY, -3e38, -1.5, -1e-45, 0.0, 1e-45, 1.5, 3e38, f32::INFINITY];
        assert!(ascending.windows(2).all(|pair| descending(pair[0]) > descending(pair[1])));
        assert_eq!(descending(-0.0), descending(0.0));
    }
}
