//! The text format.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::histogram::Histogram;

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A page of samples. Writing to a string does not fail.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins a family of samples.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample of the family.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], number: f64) {
        let _ = writeln!(self.0, "{name}{} {number}", braces(labels));
    }

    /// Adds a histogram of the family.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let all = histogram.cumulative();
        for (bound, count) in &all {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, *count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, all.last().map_or(0, |(_, count)| *count) as f64);
    }

    /// The page.
    pub fn text(self) -> String {
        self.0
    }
}

fn braces(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
    format!("{{{}}}", labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_family_with_escaped_labels() {
        let mut page = Page::default();
        page.family("n", "counter", "Things");
        page.sample("n", &[("field", "a\"b\\\nc")], 3.0);
        let histogram = Histogram::new(&[0.5]);
        histogram.observe(0.25);
        histogram.observe(1.0);
        page.histogram("h", &[], &histogram);
        assert_eq!(
            page.text(),
            "# HELP n Things\n# TYPE n counter\nn{field=\"a\\\"b\\\\\\nc\"} 3\nh_bucket{le=\"0.5\"} 1\n\
             h_bucket{le=\"+Inf\"} 2\nh_sum 1.25\nh_count 2\n"
        );
    }
}
