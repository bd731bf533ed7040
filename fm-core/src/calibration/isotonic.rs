//! Isotonic regression.

use super::{Calibration, Rise, log_odds, not_increasing, rows};
use crate::error::Result;
use crate::metric::Scored;

/// Maximum number of blocks: more of them cost time in each score, and say nothing more.
const MOST: usize = 100;
/// How far the log-odds rise beyond the first and the last block, and their slope there. Without it, all of the best items
/// would have the same score.
const TAIL: f64 = 30.0;
const SLOPE: f64 = 0.05;

/// Rows of neighbouring logits with one share of positives.
#[derive(Clone, Copy)]
struct Block {
    /// Sums over the rows, each times its weight.
    logits: f64,
    positives: f64,
    weight: f64,
}

impl Block {
    /// The rows of one logit.
    fn of(rows: &[(f64, f64, f64)]) -> Block {
        let sum = |of: fn(&(f64, f64, f64)) -> f64| rows.iter().map(of).sum();
        Block { logits: sum(|row| row.0 * row.2), positives: sum(|row| row.1 * row.2), weight: sum(|row| row.2) }
    }

    fn share(&self) -> f64 {
        self.positives / self.weight
    }

    fn centre(&self) -> f64 {
        self.logits / self.weight
    }

    fn join(&self, other: &Block) -> Block {
        Block {
            logits: self.logits + other.logits,
            positives: self.positives + other.positives,
            weight: self.weight + other.weight,
        }
    }
}

impl Calibration {
    /// Centred isotonic regression: the shares of positives that never decrease with the logit and minimise the squared
    /// error, by pooling adjacent violators, each at the mean logit of its rows. The log-odds rise linearly between them,
    /// so that the map keeps the order of rows, and slowly beyond the first and the last one. A share of 0 or 1 becomes
    /// that of half a row, or half-way to its neighbour's if that is closer, so that log-odds are finite. It corrects any distortion, but needs some thousand rows.
    ///
    /// Source: Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability estimates, KDD
    /// 2002, section 3, <https://doi.org/10.1145/775047.775151>; Oron and Flournoy, Centered isotonic regression,
    /// Statistics in Biopharmaceutical Research 2017, <https://doi.org/10.1080/19466315.2017.1286256>.
    ///
    /// # Errors
    /// [`Error::Rows`](crate::Error::Rows) for rows of a single class, for scores that are not finite, or if higher
    /// scores do not make the label more likely.
    pub fn isotonic(scored: &Scored<'_>) -> Result<Calibration> {
        let blocks = few(&pooled(rows(scored)?));
        let mut shares: Vec<f64> = blocks.iter().map(Block::share).collect();
        let count = shares.len();
        if count < 2 {
            return Err(not_increasing());
        }
        // Shares increase, so that only the first one can be 0, and only the last one 1.
        let of_half_a_row = |block: &Block| 0.5 / (block.weight + 1.0);
        if shares[0] == 0.0 {
            shares[0] = of_half_a_row(&blocks[0]).min(shares[1] / 2.0);
        }
        if shares[count - 1] == 1.0 {
            shares[count - 1] = (1.0 - of_half_a_row(&blocks[count - 1])).max((1.0 + shares[count - 2]) / 2.0);
        }
        let (first, last) = (blocks[0].centre(), blocks[count - 1].centre());
        let tail = |from: f64, to: f64| Rise { from, to, rise: SLOPE * TAIL };
        let between = blocks.windows(2).zip(shares.windows(2)).map(|(blocks, shares)| Rise {
            from: blocks[0].centre(),
            to: blocks[1].centre(),
            rise: log_odds(shares[1]) - log_odds(shares[0]),
        });
        let rises =
            std::iter::once(tail(first - TAIL, first)).chain(between).chain([tail(last, last + TAIL)]).collect();
        Ok(Calibration::Isotonic { lowest: log_odds(shares[0]) - SLOPE * TAIL, rises })
    }
}

/// The blocks of rows whose shares increase with the logit.
fn pooled(mut rows: Vec<(f64, f64, f64)>) -> Vec<Block> {
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut blocks: Vec<Block> = vec![];
    // Equal logits have one share.
    for equal in rows.chunk_by(|a, b| a.0 == b.0) {
        let mut block = Block::of(equal);
        while let Some(last) = blocks.pop_if(|last| last.share() >= block.share()) {
            block = last.join(&block);
        }
        blocks.push(block);
    }
    blocks
}

