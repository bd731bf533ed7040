//! Fields that follow from times, or from other fields.

use proptest::prelude::*;

use crate::schema::{Derived, Field, FieldKind, Schema, Side, TimePart, Transform};

/// The schema, and fields that follow from a time, or from other fields.
pub(super) fn with_derived(schema: &Schema) -> Schema {
    let numbers = |n: i64| (-1..n).map(|number| number.to_string()).collect::<Vec<_>>();
    let time = |part: TimePart, column: &str, kind, vocabulary| Field {
        column: Some(column.into()),
        derived: Derived { time: Some(part), ..Derived::default() },
        ..Field::new(format!("{}_{column}", part.name()), kind, Side::Context, vocabulary)
    };
    let age = |name: &str, until: &str, transform| Field {
        column: Some("ts".into()),
        derived: Derived { time: Some(TimePart::Age), until: Some(until.into()), cross: vec![] },
        ..Field::new(name, FieldKind::Transformed(transform), Side::Context, vec![])
    };
    let cross = |name: &str, parts: &[&str], vocabulary: &[&str]| Field {
        derived: Derived { cross: parts.iter().map(|&part| part.into()).collect(), ..Derived::default() },
        ..Field::new(
            name,
            FieldKind::Categorical,
            Side::Context,
            vocabulary.iter().map(|&value| value.to_owned()).collect(),
        )
    };
    let category = FieldKind::Categorical;
    let wave = |transform| FieldKind::Transformed(transform);
    let edges = (-3..3).map(|edge| f64::from(edge) / 3.0).collect();
    let derived = [
        time(TimePart::Year, "ts", category.clone(), numbers(2100)),
        time(TimePart::Month, "ts", category.clone(), numbers(13)),
        time(TimePart::Day, "ts", category.clone(), numbers(32)),
        time(TimePart::Weekday, "ts", category.clone(), numbers(6)),
        time(TimePart::Hour, "ts", category.clone(), numbers(24)),
        Field { hash_buckets: Some(1009), ..time(TimePart::Year, "user", category.clone(), vec![]) },
        time(TimePart::Hour, "age", wave(Transform::Sin { period: 24.0 }), vec![]),
        time(TimePart::Weekday, "age", wave(Transform::Cos { period: 7.0 }), vec![]),
        age("age_until_column", "when", Transform::Log { mean: 3.0, std: 2.0 }),
        age("age_until_date", "2024-02-29T12:34:56+05:30", Transform::Identity),
        age("age_in_buckets", "ts2", Transform::Buckets { edges }),
        cross("user_and_hour", &["user", "hour_ts"], &[r"7&0", r"\&&1", "é&22", r"a&7"]),
        Field { hash_buckets: Some(1009), ..cross("hashed_cross", &["item", "user", "month_ts"], &[]) },
        Field { hash_buckets: Some(11), ..cross("cross_of_hashed", &["other_city", "item"], &[]) },
    ];
    let fields = schema.fields().iter().cloned().chain(derived).collect();
    Schema::new(schema.label().clone(), fields).unwrap().with_null_values(schema.null_values()).unwrap()
}

/// Texts that are times, or look like them.
pub(super) fn times() -> impl Strategy<Value = String> {
    let date = "[0-2]?[0-9]{3}-?[01][0-9]-?[0-3][0-9]";
    let time = "([01][0-9]|2[0-4]):?[0-6][0-9](:?[0-6][0-9]([.,][0-9]{0,10})?)?";
    let zone = "( ?(Z|z|UTC|GMT|[+−-][0-2][0-9](:?[0-5][0-9])?))?";
    let (both, of_day) = (format!(" ?{date}[Tt ]{time}{zone}\n?"), format!("{time}{zone}"));
    prop_oneof![
        date,
        prop::string::string_regex(&both).unwrap(),
        prop::string::string_regex(&of_day).unwrap(),
        "[0-9TZ:+. -]{0,30}",
        "(19[67]|20[02])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?",
        "-?[0-9]{1,20}([.][0-9]{1,3})?",
        "-?[0-9]{9,12}",
    ]
}
