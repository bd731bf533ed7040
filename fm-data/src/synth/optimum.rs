//! The metrics of the true probabilities.

use serde::Serialize;

use super::PlantedRows;

/// Number of buckets of the histogram of logits.
const BUCKETS: usize = 1 << 17;

/// The metrics of the true probabilities over the rows added so far, in a fixed amount of memory. No model that knows
/// only the values of a row can do better, except by chance.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// The lower end of the first bucket.
    from: f64,
    /// The width of a bucket. Logits beyond the first or the last bucket belong to it.
    width: f64,
    buckets: Vec<Bucket>,
    rows: u64,
    clicks: u64,
    /// The sum of the rows' losses.
    loss: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    positives: u64,
    negatives: u64,
    /// The logit of the first row.
    logit: f64,
    /// Whether a row has another logit.
    is_mixed: bool,
}

/// What an [`Optimum`] has measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OptimumMetrics {
    /// The number of rows.
    pub rows: u64,
    /// The share of rows with label 1; NaN without rows.
    pub click_rate: f64,
    /// The logloss of the true probabilities; NaN without rows.
    pub bayes_logloss: f64,
    /// The AUC of the true probabilities; `None` if a label is missing.
    pub bayes_auc: Option<f64>,
    /// The exact AUC differs from `bayes_auc` by at most this.
    ///
    /// Rows in the same of 131,072 buckets of logits count as ties, so the limit is half the share of such pairs whose
    /// logits differ. It is about 0.00003 where both parts of the logit count alike.
    pub bayes_auc_error: Option<f64>,
    /// The logloss of always predicting the click rate of these rows; NaN without rows.
    pub base_logloss: f64,
}

impl Optimum {
    /// For logits around `center`, most of them no farther than `reach`.
    pub(super) fn new(center: f64, reach: f64) -> Optimum {
        Optimum {
            from: center - reach,
            width: (2.0 * reach / BUCKETS as f64).max(f64::MIN_POSITIVE),
            buckets: vec![Bucket::default(); BUCKETS],
            rows: 0,
            clicks: 0,
            loss: 0.0,
        }
    }

    /// Adds rows.
    pub fn add(&mut self, rows: &PlantedRows) {
        for (&logit, &label) in rows.logits().iter().zip(rows.labels()) {
            let softplus = logit.max(0.0) + libm::log1p(libm::exp(-logit.abs()));
            self.loss += if label { softplus - logit } else { softplus };
            // Casts clamp at 0.
            let bucket = &mut self.buckets[(((logit - self.from) / self.width) as usize).min(BUCKETS - 1)];
            if bucket.positives + bucket.negatives == 0 {
                bucket.logit = logit;
            }
            bucket.is_mixed |= bucket.logit != logit;
            *(if label { &mut bucket.positives } else { &mut bucket.negatives }) += 1;
            self.clicks += u64::from(label);
        }
        self.rows += rows.len() as u64;
    }

    /// The metrics so far.
    pub fn metrics(&self) -> OptimumMetrics {
        let rows = self.rows as f64;
        let click_rate = self.clicks as f64 / rows;
        let part = |p: f64| if p == 0.0 { 0.0 } else { -p * libm::log(p) };
        // Pairs of a positive and a negative row: all in order, ties, and ties because of the buckets.
        let (mut ordered, mut tied, mut mixed, mut below) = (0.0, 0.0, 0.0, 0.0);
        for bucket in &self.buckets {
            let (positives, negatives) = (bucket.positives as f64, bucket.negatives as f64);
            ordered += positives * below;
            tied += positives * negatives;
            if bucket.is_mixed {
                mixed += positives * negatives;
            }
            below += negatives;
        }
        let pairs = self.clicks as f64 * (self.rows - self.clicks) as f64;
        let share = |of: f64| (pairs > 0.0).then(|| of / pairs);
        OptimumMetrics {
            rows: self.rows,
            click_rate,
            bayes_logloss: self.loss / rows,
            bayes_auc: share(ordered + tied / 2.0),
            bayes_auc_error: share(mixed / 2.0),
            base_logloss: part(click_rate) + part(1.0 - click_rate),
        }
    }
}
