//! Warnings about the labels of the training rows.

use fm_core::terminal::grouped;
use fm_core::{Label, Task};

/// Warns of labels from which the task learns nothing, or something else than their users want.
pub fn warn_of_labels(label: &Label, labels: &[f32]) {
    if let Some(warning) = warning(label, labels) {
        tracing::warn!("{warning}");
    }
}

/// Warns of labels of other rows that a model cannot predict, or that leave metrics undefined. `what` names the rows,
/// such as `test rows`.
pub fn warn_of_other_labels(label: &Label, labels: &[f32], what: &str) {
    if let Some(warning) = other_warning(label, labels, what) {
        tracing::warn!("{warning}");
    }
}

fn other_warning(label: &Label, labels: &[f32], what: &str) -> Option<String> {
    /// The share of labels out of range that is not worth a warning.
    const SHARE: f64 = 0.1;
    let Label { column, min, max, .. } = label;
    let rows = grouped(labels.len() as i64);
    match label.task {
        Task::Binary { threshold }
            if min < max && labels.len() > 1 && labels.iter().all(|label| *label == labels[0]) =>
        {
            let (which, side) = if labels[0] > 0.5 { ("positive", "at least") } else { ("negative", "below") };
            Some(format!(
                "all {rows} {what} are {which}, as `{column}` is {side} {threshold} in each: metrics that compare classes, such \
                 as AUC, are missing; choose rows of both"
            ))
        }
        Task::Regression => {
            let outside = labels.iter().filter(|label| !(min..=max).contains(label)).count();
            (outside as f64 > SHARE * labels.len() as f64).then(|| {
                format!(
                    "`{column}` is not from {min} to {max}, as in the training rows, in {} of {rows} {what}: predictions stay in \
                     that range; check that the labels have the same unit",
                    grouped(outside as i64)
                )
            })
        }
        Task::Binary { .. } | Task::Ranking { .. } => None,
    }
}

/// What to say about the targets of the training rows, if anything.
fn warning(label: &Label, labels: &[f32]) -> Option<String> {
    let Label { column, min, max, scale, .. } = label;
    let rows = grouped(labels.len() as i64);
    match label.task {
        Task::Regression if min == max => Some(format!(
            "all {rows} training rows have the label {min} in column `{column}`, as float32: there is nothing to learn; \
             if the column has other values, subtract a constant from it"
        )),
        Task::Regression if (*min, *max) == (0.0, 1.0) && labels.iter().all(|label| [0.0, 1.0].contains(label)) => {
            Some(format!(
                "the labels of all {rows} training rows are 0 or 1, which a regression predicts as numbers: \
                 `--task binary` predicts the probability of 1"
            ))
        }
        Task::Regression if let Some(extreme) = Extreme::of(labels) => Some(format!(
            "{} of {rows} training rows have a label in column `{column}` that is far from the others, such as {}, where half \
             of the labels are from {} to {}: such rows decide what the model learns and what it is measured by; correct \
             them, leave them out, or take the logarithm of all labels",
            grouped(extreme.count as i64),
            extreme.example,
            extreme.half[0],
            extreme.half[1]
        )),
        Task::Regression => {
            let step = min.abs().max(max.abs()) * f32::EPSILON;
            (step > scale / 8.0).then(|| {
                format!(
                    "the labels in column `{column}` range from {min} to {max}, where float32 has steps of {step}, and \
                     vary by about {scale}: subtract a constant from them"
                )
            })
        }
        Task::Binary { threshold } if min == max => {
            let (which, side) = if *min > 0.5 { ("positive", "at least") } else { ("negative", "below") };
            Some(format!(
                "all {rows} training rows are {which}, as `{column}` is {side} {threshold} in each: there is nothing to tell \
                 apart; check the threshold and the split, or add rows of the other class"
            ))
        }
        Task::Binary { .. } | Task::Ranking { .. } => None,
    }
}

/// Labels that are far from the others.
struct Extreme {
    count: usize,
    example: f32,
    /// The quartiles of all labels.
    half: [f32; 2],
}

