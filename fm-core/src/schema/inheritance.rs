//! What a schema takes over from that of an earlier run, so that the run's parameters keep their meaning.

use std::collections::HashSet;

use serde::Serialize;

use super::{Field, FieldKind, Label, Schema};
use crate::error::Result;

/// What a schema takes over from an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Inheritance {
    /// Means, deviations, ranges and borders of numeric fields; the range of the labels and the lengths of lists, where
    /// they are greater.
    pub statistics: bool,
    /// The values of vocabularies, in their order. Values that are only in the new schema follow.
    pub vocabulary: bool,
}

impl Schema {
    /// The schema with what it takes over from an earlier one: for each field of the same name that is of the same kind. The
    /// result is the same if the earlier one is the result itself.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) if there are too many values together.
    pub fn inheriting(self, earlier: &Schema, what: Inheritance) -> Result<Schema> {
        let Schema { label, fields, user, item, null_values, .. } = self;
        let label = match what.statistics && label.task == earlier.label.task {
            true => Label { min: label.min.min(earlier.label.min), max: label.max.max(earlier.label.max), ..label },
            false => label,
        };
        let extended = |field: Field| match earlier.fields.iter().find(|other| other.name == field.name) {
            // The same text means something else in a field of another time or cross.
            Some(other) if other.derived == field.derived => inherited(field, other, what),
            _ => field,
        };
        let fields = fields.into_iter().map(extended).collect();
        Schema::new(label, fields)?.with_null_values(&null_values)?.with_roles(user, item)
    }
}

fn inherited(field: Field, earlier: &Field, what: Inheritance) -> Field {
    let kind = match (field.kind, &earlier.kind) {
        (kind, _) if !what.statistics => kind,
        (FieldKind::Numeric { .. }, FieldKind::Numeric { .. }) => earlier.kind.clone(),
        (FieldKind::Transformed(here), FieldKind::Transformed(there)) if here.name() == there.name() => {
            earlier.kind.clone()
        }
        (FieldKind::MultiValued(list), FieldKind::MultiValued(other)) => {
            FieldKind::MultiValued(list.with_at_least(other.max_len))
        }
        (FieldKind::Sequence(list), FieldKind::Sequence(other)) => {
            FieldKind::Sequence(list.with_at_least(other.max_len))
        }
        (kind, _) => kind,
    };
    // The values of numbers, buckets and shared tables are not in a vocabulary.
    let is_alike = [&kind, &earlier.kind].iter().all(|kind| !kind.is_numeric())
        && (&field.shares, field.exact, field.hash_buckets) == (&earlier.shares, earlier.exact, earlier.hash_buckets);
    let vocabulary = match what.vocabulary && is_alike {
        true => {
            let known: HashSet<&str> = earlier.vocabulary.iter().map(String::as_str).collect();
            let new = field.vocabulary.into_iter().filter(|value| !known.contains(value.as_str()));
            earlier.vocabulary.iter().cloned().chain(new).collect()
        }
        false => field.vocabulary,
    };
    Field { kind, vocabulary, ..field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Derived, List, Side, Task, TimePart, Transform, Weighting};

    fn schema(labels: [f32; 2], values: &[&str], kinds: [FieldKind; 4]) -> Schema {
        let [n, log, buckets, list] = kinds;
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&value| value.into()).collect())
        };
        let fields = vec![
            field("a", FieldKind::Categorical, values),
            field("n", n, &[]),
            field("log", log, &[]),
            field("buckets", buckets, &[]),
            field("list", list, values),
            Field { exact: values.len() == 2, ..field("exact", FieldKind::Categorical, values) },
        ];
        Schema::new(Label::fit("y", Task::Regression, labels), fields).unwrap()
    }

    fn kinds(mean: f64, max_len: usize) -> [FieldKind; 4] {
        [
            FieldKind::Numeric { mean, std: 1.0 },
            FieldKind::Transformed(Transform::Log { mean, std: 2.0 }),
            FieldKind::Transformed(Transform::Buckets { edges: vec![mean] }),
            FieldKind::MultiValued(List::new("|", max_len, Weighting::Mean)),
        ]
    }

    const ALL: Inheritance = Inheritance { statistics: true, vocabulary: true };

    #[test]
    fn earlier_values_come_first_and_earlier_statistics_stay() {
        let earlier = schema([1.0, 4.0], &["x", "y"], kinds(7.0, 3));
        let fitted = schema([2.0, 5.0], &["z", "y", "w"], kinds(8.0, 2));
        let grown = fitted.clone().inheriting(&earlier, ALL).unwrap();
        let values = |field: usize| grown.fields()[field].vocabulary.clone();
        assert_eq!(values(0), ["x", "y", "z", "w"]);
        assert_eq!(values(4), ["x", "y", "z", "w"]);
        // It compares values in another way.
        assert_eq!(values(5), ["z", "y", "w"]);
        let kinds_of = |schema: &Schema| schema.fields().iter().map(|field| field.kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds_of(&grown)[1..5], kinds(7.0, 3));
        assert_eq!((grown.label().min, grown.label().max, grown.label().mean), (1.0, 5.0, 3.5));
        // A run that resumes takes over its own schema.
        assert_eq!(fitted.inheriting(&grown, ALL).unwrap(), grown);
    }

    #[test]
    fn what_is_not_taken_over_is_that_of_the_new_rows() {
        let earlier = schema([1.0, 4.0], &["x", "y"], kinds(7.0, 3));
        let fitted = schema([2.0, 5.0], &["z", "y", "w"], kinds(8.0, 2));
        let with = |statistics, vocabulary| {
            fitted.clone().inheriting(&earlier, Inheritance { statistics, vocabulary }).unwrap()
        };
        assert_eq!(with(false, false), fitted);
        assert_eq!(with(true, false).vocabulary(0), fitted.vocabulary(0));
        assert_eq!(with(false, true).fields()[1].kind, fitted.fields()[1].kind);
        assert_eq!(with(false, true).label(), fitted.label());
        // Another transform has statistics of its own.
        let mut others = kinds(7.0, 3);
        others.swap(0, 1);
        let earlier = schema([1.0, 4.0], &["x", "y"], others);
        assert_eq!(fitted.clone().inheriting(&earlier, ALL).unwrap().fields()[1].kind, fitted.fields()[1].kind);
        // An hour is no weekday.
        let of = |time, values: &[&str]| {
            let derived = Derived { time: Some(time), ..Derived::default() };
            let values = values.iter().map(|&value| value.into()).collect();
            let field = Field { derived, ..Field::new("a", FieldKind::Categorical, Side::Context, values) };
            Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), vec![field]).unwrap()
        };
        let (hours, weekdays) = (of(TimePart::Hour, &["22"]), of(TimePart::Weekday, &["3"]));
        assert_eq!(weekdays.clone().inheriting(&hours, ALL).unwrap(), weekdays);
        assert_eq!(of(TimePart::Hour, &["3"]).inheriting(&hours, ALL).unwrap().vocabulary(0), ["22", "3"]);
    }
}
