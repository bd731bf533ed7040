//! How many rows have no value that training knows.

use super::Records;
use super::layout::GIVEN;

impl Records {
    /// `[F]`: the number of rows that have no known value in each field, but only unknown, missing and malformed ones. In a hashed
    /// field, every value counts as known.
    pub fn unknown_counts(&self) -> Vec<usize> {
        let fields = &self.layout.fields;
        let mut unknown = vec![self.len; fields.len()];
        for row in self.rows() {
            // The slots of a row are in the order of its fields.
            let (mut field, mut counted) = (0, usize::MAX);
            for id in row.record.ids.iter().map(|word| word & !GIVEN) {
                while id >= fields[field].end {
                    field += 1;
                }
                if id != fields[field].unknown && counted != field {
                    unknown[field] -= 1;
                    counted = field;
                }
            }
        }
        unknown
    }

    /// Whether a row has no known value in a field; see [`Records::unknown_counts`].
    ///
    /// # Panics
    /// If there is no such row or field.
    pub fn is_unknown(&self, row: usize, field: usize) -> bool {
        let unknown = i64::from(self.layout.fields[field].unknown) - i64::from(self.layout.fields[field].shift);
        self.row(row).field(field).ids().all(|id| i64::from(id) == unknown)
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
    use crate::{Records, Rows};

    #[test]
    fn rows_without_a_known_value_are_counted_by_field() {
        let words = |words: &[&str]| words.iter().map(|&word| word.into()).collect::<Vec<String>>();
        let tags = FieldKind::MultiValued(List::new("|", 3, Weighting::Sum));
        let fields = vec![
            Field::new("seen", tags.clone(), Side::User, vec![]).sharing("film"),
            Field::new("film", FieldKind::Categorical, Side::Item, words(&["a", "b"])),
            Field::new("age", FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::User, vec![]),
            Field { hash_buckets: Some(3), ..Field::new("city", FieldKind::Categorical, Side::User, vec![]) },
            Field::new("tags", tags, Side::Item, words(&["x"])),
        ];
        let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields).unwrap();
        let rows = [
            [Some("a|new"), Some("new"), Some("1"), Some("anywhere"), Some("x|x")],
            [Some("new|newer"), Some("b"), Some("old"), None, Some("y|x")],
            [None, Some("b"), None, Some(""), Some("y")],
            [Some("|"), None, Some("-2e0"), Some("there"), None],
        ];
        let records = Records::from_texts(&schema, &rows, &[0.0; 4]).unwrap();
        assert_eq!(records.unknown_counts(), [3, 2, 2, 2, 2]);
        let found: Vec<Vec<usize>> =
            (0..records.len()).map(|row| (0..5).filter(|&field| records.is_unknown(row, field)).collect()).collect();
        assert_eq!(found, [&[1][..], &[0, 2, 3], &[0, 2, 3, 4], &[0, 1, 4]]);
        assert_eq!(Records::from_texts(&schema, &rows[..0], &[]).unwrap().unknown_counts(), [0; 5]);
    }
}
