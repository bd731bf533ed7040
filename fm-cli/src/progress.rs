//! Progress bars on a terminal, log lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use fm_core::terminal::grouped;
use fm_core::train::{EpochRecord, EpochTiming, Progress, Progressive};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::console::decimal;
use crate::{console, logging};

/// Whether a bar would be visible.
fn is_watched(quiet: bool) -> bool {
    !quiet && std::io::stderr().is_terminal() && !logging::is_json()
}

/// Whether INFO is off, as with `--quiet`.
fn is_quiet() -> bool {
    !tracing::enabled!(tracing::Level::INFO)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

/// A bar for each epoch, and a line at its end.
pub struct EpochProgress {
    bar: ProgressBar,
    is_watched: bool,
    monitored: String,
    batch_size: usize,
    /// When the current epoch began.
    began: Instant,
    /// The current epoch, and the last one if training does not stop early.
    epoch: usize,
    epochs: usize,
    /// When the first step that is shown was done, and which part of which epoch was done then.
    first: Option<(Instant, f64)>,
    /// The first step that is shown of the current epoch.
    first_step: usize,
    /// The monitored metric of each epoch.
    history: Vec<f64>,
}

impl EpochProgress {
    /// Shows the monitored metric, or all metrics with `--verbose`.
    pub fn new(monitored: String, batch_size: usize, epochs: usize) -> EpochProgress {
        // The first step shows it.
        let bar = ProgressBar::hidden();
        bar.set_style(style("{prefix} {bar:10.cyan/dim} {percent:>3}%  {wide_msg}"));
        let (is_watched, began) = (is_watched(is_quiet()), Instant::now());
        EpochProgress {
            bar,
            is_watched,
            monitored,
            batch_size,
            began,
            epoch: 0,
            epochs,
            first: None,
            first_step: 0,
            history: vec![],
        }
    }

    pub fn step(&mut self, &Progress { epoch, step, steps, loss }: &Progress) {
        let Some(loss) = loss else { return };
        if epoch != self.epoch || self.bar.length() != Some(steps as u64) {
            (self.epoch, self.began, self.first_step) = (epoch, Instant::now(), step.saturating_sub(1));
            self.bar.reset();
            self.bar.set_length(steps as u64);
            self.bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
        }
        let now = epoch.saturating_sub(1) as f64 + step as f64 / steps.max(1) as f64;
        let &mut (began, first) = self.first.get_or_insert((self.began, now));
        let rows = step.saturating_sub(self.first_step) * self.batch_size;
        let speed = rows as f64 / self.began.elapsed().as_secs_f64().max(1e-3);
        let left = (self.epochs as f64 - now) / (now - first).max(1e-9);
        let left = HumanDuration(began.elapsed().mul_f64(left.clamp(0.0, 1e6)));
        let (loss, last) = (format!("loss {}", decimal(loss, 4)), format!("{speed:.0} rows/s, at most {left:#}"));
        let message = match self.history.last() {
            Some(value) => {
                let value = format!("{} {}", self.monitored, decimal(*value, 4));
                let others = self.bar.prefix().len() + BESIDE + loss.len() + value.len() + last.len();
                let line = sparkline(&self.history, console::width().saturating_sub(others));
                format!("{loss}  {value} {line}  {last}")
            }
            None => format!("{loss}  {last}"),
        };
        self.bar.set_message(message);
        self.bar.set_position(step as u64);
        if self.is_watched && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// The metrics of progressive validation: over all rows so far and, in brackets, since the last line.
    pub fn progressive(&mut self, results: &Progressive) {
        let names = console::fitting(results.all.keys().collect(), &self.monitored, 0, 1);
        let metric = |name: &&String| {
            let recent = results.recent.get(*name).map_or("-".to_owned(), |value| decimal(*value, 4));
            format!("  {name} {} ({recent})", decimal(results.all[*name], 4))
        };
        let line = format!(
            "progressive, {} of {} rows{}",
            grouped(results.rows as i64),
            grouped(results.of as i64),
            names.iter().map(metric).collect::<String>()
        );
        if self.bar.is_hidden() {
            let Progressive { rows, of, all, recent } = results;
            logging::event(&line, &json!({ "rows": rows, "of": of, "progressive": all, "recent": recent }));
        } else {
            self.bar.println(line);
        }
    }

    pub fn epoch(&mut self, record: &EpochRecord, timing: &EpochTiming) {
        self.history.extend(record.valid.get(&self.monitored));
        let names = console::fitting(record.valid.keys().collect(), &self.monitored, 0, 1);
        let metrics: String =
            names.iter().map(|name| format!("  {name} {}", decimal(record.valid[*name], 4))).collect();
        let mark = if record.best { " *" } else { "" };
        let line = format!(
            "epoch {:>3}  loss {}{metrics}  {:.0} rows/s{mark}",
            record.epoch,
            decimal(record.train_loss, 4),
            timing.rows_per_second
        );
        if self.bar.is_hidden() {
            let EpochTiming { rows_per_second, seconds, .. } = *timing;
            logging::event(&line, &Epoch { record, rows_per_second, seconds });
        } else {
            self.bar.println(line);
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The width of the bar of an epoch, its percentage, and all spaces between the parts of the line.
const BESIDE: usize = 24;

/// The latest numbers, as many as there is room for, as small bars from the smallest to the largest.
fn sparkline(numbers: &[f64], room: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const LATEST: usize = 12;
    let latest = &numbers[numbers.len().saturating_sub(LATEST.min(room))..];
    let finite = || latest.iter().copied().filter(|number| number.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let bar = |number: f64| match (number - low) / (high - low) {
        share if share.is_finite() => BARS[(share * 7.0).round() as usize],
        _ => BARS[0],
    };
    finite().map(bar).collect()
}

/// An epoch in a JSON log.
#[derive(Serialize)]
struct Epoch<'a> {
    #[serde(flatten)]
    record: &'a EpochRecord,
    rows_per_second: f64,
    seconds: f64,
}

/// A bar for the rows of a table: by bytes if the length of the file is known, or by rows if their number is.
pub struct RowProgress {
    bar: ProgressBar,
    rows: usize,
    began: Instant,
}

impl RowProgress {
    pub fn new(bytes: Option<u64>) -> RowProgress {
        match bytes {
            Some(_) => RowProgress::of(bytes, "{bar:12.cyan/dim} {bytes}/{total_bytes}  {msg}  {eta} left"),
            None => RowProgress::of(None, "{spinner} {msg}"),
        }
    }

    /// For a known number of rows.
    pub fn of_rows(rows: u64) -> RowProgress {
        RowProgress::of(Some(rows), "{bar:12.cyan/dim} {msg}  {eta} left")
    }

    fn of(length: Option<u64>, template: &str) -> RowProgress {
        let bar = match (is_watched(is_quiet()), length) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(length)) => ProgressBar::new(length),
            (true, None) => ProgressBar::new_spinner(),
        };
        bar.set_style(style(template));
        RowProgress { bar, rows: 0, began: Instant::now() }
    }

    /// Counts rows; the bar is now at this position: the bytes read, or the rows.
    pub fn add(&mut self, rows: usize, position: u64) {
        self.rows += rows;
        self.bar.set_message(self.speed());
        self.bar.set_position(position);
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    fn speed(&self) -> String {
        format!("{} rows, {:.0} rows/s", self.rows, self.rows as f64 / self.began.elapsed().as_secs_f64())
    }

    /// Number of rows, time and speed.
    pub fn finish(&self) -> String {
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        format!("{} rows in {seconds:.1} s ({:.0} rows/s)", self.rows, self.rows as f64 / seconds)
    }
}

/// A bar for a download.
pub fn bytes() -> ProgressBar {
    let bar = if is_watched(is_quiet()) { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(style("{bar:20.cyan/dim} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left"));
    bar
}

/// Runs something that takes a while, with a spinner.
pub fn during<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let spinner = if is_watched(is_quiet()) { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_style(style("{spinner} {msg} {elapsed}"));
    spinner.set_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    spinner.finish_and_clear();
    result
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn a_sparkline_goes_from_the_smallest_to_the_largest_number() {
        assert_eq!(sparkline(&[3.0, 1.0, 2.0], 80), "█▁▅");
        assert_eq!(sparkline(&[1.0, f64::NAN, 1.0], 80), "▁▁");
        assert_eq!(sparkline(&[], 80), "");
        assert_eq!(sparkline(&[9.0; 40], 80).chars().count(), 12);
        assert_eq!(sparkline(&[1.0, 2.0, 3.0], 2), "▁█");
        assert_eq!(sparkline(&[1.0, 2.0, 3.0], 0), "");
    }
}
