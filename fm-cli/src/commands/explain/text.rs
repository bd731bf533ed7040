//! An explanation as a page of text.

use std::fmt;

use fm_core::terminal::line;
use fm_core::{Label, Task};

use super::row::Value;
use super::{ByField, Explanation, Formula, Pair, Term};
use crate::console::{decimals_of, signed, width};

/// An explanation as text: columns of terms that each add up to the logit.
pub struct Page<'a> {
    explanation: &'a Explanation,
    label: &'a Label,
    /// Why the score of a binary task is not a probability, if it is not.
    shift: Option<String>,
    top: usize,
}

impl Page<'_> {
    /// Shows at most `top` terms of each kind, and the sum of the others.
    pub fn new<'a>(explanation: &'a Explanation, label: &'a Label, shift: Option<String>, top: usize) -> Page<'a> {
        Page { explanation, label, shift, top }
    }

    fn formula(&self, f: &mut fmt::Formatter<'_>, parts: &Formula, logit: f32, unit: &str) -> fmt::Result {
        let Formula { exact, bias, first_order, pairs, pairs_of_fields, lumps } = parts;
        writeln!(f, "\nTerms of the logit by the model's formula, in {unit}")?;
        self.line(f, f64::from(*bias), "bias")?;
        if let Some(terms) = first_order {
            writeln!(f, "  values")?;
            let shown = &terms[..terms.len().min(self.top)];
            shown.iter().try_for_each(|term| self.line(f, term.term, &term.of.to_string()))?;
            self.others(f, &terms[shown.len()..], ["value", "values"])?;
        }
        if let Some(terms) = pairs {
            let (up, rest): (Vec<_>, Vec<_>) = terms.iter().partition(|term| term.term > 0.0);
            let (down, mut others_of_pairs): (Vec<_>, Vec<_>) = rest.into_iter().partition(|term| term.term < 0.0);
            for (heading, terms) in [("pairs that pull up", up), ("pairs that pull down", down)] {
                let (shown, others) = terms.split_at(terms.len().min(self.top));
                if !shown.is_empty() {
                    writeln!(f, "  {heading}")?;
                }
                shown.iter().try_for_each(|term| self.line(f, term.term, &pair_of_values(&term.of)))?;
                others_of_pairs.extend(others);
            }
            self.others(f, others_of_pairs, ["pair", "pairs"])?;
        }
        if !lumps.is_empty() {
            writeln!(f, "  interactions without terms of single pairs")?;
            lumps.iter().try_for_each(|lump| self.line(f, lump.term, lump.of))?;
        }
        self.sum(f, f64::from(logit))?;
        match exact {
            true => writeln!(f, "Exact: the formula has no further terms.")?,
            false => {
                let names: Vec<String> = lumps.iter().map(|lump| format!("\"{}\"", lump.of)).collect();
                writeln!(f, "Not exact: the formula does not split {} by value.", names.join(" and "))?;
            }
        }
        if let Some(terms) = pairs_of_fields.as_ref().filter(|terms| !terms.is_empty()) {
            writeln!(f, "\nThe same pairs, summed by field")?;
            let shown = &terms[..terms.len().min(self.top)];
            shown.iter().try_for_each(|Term { of: [a, b], term }| self.line(f, *term, &format!("{a} × {b}")))?;
            self.others(f, &terms[shown.len()..], ["pair of fields", "pairs of fields"])?;
        }
        Ok(())
    }

    fn by_field(&self, f: &mut fmt::Formatter<'_>, found: &ByField, logit: f32, unit: &str) -> fmt::Result {
        let ByField { baseline, fields, standard_error, rows } = found;
        writeln!(f, "\nShapley value of each field, compared with missing values, in {unit}")?;
        self.line(f, *baseline, "a row with no values")?;
        let shown = &fields[..fields.len().min(self.top)];
        shown.iter().try_for_each(|term| self.line(f, term.term, &values(&term.of)))?;
        self.others(f, &fields[shown.len()..], ["field", "fields"])?;
        self.sum(f, f64::from(logit))?;
        match standard_error {
            None => write!(f, "Exact: {rows} rows scored, one for each subset of the fields."),
            Some(error) => {
                let decimals = decimals_of(self.label, 4);
                write!(f, "Estimated with standard errors of at most {error:.decimals$}: {rows} rows scored.")
            }
        }
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, term: f64, name: &str) -> fmt::Result {
        let decimals = decimals_of(self.label, 4);
        let term = format!("{:>11}", signed(term, decimals));
        writeln!(f, "{term}  {}", cut(name, width().saturating_sub(term.chars().count() + 2)))
    }

    /// What is not shown, in one line.
    fn others<'b, T: 'b>(
        &self,
        f: &mut fmt::Formatter<'_>,
        terms: impl IntoIterator<Item = &'b Term<T>>,
        [one, several]: [&str; 2],
    ) -> fmt::Result {
        let (number, sum) = terms.into_iter().fold((0, 0.0), |(number, sum), term| (number + 1, sum + term.term));
        match number {
            0 => Ok(()),
            _ => self.line(f, sum, &format!("{number} other {}", if number == 1 { one } else { several })),
        }
    }

    fn sum(&self, f: &mut fmt::Formatter<'_>, logit: f64) -> fmt::Result {
        writeln!(f, "  ─────────")?;
        self.line(f, logit, "logit")
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { pair, prediction, logit, parts, shapley } = self.explanation;
        let column = &self.label.column;
        if let Some(pair) = pair {
            writeln!(f, "{}", cut(&heading(pair), width()))?;
        }
        match self.label.task {
            Task::Regression => {
                let Label { min, max, .. } = self.label;
                let end =
                    if prediction == logit { String::new() } else { format!(", the end of its range {min} to {max}") };
                let decimals = decimals_of(self.label, 4);
                writeln!(f, "predicted {column} {prediction:.decimals$}{end}")?;
            }
            Task::Binary { threshold } => {
                let what = if self.shift.is_some() { "score" } else { "predicted probability" };
                writeln!(f, "{what} {prediction:.4} that {column} is at least {threshold}")?;
                if let Some(shift) = &self.shift {
                    writeln!(f, "{shift}")?;
                }
            }
            Task::Ranking { .. } => writeln!(f, "score {prediction:.4}, which ranks the items")?,
        }
        if let Some(Pair { label: Some(label), part, .. }) = pair {
            let part = part.map_or("a row outside the split".into(), |part| format!("a {part} row"));
            writeln!(f, "actual {column} {label}: {part} of the data")?;
        }
        let unit = match self.label.task {
            Task::Regression => format!("units of {column}"),
            Task::Binary { .. } => "log-odds".to_owned(),
            Task::Ranking { .. } => "the score".to_owned(),
        };
        match parts {
            Some(parts) => self.formula(f, parts, *logit, &unit)?,
            None => writeln!(f, "\nAn exported file does not contain the formula: `fm explain RUN` shows the terms.")?,
        }
        self.by_field(f, shapley, *logit, &unit)
    }
}

