//! Warns of fields whose values training does not know, or hardly separates.

use std::collections::{BTreeMap, HashMap};

use fm_core::terminal::shortened;
use fm_core::{Field, Records, Rows, Schema};
use fm_data::spec::USUAL_NULLS;
use fm_data::table::TextColumns;

/// Fields with a smaller share of unknown values are not worth a warning.
const SHARE: f64 = 0.5;
/// The minimum difference from the share of the training rows.
const DIFFERENCE: f64 = 0.3;
/// Rows of a table that are searched for an example.
const SEARCHED: usize = 1000;

/// How many rows have no known value in each field, counted over any number of sets of rows.
pub struct Unknown<'a> {
    schema: &'a Schema,
    rows: usize,
    /// `[F]`
    counts: Vec<usize>,
    /// `[F]`: a text that training does not know.
    examples: Vec<Option<String>>,
}

impl<'a> Unknown<'a> {
    pub fn new(schema: &'a Schema) -> Unknown<'a> {
        Unknown { schema, rows: 0, counts: vec![0; schema.num_fields()], examples: vec![None; schema.num_fields()] }
    }

    /// Counts encoded rows.
    pub fn of(schema: &'a Schema, rows: &Records) -> Unknown<'a> {
        let mut unknown = Unknown::new(schema);
        unknown.add(rows);
        unknown
    }

    /// Counts more encoded rows.
    pub fn add(&mut self, rows: &Records) {
        self.rows += rows.len();
        self.counts.iter_mut().zip(rows.unknown_counts()).for_each(|(sum, count)| *sum += count);
    }

    /// Takes examples from the table of the rows, whose row number `row(i)` is the encoded row `i`.
    pub fn find_examples(&mut self, rows: &Records, table: &impl TextColumns, row: impl Fn(usize) -> usize) {
        for field in 0..self.counts.len() {
            if self.examples[field].is_some() || !self.differs(field) {
                continue;
            }
            let reading = self.schema.reading(field);
            let Ok(texts) = table.column(&self.schema.fields()[field].name) else { continue };
            let mut unknown = (0..rows.len().min(SEARCHED)).filter(|&at| rows.is_unknown(at, field));
            let text = unknown.find_map(|at| texts.get(row(at)).filter(|text| reading.value(text).is_some()));
            self.examples[field] = text.map(str::to_owned);
        }
    }

    /// The number of rows without a known value, for each field.
    pub fn by_field(&self) -> BTreeMap<&str, usize> {
        self.schema.fields().iter().map(|field| field.name.as_str()).zip(self.counts.iter().copied()).collect()
    }

    /// The same for the user and the item, if it is not 0.
    pub fn by_role(&self) -> BTreeMap<&str, usize> {
        let roles = [self.schema.user(), self.schema.item()];
        self.by_field().into_iter().filter(|(name, count)| *count > 0 && roles.contains(&Some(name))).collect()
    }

    /// Whether the share of rows without a known value is high, and far above that of the training rows.
    fn differs(&self, field: usize) -> bool {
        let share = self.counts[field] as f64 / self.rows.max(1) as f64;
        share >= SHARE && share >= f64::from(self.schema.fields()[field].unknown_share) + DIFFERENCE
    }

    /// Whether [`Unknown::warn`] warns of a field.
    pub fn reports(&self, name: &str) -> bool {
        self.schema.field_index(name).is_some_and(|field| self.differs(field))
    }

    /// Warns of the fields whose share of unknown values is far above that of the training rows. `part` names the rows, such as
    /// `validation`. Fields named in `but` have been reported otherwise.
    pub fn warn(&self, part: &str, but: &[String]) {
        for field in (0..self.counts.len()).filter(|&field| self.differs(field)) {
            let Field { name, kind, unknown_share, .. } = &self.schema.fields()[field];
            if but.contains(name) {
                continue;
            }
            let (count, rows, trained) = (self.counts[field], self.rows, 100.0 * unknown_share);
            let part = if part.is_empty() { String::new() } else { format!("{part} ") };
            let found = self.examples[field].as_ref();
            let found = found.map_or_else(String::new, |text| format!(", for example `{}`", shortened(text, 40)));
            if kind.is_numeric() {
                tracing::warn!(
                    "`{name}` holds no number in {count} of {rows} {part}rows{found}, but only in {trained:.1}% of the training \
                     rows lacks one: it counts as missing; write its numbers as in the training rows"
                );
                continue;
            }
            let known = self.schema.vocabulary(field).first();
            let known = known.map_or_else(String::new, |value| format!(", which had `{}`", shortened(value, 40)));
            tracing::warn!(
                "`{name}` has no value that training knows in {count} of {rows} {part}rows{found} (in {trained:.1}% of the \
                 training rows{known}): these rows are scored without it; write its values as in the training rows, or train on \
                 such rows"
            );
        }
    }
}

/// Warns of what the training rows hold that is hardly meant: texts for missing values, lists that are never divided or always cut.
pub fn warn_of_training_rows(schema: &Schema, train: &Records) {
    let nulls = usual_nulls(schema, train);
    if let Some((field, text, rows)) = nulls.first() {
        let more = match nulls.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more such values"),
        };
        let mut texts: Vec<String> = nulls.iter().map(|(_, text, _)| format!("{text:?}")).collect();
        texts.sort();
        texts.dedup();
        tracing::warn!(
            "`{field}` is the text `{text}` in {rows} training rows{more}: each is learned as a value of its own; if it stands \
             for a missing value, declare null_values = [{}]",
            texts.join(", ")
        );
    }
    for (position, field) in schema.fields().iter().enumerate() {
        let Some(list) = field.kind.list() else { continue };
        let name = &field.name;
        if field.cut_share >= 0.01 {
            let (share, max_len) = (100.0 * field.cut_share, list.max_len);
            let kept = if list.keep == fm_core::Keep::Last { "last" } else { "first" };
            tracing::warn!(
                "{share:.0}% of the training rows have more than {max_len} values of `{name}`: the {kept} {max_len} of each are \
                 kept; max_len and keep decide that"
            );
        }
        if let Some((separator, share)) = other_separator(schema, position, train) {
            tracing::warn!(
                "no training row has two values of `{name}`, which is divided at `{}`, but {share:.0}% of its values hold \
                 `{separator}`: each text is learned as one value; declare separator = {separator:?} if it divides them",
                list.separator
            );
        }
    }
}

/// The texts for missing values that are values of a field, with the field and their number of training rows.
fn usual_nulls<'a>(schema: &'a Schema, train: &Records) -> Vec<(&'a str, &'static str, usize)> {
    let mut found = vec![];
    for (position, field) in schema.fields().iter().enumerate() {
        let first = schema.ids(position).start + 1;
        let texts: HashMap<i32, &'static str> = USUAL_NULLS
            .iter()
            .filter_map(|&text| {
                let at = schema.vocabulary(position).iter().position(|value| value == text)?;
                Some(((first + at as i64) as i32, text))
            })
            .collect();
        if texts.is_empty() {
            continue;
        }
        let mut rows: BTreeMap<&'static str, usize> = BTreeMap::new();
        for row in train.rows() {
            for text in row.field(position).ids().filter_map(|id| texts.get(&id)) {
                *rows.entry(text).or_default() += 1;
            }
        }
        found.extend(rows.into_iter().map(|(text, rows)| (field.name.as_str(), text, rows)));
    }
    found.sort_by_key(|&(_, _, rows)| std::cmp::Reverse(rows));
    found
}

/// A separator that most values of a list hold though no row has two values, and the percentage of the values that do.
fn other_separator(schema: &Schema, field: usize, train: &Records) -> Option<(char, f64)> {
    let list = schema.fields()[field].kind.list()?;
    let values = schema.vocabulary(field);
    if schema.fields()[field].shares.is_some() || values.len() < 2 {
        return None;
    }
    let share = |separator: char| {
        let holding = values.iter().filter(|value| value.contains(separator)).count();
        100.0 * holding as f64 / values.len() as f64
    };
    let likely = [',', ';', '|', '\t', ' ', '/'].into_iter().filter(|separator| !list.separator.contains(*separator));
    let likely = likely.map(|separator| (separator, share(separator))).find(|(_, share)| *share >= 50.0)?;
    train.rows().all(|row| row.field(field).ids().len() <= 1).then_some(likely)
}
