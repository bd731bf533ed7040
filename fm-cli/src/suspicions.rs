//! Warnings about rows and results that are hardly meant: a field that gives the label away, the same rows in two parts,
//! a random split of rows with times, and a model that is worse than a baseline.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use fm_core::metric::Metrics;
use fm_core::rows::Row;
use fm_core::terminal::grouped;
use fm_core::{Records, Rows, Schema, Task};
use fm_data::{Prepared, Split};

use crate::memory;
use crate::metric::Metric;
use crate::probabilities;
use crate::results::Results;
use crate::settings::Settings;

/// Minimum number of rows that agree. Fewer may agree by chance.
const ENOUGH: usize = 20;
/// The probability of chance below which rows agree for a reason.
const CHANCE: f64 = 1e-6;
/// Minimum size of the sample of many training rows that is compared with other rows.
const SAMPLE: usize = 4_000_000;
/// A number of rows to shuffle together that takes little memory and is enough for all but rows sorted by label.
const SHUFFLE_ROWS: usize = 1_000_000;

/// What is odd about the rows of a run.
pub fn of_rows(data: &Prepared, settings: &Settings) -> Vec<String> {
    let leaks = (0..data.schema.num_fields()).filter_map(|field| leak(&data.schema, &data.train, field));
    let known = KnownRows::of(&data.train, &[&data.valid, &data.test]);
    let repeated = [("validation", &data.valid), ("test", &data.test)].into_iter().filter_map(|(part, rows)| {
        let count = known.among(rows)?;
        Some(format!(
            "{count} of {} {part} rows are also training rows, with the same label: their metrics say little about new \
             rows; leave the repeated rows out of one of them",
            rows.len()
        ))
    });
    let odd = leaks.chain(repeated).chain(random_despite_times(settings));
    let too_large = memory::limit().and_then(|memory| larger_than_memory(data.train.bytes() as u64, memory, settings));
    odd.chain(too_large).collect()
}

/// Rows that do not fit into `memory` bytes, in random order.
fn larger_than_memory(rows: u64, memory: u64, settings: &Settings) -> Option<String> {
    let gigabytes = |bytes: u64| bytes as f64 / 1e9;
    let is_random = settings.train.shuffle_rows == 0 && !settings.train.progressive;
    (is_random && rows > memory).then(|| {
        format!(
            "the training rows take {:.1} GB, and there are {:.1} GB of memory: epochs are slow, because they read rows in random \
             order from the disk; `--set train.shuffle_rows={SHUFFLE_ROWS}` reads them block by block",
            gigabytes(rows),
            gigabytes(memory)
        )
    })
}

/// A random split of a table that declares times.
fn random_despite_times(settings: &Settings) -> Option<String> {
    let data = &settings.data;
    let column = data.schema.as_ref()?.timestamp.as_ref()?;
    let split: Split = data.split.parse().ok()?;
    // Without the numbers, folds have one warning.
    let name = match split {
        Split::Random { .. } => "random",
        Split::KFold { .. } => "kfold",
        Split::LeaveLastOut | Split::Time { .. } | Split::Fold(_) => return None,
    };
    data.data.is_some().then(|| {
        format!(
            "`{column}` is declared as the timestamp, but the split is `{name}`: training rows may be later than test rows, \
             so metrics may be better than on new rows; `--split time` tests on the latest rows"
        )
    })
}

/// What to say about a field that determines the label.
fn leak(schema: &Schema, train: &Records, field: usize) -> Option<String> {
    let name = &schema.fields()[field].name;
    let column = &schema.label().column;
    let remedy = "if it is known only together with the label, leave it out of the fields";
    if let Some(rows) = determined(train, field) {
        return Some(format!(
            "`{name}` determines `{column}`: {} training rows have a value of `{name}` that other rows have, and the label \
             is that of the others in each; {remedy}",
            grouped(rows as i64)
        ));
    }
    let is_binary = matches!(schema.label().task, Task::Binary { .. });
    if is_binary && let Some(is_filled_if_positive) = presence(train, field) {
        let which = if is_filled_if_positive { "positive" } else { "negative" };
        return Some(format!(
            "`{name}` determines `{column}`: it has a value in exactly the {which} training rows; {remedy}"
        ));
    }
    let is_number = schema.fields()[field].kind.is_dense();
    let is_line = is_number && schema.label().task == Task::Regression && is_line(train, field);
    is_line.then(|| {
        format!(
            "`{column}` is a multiple of `{name}`, or differs from one by a constant, in all training rows; {remedy}"
        )
    })
}

