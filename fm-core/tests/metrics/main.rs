//! Compares metrics with scikit-learn and with loops over their definitions, on edge cases. expected.py computed
//! expected.json.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use fm_core::metric::ranking::{coverage, hit_rate, mrr, ndcg, ranks, recall, top};
use fm_core::metric::{Scored, calibration_curve, metrics, precision_recall_curve, roc_curve};
use fm_core::{Label, Task};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    binary: Vec<Rows>,
    regression: Vec<Rows>,
    ranking: Vec<Users>,
}

/// Rows and their expected metrics.
#[derive(Deserialize)]
struct Rows {
    name: String,
    scores: Vec<f32>,
    labels: Vec<f32>,
    weights: Option<Vec<f32>>,
    groups: Option<Vec<i64>>,
    /// Null if a metric is undefined.
    expected: BTreeMap<String, Option<f64>>,
    /// Threshold, false positive rate, true positive rate. The first threshold is infinite.
    roc: Option<Vec<(Option<f32>, f64, f64)>>,
    /// Threshold, precision, recall.
    precision_recall: Option<Vec<(f32, f64, f64)>>,
    /// Mean prediction, share of positives and weight of each of 10 bins.
    #[serde(default)]
    calibration: Vec<(f64, f64, f64)>,
}

impl Rows {
    fn scored(&self) -> Scored<'_> {
        let scored = Scored::new(&self.scores, &self.labels);
        scored.with_weights(self.weights.as_deref()).with_groups(self.groups.as_deref())
    }

    fn assert_has_metrics(&self, task: Task) {
        // A range that includes all predictions.
        let label = Label { column: "y".into(), task, min: f32::MIN, max: f32::MAX, mean: 0.0, scale: 1.0 };
        let found = metrics(&label, &self.scored());
        let defined = self.expected.iter().filter_map(|(name, value)| Some((name, (*value)?)));
        assert!(found.keys().eq(defined.clone().map(|(name, _)| name)), "{}: {found:?}", self.name);
        for ((name, found), (_, expected)) in found.iter().zip(defined) {
            assert_near(*found, expected, &format!("{name} of {}", self.name));
        }
    }
}

#[derive(Deserialize)]
struct Users {
    name: String,
    users: Vec<User>,
    expected: Vec<At>,
}

#[derive(Deserialize)]
struct User {
    scores: Vec<f32>,
    relevant: Vec<u32>,
    excluded: Vec<bool>,
    ranks: Vec<u32>,
    top: Vec<u32>,
}

/// The expected metrics of users at k.
#[derive(Deserialize)]
struct At {
    k: usize,
    coverage: Option<f64>,
    hit_rate: Option<f64>,
    mrr: Option<f64>,
    ndcg: Option<f64>,
    recall: Option<f64>,
}

fn expected() -> Expected {
    serde_json::from_str(include_str!("expected.json")).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: found {found}, expected {expected}");
}

#[track_caller]
fn assert_near_points(found: &[[f64; 2]], expected: &[[f64; 2]], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert_near(*found, *expected, what);
    }
}

#[test]
fn binary_metrics_are_those_of_scikit_learn() {
    expected().binary.iter().for_each(|rows| rows.assert_has_metrics(Task::Binary { threshold: 1.0 }));
}

#[test]
fn regression_metrics_are_those_of_scikit_learn() {
    expected().regression.iter().for_each(|rows| rows.assert_has_metrics(Task::Regression));
}

#[test]
fn roc_curves_are_those_of_scikit_learn() {
    for rows in expected().binary {
        let (found, expected) = (roc_curve(&rows.scored()), rows.roc);
        assert_eq!(found.is_some(), expected.is_some(), "{}", rows.name);
        let (found, expected) = (found.unwrap_or_default(), expected.unwrap_or_default());
        let thresholds = expected.iter().map(|point| point.0.unwrap_or(f32::INFINITY));
        assert!(found.iter().map(|point| point.threshold).eq(thresholds), "{}", rows.name);
        let found: Vec<_> = found.iter().map(|point| [point.false_positive_rate, point.true_positive_rate]).collect();
        assert_near_points(&found, &expected.iter().map(|point| [point.1, point.2]).collect::<Vec<_>>(), &rows.name);
    }
}

#[test]
fn precision_recall_curves_are_those_of_scikit_learn() {
    for rows in expected().binary {
        let (found, expected) = (precision_recall_curve(&rows.scored()), rows.precision_recall);
        assert_eq!(found.is_some(), expected.is_some(), "{}", rows.name);
        let (found, expected) = (found.unwrap_or_default(), expected.unwrap_or_default());
        let thresholds = expected.iter().map(|point| point.0);
        assert!(found.iter().map(|point| point.threshold).eq(thresholds), "{}", rows.name);
        let found: Vec<_> = found.iter().map(|point| [point.precision, point.recall]).collect();
        assert_near_points(&found, &expected.iter().map(|point| [point.1, point.2]).collect::<Vec<_>>(), &rows.name);
    }
}

#[test]
fn calibration_curves_are_those_of_scikit_learn() {
    for rows in expected().binary {
        let found = calibration_curve(&rows.scored(), 10);
        assert!(found.iter().map(|bin| bin.weight).eq(rows.calibration.iter().map(|bin| bin.2)), "{}", rows.name);
        let found: Vec<_> = found.iter().map(|bin| [bin.prediction, bin.positives]).collect();
        let expected: Vec<_> = rows.calibration.iter().map(|bin| [bin.0, bin.1]).collect();
        assert_near_points(&found, &expected, &rows.name);
    }
}

#[test]
fn ranks_are_those_of_the_worst_order_for_the_relevant_items() {
    for Users { name, users, .. } in expected().ranking {
        for User { scores, relevant, excluded, ranks: expected, top: first } in users {
            assert_eq!(ranks(&scores, &relevant, &excluded), expected, "{name}");
            assert_eq!(top(&scores, 100, &excluded), first, "{name}");
        }
    }
}

#[test]
fn ranking_metrics_are_those_of_their_definitions() {
    for Users { name, users, expected } in expected().ranking {
        let all_ranks: Vec<Vec<u32>> = users.iter().map(|user| user.ranks.clone()).collect();
        let items = users.first().map_or(0, |user| user.scores.len());
        for at in expected {
            let lists: Vec<Vec<u32>> = users.iter().map(|user| top(&user.scores, at.k, &user.excluded)).collect();
            for (metric, found, expected) in [
                ("coverage", coverage(&lists, items), at.coverage),
                ("hit rate", hit_rate(&all_ranks, at.k), at.hit_rate),
                ("MRR", mrr(&all_ranks, at.k), at.mrr),
                ("NDCG", ndcg(&all_ranks, at.k), at.ndcg),
                ("recall", recall(&all_ranks, at.k), at.recall),
            ] {
                let what = format!("{metric}@{} of {name}", at.k);
                assert_eq!(found.is_some(), expected.is_some(), "{what}");
                if let (Some(found), Some(expected)) = (found, expected) {
                    assert_near(found, expected, &what);
                }
            }
        }
    }
}
