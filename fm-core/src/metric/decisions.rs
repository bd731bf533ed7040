//! What follows if all rows with a score of at least a threshold are acted on.

use super::Scored;
use super::by_score::ByScore;

/// What an error costs, in any unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Of acting on a negative row.
    pub false_positive: f64,
    /// Of not acting on a positive row.
    pub false_negative: f64,
}

impl Costs {
    /// The probability from which on acting costs less than not acting; NaN if both costs are 0.
    ///
    /// Source: Elkan, The foundations of cost-sensitive learning, IJCAI 2001, section 2,
    /// <https://dl.acm.org/doi/10.5555/1642194.1642224>.
    pub fn threshold(self) -> f64 {
        self.false_positive / (self.false_positive + self.false_negative)
    }
}

/// The rows that are acted on from a threshold on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The threshold. Infinite for the first decision, which acts on no row.
    pub threshold: f32,
    /// The share of the rows that are acted on, by weight.
    pub share: f64,
    /// The share of positives among them; NaN if there are none.
    pub precision: f64,
    /// The share of the positives that are among them.
    pub recall: f64,
    /// The mean cost of a row.
    pub cost: f64,
}

/// The decision at each distinct score, in descending order, after the one to act on no row. Scores can have any scale;
/// labels are 0 or 1. `None` if a class is missing or a score is NaN.
///
/// ```
/// use fm_core::metric::{Costs, Scored, decisions};
///
/// let scored = Scored::new(&[0.9, 0.5, 0.4, 0.1], &[1.0, 0.0, 1.0, 0.0]);
/// let costs = Costs { false_positive: 1.0, false_negative: 5.0 };
/// let decisions = decisions(&scored, costs).unwrap();
/// let costs: Vec<f64> = decisions.iter().map(|decision| decision.cost).collect();
/// assert_eq!(costs, [2.5, 1.25, 1.5, 0.25, 0.5]); // act on no row, on one, on two, on three, on all
/// assert_eq!((decisions[3].threshold, decisions[3].recall), (0.4, 1.0));
/// ```
pub fn decisions(scored: &Scored<'_>, costs: Costs) -> Option<Vec<Decision>> {
    if scored.rows().any(|(score, ..)| score.is_nan()) {
        return None;
    }
    let ties: Vec<_> = ByScore::new(scored).ties().collect();
    let (all_positives, all_negatives) = ties
        .iter()
        .fold((0.0, 0.0), |(positives, negatives), tie| (positives + tie.positives, negatives + tie.negatives));
    let all = all_positives + all_negatives;
    let decision = |threshold: f32, positives: f64, negatives: f64| Decision {
        threshold,
        share: (positives + negatives) / all,
        precision: positives / (positives + negatives),
        recall: positives / all_positives,
        cost: (costs.false_positive * negatives + costs.false_negative * (all_positives - positives)) / all,
    };
    let (mut positives, mut negatives) = (0.0, 0.0);
    let mut decisions = vec![decision(f32::INFINITY, 0.0, 0.0)];
    for tie in ties {
        positives += tie.positives;
        negatives += tie.negatives;
        decisions.push(decision(tie.score, positives, negatives));
    }
    (all_positives != 0.0 && all_negatives != 0.0).then_some(decisions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_class_has_no_decisions() {
        let costs = Costs { false_positive: 1.0, false_negative: 1.0 };
        assert_eq!(decisions(&Scored::new(&[0.1, 0.9], &[1.0, 1.0]), costs), None);
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_naive_counts(
            rows in prop::collection::vec((-3i8..3, any::<bool>(), 1u8..4), 2..40),
            costs in (0.1..9.0f64, 0.1..9.0f64),
        ) {
            let scores: Vec<f32> = rows.iter().map(|row| row.0.into()).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let costs = Costs { false_positive: costs.0, false_negative: costs.1 };
            let scored = Scored::new(&scores, &labels).with_weights(Some(&weights));
            for found in decisions(&scored, costs).into_iter().flatten() {
                let weight = |is_of: &dyn Fn(&(i8, bool, u8)) -> bool| -> f64 {
                    rows.iter().filter(|row| is_of(row)).map(|row| f64::from(row.2)).sum()
                };
                let is_chosen = |row: &(i8, bool, u8)| f32::from(row.0) >= found.threshold;
                let (all, chosen) = (weight(&|_| true), weight(&is_chosen));
                let hits = weight(&|row| is_chosen(row) && row.1);
                let missed = weight(&|row| !is_chosen(row) && row.1);
                prop_assert!((found.share - chosen / all).abs() < 1e-12);
                prop_assert!(chosen == 0.0 || (found.precision - hits / chosen).abs() < 1e-12);
                prop_assert!((found.recall - hits / (hits + missed)).abs() < 1e-12);
                let cost = (costs.false_positive * (chosen - hits) + costs.false_negative * missed) / all;
                prop_assert!((found.cost - cost).abs() < 1e-12);
            }
        }
    }
}
