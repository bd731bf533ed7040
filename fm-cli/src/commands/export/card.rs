//! The model card, for people who have only the exported file.

use std::fmt::{self, Display, Formatter};

use fm_core::device::compiled_libtorch;
use fm_core::metric::Metrics;
use fm_core::schema::{TimePart, Transform};
use fm_core::script::Precision;
use fm_core::terminal::grouped;
use fm_core::{Field, FieldKind, Keep, List, Schema, Side, Task, Weighting};
use fm_data::source::terms_of_use;

use crate::console::{decimal, rounded};
use crate::metric::in_order;
use crate::results::Results;
use crate::settings::Settings;

/// A model card, as Markdown.
pub struct ModelCard<'a> {
    pub settings: &'a Settings,
    pub schema: &'a Schema,
    /// `None` for a run that was interrupted.
    pub results: Option<&'a Results>,
    /// The number of items in the catalogue.
    pub items: Option<usize>,
    /// Why scores are not probabilities, if they are not.
    pub shift: Option<String>,
    /// Whether the model was calibrated after training.
    pub is_calibrated: bool,
    pub data_licence: Option<&'a str>,
    pub precision: Precision,
    /// The cost of the precision.
    pub rounding: Option<&'a Rounding>,
    /// The size of the file without this card.
    pub bytes: u64,
}

/// Test metrics before and after the tables were rounded.
pub struct Rounding {
    pub before: Metrics,
    pub after: Metrics,
}

impl Display for Rounding {
    /// One line per metric.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, before) in &self.before {
            if let Some(after) = self.after.get(name) {
                writeln!(f, "test {name} {before:.6} -> {after:.6} ({:+.6})", after - before)?;
            }
        }
        Ok(())
    }
}

/// The time that the model takes for a batch.
pub struct Latency {
    pub rows: usize,
    pub seconds: f64,
}

/// A number of bytes as text.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Latencies in one line.
pub fn latencies(latencies: &[Latency]) -> String {
    let one = |Latency { rows, seconds }: &Latency| {
        format!("{:.2} ms for {rows} {}", seconds * 1e3, if *rows == 1 { "row" } else { "rows" })
    };
    latencies.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Display for ModelCard<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ModelCard { settings, schema, .. } = self;
        let label = schema.label();
        let entry = settings.model.entry().ok();
        writeln!(f, "# {} for `{}`\n", entry.map_or(settings.model.name.as_str(), |entry| entry.title), label.column)?;
        match label.task {
            Task::Regression => {
                writeln!(
                    f,
                    "Predicts `{}`, within {} to {}, the range of the training rows.",
                    label.column, label.min, label.max
                )?;
            }
            Task::Binary { threshold } => match &self.shift {
                None => writeln!(f, "Predicts the probability that `{}` is at least {threshold}.", label.column)?,
                Some(_) => writeln!(
                    f,
                    "Predicts a score from 0 to 1 for rows whose `{}` is at least {threshold}: a higher score means that this is \
                     more likely, but the score is not the probability (see Limits).",
                    label.column
                )?,
            },
            Task::Ranking { threshold } => {
                let chosen = threshold
                    .map(|threshold| format!(" whose `{}` is at least {threshold}", label.column))
                    .unwrap_or_default();
                writeln!(
                    f,
                    "Ranks items for a user, trained on rows{chosen}: a higher score ranks an item higher. Scores have no unit, and \
                     those of different users are not comparable."
                )?;
            }
        }
        if let Some(entry) = entry {
            writeln!(f, "The model captures {}. {}. <{}>", entry.captures, entry.paper, entry.url)?;
        }
        self.data(f)?;
        self.metrics(f)?;
        self.limits(f)?;
        self.file(f)
    }
}

