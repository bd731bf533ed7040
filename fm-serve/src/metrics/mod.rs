//! Metrics in Prometheus' text format.
//!
//! | metric | of |
//! |---|---|
//! | `fm_requests_total{endpoint,status}` | requests |
//! | `fm_request_seconds{endpoint}` | histogram of their time, from the head of the request to the answer |
//! | `fm_queue_seconds`, `fm_work_seconds` | histograms of the time that jobs wait, and that batches take |
//! | `fm_batch_rows` | histogram of the rows of a batch |
//! | `fm_queue_rows`, `fm_connections`, `fm_body_bytes` | what there is at the moment |
//! | `fm_rows_total{model}` | scored rows |
//! | `fm_unknown_values_total{model,field}` | rows that have no value in a field that training knows |
//! | `fm_model_loads_total{model,result}` | reloads: `ok` or `error` |
//! | `fm_model_loaded_timestamp_seconds{model}` | when the model that answers was loaded |
//! | `fm_info{version,libtorch}` | 1 |
//! | `process_resident_memory_bytes`, `process_start_time_seconds` | the process, where the system tells |

mod histogram;
mod process;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fm_core::Schema;
use fm_core::device::compiled_libtorch;

pub(crate) use histogram::Histogram;
use text::{Page, seconds};

use crate::app::App;

/// Seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Rows.
const ROWS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];

/// What the server counts, whichever model answers.
pub(crate) struct Metrics {
    started: SystemTime,
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    request_seconds: Mutex<BTreeMap<&'static str, Histogram>>,
    /// The time that jobs wait.
    pub queue_seconds: Histogram,
    /// The time that batches take.
    pub work_seconds: Histogram,
    /// The rows of batches.
    pub batch_rows: Histogram,
}

impl Metrics {
    pub fn new() -> Metrics {
        Metrics {
            started: SystemTime::now(),
            requests: Mutex::default(),
            request_seconds: Mutex::default(),
            queue_seconds: Histogram::new(&SECONDS),
            work_seconds: Histogram::new(&SECONDS),
            batch_rows: Histogram::new(&ROWS),
        }
    }

    /// Counts a request that has been answered.
    pub fn count_request(&self, endpoint: &'static str, status: u16, time: f64) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((endpoint, status)).or_default() += 1;
        let mut all = self.request_seconds.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(endpoint).or_insert_with(|| Histogram::new(&SECONDS)).observe(time);
    }
}

/// What is counted of a model, across reloads.
pub(crate) struct ModelMetrics {
    rows: AtomicU64,
    unknown: Mutex<BTreeMap<String, u64>>,
    loaded: AtomicU64,
    failed: AtomicU64,
}

impl ModelMetrics {
    pub fn new() -> ModelMetrics {
        let (rows, loaded, failed) = Default::default();
        ModelMetrics { rows, unknown: Mutex::default(), loaded, failed }
    }

    /// Counts scored rows, and in each field those without a known value.
    pub fn count_rows(&self, rows: usize, schema: &Schema, unknown: &[usize]) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        let mut all = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        for (field, &count) in schema.fields().iter().zip(unknown) {
            match all.get_mut(&field.name) {
                Some(sum) => *sum += count as u64,
                None => drop(all.insert(field.name.clone(), count as u64)),
            }
        }
    }

    /// Counts a reload.
    pub fn count_reload(&self, is_ok: bool) {
        if is_ok { &self.loaded } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }
}

/// All metrics as text.
pub(crate) fn page(app: &App) -> String {
    let mut page = Page::default();
    let metrics = &app.metrics;
    page.family("fm_requests_total", "counter", "Requests by endpoint and status");
    for ((endpoint, status), count) in &*metrics.requests.lock().unwrap_or_else(PoisonError::into_inner) {
        let status = status.to_string();
        page.sample("fm_requests_total", &[("endpoint", endpoint), ("status", &status)], *count as f64);
    }
    page.family("fm_request_seconds", "histogram", "Time of requests");
    for (endpoint, times) in &*metrics.request_seconds.lock().unwrap_or_else(PoisonError::into_inner) {
        page.histogram("fm_request_seconds", &[("endpoint", endpoint)], times);
    }
    for (name, histogram, help) in [
        ("fm_queue_seconds", &metrics.queue_seconds, "Time that jobs wait for a worker"),
        ("fm_work_seconds", &metrics.work_seconds, "Time that a worker takes for a batch"),
        ("fm_batch_rows", &metrics.batch_rows, "Rows of a batch"),
    ] {
        page.family(name, "histogram", help);
        page.histogram(name, &[], histogram);
    }
    for (name, now, help) in [
        ("fm_queue_rows", app.queue.rows(), "Rows that wait for a worker"),
        ("fm_connections", app.connections(), "Open connections"),
        ("fm_body_bytes", app.body_bytes(), "Bytes of bodies that are read or answered"),
    ] {
        page.family(name, "gauge", help);
        page.sample(name, &[], now as f64);
    }
    of_models(app, &mut page);
    page.family("fm_info", "gauge", "Versions");
    page.sample("fm_info", &[("version", env!("CARGO_PKG_VERSION")), ("libtorch", compiled_libtorch().0)], 1.0);
    page.family("process_start_time_seconds", "gauge", "When the server started");
    page.sample("process_start_time_seconds", &[], seconds(metrics.started));
    if let Some(bytes) = process::resident_bytes() {
        page.family("process_resident_memory_bytes", "gauge", "Memory of the process");
        page.sample("process_resident_memory_bytes", &[], bytes as f64);
    }
    page.text()
}

fn of_models(app: &App, page: &mut Page) {
    let slots = app.models.slots();
    page.family("fm_rows_total", "counter", "Scored rows");
    for slot in slots {
        page.sample("fm_rows_total", &[("model", &slot.name)], slot.metrics.rows.load(Ordering::Relaxed) as f64);
    }
    page.family("fm_unknown_values_total", "counter", "Rows without a known value in a field");
    for slot in slots {
        for (field, count) in &*slot.metrics.unknown.lock().unwrap_or_else(PoisonError::into_inner) {
            page.sample("fm_unknown_values_total", &[("model", &slot.name), ("field", field)], *count as f64);
        }
    }
    page.family("fm_model_loads_total", "counter", "Reloads of files that changed");
    for slot in slots {
        for (result, count) in [("ok", &slot.metrics.loaded), ("error", &slot.metrics.failed)] {
            let labels = [("model", slot.name.as_str()), ("result", result)];
            page.sample("fm_model_loads_total", &labels, count.load(Ordering::Relaxed) as f64);
        }
    }
    page.family("fm_model_loaded_timestamp_seconds", "gauge", "When the model that answers was loaded");
    for slot in slots {
        page.sample("fm_model_loaded_timestamp_seconds", &[("model", &slot.name)], seconds(slot.model().loaded));
    }
}
