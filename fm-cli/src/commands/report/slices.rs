//! The values of fields for which a model is wrong by more than chance explains, and its worst rows.

use anyhow::Result;
use fm_core::terminal::grouped;
use fm_core::{Label, Task};
use maud::{Markup, html};
use statrs::distribution::{ContinuousCDF, DiscreteCDF, Normal, Poisson};

use super::buckets::short;
use super::interactions::value_name;
use super::page::{Cell, decimals, table};
use super::run::{Run, TestRows};
use super::summary::capitalized;

/// Minimum number of rows with a value, so that its mean is about normally distributed.
const LEAST: usize = 30;
/// Minimum variance of a number of positives that is about normally distributed.
const ENOUGH: f64 = 10.0;
/// The probability that any value is listed if the model is equally good for all of them.
const CHANCE: f64 = 0.05;
/// Number of values and of rows to list.
const SLICES: usize = 8;
const WORST: usize = 5;
/// Number of columns to show of the worst rows.
const COLUMNS: usize = 5;

/// What tells a bad slice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    /// Its mean squared error is larger than that of all other rows.
    Error,
    /// Its mean prediction is not its share of positives. A loss would be larger wherever labels are mixed.
    Calibration,
}

/// The rows with one value of a field.
struct Slice {
    field: usize,
    id: i64,
    rows: usize,
    /// The mean squared error of the rows and that of all others, or their mean prediction and their share of positives.
    found: f64,
    expected: f64,
    /// The probability of such a difference by chance.
    p: f64,
}

/// Sums over the rows with one value of a field.
#[derive(Clone, Copy, Default)]
struct Sums {
    rows: usize,
    /// Of the squared errors.
    sum: f64,
    squares: f64,
    /// Of the targets, the predictions p, and p (1 - p).
    targets: f64,
    predictions: f64,
    variance: f64,
}

impl Sums {
    fn add(&mut self, prediction: f64, target: f64) {
        let error = (target - prediction).powi(2);
        self.rows += 1;
        self.sum += error;
        self.squares += error * error;
        self.targets += target;
        self.predictions += prediction;
        self.variance += prediction * (1.0 - prediction);
    }

    fn without(self, other: Sums) -> Sums {
        Sums {
            rows: self.rows - other.rows,
            sum: self.sum - other.sum,
            squares: self.squares - other.squares,
            targets: self.targets - other.targets,
            predictions: self.predictions - other.predictions,
            variance: self.variance - other.variance,
        }
    }

    /// The probability that the number of positives is at least as far from the sum of the predictions if these are right.
    fn p_of_calibration(self, normal: Normal) -> f64 {
        if self.variance >= ENOUGH {
            return 2.0 * normal.sf((self.targets - self.predictions).abs() / self.variance.sqrt());
        }
        // The rarer class is about Poisson-distributed; its true distribution is narrower.
        let n = self.rows as f64;
        let is_rare = 2.0 * self.predictions <= n;
        let (found, expected) =
            if is_rare { (self.targets, self.predictions) } else { (n - self.targets, n - self.predictions) };
        let (found, Ok(poisson)) = (found.round() as u64, Poisson::new(expected.max(1e-12))) else { return 1.0 };
        let at_least = if found == 0 { 1.0 } else { poisson.sf(found - 1) };
        (2.0 * at_least.min(poisson.cdf(found))).min(1.0)
    }

    fn mean(self) -> f64 {
        self.sum / self.rows as f64
    }

    /// The squared standard error of the mean.
    fn error(self) -> f64 {
        (self.squares / self.rows as f64 - self.mean().powi(2)).max(0.0) / self.rows as f64
    }
}

