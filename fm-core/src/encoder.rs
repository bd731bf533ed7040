//! Raw text to slots: the one place that knows how a value becomes ids and values.

use std::collections::HashMap;

use crate::schema::{FieldKind, Schema};

/// Looks values up in a schema's vocabularies.
pub struct Encoder<'a> {
    schema: &'a Schema,
    /// Per field: value -> id.
    indexes: Vec<HashMap<&'a str, i32>>,
}

impl<'a> Encoder<'a> {
    /// Indexes the vocabularies.
    pub fn new(schema: &'a Schema) -> Encoder<'a> {
        let index = |(position, field): (usize, &'a crate::schema::Field)| {
            let first = schema.ids(position).start as i32 + 1;
            field.vocabulary.iter().enumerate().map(|(i, value)| (value.as_str(), first + i as i32)).collect()
        };
        Encoder { schema, indexes: schema.fields().iter().enumerate().map(index).collect() }
    }

    /// The schema whose vocabularies are used.
    pub fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// Writes the slots of one field of one row.
    ///
    /// A value outside the vocabulary, a missing one (`None`), and text that is no finite number in a numeric field fall
    /// on the field's out-of-vocabulary id with x = 1. A multi-valued field without values has x = 0 in all slots.
    ///
    /// # Panics
    /// If `ids` and `values` are not as long as the field has slots.
    pub fn encode(&self, field: usize, raw: Option<&str>, ids: &mut [i32], values: &mut [f32]) {
        let unknown = self.schema.ids(field).start as i32;
        let id = |value: &str| self.indexes[field].get(value).copied().unwrap_or(unknown);
        match &self.schema.fields()[field].kind {
            FieldKind::Categorical => {
                ids[0] = raw.map_or(unknown, id);
                values[0] = 1.0;
            }
            FieldKind::MultiValued { separator, weighting, .. } => {
                ids.fill(unknown);
                values.fill(0.0);
                let mut n = 0;
                for (slot, piece) in ids.iter_mut().zip(pieces(raw, separator)) {
                    *slot = id(piece);
                    n += 1;
                }
                values[..n].fill(weighting.value(n));
            }
            FieldKind::Numeric { mean, std } => {
                let standardised = number(raw).map(|x| (x - mean) / std);
                (ids[0], values[0]) = match standardised.filter(|x| x.is_finite()) {
                    Some(x) => (unknown + 1, x),
                    None => (unknown, 1.0),
                };
            }
        }
    }
}

/// The values in the text of a multi-valued field.
pub fn pieces<'a>(raw: Option<&'a str>, separator: &'a str) -> impl Iterator<Item = &'a str> {
    raw.unwrap_or("").split(separator).filter(|piece| !piece.is_empty())
}

/// The finite number that a text holds, with spaces around it or not.
pub fn number(raw: Option<&str>) -> Option<f32> {
    raw.and_then(|text| text.trim().parse::<f32>().ok()).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, Label, Side, Task, Weighting};

    fn schema() -> Schema {
        let field = |name: &str, kind, values: &[&str]| Field {
            name: name.into(),
            kind,
            side: Side::Context,
            vocabulary: values.iter().map(|&v| v.into()).collect(),
        };
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5 };
        let genres = FieldKind::MultiValued { separator: "|".into(), max_len: 3, weighting: Weighting::Mean };
        let fields = vec![
            field("user", FieldKind::Categorical, &["7", "é"]),
            field("genres", genres, &["Drama", "War"]),
            field("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, &[]),
        ];
        Schema::new(label, fields).unwrap()
    }

    fn encode(field: usize, raw: Option<&str>) -> (Vec<i32>, Vec<f32>) {
        let schema = schema();
        let slots = schema.fields()[field].num_slots();
        let (mut ids, mut values) = (vec![-1; slots], vec![f32::NAN; slots]);
        Encoder::new(&schema).encode(field, raw, &mut ids, &mut values);
        (ids, values)
    }

    #[test]
    fn known_values_have_their_id_and_others_the_first() {
        assert_eq!(encode(0, Some("é")), (vec![2], vec![1.0]));
        assert_eq!(encode(0, Some("8")), (vec![0], vec![1.0]));
        assert_eq!(encode(0, None), (vec![0], vec![1.0]));
    }

    #[test]
    fn several_values_share_their_weight_and_the_rest_is_padding() {
        assert_eq!(encode(1, Some("War|Drama")), (vec![5, 4, 3], vec![0.5, 0.5, 0.0]));
        assert_eq!(encode(1, Some("War||Opera|")), (vec![5, 3, 3], vec![0.5, 0.5, 0.0]));
        assert_eq!(encode(1, Some("War|War|War|Drama")), (vec![5, 5, 5], vec![1.0 / 3.0; 3]));
        assert_eq!(encode(1, Some("")), (vec![3, 3, 3], vec![0.0; 3]));
        assert_eq!(encode(1, None), (vec![3, 3, 3], vec![0.0; 3]));
    }

    #[test]
    fn numbers_are_standardised_and_malformed_ones_are_unknown() {
        assert_eq!(encode(2, Some(" 45 ")), (vec![7], vec![1.5]));
        for malformed in [None, Some(""), Some("n/a"), Some("inf"), Some("NaN"), Some("1e39")] {
            assert_eq!(encode(2, malformed), (vec![6], vec![1.0]));
        }
    }
}