impl Extreme {
    /// `None` if no label is, or more than half of the labels are equal.
    fn of(labels: &[f32]) -> Option<Extreme> {
        /// Labels farther from the quartiles than this many interquartile ranges are far.
        const MAX_RANGES: f64 = 100.0;
        let (mut ordered, last) = (labels.to_vec(), labels.len().checked_sub(1)?);
        let half = [last / 4, last - last / 4].map(|at| *ordered.select_nth_unstable_by(at, f32::total_cmp).1);
        let [first, third] = half.map(f64::from);
        let reach = MAX_RANGES * (third - first);
        let is_far = |label: &&f32| reach > 0.0 && !(first - reach..=third + reach).contains(&f64::from(**label));
        let example = *labels.iter().find(is_far)?;
        Some(Extreme { count: labels.iter().filter(is_far).count(), example, half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(task: Task, labels: &[f32]) -> Option<String> {
        let label = Label::fit("y", task, labels.iter().copied());
        let targets: Vec<f32> = labels.iter().map(|&raw| label.target(raw)).collect();
        warning(&label, &targets)
    }

    #[test]
    fn labels_that_teach_something_are_no_reason_to_warn() {
        for labels in [
            &[1.0, 5.0, 3.0][..],
            &[0.0, 1.0, 2.0],
            &[0.0, 0.5, 1.0],
            &[1e6, 1e6 + 1.0, 1e6 - 1.0],
            &[1e-9, 2e-9],
            &[0.0, 0.0, 0.0, 9.0],
        ] {
            assert_eq!(warned(Task::Regression, labels), None, "{labels:?}");
        }
        assert_eq!(warned(Task::Binary { threshold: 4.0 }, &[1.0, 5.0]), None);
        assert_eq!(warned(Task::Ranking { threshold: None }, &[1.0, 1.0]), None);
    }

    #[test]
    fn rows_of_one_class_and_labels_of_another_unit_are_reported() {
        let binary = Label::fit("y", Task::Binary { threshold: 4.0 }, [1.0, 5.0]);
        assert_eq!(other_warning(&binary, &[1.0, 0.0], "test rows"), None);
        assert_eq!(other_warning(&binary, &[], "test rows"), None);
        let found = other_warning(&binary, &[1.0, 1.0], "test rows").unwrap();
        assert!(found.starts_with("all 2 test rows are positive, as `y` is at least 4 in each"), "{found}");
        let shares = Label::fit("y", Task::Regression, [0.0, 0.4, 1.0]);
        assert_eq!(other_warning(&shares, &[0.3; 20], "test rows"), None);
        assert_eq!(other_warning(&shares, &[&[1.1][..], &[0.3; 20]].concat(), "test rows"), None);
        let found = other_warning(&shares, &[30.0, 0.0, 70.0], "rows of new.csv").unwrap();
        assert!(found.contains("in 2 of 3 rows of new.csv: predictions stay in that range"), "{found}");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy() {
        let said = |task, labels: &[f32], words: [&str; 2]| {
            let warning = warned(task, labels).unwrap_or_default();
            assert!(words.iter().all(|word| warning.contains(word)) && warning.lines().count() == 1, "{warning}");
        };
        let binary = Task::Binary { threshold: 4.0 };
        said(Task::Regression, &[0.0, 1.0, 1.0], ["all 3 training rows are 0 or 1", "`--task binary`"]);
        said(Task::Regression, &[2.0, 2.0], ["all 2 training rows have the label 2", "nothing to learn"]);
        said(
            Task::Regression,
            &[1.7e12, 1.700_001e12, 1.700_000_2e12],
            ["float32 has steps of", "subtract a constant"],
        );
        let ratings = [&[1.0, 2.0, 3.0, 4.0, 5.0].repeat(9)[..], &[-999.0, 3e38]].concat();
        said(
            Task::Regression,
            &ratings,
            ["2 of 47 training rows", "such as -999, where half of the labels are from 2 to 4"],
        );
        said(binary, &[4.0, 5.0], ["all 2 training rows are positive, as `y` is at least 4", "nothing to tell apart"]);
        said(binary, &[1.0, 3.5], ["all 2 training rows are negative, as `y` is below 4", "threshold"]);
    }
}
