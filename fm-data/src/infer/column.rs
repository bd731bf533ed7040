//! What a column holds, from the texts of its sampled cells.

use std::collections::HashSet;

use fm_core::Weighting;
use fm_core::number::number;
use fm_core::schema::canonical;
use fm_core::terminal::shortened;
use polars::prelude::{PlHashMap, StringChunked};

use super::names::Name;
use crate::spec::{ListSpec, USUAL_NULLS};
use crate::table::{Codes, NO_CODE, is_time, with_point};

/// Further texts for a missing value. A table that declares nothing has hardly another meaning of them.
const MORE_NULLS: [&str; 3] = ["<NA>", "NaT", "?"];

/// Separators of lists that are tried.
const SEPARATORS: [&str; 4] = ["|", ";", ",", " "];

/// The number of rows from which a dependence between two columns is believed.
const ENOUGH: usize = 100;

/// Numbers with at most this many distinct values are categories: a vector for each tells more than their size.
const FEW: usize = 64;

/// The distinct values of a column, in the form in which they are compared.
pub(super) struct Values<'a> {
    /// The values, with the number of rows of each.
    pub counts: Vec<(&'a str, usize)>,
    /// `[N]`: the position of each row's value in `counts`; [`NO_CODE`] if it is missing.
    pub codes: Vec<u32>,
    /// The texts in the column that stand for missing values.
    pub nulls: Vec<&'static str>,
}

impl<'a> Values<'a> {
    pub fn new(column: &'a StringChunked) -> Values<'a> {
        let coded = Codes::new(column);
        let texts = coded.texts(column);
        let is_of_two_letters = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
        let has_codes_of_two_letters = texts.iter().all(|text| is_of_two_letters(text.trim_ascii()));
        let is_null = |text: &str| {
            let null = USUAL_NULLS.into_iter().chain(MORE_NULLS).find(|null| *null == text.trim_ascii());
            // Among codes of countries, NA is Namibia.
            null.filter(|null| *null != "NA" || !has_codes_of_two_letters)
        };
        let (mut positions, mut counts, mut nulls) = (PlHashMap::<&str, u32>::default(), vec![], vec![]);
        let mut position = |text: &'a str| {
            if let Some(null) = is_null(text) {
                nulls.push(null);
                return NO_CODE;
            }
            let value = canonical(text);
            if value.is_empty() {
                return NO_CODE;
            }
            *positions.entry(value).or_insert_with(|| {
                counts.push((value, 0));
                counts.len() as u32 - 1
            })
        };
        let of_codes: Vec<u32> = texts.into_iter().map(&mut position).collect();
        let code = |&code: &u32| of_codes.get(code as usize).copied().unwrap_or(NO_CODE);
        let codes: Vec<u32> = coded.codes.iter().map(code).collect();
        codes.iter().filter(|&&code| code != NO_CODE).for_each(|&code| counts[code as usize].1 += 1);
        Values { counts, codes, nulls }
    }

