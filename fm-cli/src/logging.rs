//! Messages on standard error: lines of text, or one JSON object per line.

use std::io::Write;
use std::sync::OnceLock;

use fm_args::{LogFormat, one_line};
use serde::Serialize;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
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
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_target(verbose > 0);
    match format {
        LogFormat::Text => log.with_ansi(has_colors()).without_time().init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
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
    if let Ok(json) = serde_json::to_string(&event) {
        // If standard error is closed, there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{json}");
    }
}

/// Reports an error in one line, with a hint where there is one; with `--verbose`, its causes follow.
pub fn report(error: &anyhow::Error, verbose: bool) {
    let mut line = one_line(&with_hint(error));
    if verbose {
        for cause in error.chain().skip(1) {
            line.push_str(&format!("\n  because: {cause}"));
        }
    }
    print_error(&line);
}

/// Reports panics in one line. Most panics of libtorch are failed allocations.
pub fn report_panics(verbose: bool) {
    let with_trace = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if verbose {
            return with_trace(panic);
        }
        let text = panic.payload_as_str().unwrap_or("unknown");
        let is_memory = ["out of memory", "not enough memory", "can't allocate"].iter().any(|sign| text.contains(sign));
        let what = if is_memory { "out of memory: use a smaller model or batch" } else { "internal error" };
        let detail: String = one_line(text).chars().take(200).collect();
        print_error(&format!("{what} ({detail}); `-v` shows where"));
    }));
}

/// The program's own error message.
pub fn print_error(text: &str) {
    if is_json() { tracing::error!("{text}") } else { fm_args::print_error(text) }
}