/// At most [`MOST`] blocks, or a few more: neighbours are joined until they have their part of the weight.
fn few(blocks: &[Block]) -> Vec<Block> {
    let least =
        if blocks.len() > MOST { blocks.iter().map(|block| block.weight).sum::<f64>() / MOST as f64 } else { 0.0 };
    let mut joined: Vec<Block> = vec![];
    for block in blocks {
        match joined.last_mut().filter(|last| last.weight < least) {
            Some(last) => *last = last.join(block),
            None => joined.push(*block),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::{Device, Tensor};

    use super::super::sigmoid;
    use super::*;

    /// The shares by the formula max_{i ≤ row} min_{j ≥ row} mean(i..=j), over distinct logits.
    fn naive(rows: &[(f32, f32)]) -> Vec<f64> {
        let mut logits: Vec<f32> = rows.iter().map(|row| row.0).collect();
        logits.sort_by(f32::total_cmp);
        logits.dedup();
        let mean = |low: f32, high: f32| {
            let inside: Vec<f64> =
                rows.iter().filter(|row| (low..=high).contains(&row.0)).map(|row| row.1.into()).collect();
            inside.iter().sum::<f64>() / inside.len() as f64
        };
        let share = |at: usize| {
            let from = |low: usize| (at..logits.len()).map(move |high| (low, high));
            let least =
                |low| from(low).map(|(low, high)| mean(logits[low], logits[high])).fold(f64::INFINITY, f64::min);
            (0..=at).map(least).fold(f64::NEG_INFINITY, f64::max)
        };
        rows.iter().map(|row| share(logits.iter().position(|logit| *logit == row.0).unwrap())).collect()
    }

    fn mapped(calibration: &Calibration, logits: &[f32]) -> Vec<f32> {
        let map = calibration.map(Device::Cpu).unwrap();
        Vec::try_from(map.apply(&Tensor::from_slice(logits)).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn shares_are_those_of_the_formula_and_the_order_stays(
            rows in prop::collection::vec((-4i8..4, any::<bool>()), 1..30),
        ) {
            let rows: Vec<(f32, f32)> = rows.iter().map(|row| (f32::from(row.0) / 2.0, f32::from(row.1))).collect();
            let blocks = pooled(rows.iter().map(|row| (row.0.into(), row.1.into(), 1.0)).collect());
            let mut expected: Vec<(f64, f64)> = vec![];
            for (share, (logit, _)) in naive(&rows).into_iter().zip(&rows) {
                match expected.iter_mut().find(|known| (known.0 - share).abs() < 1e-9) {
                    Some(known) => known.1 += f64::from(*logit),
                    None => expected.push((share, f64::from(*logit))),
                }
            }
            expected.sort_by(|a, b| a.0.total_cmp(&b.0));
            prop_assert_eq!(blocks.len(), expected.len());
            for (block, (share, logits)) in blocks.iter().zip(expected) {
                prop_assert!((block.share() - share).abs() < 1e-9 && (block.logits - logits).abs() < 1e-6);
            }

            let (logits, labels): (Vec<f32>, Vec<f32>) = rows.iter().copied().unzip();
            if let Ok(calibration) = Calibration::isotonic(&Scored::new(&logits, &labels)) {
                let ascending: Vec<f32> = (-60..60).map(|number| number as f32 / 4.0).collect();
                let found = mapped(&calibration, &ascending);
                prop_assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
            }
        }
    }

    #[test]
    fn at_the_centres_of_blocks_are_their_shares_and_between_them_lines() {
        let (logits, labels) = ([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        let calibration = Calibration::isotonic(&Scored::new(&logits, &labels)).unwrap();
        let three = 3f32.ln();
        let expected = [-0.5, 0.0, three / 2.0, three, three + 0.5];
        for (found, expected) in mapped(&calibration, &[-10.0, 0.0, 0.5, 1.0, 11.0]).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn many_blocks_are_joined_and_a_share_of_all_or_nothing_is_that_of_half_a_row() {
        let rows: Vec<(f64, f64, f64)> = (0..2000).map(|row| (f64::from(row), f64::from(row) / 1999.0, 1.0)).collect();
        let blocks = pooled(rows);
        assert_eq!(blocks.len(), 2000);
        let joined = few(&blocks);
        assert!(joined.len() <= MOST && joined.windows(2).all(|pair| pair[0].share() < pair[1].share()));
        let calibration = Calibration::isotonic(&Scored::new(&[0.0, 1.0], &[0.0, 1.0])).unwrap();
        let found: Vec<f64> =
            mapped(&calibration, &[0.0, 1.0]).iter().map(|logit| sigmoid(f64::from(*logit))).collect();
        assert!((found[0] - 0.25).abs() < 1e-5 && (found[1] - 0.75).abs() < 1e-5, "{found:?}");
    }
}
