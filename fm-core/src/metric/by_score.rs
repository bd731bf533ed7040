//! Rows from the greatest score to the least: the one sort that AUC, average precision and the curves share.

use super::Scored;

/// Rows that have a weight, by descending score. A NaN has no place in an order: what is counted of rows with one is NaN.
pub(super) struct ByScore<'a> {
    pub(super) scored: &'a Scored<'a>,
    /// The [`key`] of each row.
    order: Vec<u64>,
}

/// Rows of one score.
pub(super) struct Tie {
    pub(super) score: f32,
    /// The weight of the positive ones.
    pub(super) positives: f64,
    /// The weight of the negative ones.
    pub(super) negatives: f64,
}

impl<'a> ByScore<'a> {
    /// Sorts the rows, of which there can be 2³², as many as a row's number can tell apart.
    pub(super) fn new(scored: &'a Scored<'a>) -> ByScore<'a> {
        let weighted = scored.scores.iter().enumerate().filter(|(row, _)| scored.weight(*row) > 0.0);
        let mut order: Vec<u64> = weighted.map(|(row, &score)| key(score, row)).collect();
        order.sort_unstable();
        ByScore { scored, order }
    }

    /// Number, weight, and whether it is positive, of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, f64, bool)> + '_ {
        self.order.iter().map(|&key| self.row(key))
    }

    /// The rows of each score together.
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

/// An integer that puts greater scores first, and of equal ones the lower number: the score, in bits of descending order,
/// above the number. Plain integers are sorted several times faster than numbers by the scores that they point to.
pub(super) fn key(score: f32, number: usize) -> u64 {
    u64::from(descending(score)) << 32 | number as u64
}

/// The number in a [`key`].
pub(super) fn number(key: u64) -> usize {
    key as u32 as usize
}

/// Bits that are the less, the greater the score; equal for 0 and -0.
fn descending(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    // As integers, floats of one sign are in the order of their magnitude.
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
