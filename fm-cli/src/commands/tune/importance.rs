//! Which settings decide the result of a trial.

use std::collections::BTreeMap;

use super::study::{Ending, Study};
use crate::metric::Metric;

/// Number of trials from which on importance means something.
const LEAST: usize = 10;
/// Maximum number of groups of a range of numbers.
const GROUPS: usize = 4;

/// The share of the variance of the trials' results that each setting explains, the largest first: ε² of an analysis of
/// variance over groups of trials with similar values, which is about 0 for a setting without effect. Empty for few
/// trials or equal results. Trials that diverged or were stopped do not count: their results are of fewer epochs.
///
/// Source: Kelley, An unbiased correlation ratio measure, PNAS 1935, <https://doi.org/10.1073/pnas.21.9.554>.
pub fn importance(study: &Study, metric: &Metric) -> Vec<(String, f64)> {
    let finished = study.trials.iter().filter(|trial| trial.ending == Ending::Finished);
    let trials = finished.filter_map(|trial| Some((&trial.positions, metric.cost(trial.result?))));
    let trials: Vec<(&Vec<f64>, f64)> = trials.filter(|(_, cost)| cost.is_finite()).collect();
    if trials.len() < LEAST {
        return vec![];
    }
    let costs: Vec<f64> = trials.iter().map(|trial| trial.1).collect();
    let share = |at: usize| {
        let positions: Vec<f64> = trials.iter().map(|trial| trial.0[at]).collect();
        let groups = if study.question.space[at].is_choice() { by_value(&positions) } else { by_rank(&positions) };
        epsilon_squared(&costs, &groups)
    };
    let shares =
        study.question.space.iter().enumerate().filter_map(|(at, dimension)| Some((dimension.key.clone(), share(at)?)));
    let mut shares: Vec<(String, f64)> = shares.collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// The group of each position: one for each distinct value.
fn by_value(positions: &[f64]) -> Vec<usize> {
    let mut groups = BTreeMap::new();
    for position in positions {
        let next = groups.len();
        groups.entry(position.to_bits()).or_insert(next);
    }
    positions.iter().map(|position| groups[&position.to_bits()]).collect()
}

/// The group of each position: of about equal size, by rank.
fn by_rank(positions: &[f64]) -> Vec<usize> {
    let rank = |position: &f64| positions.iter().filter(|other| other.total_cmp(position).is_lt()).count();
    positions.iter().map(|position| rank(position) * GROUPS / positions.len()).collect()
}

/// (SSB − (k − 1) · MSW) / SST, at least 0, for k groups; `None` if all numbers are equal, or if no degree of freedom is
/// left within the groups.
fn epsilon_squared(numbers: &[f64], groups: &[usize]) -> Option<f64> {
    let mean = |numbers: &mut dyn Iterator<Item = f64>| {
        let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
        sum / count
    };
    let whole = mean(&mut numbers.iter().copied());
    let total: f64 = numbers.iter().map(|number| (number - whole).powi(2)).sum();
    let mut kinds = groups.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    if total <= 0.0 || numbers.len() <= kinds.len() {
        return None;
    }
    let within: f64 = kinds
        .iter()
        .map(|kind| {
            let own = || numbers.iter().zip(groups).filter(|(_, group)| *group == kind).map(|(number, _)| *number);
            let mean = mean(&mut own());
            own().map(|number| (number - mean).powi(2)).sum::<f64>()
        })
        .sum();
    let error = within / (numbers.len() - kinds.len()) as f64;
    Some(((total - within - (kinds.len() - 1) as f64 * error) / total).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_has_all_and_what_does_not_matter_has_nothing() {
        let numbers = [1.0, 1.0, 5.0, 5.0, 1.0, 5.0];
        assert_eq!(epsilon_squared(&numbers, &[0, 0, 1, 1, 0, 1]), Some(1.0));
        assert_eq!(epsilon_squared(&numbers, &[0, 1, 0, 1, 1, 0]), Some(0.0));
        assert_eq!(epsilon_squared(&[2.0; 6], &[0, 1, 0, 1, 1, 0]), None);
        assert_eq!(epsilon_squared(&numbers[..2], &[0, 1]), None);
    }

    #[test]
    fn it_is_that_of_the_formula() {
        // Groups (1, 2, 3) and (4, 6): SST = 14.8, SSW = 2 + 2, MSW = 4 / 3.
        let found = epsilon_squared(&[1.0, 2.0, 3.0, 4.0, 6.0], &[0, 0, 0, 1, 1]).unwrap();
        assert!((found - (14.8 - 4.0 - 4.0 / 3.0) / 14.8).abs() < 1e-12);
    }

    #[test]
    fn numbers_are_grouped_by_rank_and_choices_by_value() {
        assert_eq!(by_rank(&[0.1, 9.0, 0.2, 5.0]), [0, 3, 1, 2]);
        assert_eq!(by_value(&[2.0, 0.0, 2.0]), [0, 1, 0]);
    }
}
