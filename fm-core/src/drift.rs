//! How the values of new rows differ from those of the rows that a run was trained on, which need not exist any more.
//!
//! ```
//! use fm_core::drift::{Distribution, drift};
//! use fm_core::{Field, Label, Records, Schema, Side, Task};
//!
//! let schema = Schema::new(Label::fit("y", Task::Regression, [0.0]), vec![Field::categorical("a", Side::Context, 2)])?;
//! let rows = |texts: [&str; 4]| Records::from_texts(&schema, &texts.map(|text| [Some(text)]), &[0.0; 4]);
//! let reference = Distribution::all(&schema, &rows(["0", "0", "0", "1"])?);
//! let same = drift(&reference, &schema, &schema, &rows(["1", "0", "0", "0"])?);
//! let moved = drift(&reference, &schema, &schema, &rows(["1", "1", "1", "new"])?);
//! assert_eq!((same[0].psi, same[0].unknown), (0.0, 0.0));
//! assert!(moved[0].psi > 0.5 && moved[0].unknown == 0.25);
//! # Ok::<(), fm_core::Error>(())
//! ```

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::number::{Scale, bucket};
use crate::rows::{Records, Rows};
use crate::schema::{Field, Schema};

/// Maximum number of values of a field that a distribution names.
const VALUES: usize = 20;

/// Maximum length of a named value in bytes.
const VALUE_BYTES: usize = 200;

/// Number of bins of numbers, which have about as many rows each.
const BINS: usize = 10;

/// Maximum number of rows to look at, evenly spaced: enough for shares, and few to read from a file larger than memory.
const ROWS: usize = 100_000;

/// The smallest share in a population stability index, which an empty bin would make infinite.
const SMALLEST: f64 = 1e-4;

/// The distribution of a field's values over some rows. A value that occurs twice in a row counts twice, and a row without
/// a value once. The shares of a distribution and that of unknown and other values add up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// The field.
    pub field: String,
    /// The share of values that are missing or not in the vocabulary.
    pub unknown: f64,
    /// The most frequent values, with their shares; a bucket of a hashed field is a number. Empty for numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, f64)>,
    /// For numbers, the ascending borders between bins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    /// For numbers, the share of each bin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
}

/// How a field of new rows differs from that of a run's training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDrift {
    /// The field.
    pub field: String,
    /// Number of values in the new vocabulary that the run does not know; `None` if the vocabulary is that of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_values: Option<usize>,
    /// The share of the values of the run's training rows that are missing or that it does not know.
    pub unknown_before: f64,
    /// The same share in the new rows.
    pub unknown: f64,
    /// The population stability index Σ (q - p) ln(q / p) over the named values, all others and unknown ones, or over the bins
    /// of numbers. As a rule of thumb, below 0.1 the distributions are alike, and above 0.25 they differ.
    pub psi: f64,
}

impl Distribution {
    /// The distribution of each field.
    pub fn all(schema: &Schema, rows: &Records) -> Vec<Distribution> {
        let counts = slot_counts(schema, rows);
        counts.into_iter().enumerate().map(|(field, counts)| Distribution::of(schema, field, counts)).collect()
    }

    fn of(schema: &Schema, field: usize, counts: SlotCounts) -> Distribution {
        let counts = Counts::new(schema, field, counts, None);
        let share = |count: u64| count as f64 / counts.total.max(1) as f64;
        let distribution = Distribution {
            field: schema.fields()[field].name.clone(),
            unknown: share(counts.unknown),
            values: vec![],
            edges: vec![],
            shares: vec![],
        };
        if schema.fields()[field].kind.is_numeric() {
            let edges = borders(&counts.numbers);
            let shares = counts.in_bins(&edges).into_iter().map(share).collect();
            return Distribution { edges, shares, ..distribution };
        }
        let mut values: Vec<(&str, u64)> =
            counts.values.iter().map(|(value, &count)| (value.as_str(), count)).collect();
        values.retain(|(value, _)| value.len() <= VALUE_BYTES);
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let values = values.into_iter().take(VALUES).map(|(value, count)| (value.to_owned(), share(count))).collect();
        Distribution { values, ..distribution }
    }

    /// The shares of the bins: named values or numbers, other values, and unknown ones.
    fn bins(&self) -> Vec<f64> {
        let named = self.values.iter().map(|(_, share)| *share).chain(self.shares.iter().copied());
        let mut bins: Vec<f64> = named.collect();
        let others = 1.0 - self.unknown - bins.iter().sum::<f64>();
        bins.extend([others.max(0.0), self.unknown]);
        bins
    }

    /// The shares of the same bins in other counts.
    fn bins_of(&self, counts: &Counts) -> Vec<f64> {
        let count = |value: &str| counts.values.get(value).copied().unwrap_or(0);
        let mut bins: Vec<u64> = self.values.iter().map(|(value, _)| count(value)).collect();
        if !self.shares.is_empty() {
            bins.extend(counts.in_bins(&self.edges));
        }
        let others = counts.total - counts.unknown - bins.iter().sum::<u64>();
        bins.extend([others, counts.unknown]);
        bins.into_iter().map(|count| count as f64 / counts.total.max(1) as f64).collect()
    }
}