impl ModelCard<'_> {
    fn data(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let data = &self.settings.data;
        writeln!(f, "\n## Data\n")?;
        let file = |path: &std::path::PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        match (&data.data, &data.train) {
            // The rest of the path describes the training machine, not the data.
            (Some(data), _) => writeln!(f, "- from: {}", file(&data.into()).unwrap_or_default())?,
            (None, train) => writeln!(f, "- from: {}", train.as_ref().and_then(file).unwrap_or_default())?,
        }
        match data.train {
            None => writeln!(f, "- split: {}, seed {}", data.split, data.seed)?,
            Some(_) => writeln!(f, "- split: a table for each part")?,
        }
        if let Some(results) = self.results {
            let rows = |part: &str| grouped(results.rows.get(part).map_or(0, |&rows| rows as i64));
            writeln!(f, "- rows: {} to train, {} to validate, {} to test", rows("train"), rows("valid"), rows("test"))?;
        }
        let licence =
            self.data_licence.or_else(|| terms_of_use(data)).unwrap_or("not stated: ask the provider of the data");
        writeln!(f, "- licence of the data: {licence}\n")?;
        writeln!(f, "| field | of | kind |\n|---|---|---|")?;
        for field in self.schema.fields() {
            let side = match field.side {
                Side::User => "user",
                Side::Item => "item",
                Side::Context => "context",
            };
            writeln!(f, "| `{}` | {side} | {} |", field.name.replace('|', "\\|"), kind(field))?;
        }
        Ok(())
    }

    fn metrics(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Metrics\n")?;
        let Some(results) = self.results else {
            return writeln!(f, "None: training is not finished.");
        };
        let names = in_order(results.test.keys().chain(results.valid.keys()));
        let header: String = names.iter().map(|name| format!(" {name} |")).collect();
        writeln!(f, "| |{header}\n|---|{}", "---:|".repeat(names.len()))?;
        let line = |f: &mut Formatter<'_>, what: &str, metrics: &Metrics| {
            let cells = names
                .iter()
                .map(|name| metrics.get(*name).map_or(" - |".into(), |value| format!(" {} |", decimal(*value, 4))));
            writeln!(f, "| {what} |{}", cells.collect::<String>())
        };
        line(f, "validation", &results.valid)?;
        line(f, "test", &results.test)?;
        for (name, metrics) in &results.valid_baselines {
            line(f, &format!("{name}, validation"), metrics)?;
        }
        for (name, metrics) in &results.baselines {
            line(f, &format!("{name}, test"), metrics)?;
        }
        writeln!(
            f,
            "\nThese are the metrics of epoch {} of {}, the best on the validation rows.",
            results.best_epoch, results.epochs
        )
    }

    fn limits(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Limits\n")?;
        writeln!(f, "- It reflects the training rows, not later changes of users, items or preferences.")?;
        writeln!(
            f,
            "- An unknown, missing or malformed value maps to the out-of-vocabulary row of its field: the prediction \
             then depends on the other fields."
        )?;
        if let (Task::Ranking { .. }, Some(item)) = (self.schema.label().task, self.schema.item()) {
            writeln!(
                f,
                "- An item without training rows has no embedding for its `{item}`: only its other fields rank it."
            )?;
        }
        if self.schema.fields().iter().any(|field| field.hash_buckets.is_some()) {
            writeln!(f, "- Values of a hashed field may share a bucket, and thus an embedding.")?;
        }
        if matches!(self.schema.label().task, Task::Binary { .. }) {
            match &self.shift {
                Some(shift) => writeln!(f, "- {shift}")?,
                None => writeln!(
                    f,
                    "- Probabilities are calibrated{} only for data with the same share of positives as the training rows{}: \
                     {:.4}.",
                    if self.is_calibrated { " (on the validation rows, after training)" } else { "" },
                    if is_weighted(self.settings) { ", each counted with its weight" } else { "" },
                    self.schema.label().mean
                )?,
            }
        }
        writeln!(f, "- Fairness between groups of users was not evaluated.")
    }

    fn file(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## File\n")?;
        if let Some(results) = self.results {
            writeln!(f, "- parameters: {}", grouped(results.parameters))?;
        }
        writeln!(f, "- size, without this card: {}", size(self.bytes))?;
        writeln!(f, "- tables: {}", self.precision)?;
        match self.rounding {
            Some(rounding) => {
                for line in rounding.to_string().lines() {
                    writeln!(f, "  - against f32: {line}")?;
                }
            }
            None if self.precision != Precision::F32 => writeln!(f, "  - its cost was not measured")?,
            None => {}
        }
        match self.items {
            Some(items) => writeln!(f, "- catalogue: {} items for `recommend`", grouped(items as i64))?,
            None => writeln!(f, "- catalogue: none")?,
        }
        writeln!(f, "- written by fm {} with libtorch {}", env!("CARGO_PKG_VERSION"), compiled_libtorch().0)
    }
}

/// Whether a column gives the weights of the rows.
fn is_weighted(settings: &Settings) -> bool {
    settings.data.schema.as_ref().is_some_and(|schema| schema.weight.is_some())
}

fn kind(field: &Field) -> String {
    let values = match (&field.shares, field.hash_buckets) {
        (Some(owner), _) => format!("the values of `{owner}`"),
        (None, Some(buckets)) => format!("hashed into {} buckets", grouped(i64::from(buckets))),
        (None, None) => format!("{} values", grouped(field.vocabulary.len() as i64)),
    };
    let of = |part: TimePart| match &field.derived.until {
        Some(until) => format!("days from `{}` until `{until}`, ", field.column()),
        None => format!("{} of `{}` in UTC, ", part.name(), field.column()),
    };
    let cross = || format!("cross of `{}`, ", field.derived.cross.join("` and `"));
    let derived = field.derived.time.map(of).or(field.derived.is_cross().then(cross)).unwrap_or_default();
    derived
        + &match &field.kind {
            FieldKind::Categorical => format!("categorical, {values}"),
            FieldKind::MultiValued(list) => format!("multi-valued, {values}, {}", several(list)),
            FieldKind::Sequence(list) => format!("sequence, {values}, {}", several(list)),
            FieldKind::Numeric { mean, std } => {
                format!("numeric, mean {}, standard deviation {}", rounded(*mean), rounded(*std))
            }
            FieldKind::Transformed(transform) => match transform {
                Transform::Log { mean, std } => {
                    format!(
                        "numeric, logarithm, of which mean {}, standard deviation {}",
                        rounded(*mean),
                        rounded(*std)
                    )
                }
                Transform::MinMax { min, range } => {
                    format!("numeric, from {} to {} as 0 to 1", rounded(*min), rounded(min + range))
                }
                Transform::Identity => "numeric, as it is".into(),
                Transform::Sin { period } | Transform::Cos { period } => {
                    format!("numeric, {} with period {period}", transform.name())
                }
                Transform::Buckets { edges } | Transform::CriteoLog { edges } => {
                    format!("numeric, {} buckets ({})", grouped(edges.len() as i64 + 1), transform.name())
                }
            },
        }
}

fn several(list: &List) -> String {
    let separator = list.separator.replace('|', "\\|");
    let numbers = if list.weighting == Weighting::Given { ", with numbers as in `value:0.5`" } else { "" };
    let kept = if list.keep == Keep::Last { "the last " } else { "at most " };
    format!("{kept}{} per row, separated by `{separator}`{numbers}", list.max_len)
}
