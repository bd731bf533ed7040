//! How many rows hold a number that was clamped.

use super::Records;
use super::layout::{FieldLayout, SlotKind};
use crate::number::MAX_GIVEN;
use crate::schema::Weighting;

impl Records {
    /// For each field in which a number was clamped ([`number`](crate::number)), its name and the number of such rows, in the
    /// order of the fields.
    ///
    /// ```
    /// use fm_core::{Field, FieldKind, Label, Records, Schema, Side, Task};
    ///
    /// let age = Field::new("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, vec![]);
    /// let schema = Schema::new(Label::fit("rating", Task::Regression, [1.0, 5.0]), vec![age])?;
    /// let rows = Records::from_texts(&schema, &[[Some("31")], [Some("1e30")], [None]], &[4.0, 2.0, 3.0])?;
    /// assert_eq!(rows.clamped(), [("age", 1)]);
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn clamped(&self) -> Vec<(&str, usize)> {
        let fields = self.layout.fields.iter().enumerate();
        let counted = fields.filter_map(|(position, field)| {
            let limit = limit(field)?;
            let is_clamped = |x: f32| x.abs() >= limit;
            let count = self.rows().filter(|row| row.field(position).values().any(is_clamped)).count();
            (count > 0).then_some((field.name.as_str(), count))
        });
        counted.collect()
    }
}

/// The limit of the values of a field; none if they have no other source than counts.
fn limit(field: &FieldLayout) -> Option<f32> {
    match field.kind {
        SlotKind::Number { limit } => Some(limit),
        SlotKind::Several { weighting: Weighting::Given, .. } => Some(MAX_GIVEN as f32),
        SlotKind::One | SlotKind::Several { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Field, FieldKind, Label, List, Records, Schema, Side, Task, Weighting};

    #[test]
    fn rows_with_clamped_numbers_are_counted_by_field() {
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&value| value.to_owned()).collect())
        };
        let fields = vec![
            field("user", FieldKind::Categorical, &["7"]),
            field("price", FieldKind::Numeric { mean: 5.0, std: 2.0 }, &[]),
            field("tags", FieldKind::MultiValued(List::new("|", 3, Weighting::Given)), &["a", "b"]),
            field("seen", FieldKind::MultiValued(List::new("|", 3, Weighting::Sum)), &["a"]),
        ];
        let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields).unwrap();
        let rows = [
            [Some("7"), Some("204.9"), Some("a:999999|b"), Some("a")],
            [Some("1e30"), Some("1e30"), Some("a:1e30|b:-1e30"), None],
            [None, Some("-195"), Some("b:x|a:-1e6"), Some("1e30")],
            [None, None, None, None],
        ];
        let rows = Records::from_texts(&schema, &rows, &[0.0; 4]).unwrap();
        assert_eq!(rows.clamped(), [("price", 2), ("tags", 2)]);
        assert_eq!(Records::from_texts(&schema, &[[None; 4]], &[0.0]).unwrap().clamped(), []);
    }
}