fn heading(Pair { user, item, title, known_user, known_item, .. }: &Pair) -> String {
    let unknown = |known: &bool| if *known { "" } else { " (not in the data)" };
    let title = title.as_ref().map(|title| format!("{title} ")).unwrap_or_default();
    format!("user {user}{}, item {title}[{item}]{}", unknown(known_user), unknown(known_item))
}

/// Each value gets half of the line, or what the other one leaves.
fn pair_of_values([a, b]: &[Value; 2]) -> String {
    let (a, b) = (a.to_string(), b.to_string());
    let room = width() - 13 - " × ".chars().count();
    let (long_a, long_b) = (a.chars().count(), b.chars().count());
    let room_of_a = (room / 2).max(room.saturating_sub(long_b)).min(long_a);
    format!("{} × {}", cut(&a, room_of_a), cut(&b, room - room_of_a))
}

/// The values of a field in one line.
fn values(values: &[Value]) -> String {
    match values {
        [value] => value.to_string(),
        _ => {
            let names = values.iter().map(|value| value.title.as_ref().or(value.value.as_ref()));
            let names: Vec<&str> = names.map(|name| name.map_or("", String::as_str)).collect();
            let field = values.first().map_or("", |value| value.field.as_str());
            format!("{field} ({}): {}", values.len(), names.join(", "))
        }
    }
}

/// The text in one line, cut to at most `room` characters.
fn cut(text: &str, room: usize) -> String {
    let line = line(text);
    match line.chars().count() {
        length if length <= room => line.into_owned(),
        _ => line.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}