/// A hash of a row's slots of a field; `None` if it has no known value.
fn value(train: &Records, at: usize, row: Row<'_>, field: usize) -> Option<u64> {
    if train.is_unknown(at, field) {
        return None;
    }
    let mut hash = DefaultHasher::new();
    row.field(field).ids().for_each(|id| id.hash(&mut hash));
    row.field(field).values().for_each(|x| x.to_bits().hash(&mut hash));
    Some(hash.finish())
}

/// If a field of hardly more values than there are labels always has the same label for the same value, and does so too
/// often for chance: the number of rows whose value an earlier row has. A field of many values, such as the price, may
/// well decide what users want.
fn determined(train: &Records, field: usize) -> Option<usize> {
    let mut labels = HashMap::<u64, f32>::new();
    let mut agreeing = 0;
    for (at, row) in train.rows().enumerate() {
        let Some(value) = value(train, at, row, field) else { continue };
        match labels.get(&value) {
            Some(label) if *label != row.label() => return None,
            Some(_) => agreeing += 1,
            None => drop(labels.insert(value, row.label())),
        }
    }
    if agreeing < ENOUGH {
        return None;
    }
    let mut counts = HashMap::<u32, usize>::new();
    train.rows().for_each(|row| *counts.entry(row.label().to_bits()).or_default() += 1);
    // The probability that two rows have the same label.
    let chance: f64 = counts.values().map(|&count| (count as f64 / train.len() as f64).powi(2)).sum();
    (labels.len() <= 2 * counts.len() && chance.powi(agreeing as i32) < CHANCE).then_some(agreeing)
}

/// Whether a field is filled in exactly the positive rows (true) or exactly the negative ones (false).
fn presence(train: &Records, field: usize) -> Option<bool> {
    let mut counts = [0; 2];
    let mut is_filled_if_positive = None;
    for (at, row) in train.rows().enumerate() {
        let is_positive = row.label() > 0.5;
        let found = train.is_unknown(at, field) != is_positive;
        if *is_filled_if_positive.get_or_insert(found) != found {
            return None;
        }
        counts[usize::from(is_positive)] += 1;
    }
    is_filled_if_positive.filter(|_| counts.iter().all(|&count| count >= ENOUGH))
}

/// Whether the label is a linear function of a number in all rows that have it.
fn is_line(train: &Records, field: usize) -> bool {
    let points = || {
        let with_number = train.rows().enumerate().filter(|(at, _)| !train.is_unknown(*at, field));
        with_number.filter_map(|(_, row)| Some((f64::from(row.field(field).values().next()?), f64::from(row.label()))))
    };
    let Some(first) = points().next() else { return false };
    let Some(far) = points().find(|point| (point.0 - first.0).abs() > 0.1) else { return false };
    let slope = (far.1 - first.1) / (far.0 - first.0);
    let tolerance = 1e-5 * slope.abs();
    let is_near = |(x, y): (f64, f64)| (first.1 + slope * (x - first.0) - y).abs() <= tolerance * (1.0 + x.abs());
    slope != 0.0 && points().all(is_near) && points().nth(ENOUGH).is_some()
}

/// The training rows, to find them among other rows.
pub struct KnownRows {
    /// The fingerprints of the rows, sorted; of many rows, those that are multiples of `step`.
    fingerprints: Vec<u64>,
    step: u64,
    /// The share of other rows that are equal to training rows by chance: that of the training rows which are equal to
    /// others.
    chance: f64,
}

impl KnownRows {
    /// `others` are all other rows. If every row occurs several times, it is no chance.
    pub fn of(train: &Records, others: &[&Records]) -> KnownRows {
        KnownRows::sampled(train, others, (train.len() / SAMPLE).max(1) as u64)
    }

    fn sampled(train: &Records, others: &[&Records], step: u64) -> KnownRows {
        let sample = |rows: &Records| -> Vec<u64> { rows.fingerprints().filter(|row| row % step == 0).collect() };
        let mut fingerprints = sample(train);
        fingerprints.sort_unstable();
        let repeats = |same: &[u64]| if same.len() > 1 { same.len() } else { 0 };
        let repeating = fingerprints.chunk_by(|a, b| a == b).map(repeats).sum::<usize>();
        let is_copied = repeating > 0 && {
            let others = others.iter().flat_map(|rows| sample(rows));
            let mut all: Vec<u64> = fingerprints.iter().copied().chain(others).collect();
            all.sort_unstable();
            let counts = || all.chunk_by(|a, b| a == b).map(<[u64]>::len);
            counts().fold(0, greatest_common_divisor) > 1 && counts().nth(ENOUGH).is_some()
        };
        let chance = if is_copied { 0.0 } else { repeating as f64 / fingerprints.len().max(1) as f64 };
        KnownRows { fingerprints, step, chance }
    }