/// A run's worst slices and rows, and the worst slice in a few words.
pub fn section(run: &Run, is_named: bool) -> Result<Option<(String, Markup)>> {
    let (Some(rows), label) = (run.test_rows(), run.predictor.schema.label()) else { return Ok(None) };
    let test = match label.task {
        Task::Regression => Some(Test::Error),
        Task::Binary { .. } if run.predictor.shift().is_none() => Some(Test::Calibration),
        Task::Binary { .. } => None,
        Task::Ranking { .. } => return Ok(None),
    };
    let of_run = |text: &str| if is_named { format!("{}: {text}", run.name) } else { capitalized(text) };
    let slices = test.map(|test| worst(run, rows, test)).unwrap_or_default();
    let name = |slice: &Slice| {
        let field = &run.predictor.schema.fields()[slice.field].name;
        (field.clone(), value_name(&run.predictor.schema, field, slice.id))
    };
    let row = |slice: &Slice| {
        let (field, value) = name(slice);
        let number = |number: f64| Cell::Number(decimals(number));
        let rows = Cell::Number(grouped(slice.rows as i64));
        vec![Cell::Text(field), Cell::Text(value), rows, number(slice.found), number(slice.expected)]
    };
    let (found, expected) = match test {
        Some(Test::Error) => ("RMSE", "RMSE of all other rows"),
        Some(Test::Calibration) | None => ("Mean prediction", "Share of positives"),
    };
    let head = ["Field", "Value", "Test rows", found, expected].map(str::to_owned);
    let sentence = slices.first().map_or_else(String::new, |slice| {
        let ((field, value), [found, expected]) = (name(slice), [slice.found, slice.expected].map(decimals));
        match test {
            Some(Test::Error) => format!("worst where {field} is {value}: RMSE {found}, elsewhere {expected}"),
            _ => format!("worst where {field} is {value}: it predicts {found} on average, and {expected} are positive"),
        }
    });
    let caption = "values for which the model is wrong by more than chance explains, those first that cost most";
    let body = html! {
        @if !slices.is_empty() {
            (table(&of_run(caption), &head, &slices.iter().map(row).collect::<Vec<_>>()))
        } @else if test.is_some() {
            p { (of_run("there is no value of a field for which the model is wrong by more than chance explains.")) }
        }
        (worst_rows(run, rows, &of_run("test rows with the largest losses"))?)
    };
    Ok(Some((sentence, body)))
}

/// The values of fields for which a test finds more than chance, with Holm's correction for the number of values. Those first
/// that cost most. Each row counts once, except those of weight 0.
///
/// Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
fn worst(run: &Run, rows: &TestRows, test: Test) -> Vec<Slice> {
    let (schema, label) = (&run.predictor.schema, run.predictor.schema.label());
    let of_ids = |field| vec![Sums::default(); schema.ids(field).count()];
    let mut found: Vec<Vec<Sums>> = (0..schema.num_fields()).map(of_ids).collect();
    let mut all = Sums::default();
    for (row, (&logit, &target)) in rows.logits.iter().zip(&rows.targets.labels).enumerate() {
        let (prediction, target) = (f64::from(label.prediction(logit)), f64::from(target));
        if !prediction.is_finite() || rows.is_ignored(row) {
            continue;
        }
        all.add(prediction, target);
        for (field, slots) in rows.encoded.row(row).fields().enumerate() {
            let first = schema.ids(field).start;
            let mut ids: Vec<i32> = slots.ids().collect();
            // A sequence may have a value twice.
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().for_each(|id| found[field][(i64::from(id) - first) as usize].add(prediction, target));
        }
    }
    let Ok(normal) = Normal::new(0.0, 1.0) else { return vec![] };
    let mut slices = vec![];
    for (field, of_field) in found.iter().enumerate() {
        for (id, &own) in schema.ids(field).zip(of_field) {
            let others = all.without(own);
            if own.rows < LEAST || others.rows < LEAST {
                continue;
            }
            let n = own.rows as f64;
            let (p, [found, expected]) = match test {
                Test::Error => {
                    let z = (own.mean() - others.mean()) / (own.error() + others.error()).sqrt();
                    (normal.sf(z), [own.mean().sqrt(), others.mean().sqrt()])
                }
                Test::Calibration => (own.p_of_calibration(normal), [own.predictions / n, own.targets / n]),
            };
            if p.is_finite() {
                slices.push(Slice { field, id, rows: own.rows, found, expected, p });
            }
        }
    }
    slices.sort_by(|a, b| a.p.total_cmp(&b.p));
    let candidates = slices.len();
    let is_chance = |(at, slice): (usize, &Slice)| slice.p * (candidates - at) as f64 > CHANCE;
    let kept = slices.iter().enumerate().position(is_chance).unwrap_or(candidates);
    slices.truncate(kept);
    let cost = |slice: &Slice| slice.rows as f64 * (slice.found - slice.expected).abs();
    slices.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    slices.truncate(SLICES);
    slices
}