    /// The number of distinct values.
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// The number of rows with a value.
    pub fn present(&self) -> usize {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The share of the rows with a value whose value is as `holds` says.
    fn share(&self, holds: impl Fn(&str) -> bool) -> f64 {
        let rows: usize = self.counts.iter().filter(|(value, _)| holds(value)).map(|(_, count)| count).sum();
        rows as f64 / self.present().max(1) as f64
    }

    /// The share of the rows whose value of `other` follows from that of an earlier row with the own value; 0 if there are
    /// few such rows, or almost all rows have the same value anyway.
    pub fn determines(&self, other: &Values<'_>) -> f64 {
        let mut first = vec![NO_CODE; self.distinct()];
        let (mut rows, mut equal) = (0_usize, 0_usize);
        for (&own, &code) in self.codes.iter().zip(&other.codes) {
            if own == NO_CODE || code == NO_CODE {
                continue;
            }
            let known = &mut first[own as usize];
            if *known == NO_CODE {
                *known = code;
            } else {
                rows += 1;
                equal += usize::from(*known == code);
            }
        }
        let most = other.counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let is_known = rows >= ENOUGH && (most as f64) < 0.99 * other.present() as f64;
        if is_known { equal as f64 / rows as f64 } else { 0.0 }
    }
}

/// What a column is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// No row has a value.
    Empty,
    /// All rows have this value.
    Constant(String),
    /// Each row has a value of its own, or a text of many words.
    Unrepeated(&'static str),
    /// Points in time.
    Time {
        /// Whether they have a date.
        has_dates: bool,
    },
    /// Several values in a cell.
    List(ListSpec),
    /// Numbers that count or measure.
    Numeric {
        /// Whether their fraction follows a comma.
        has_commas: bool,
    },
    /// Values of a vocabulary.
    Categorical,
}

/// What a column is, and why.
pub(super) fn content(name: &Name, values: &Values<'_>) -> (Content, String) {
    let (distinct, present) = (values.distinct(), values.present());
    let is_date = |value: &str| is_time(value) && value.as_bytes().get(2) != Some(&b':');
    if distinct > 0 && values.counts.iter().all(|(value, _)| number(value).is_none() && is_time(value)) {
        let has_dates = values.counts.iter().all(|(value, _)| is_date(value));
        return (Content::Time { has_dates }, if has_dates { "dates or times" } else { "times of day" }.into());
    }
    match (distinct, &values.counts[..]) {
        (0, _) => return (Content::Empty, "has no value".into()),
        (1, [(value, _)]) if present == values.codes.len() => {
            return (Content::Constant((*value).into()), format!("is `{}` in every row", shortened(value, 30)));
        }
        _ => {}
    }
    let words = |reason: &str| format!("{distinct} {reason}");
    let numbers = values.share(|value| number(value).is_some());
    if numbers > 0.99 {
        if name.is_time() && values.counts.iter().all(|(value, _)| is_epoch(value) || is_date(value)) {
            return (Content::Time { has_dates: true }, "dates or times as numbers".into());
        }
        return numeric_or_code(name, values);
    }
    if is_decimal_comma(values) {
        return (Content::Numeric { has_commas: true }, words("distinct numbers with a decimal comma"));
    }
    if let Some((list, reason)) = list(values) {
        return (Content::List(list), reason);
    }
    if present >= 100 && distinct == present {
        return (Content::Unrepeated("has a value of its own in each row"), words("distinct texts"));
    }
    let words_of = |value: &str| value.split_ascii_whitespace().count();
    let long: usize = values.counts.iter().map(|(value, _)| words_of(value)).sum();
    if present >= 100 && distinct * 2 > present && long > 5 * distinct {
        return (Content::Unrepeated("is text of many words"), words("distinct texts"));
    }
    (Content::Categorical, words("distinct texts"))
}

/// Whether a text is a time since 1970, after 1980 and before 2100, in seconds, milliseconds, microseconds or
/// nanoseconds.
fn is_epoch(text: &str) -> bool {
    let number = number(text).unwrap_or(0.0);
    [1.0, 1e3, 1e6, 1e9].iter().any(|unit| (3.2e8 * unit..4.2e9 * unit).contains(&number))
}

fn is_decimal_comma(values: &Values<'_>) -> bool {
    // Not one between thousands, as in 12,500.
    let is_of_fraction = |value: &str| value.split_once(',').is_some_and(|(_, fraction)| fraction.len() != 3);
    values.share(is_of_fraction) > 0.05
        && values.share(|value| value.matches(',').count() <= 1 && number(&with_point(value)).is_some()) > 0.99
}

/// Whether numbers are amounts or the names of something.
fn numeric_or_code(name: &Name, values: &Values<'_>) -> (Content, String) {
    let distinct = values.distinct();
    let numeric = |reason: String| (Content::Numeric { has_commas: false }, reason);
    let code = |reason: String| (Content::Categorical, reason);
    let has_fraction = |value: &str| number(value).is_some_and(|number| number.fract() != 0.0);
    if values.share(has_fraction) > 0.001 {
        return numeric(format!("{distinct} distinct numbers with fractions"));
    }
    let whole = |kind: &str| format!("{distinct} distinct whole numbers{kind}");
    let is_of_digits = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit());
    if values.share(|value| value.len() > 1 && value.starts_with('0') && is_of_digits(value)) > 0.001 {
        return code(whole(" that may start with 0"));
    }
    let mut counts: Vec<(f64, f64)> =
        values.counts.iter().filter_map(|(value, count)| Some((number(value)?, *count as f64))).collect();
    counts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let range = counts.last().map_or(0.0, |last| last.0) - counts.first().map_or(0.0, |first| first.0);
    let has_gaps = range > 1.1 * distinct as f64;
    let is_unrepeated = values.present() >= 100 && distinct == values.present();
    if is_unrepeated && (name.is_code() || !has_gaps) {
        return (Content::Unrepeated("has a value of its own in each row"), whole(""));
    }
    if distinct <= FEW {
        return code(whole(""));
    }
    if name.is_code() {
        return code(whole(", codes by the column's name"));
    }
    if name.is_amount() {
        return numeric(whole(", amounts by the column's name"));
    }
    if distinct > 200 && !has_gaps {
        return code(whole(" without gaps, as codes have"));
    }
    match smoothness(&counts) {
        Some(smoothness) if smoothness > 0.5 => numeric(whole(", close ones about equally frequent, as amounts are")),
        Some(_) => code(whole(", close ones not equally frequent, as codes are")),
        None => numeric(whole("")),
    }
}