    /// The number of rows that are also training rows, if there are more of them than chance explains: rows of a few
    /// values are often equal. Of many training rows, the number is an estimate.
    pub fn among(&self, rows: &Records) -> Option<usize> {
        let (mut count, mut own) = (0_usize, 0_usize);
        for row in rows.fingerprints().filter(|row| row % self.step == 0) {
            own += 1;
            count += usize::from(self.fingerprints.binary_search(&row).is_ok());
        }
        let expected = self.chance * own as f64;
        let limit = expected + 3.0 * expected.sqrt() + (0.01 * own as f64).max(1.0);
        (count as f64 > limit).then(|| (count * self.step as usize).min(rows.len()))
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// What to say about a model that is worse than a baseline on the test rows, by more than the noise of few rows.
pub fn of_results(results: &Results, settings: &Settings) -> Option<String> {
    let task = settings.data.task.of_any_threshold();
    let monitored = settings.monitored().ok()?;
    // Some losses shift probabilities, but not their order.
    let is_shifted = probabilities::shift(&settings.train).is_some();
    let is_of_probabilities = ["logloss", "ece", "normalized_entropy"].contains(&monitored.name.as_str());
    let metric = if is_shifted && is_of_probabilities { Metric::of(task, "auc").ok()? } else { monitored };
    let value = metric.among(&results.test)?;
    let of = |(name, metrics): (&String, &Metrics)| Some((name.clone(), metric.among(metrics)?));
    let baselines = results.baselines.iter().filter_map(of);
    let (name, best) = baselines.reduce(|a, b| if metric.is_better(b.1, a.1) { b } else { a })?;
    let rows = results.rows.get("test").copied().unwrap_or(0);
    let noise = 0.5 / (rows.max(1) as f64).sqrt();
    (metric.is_better(best, value) && (best - value).abs() > noise * best.abs()).then(|| {
        let Metric { name: metric, .. } = &metric;
        format!(
            "{} is worse than the baseline `{name}` on the {rows} test rows: {metric} {value:.4} instead of {best:.4}; it learns \
             little or too much, so try a higher `--l2`, another `--lr` or fewer fields (`fm tune`), or use the baseline",
            results.model
        )
    })
}

#[cfg(test)]
mod tests {
    use fm_core::{Field, FieldKind, Label, Side};

    use super::*;

    /// Rows of a word and a number.
    fn records(task: Task, rows: &[(Option<&str>, Option<&str>, f32)]) -> (Schema, Records) {
        let words: Vec<String> = (0..200).map(|n| format!("w{n}")).collect();
        let fields = vec![
            Field::new("word", FieldKind::Categorical, Side::Context, words),
            Field::new("size", FieldKind::Numeric { mean: 10.0, std: 5.0 }, Side::Context, vec![]),
        ];
        let labels: Vec<f32> = rows.iter().map(|row| row.2).collect();
        let schema = Schema::new(Label::fit("y", task, labels.iter().copied()), fields).unwrap();
        let texts: Vec<[Option<&str>; 2]> = rows.iter().map(|row| [row.0, row.1]).collect();
        let records = Records::from_texts(&schema, &texts, &labels).unwrap();
        (schema, records)
    }

    const BINARY: Task = Task::Binary { threshold: 1.0 };

    fn leaks(task: Task, rows: impl Iterator<Item = (Option<String>, Option<String>, f32)>) -> Vec<String> {
        let rows: Vec<_> = rows.collect();
        let rows: Vec<_> = rows.iter().map(|(a, b, y)| (a.as_deref(), b.as_deref(), *y)).collect();
        let (schema, train) = records(task, &rows);
        (0..2).filter_map(|field| leak(&schema, &train, field)).collect()
    }

    fn word(n: usize) -> Option<String> {
        Some(format!("w{n}"))
    }

    #[test]
    fn a_field_from_which_the_label_follows_is_found_whatever_its_form() {
        let label = |n: usize| f32::from(n * 7 % 5 < 2);
        let follows = |leaks: Vec<String>, words: &str| {
            assert_eq!(leaks.len(), 1, "{leaks:?}");
            assert!(leaks[0].contains(words), "{leaks:?}");
        };
        let number = |n: usize| Some(format!("{}", n as f32 / 9.0));
        follows(
            leaks(BINARY, (0..100).map(|n| (word(label(n) as usize), number(n), label(n)))),
            "`word` determines `y`",
        );
        follows(leaks(BINARY, (0..100).map(|n| (word(n), Some(label(n).to_string()), label(n)))), "`size` determines");
        let is_there = |n: usize| number(n).filter(|_| label(n) == 1.0);
        follows(
            leaks(BINARY, (0..100).map(|n| (word(n), is_there(n), label(n)))),
            "in exactly the positive training rows",
        );
        let stars = |n: usize| (n * 13 % 97) as f32 / 7.0;
        let doubled = |n: usize| Some(format!("{}", 2.0 * stars(n) + 3.0));
        follows(leaks(Task::Regression, (0..90).map(|n| (word(n), doubled(n), stars(n)))), "is a multiple of `size`");
    }

    #[test]
    fn a_field_that_helps_to_predict_the_label_is_no_leak() {
        let label = |n: usize| f32::from(n * 7 % 5 < 2);
        let mostly = |n: usize| word(label(n) as usize ^ usize::from(n.is_multiple_of(20)));
        let number = |n: usize| Some(format!("{}", n % 9));
        assert_eq!(leaks(BINARY, (0..200).map(|n| (mostly(n), number(n), label(n)))), [""; 0]);
        // Many values may decide, values of one row tell nothing, and few rows agree by chance.
        assert_eq!(leaks(BINARY, (0..200).map(|n| (word(n % 15), None, f32::from(n % 15 < 6)))), [""; 0]);
        assert_eq!(leaks(BINARY, (0..100).map(|n| (word(n), Some(format!("{n}")), label(n)))), [""; 0]);
        let rare = |n: usize| f32::from(n == 0);
        assert_eq!(leaks(BINARY, (0..200).map(|n| (word(n / 2), None, rare(n)))), [""; 0]);
        assert_eq!(leaks(Task::Regression, (0..90).map(|n| (word(n), number(n), (n * n % 31) as f32))), [""; 0]);
    }

    #[test]
    fn rows_of_both_parts_are_counted_unless_chance_explains_them() {
        let row = |n: usize, y: usize| (word(n % 200), Some(format!("{}", n / 200)), y as f32);
        let set = |rows: Vec<(Option<String>, Option<String>, f32)>| {
            let rows: Vec<_> = rows.iter().map(|(a, b, y)| (a.as_deref(), b.as_deref(), *y)).collect();
            records(BINARY, &rows).1
        };
        let train = set((0..300).map(|n| row(n, n % 2)).collect());
        let repeated = |train: &Records, rows: &Records| KnownRows::of(train, &[rows]).among(rows);
        let test = |from: usize, same: usize| {
            set((from..from + 100).map(|n| row(if n < from + same { n - from } else { n }, n % 2)).collect())
        };
        assert_eq!(repeated(&train, &test(300, 0)), None);
        assert_eq!(repeated(&train, &test(300, 100)), Some(100));
        assert_eq!(repeated(&train, &test(300, 8)), Some(8));
        assert_eq!(repeated(&train, &set((0..100).map(|n| row(n, 1 - n % 2)).collect())), None, "other labels");
        // Ten values and two labels: all rows repeat.
        let few = |from: usize, n: usize| set((from..from + n).map(|n| row(n * 7 % 10, n * 11 % 17 % 2)).collect());
        assert_eq!(repeated(&few(0, 300), &few(300, 99)), None);
        // A table that was appended to itself.
        let twice: Vec<_> = (0..300).chain(0..300).map(|n| row(n, n % 2)).collect();
        let (first, second) = (set(twice[..450].to_vec()), set(twice[450..].to_vec()));
        assert_eq!(repeated(&first, &second), Some(150));
        // A sample of the rows estimates the number.
        let sampled = KnownRows::sampled(&train, &[&train], 4).among(&train).unwrap();
        assert!((200..=300).contains(&sampled) && sampled.is_multiple_of(4), "{sampled}");
    }

    #[test]
    fn rows_larger_than_memory_are_better_read_block_by_block() {
        let mut settings = Settings::default();
        let warning = larger_than_memory(3_000_000_000, 2_000_000_000, &settings).unwrap();
        assert!(warning.contains("3.0 GB, and there are 2.0 GB"), "{warning}");
        assert_eq!(larger_than_memory(1, 2, &settings), None);
        settings.train.shuffle_rows = SHUFFLE_ROWS;
        assert_eq!(larger_than_memory(3, 2, &settings), None);
    }
}