/// The loss of a row.
fn loss(label: &Label, logit: f32, target: f32) -> f64 {
    match label.task {
        Task::Regression => f64::from(label.prediction(logit) - target).powi(2),
        Task::Binary { .. } | Task::Ranking { .. } => {
            // ln(1 + exp(-z)), without overflow.
            let z = if target > 0.5 { f64::from(logit) } else { -f64::from(logit) };
            (-z.abs()).exp().ln_1p() + (-z).max(0.0)
        }
    }
}

/// The rows with the largest losses.
fn worst_rows(run: &Run, rows: &TestRows, caption: &str) -> Result<Markup> {
    let label = run.predictor.schema.label();
    let losses = rows.logits.iter().zip(&rows.targets.labels).map(|(&logit, &target)| loss(label, logit, target));
    let losses: Vec<f64> = losses.collect();
    let is_shown = |row: &usize| losses[*row].is_finite() && !rows.is_ignored(*row);
    let mut order: Vec<usize> = (0..losses.len()).filter(is_shown).collect();
    order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
    order.truncate(WORST);
    let spec = &rows.source.spec;
    let columns: Vec<&str> = run.predictor.schema.columns();
    let roles = [&spec.user, &spec.item, &spec.title].into_iter().flatten().map(String::as_str);
    let there = rows.source.rows.names();
    let mut names: Vec<&str> = vec![];
    for name in roles.chain(columns) {
        if there.iter().any(|other| other == name) && !names.contains(&name) && names.len() < COLUMNS {
            names.push(name);
        }
    }
    let numbers: Vec<u32> = order.iter().map(|&row| rows.source.parts.test[row]).collect();
    let texts = rows.source.rows.take(&numbers, &names)?;
    let cell = |name: &str, at: usize| {
        let text = texts.column(name).ok().and_then(|column| column.str().ok()?.get(at).map(str::to_owned));
        Cell::Text(text.unwrap_or_default())
    };
    let cells = |(at, &row): (usize, &usize)| {
        let prediction = label.prediction(rows.logits[row]);
        let mut cells =
            vec![Cell::Number(short(rows.targets.labels[row].into())), Cell::Number(decimals(prediction.into()))];
        cells.extend(names.iter().map(|name| cell(name, at)));
        cells
    };
    let head = ["Label", "Prediction"].into_iter().chain(names.iter().copied()).map(str::to_owned).collect::<Vec<_>>();
    Ok(table(caption, &head, &order.iter().enumerate().map(cells).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(predictions: &[f64], positives: usize) -> f64 {
        let mut sums = Sums::default();
        let targets = (0..).map(|row| f64::from(u8::from(row < positives)));
        predictions.iter().zip(targets).for_each(|(&prediction, target)| sums.add(prediction, target));
        sums.p_of_calibration(Normal::new(0.0, 1.0).unwrap())
    }

    #[test]
    fn a_rare_class_that_is_absent_is_no_fault_and_one_that_is_common_is() {
        // The most likely outcome of these predictions is no positive.
        assert!(p(&[0.01; 30], 0) > 0.9);
        assert!(p(&[0.01; 30], 5) < 1e-4);
        assert!(p(&[0.99; 30], 30) > 0.9 && p(&[0.99; 30], 25) < 1e-4);
        assert!(p(&[1e-9; 40], 40) < 1e-100);
    }

    #[test]
    fn many_positives_are_tested_by_their_normal_distribution() {
        // 400 rows of .5: the standard deviation of the number of positives is 10.
        assert!((p(&[0.5; 400], 220) - 0.0455).abs() < 1e-4);
        assert!(p(&[0.5; 400], 200) > 0.999);
    }
}
