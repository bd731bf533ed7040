//! From which probability on to act: some thresholds with what follows from them.

use fm_core::Label;
use fm_core::metric::{Costs, Decision, Scored, decisions};
use serde::Serialize;

use crate::console::{decimal, width};
use crate::text_table::{Column, fitting, markdown};

/// Shares of the rows to act on, those with the highest scores.
const SHARES: [f64; 4] = [0.01, 0.05, 0.1, 0.25];

/// A threshold.
#[derive(Serialize)]
pub struct Threshold {
    /// Why it is listed.
    pub why: String,
    /// Act on rows with at least this probability; `None` to act on no row.
    pub probability: Option<f64>,
    /// The share of the rows that are acted on.
    pub share: f64,
    /// The share of positives among them, if there are any.
    pub precision: Option<f64>,
    /// The share of the positives that are among them.
    pub recall: f64,
    /// The mean cost of a row.
    pub cost: f64,
}

/// Thresholds for these costs from the highest to the lowest: the one of least cost on the rows, the one that
/// probabilities imply, one half, some shares of the rows, none and all. Empty if a class is missing.
pub fn thresholds(label: &Label, scored: &Scored<'_>, costs: Costs) -> Vec<Threshold> {
    let Some(all) = decisions(scored, costs) else { return vec![] };
    let probability = |decision: &Decision| f64::from(label.prediction(decision.threshold));
    // The last decision that acts only on rows of at least this probability.
    let from = |least: f64| all.partition_point(|decision| probability(decision) >= least).saturating_sub(1);
    let least_cost = (0..all.len()).min_by(|a, b| all[*a].cost.total_cmp(&all[*b].cost)).unwrap_or(0);
    let mut chosen = vec![
        (0, "no row".to_owned()),
        (all.len() - 1, "all rows".to_owned()),
        (least_cost, "least cost on these rows".to_owned()),
        (from(costs.threshold()), format!("probability from {:.3}, by the costs", costs.threshold())),
        (from(0.5), "probability from 0.5".to_owned()),
    ];
    for share in SHARES {
        let at = all.partition_point(|decision| decision.share < share).min(all.len() - 1);
        chosen.push((at, format!("{}% of the rows", 100.0 * share)));
    }
    chosen.sort_by_key(|(at, _)| *at);
    let threshold = |(at, why): (usize, String)| {
        let decision = &all[at];
        Threshold {
            why,
            probability: (at > 0).then(|| probability(decision)),
            share: decision.share,
            precision: decision.precision.is_finite().then_some(decision.precision),
            recall: decision.recall,
            cost: decision.cost,
        }
    };
    chosen.into_iter().map(threshold).collect()
}

/// A table of thresholds.
pub fn table(thresholds: &[Threshold]) -> String {
    let column = |name: &str, rank: usize, cell: &dyn Fn(&Threshold) -> Option<f64>, digits: usize| {
        let text = |threshold: &Threshold| cell(threshold).map_or("–".to_owned(), |value| decimal(value, digits));
        Column::new(name, rank, thresholds.iter().map(text))
    };
    let columns = vec![
        Column::new("act on", 0, thresholds.iter().map(|threshold| threshold.why.clone())),
        column("from", 1, &|threshold| threshold.probability, 4),
        column("share", 3, &|threshold| Some(threshold.share), 4),
        column("precision", 2, &|threshold| threshold.precision, 4),
        column("recall", 2, &|threshold| Some(threshold.recall), 4),
        column("cost of a row", 1, &|threshold| Some(threshold.cost), 4),
    ];
    markdown(&fitting(columns, width()))
}