/// The correlation of the logarithms of the counts of neighbours; `None` if the counts differ by no more than chance.
fn smoothness(counts: &[(f64, f64)]) -> Option<f64> {
    let n = counts.len() as f64;
    let average = counts.iter().map(|(_, count)| count).sum::<f64>() / n;
    let spread = counts.iter().map(|(_, count)| (count - average).powi(2)).sum::<f64>() / n;
    if spread < 3.0 * average {
        return None;
    }
    let logs: Vec<f64> = counts.iter().map(|(_, count)| count.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
    let covariance: f64 = logs.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    Some(covariance / variance)
}

/// The list that the cells are, and why; `None` if they are single values.
fn list(values: &Values<'_>) -> Option<(ListSpec, String)> {
    let is_bracketed = |value: &str| value.starts_with('[') && value.ends_with(']');
    let of = |separator: &str| ListSpec {
        keep: fm_core::Keep::Last,
        ..ListSpec::new(separator, None, Weighting::default())
    };
    if values.share(is_bracketed) > 0.95 {
        return Some((of(","), format!("lists in brackets, {} distinct", values.distinct())));
    }
    SEPARATORS.into_iter().find_map(|separator| {
        if values.share(|value| value.contains(separator)) < 0.05 {
            return None;
        }
        let pieces = || values.counts.iter().flat_map(|(cell, _)| cell.split(separator)).map(str::trim_ascii);
        let pieces = || pieces().filter(|piece| !piece.is_empty());
        let (mut all, mut weighted, mut ids) = (0_usize, 0_usize, 0_usize);
        // A date and a time, or a last and a first name, have one separator at most.
        let has_long_ones = values.counts.iter().any(|(cell, _)| cell.matches(separator).nth(1).is_some());
        let mut cells_of = PlHashMap::<&str, usize>::default();
        for piece in pieces() {
            let (value, weight) = piece.rsplit_once(':').unwrap_or((piece, ""));
            let has_weight = number(weight).is_some();
            all += 1;
            weighted += usize::from(has_weight);
            let value = if has_weight { value } else { piece };
            ids += usize::from(value.bytes().any(|byte| byte.is_ascii_digit()) && !value.contains(' '));
            *cells_of.entry(value).or_default() += 1;
        }
        let (cells, distinct) = (values.distinct() as f64, cells_of.len());
        let shared = cells_of.values().filter(|&&cells| cells > 1).count();
        // Text has spaces and commas, too: there, more must speak for a list.
        let is_list = match separator {
            " " => has_long_ones && distinct as f64 <= 0.6 * cells && ids as f64 > 0.95 * all as f64,
            "," => has_long_ones && distinct as f64 <= 0.6 * cells,
            _ => distinct as f64 <= cells && 2 * shared >= distinct,
        };
        let mut list = of(separator);
        let mut reason = format!("lists with `{separator}` between {distinct} distinct values");
        // In `cat:12|cat:15`, the numbers are values.
        let repeats = |(cell, _): &(&str, usize)| {
            let mut seen = HashSet::new();
            let values = cell.split(separator).filter_map(|piece| Some(piece.rsplit_once(':')?.0.trim_ascii()));
            { values }.any(|value| !seen.insert(value))
        };
        if weighted as f64 > 0.95 * all as f64 && !values.counts.iter().any(repeats) {
            list.weighting = Weighting::Given;
            reason.push_str(" and their numbers");
        }
        is_list.then_some((list, reason))
    })
}