/// How new rows, encoded with the schema `schema`, differ from the training rows of a run: `reference` has their
/// distributions, and `known` is the schema of the run. Fields that the run does not have are left out.
pub fn drift(reference: &[Distribution], known: &Schema, schema: &Schema, rows: &Records) -> Vec<FieldDrift> {
    let of_field = |((position, field), counts): ((usize, &Field), SlotCounts)| {
        let distribution = reference.iter().find(|distribution| distribution.field == field.name)?;
        let values: HashSet<&str> =
            known.vocabulary(known.field_index(&field.name)?).iter().map(String::as_str).collect();
        let is_new = |value: &&String| !values.contains(value.as_str());
        let vocabulary = schema.vocabulary(position);
        let counts = Counts::new(schema, position, counts, Some(&values));
        let bins = distribution.bins().into_iter().zip(distribution.bins_of(&counts));
        Some(FieldDrift {
            field: field.name.clone(),
            new_values: (known != schema).then(|| vocabulary.iter().filter(is_new).count()),
            unknown_before: distribution.unknown,
            unknown: counts.unknown as f64 / counts.total.max(1) as f64,
            psi: bins.map(|(before, now)| index(before, now)).sum(),
        })
    };
    schema.fields().iter().enumerate().zip(slot_counts(schema, rows)).filter_map(of_field).collect()
}

/// The term of a bin in the population stability index.
fn index(before: f64, now: f64) -> f64 {
    let (before, now) = (before.max(SMALLEST), now.max(SMALLEST));
    (now - before) * (now / before).ln()
}

/// What rows hold of a field.
#[derive(Default)]
struct SlotCounts {
    /// The number of slots, at least one for each row.
    total: u64,
    by_id: HashMap<i32, u64>,
    /// The numbers of a numeric field.
    numbers: Vec<f64>,
}

/// What rows hold of each field.
fn slot_counts(schema: &Schema, rows: &Records) -> Vec<SlotCounts> {
    let fields: Vec<(i32, Option<Scale>)> = (0..schema.num_fields())
        .map(|field| (schema.ids(field).start as i32, schema.fields()[field].kind.scale()))
        .collect();
    let mut counts: Vec<SlotCounts> = fields.iter().map(|_| SlotCounts::default()).collect();
    let step = rows.len().div_ceil(ROWS).max(1);
    for row in (0..rows.len()).step_by(step) {
        for ((slots, (first, scale)), counts) in rows.row(row).fields().zip(&fields).zip(&mut counts) {
            match scale {
                Some(scale) => {
                    let ids = slots.ids().zip(slots.values());
                    counts.numbers.extend(ids.filter(|(id, _)| id != first).map(|(_, x)| scale.number(x)));
                }
                None => slots.ids().for_each(|id| *counts.by_id.entry(id).or_default() += 1),
            }
            if slots.ids().len() == 0 {
                *counts.by_id.entry(*first).or_default() += 1;
            }
            counts.total += slots.ids().len().max(1) as u64;
        }
    }
    counts
}

/// How often each value of a field occurs.
struct Counts {
    total: u64,
    unknown: u64,
    values: HashMap<String, u64>,
    /// The numbers of a numeric field; of one in buckets, a number within the bucket.
    numbers: Vec<f64>,
}

impl Counts {
    /// Those of a field. If `known` is given, a value that is not among them counts as unknown, unless it is hashed.
    fn new(schema: &Schema, field: usize, slots: SlotCounts, known: Option<&HashSet<&str>>) -> Counts {
        let (first, kind) = (schema.ids(field).start as i32, &schema.fields()[field].kind);
        let vocabulary = schema.vocabulary(field);
        let SlotCounts { total, by_id, numbers } = slots;
        let mut counts = Counts { total, unknown: 0, values: HashMap::new(), numbers };
        for (id, count) in by_id {
            // Of a field with a vocabulary, value i has the id first + 1 + i.
            match (kind.edges(), (id - first) as usize) {
                (_, 0) => counts.unknown += count,
                (Some(edges), bucket) => {
                    counts.numbers.extend(std::iter::repeat_n(within(edges, bucket - 1), count as usize));
                }
                (None, at) if vocabulary.is_empty() => drop(counts.values.insert((at - 1).to_string(), count)),
                (None, at) => match vocabulary.get(at - 1) {
                    Some(value) if known.is_none_or(|known| known.contains(value.as_str())) => {
                        counts.values.insert(value.clone(), count);
                    }
                    _ => counts.unknown += count,
                },
            }
        }
        if kind.scale().is_some() {
            counts.unknown = counts.total - counts.numbers.len() as u64;
        }
        counts
    }

    /// How many numbers are in each of the bins between these borders.
    fn in_bins(&self, edges: &[f64]) -> Vec<u64> {
        let mut bins = vec![0; edges.len() + 1];
        self.numbers.iter().for_each(|&number| bins[bucket(number, edges)] += 1);
        bins
    }
}

/// A number of a bucket.
fn within(edges: &[f64], bucket: usize) -> f64 {
    match (bucket.checked_sub(1).and_then(|before| edges.get(before)), edges.get(bucket)) {
        (Some(from), _) => *from,
        (None, Some(to)) => to - to.abs().max(1.0),
        (None, None) => 0.0,
    }
}

/// The borders of bins that have about as many of these numbers each.
fn borders(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (Some(&lowest), n) = (sorted.first(), sorted.len()) else { return vec![] };
    let mut edges: Vec<f64> = (1..BINS).map(|bin| sorted[(bin * n / BINS).min(n - 1)]).collect();
    edges.dedup();
    edges.retain(|&edge| edge > lowest && edge.is_finite());
    edges
}

#[cfg(test)]
mod tests;
