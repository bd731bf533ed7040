//! What goes to standard error: lines for people, or an object of JSON a line for programs.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use fm_args::{LogFormat, one_line};
use serde::Serialize;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::hints;

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Sets up the log; to be called once, before anything is said.
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
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).without_time().init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}

/// Whether programs read the log.
pub fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Says what happened: to people as a line, to programs as the fields of `what` beside the line.
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
    // A text takes whatever is written to it.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let event = Event { timestamp, level: "INFO", message: line, what };
    if let Ok(json) = serde_json::to_string(&event) {
        // Nobody is left to be told that standard error is closed.
        let _ = writeln!(std::io::stderr(), "{json}");
    }
}

/// One line; the chain behind it with `--verbose`.
pub fn report(error: &anyhow::Error, verbose: bool) {
    let mut line = one_line(&hints::with_hint(error));
    if verbose {
        for cause in error.chain().skip(1) {
            line.push_str(&format!("\n  because: {cause}"));
        }
    }
    print_error(&line);
}

/// A panic in one line. What libtorch panics with is mostly memory that is not there.
pub fn report_panics(verbose: bool) {
    let with_trace = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if verbose {
            return with_trace(panic);
        }
        let text = panic.payload_as_str().unwrap_or("unknown");
        let is_memory = ["out of memory", "not enough memory", "can't allocate"].iter().any(|sign| text.contains(sign));
        let what =
            if is_memory { "there is not enough memory: take a smaller model or batch" } else { "internal error" };
        let detail: String = one_line(text).chars().take(200).collect();
        print_error(&format!("{what} ({detail}); `-v` shows where"));
    }));
}

/// The program's own error message.
pub fn print_error(text: &str) {
    if is_json() { tracing::error!("{text}") } else { fm_args::print_error(text) }
}
