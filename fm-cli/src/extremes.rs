//! Warnings about numbers that were clamped, and about scores that are not finite.

use fm_core::number::{MAX_DEVIATIONS, MAX_GIVEN};
use fm_core::schema::Transform;
use fm_core::{FieldKind, Records, Rows, Schema};

/// The numbers of a set of rows, or of several chunks of them.
#[derive(Default)]
pub struct Extremes {
    /// The number of rows with a clamped number, for each field that has some.
    clamped: Vec<(String, usize)>,
    /// The number of rows.
    rows: usize,
    /// The number of scores that are not finite.
    not_finite: usize,
    /// The number of scores.
    scores: usize,
}

impl Extremes {
    /// Counts clamped numbers.
    pub fn add_rows(&mut self, rows: &Records) {
        self.rows += rows.len();
        for (field, count) in rows.clamped() {
            match self.clamped.iter_mut().find(|(name, _)| name == field) {
                Some((_, sum)) => *sum += count,
                None => self.clamped.push((field.to_owned(), count)),
            }
        }
    }

    /// Counts scores that are not finite.
    pub fn add_logits(&mut self, logits: &[f32]) {
        self.scores += logits.len();
        self.not_finite += logits.iter().filter(|logit| !logit.is_finite()).count();
    }

    /// Warns about clamped numbers. `rows` says which rows these are, such as `validation rows`.
    pub fn warn_of_clamped(&self, schema: &Schema, rows: &str) {
        let n = self.rows;
        for (field, count) in &self.clamped {
            let position = schema.field_index(field);
            let kind = position.map(|field| &schema.fields()[field].kind);
            let is_given =
                |kind: &FieldKind| kind.list().is_some() || matches!(kind, FieldKind::Transformed(Transform::Identity));
            let limit = match kind.is_some_and(is_given) {
                true => format!("{MAX_GIVEN}"),
                false => format!("{MAX_DEVIATIONS} standard deviations"),
            };
            tracing::warn!(
                "field `{field}`: extreme numbers in {count} of {n} {rows} are clamped to {limit}: check them, and leave them empty \
                 if they mean missing"
            );
        }
    }

    /// Warns if scores are not finite; `done` says what became of them.
    pub fn warn_of_scores(&self, done: &str) {
        if self.not_finite > 0 {
            tracing::warn!(
                "{} of {} scores are not finite numbers{done}: the model's parameters are too large; train it again with a lower \
                 learning rate",
                self.not_finite,
                self.scores
            );
        }
    }
}

/// Warns about clamped numbers of some rows.
pub fn warn_of_clamped(schema: &Schema, rows: &Records, what: &str) {
    let mut extremes = Extremes::default();
    extremes.add_rows(rows);
    extremes.warn_of_clamped(schema, what);
}
