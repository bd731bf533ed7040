//! Isotonic regression.

use super::{Calibration, Rise, log_odds, not_increasing, rows};
use crate::error::Result;
use crate::metric::Scored;

/// Rows of neighbouring logits with one share of positives.
#[derive(Clone, Copy)]
struct Block {
    lowest: f64,
    highest: f64,
    positives: f64,
    weight: f64,
}

impl Block {
    /// The rows of one logit.
    fn of(rows: &[(f64, f64, f64)]) -> Block {
        Block {
            lowest: rows[0].0,
            highest: rows[0].0,
            positives: rows.iter().map(|(_, label, weight)| weight * label).sum(),
            weight: rows.iter().map(|row| row.2).sum(),
        }
    }

    fn share(&self) -> f64 {
        self.positives / self.weight
    }

    fn join(&self, higher: &Block) -> Block {
        Block {
            lowest: self.lowest,
            highest: higher.highest,
            positives: self.positives + higher.positives,
            weight: self.weight + higher.weight,
        }
    }
}

impl Calibration {
    /// Isotonic regression: the shares of positives that never decrease with the logit and minimise the squared error,
    /// by pooling adjacent violators. The log-odds rise linearly between them. A share of 0 or 1 becomes that of half a
    /// row, so that log-odds are finite. It corrects any distortion, but needs some thousand rows.
    ///
    /// Source: Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability estimates, KDD
    /// 2002, section 3, <https://doi.org/10.1145/775047.775151>.
    ///
    /// # Errors
    /// [`Error::Rows`](crate::Error::Rows) for rows of a single class, for scores that are not finite, or if higher scores do not make
    /// the label more likely.
    pub fn isotonic(scored: &Scored<'_>) -> Result<Calibration> {
        let mut rows = rows(scored)?;
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
        let mut shares: Vec<f64> = blocks.iter().map(Block::share).collect();
        let count = shares.len();
        if count < 2 {
            return Err(not_increasing());
        }
        // Shares increase, so that only the first one can be 0, and only the last one 1.
        let of_half_a_row = |block: &Block| 0.5 / (block.weight + 1.0);
        if shares[0] == 0.0 {
            shares[0] = of_half_a_row(&blocks[0]).min(shares[1]);
        }
        if shares[count - 1] == 1.0 {
            shares[count - 1] = (1.0 - of_half_a_row(&blocks[count - 1])).max(shares[count - 2]);
        }
        let rises = blocks.windows(2).zip(shares.windows(2)).map(|(blocks, shares)| Rise {
            from: blocks[0].highest,
            to: blocks[1].lowest,
            rise: log_odds(shares[1]) - log_odds(shares[0]),
        });
        // A share at an end can have become that of its neighbour.
        let rises = rises.filter(|rise| rise.rise > 0.0).collect();
        Ok(Calibration::Isotonic { lowest: log_odds(shares[0]), rises })
    }
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

    proptest! {
        #[test]
        fn shares_are_those_of_the_formula(rows in prop::collection::vec((-4i8..4, any::<bool>()), 1..30)) {
            let rows: Vec<(f32, f32)> = rows.iter().map(|row| (f32::from(row.0) / 2.0, f32::from(row.1))).collect();
            let (logits, labels): (Vec<f32>, Vec<f32>) = rows.iter().copied().unzip();
            let expected = naive(&rows);
            match Calibration::isotonic(&Scored::new(&logits, &labels)) {
                Ok(calibration) => {
                    let map = calibration.map(Device::Cpu).unwrap();
                    let found = Vec::<f32>::try_from(map.apply(&Tensor::from_slice(&logits)).unwrap()).unwrap();
                    for (found, expected) in found.iter().zip(expected) {
                        let found = sigmoid(f64::from(*found));
                        // Shares of 0 and 1 become those of half a row.
                        let tolerance = if expected == 0.0 || expected == 1.0 { 0.2501 } else { 1e-5 };
                        prop_assert!((found - expected).abs() < tolerance, "{found} {expected}");
                    }
                }
                Err(_) => prop_assert!(expected.iter().all(|share| (share - expected[0]).abs() < 1e-9)),
            }
        }
    }

    #[test]
    fn between_blocks_the_log_odds_rise_linearly_and_outside_they_are_flat() {
        let (logits, labels) = ([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        let calibration = Calibration::isotonic(&Scored::new(&logits, &labels)).unwrap();
        let map = calibration.map(Device::Cpu).unwrap();
        let found =
            Vec::<f32>::try_from(map.apply(&Tensor::from_slice(&[-9f32, 0.0, 0.5, 1.0, 9.0])).unwrap()).unwrap();
        let three = 3f32.ln();
        for (found, expected) in found.iter().zip([0.0, 0.0, three / 2.0, three, three]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
