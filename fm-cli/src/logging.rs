//! Messages on standard error: lines of text, or one JSON object per line.

use std::fmt::Debug;
use std::io::Write;
use std::sync::OnceLock;

use fm_args::{LogFormat, one_line};
use fm_core::error::is_about_memory;
use fm_core::terminal::{json, line, page, shortened};
use serde::Serialize;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::console::has_colors;
use crate::hints::with_hint;

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Sets up the log. Call it once, before the first message.
pub fn start(format: LogFormat, quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    FORMAT.get_or_init(|| format);
    let log = tracing_subscriber::fmt().with_max_level(level).with_target(verbose > 0);
    match format {
        LogFormat::Text => {
            let fields = debug_fn(write_field).delimited(" ");
            log.with_writer(std::io::stderr).with_ansi(has_colors()).without_time().fmt_fields(fields).init();
        }
        LogFormat::Json => {
            let log = log.with_writer(|| JsonLines).json().flatten_event(true);
            log.with_current_span(false).with_span_list(false).init();
        }
    }
}

/// Writes the message of an event, or another field with its name, as a terminal may show it.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let name = if field.name() == "message" { String::new() } else { format!("{}=", field.name()) };
    write!(writer, "{name}{}", brief(&format!("{value:?}")))
}

/// Standard error for lines of JSON, each written at once.
struct JsonLines;

impl Write for JsonLines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().write_all(json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Maximum number of characters of a value in a message, and of a message.
const VALUE: usize = 80;
const MESSAGE: usize = 2000;

/// A message in one line. Quoted values that are longer than a line are cut, and so is the middle of a message that is
/// still too long.
fn brief(message: &str) -> String {
    let pieces = message.split('`').enumerate().map(|(at, piece)| {
        let is_value = at % 2 == 1;
        if is_value && piece.len() > VALUE { shortened(piece, VALUE) } else { line(piece).into_owned() }
    });
    let message = pieces.collect::<Vec<_>>().join("`");
    let count = message.chars().count();
    if count <= MESSAGE {
        return message;
    }
    let start: String = message.chars().take(MESSAGE / 2).collect();
    let end: String = message.chars().skip(count - MESSAGE / 2).collect();
    format!("{start} … {end}")
}

/// Whether the log is JSON.
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Logs an event: as a line of text, or as a JSON object with the fields of `what`.
pub fn event(line: &str, what: &impl Serialize) {
    if !is_json() || !tracing::enabled!(tracing::Level::INFO) {
        return tracing::info!("{line}");
    }
    #[derive(Serialize)]
    struct Event<'a, T> {
        timestamp: String,
        level: &'static str,
        message: &'a str,
        #[serde(flatten)]
        what: &'a T,
    }
    let mut timestamp = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let event = Event { timestamp, level: "INFO", message: line, what };
    if let Ok(json) = serde_json::to_string(&event).map(|text| text + "\n") {
        // If standard error is closed, there is nobody to tell.
        let _ = JsonLines.write_all(json.as_bytes());
    }
}

/// Reports an error in one line, with a hint where there is one; with `--verbose`, its causes follow.
pub fn report(error: &anyhow::Error, verbose: bool) {
    let mut lines = brief(&one_line(&with_hint(error)));
    if verbose {
        for cause in error.chain().skip(1) {
            lines.push_str(&format!("\n  because: {}", brief(&cause.to_string())));
        }
    }
    print_error(&lines);
}

/// Reports panics in one line. Most panics of libtorch are failed allocations.
pub fn report_panics(verbose: bool) {
    let with_trace = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if verbose {
            return with_trace(panic);
        }
        let text = panic.payload_as_str().unwrap_or("unknown");
        let what = if is_about_memory(text) { "out of memory: use a smaller model or batch" } else { "internal error" };
        let detail: String = one_line(text).chars().take(200).collect();
        print_error(&format!("{what} ({detail}); `-v` shows where"));
    }));
}

/// The program's own error message.
pub fn print_error(text: &str) {
    if is_json() { tracing::error!("{text}") } else { fm_args::print_error(&page(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_and_what_follows_it_stays() {
        let (value, words) = ("x".repeat(5000), "word ".repeat(5000));
        let message = brief(&format!("t.csv, line 3: `{value}` in column `{words}` is not a\nnumber"));
        assert!(
            message.starts_with(&format!("t.csv, line 3: `{}…` in column `word word", "x".repeat(80))),
            "{message}"
        );
        assert!(message.ends_with("word…` is not a number") && message.len() < 250, "{message}");
        assert_eq!(brief("there is no `a`"), "there is no `a`");
        // A quote within a value.
        let message = brief(&format!("`{value}`{value} in column `b` is not a number"));
        assert!(message.ends_with("` is not a number") && message.chars().count() < MESSAGE + 10, "{message}");
        let message = brief(&format!("`{value}` is odd"));
        assert!(!brief(&format!("{message}\u{1b}[2J\u{202e}")).contains(['\u{1b}', '\u{202e}']));
    }
}
