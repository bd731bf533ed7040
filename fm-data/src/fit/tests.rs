use fm_core::schema::{Derived, TimePart};
use fm_core::{Keep, Side, Weighting};
use proptest::prelude::*;

use super::*;
use crate::encode::tests::encoded;
use crate::spec::ListSpec;
use crate::table::{CompactTable, columns_of_fields};

const TASK: Task = Task::Binary { threshold: 4.0 };

fn spec(fields: Vec<FieldSpec>) -> TableSpec {
    TableSpec::new("y", fields)
}

fn categorical(name: &str) -> FieldSpec {
    FieldSpec::new(name, FieldSpecKind::Categorical, Side::Context)
}

fn numeric(name: &str) -> FieldSpec {
    FieldSpec::new(name, FieldSpecKind::Numeric, Side::Context)
}

fn tags(max_len: Option<usize>) -> FieldSpec {
    let kind = FieldSpecKind::MultiValued(ListSpec::new("|", max_len, Weighting::Mean));
    FieldSpec::new("tags", kind, Side::Item)
}

fn fitted(table: &DataFrame, fields: Vec<FieldSpec>, train: &[u32]) -> Result<Schema> {
    fit(table, &spec(fields), &vec![0.0; table.height()], train, TASK)
}

fn only(schema: &Schema) -> &Field {
    &schema.fields()[0]
}

#[test]
fn a_vocabulary_is_ordered_by_count_and_then_by_value() {
    let table = df!("a" => ["x", "z", "y", "z", "w", "w"]).unwrap();
    let schema = fitted(&table, vec![categorical("a")], &[0, 1, 2, 3, 4, 5]).unwrap();
    assert_eq!(only(&schema).vocabulary, ["w", "z", "x", "y"]);
}

#[test]
fn values_of_validation_and_test_rows_are_not_in_the_vocabulary() {
    let table = df!("a" => ["x", "unseen", "y"], "tags" => ["p|q", "r", ""]).unwrap();
    let schema = fitted(&table, vec![categorical("a"), tags(None)], &[0, 2]).unwrap();
    assert_eq!(schema.fields()[0].vocabulary, ["x", "y"]);
    assert_eq!(schema.fields()[1].vocabulary, ["p", "q"]);
}

#[test]
fn rare_and_missing_values_are_not_in_the_vocabulary() {
    let table = df!("a" => [Some("x"), Some("x"), Some("y"), None, Some(""), Some("")]).unwrap();
    let field = FieldSpec { min_count: 2, ..categorical("a") };
    assert_eq!(only(&fitted(&table, vec![field], &[0, 1, 2, 3, 4, 5]).unwrap()).vocabulary, ["x"]);
}

#[test]
fn a_list_has_the_declared_number_of_slots_or_that_of_the_longest_training_list() {
    let long = (0..150).map(|value| value.to_string()).collect::<Vec<_>>().join("|");
    let table = df!("tags" => ["a|b", "a", "a|b|c|d", long.as_str()]).unwrap();
    let slots = |max_len, train: &[u32]| fitted(&table, vec![tags(max_len)], train).unwrap().num_slots();
    assert_eq!((slots(None, &[0, 1]), slots(None, &[0, 3]), slots(Some(3), &[0, 3])), (2, 100, 3));
    let schema = fitted(&table, vec![tags(Some(3))], &[2]).unwrap();
    assert_eq!(only(&schema).vocabulary, ["a", "b", "c"], "values that never get a slot are not in the vocabulary");
}

#[test]
fn a_repeated_value_takes_one_slot_and_counts_each_time() {
    let table = df!("tags" => ["a|a|b|a", "b|c|c|c|c|d|b", "d"]).unwrap();
    let schema = |max_len, train: &[u32]| fitted(&table, vec![tags(max_len)], train).unwrap();
    assert_eq!((schema(None, &[0]).num_slots(), schema(None, &[0, 1, 2]).num_slots()), (2, 3));
    // c occurs 4 times, a and b 3 times; d has a slot only in the last row.
    assert_eq!(only(&schema(Some(2), &[0, 1, 2])).vocabulary, ["c", "a", "b", "d"]);
    assert_eq!(only(&schema(Some(2), &[0, 1])).vocabulary, ["c", "a", "b"]);
    let schema = schema(Some(2), &[0, 1]);
    let (ids, values) = encoded(&table, &schema);
    assert_eq!(ids, [2, 3, 3, 1, 0]);
    assert_eq!(values, [0.75, 0.25, 2.0 / 6.0, 4.0 / 6.0, 1.0]);
}

#[test]
fn numbers_given_with_values_are_not_part_of_the_values() {
    let table = df!("tags" => ["a:0.5|b", "a:2|a:-1|:3|c:x|d:1"]).unwrap();
    let kind = FieldSpecKind::MultiValued(ListSpec::new("|", None, Weighting::Given));
    let schema = fitted(&table, vec![FieldSpec::new("tags", kind, Side::Item)], &[0, 1]).unwrap();
    // An empty value has a slot, too.
    assert_eq!((only(&schema).vocabulary.as_slice(), schema.num_slots()), (&["a", "b", "d"].map(String::from)[..], 3));
    let (ids, values) = encoded(&table, &schema);
    assert_eq!((ids, values), (vec![1, 2, 1, 0, 3], vec![0.5, 1.0, 1.0, 4.0, 1.0]));
}

#[test]
fn fields_that_share_a_table_have_one_vocabulary() {
    let table = df!("film" => ["x", "y", "new"], "seen" => ["y|y|z", "", "other"]).unwrap();
    let seen = FieldSpecKind::Sequence(ListSpec::new("|", None, Weighting::Sum));
    let seen = FieldSpec { shares: Some("film".into()), ..FieldSpec::new("seen", seen, Side::User) };
    let schema = |min_count| {
        let film = FieldSpec { min_count, ..categorical("film") };
        fitted(&table, vec![seen.clone(), film], &[0, 1]).unwrap()
    };
    let all = schema(1);
    assert_eq!((all.fields()[1].vocabulary.as_slice(), all.num_ids()), (&["y", "x", "z"].map(String::from)[..], 4));
    assert!(all.fields()[0].vocabulary.is_empty());
    assert_eq!(encoded(&table, &all).0, [1, 1, 3, 2, 1, 0, 0]);
    assert_eq!(schema(2).vocabulary(0), ["y"]);
}

#[test]
fn a_sequence_has_the_slots_of_the_longest_and_the_vocabulary_of_its_kept_values() {
    let table = df!("seen" => ["a|a|b|a", "c|b"]).unwrap();
    let schema = |max_len, keep| {
        let list = ListSpec { keep, ..ListSpec::new("|", max_len, Weighting::Sum) };
        fitted(&table, vec![FieldSpec::new("seen", FieldSpecKind::Sequence(list), Side::User)], &[0, 1]).unwrap()
    };
    let whole = schema(None, Keep::Last);
    assert_eq!((whole.num_slots(), only(&whole).vocabulary.as_slice()), (4, &["a", "b", "c"].map(String::from)[..]));
    assert_eq!(encoded(&table, &whole).0, [1, 1, 2, 1, 3, 2]);
    assert_eq!(only(&schema(Some(1), Keep::Last)).vocabulary, ["a", "b"]);
    assert_eq!(only(&schema(Some(1), Keep::First)).vocabulary, ["a", "c"]);
}

#[test]
fn lists_that_are_cut_are_counted() {
    let table = df!("tags" => ["a|a|b|a", "b|c|c|d", "d", "a|b|c"]).unwrap();
    let share = |max_len, sequence: bool| {
        let list = ListSpec::new("|", max_len, Weighting::Sum);
        let kind = if sequence { FieldSpecKind::Sequence(list) } else { FieldSpecKind::MultiValued(list) };
        let fields = vec![FieldSpec::new("tags", kind, Side::Item)];
        only(&fitted(&table, fields, &[0, 1, 2, 3]).unwrap()).cut_share
    };
    assert_eq!(
        (share(None, false), share(Some(2), false), share(Some(2), true), share(Some(4), true)),
        (0.0, 0.5, 0.75, 0.0)
    );
}

#[test]
fn forms_of_one_value_are_one_value_and_null_values_none() {
    let table = df!(
        "a" => [Some("4.0"), Some(" 4"), Some("4"), Some("NA"), Some(" "), Some("True")],
        "tags" => [Some("x | y"), Some("['x', 'y|z']"), Some("NA"), Some("x|NA"), None, Some("[\"x\"]")],
        "n" => ["1", "3", "-999.0", "2", "", "2"],
    )
    .unwrap();
    let null_values = vec!["NA".into(), "-999".into()];
    let fields = vec![categorical("a"), tags(None), numeric("n")];
    let fit_with = |spec: &TableSpec| fit(&table, spec, &[0.0; 6], &[0, 1, 2, 3, 4, 5], TASK).unwrap();
    let schema = fit_with(&TableSpec { null_values, ..spec(fields.clone()) });
    assert_eq!(
        (&schema.fields()[0].vocabulary[..], schema.null_values()),
        (&["4", "true"].map(String::from)[..], &["NA", "-999"].map(String::from)[..])
    );
    assert_eq!(schema.fields()[1].vocabulary, ["x", "y", "y|z"]);
    assert!(matches!(schema.fields()[2].kind, FieldKind::Numeric { mean, .. } if mean == 2.0));
    let exact = |field: FieldSpec| FieldSpec { exact: true, ..field };
    let schema = fit_with(&spec(vec![exact(categorical("a")), exact(tags(None)), numeric("n")]));
    assert_eq!(schema.fields()[0].vocabulary, [" ", " 4", "4", "4.0", "NA", "True"]);
    assert_eq!(schema.fields()[1].vocabulary.len(), 7, "x, NA, and what surrounds the separators");
}

#[test]
fn a_hashed_field_has_no_vocabulary_but_the_slots_of_its_longest_list() {
    let table = df!("a" => ["x", "y", "new"], "tags" => ["p|q", "p", "q|new|p"]).unwrap();
    let hashed = |field| FieldSpec { hash_buckets: Some(4), ..field };
    let schema = fitted(&table, vec![hashed(categorical("a")), hashed(tags(None))], &[0, 1]).unwrap();
    assert!(schema.fields().iter().all(|field| field.vocabulary.is_empty()));
    assert_eq!((schema.num_slots(), schema.ids(0), schema.ids(1)), (3, 0..5, 5..10));
    // The buckets of FarmHash's C++ code: x 2, y 1, new 3; p 1, q 1, which share a slot.
    let (ids, values) = encoded(&table, &schema);
    assert_eq!(ids, [3, 7, 2, 7, 4, 7, 9]);
    assert_eq!(values, [1.0, 1.0, 1.0, 1.0, 1.0, 2.0 / 3.0, 1.0 / 3.0]);
}

#[test]
fn statistics_are_of_the_finite_numbers_of_training_rows() {
    let table = df!("n" => [Some("1"), Some("3"), Some("x"), None, Some("inf"), Some("1000")]).unwrap();
    let schema = fitted(&table, vec![numeric("n")], &[0, 1, 2, 3, 4]).unwrap();
    assert_eq!(only(&schema).kind, FieldKind::Numeric { mean: 2.0, std: 1.0 });
}

#[test]
fn transforms_are_fitted_to_the_training_rows() {
    let table = df!("n" => ["1", "3", "x", "", "3", "1e6"]).unwrap();
    let fitted = |transform| {
        let field = FieldSpec::new("n", FieldSpecKind::Transformed(transform), Side::Context);
        only(&fitted(&table, vec![field], &[0, 1, 2, 3, 4]).unwrap()).kind.clone()
    };
    let FieldKind::Transformed(Transform::Log { mean, std }) = fitted(TransformSpec::Log) else {
        panic!("a logarithm")
    };
    let [two, four] = [2f64, 4.0].map(f64::ln);
    assert!((mean - (two + four + four) / 3.0).abs() < 1e-12, "{mean}");
    assert!((std - (four - two) * 2f64.sqrt() / 3.0).abs() < 1e-12, "{std}");
    for (transform, expected) in [
        (TransformSpec::MinMax, Transform::MinMax { min: 1.0, range: 2.0 }),
        (TransformSpec::Identity, Transform::Identity),
        (TransformSpec::Buckets { buckets: 32 }, Transform::Buckets { edges: vec![2.0] }),
        (TransformSpec::Buckets { buckets: 1 }, Transform::Buckets { edges: vec![] }),
        (TransformSpec::CriteoLog, Transform::CriteoLog { edges: vec![std::f64::consts::E] }),
    ] {
        assert_eq!(fitted(transform), FieldKind::Transformed(expected));
    }
}

#[test]
fn a_bucket_is_a_category_and_a_missing_number_has_an_id_of_its_own() {
    let table = df!("n" => ["5", "1", "9", "x", "-1e300", "7"], "m" => ["1"; 6]).unwrap();
    let buckets = FieldSpecKind::Transformed(TransformSpec::Buckets { buckets: 3 });
    let fields = vec![FieldSpec::new("n", buckets, Side::Context), numeric("m")];
    let schema = fitted(&table, fields, &[0, 1, 2]).unwrap();
    assert_eq!((schema.ids(0), schema.ids(1)), (0..4, 4..6));
    let (ids, values) = encoded(&table, &schema);
    assert_eq!(ids.iter().step_by(2).copied().collect::<Vec<_>>(), [2, 1, 3, 0, 1, 3]);
    assert!(values.iter().step_by(2).all(|&value| value == 1.0));
}

#[test]
fn a_constant_number_is_divided_by_one() {
    let table = df!("n" => ["0.1", "0.1", "0.1"]).unwrap();
    let schema = fitted(&table, vec![numeric("n")], &[0, 1, 2]).unwrap();
    assert_eq!(only(&schema).kind, FieldKind::Numeric { mean: 0.1, std: 1.0 });
}

#[test]
fn a_numeric_field_without_numbers_is_an_error() {
    let table = df!("n" => ["red", "2"]).unwrap();
    let error = fitted(&table, vec![numeric("n")], &[0]).unwrap_err().to_string();
    assert!(error.contains("field `n`") && error.contains("the first value is `red`"), "{error}");
}

#[test]
fn the_label_is_summarised_over_training_rows_after_the_threshold() {
    let table = df!("a" => ["x", "y", "z", "w", "v"]).unwrap();
    let labels = [5.0, 4.0, 3.0, 1.0, -9.0];
    let label =
        |task| fit(&table, &spec(vec![categorical("a")]), &labels, &[0, 1, 2, 3], task).unwrap().label().clone();
    let (binary, raw) = (label(TASK), label(Task::Regression));
    assert_eq!((binary.min, binary.max, binary.mean), (0.0, 1.0, 0.5));
    assert_eq!((raw.min, raw.max, raw.mean), (1.0, 5.0, 3.25));
}

#[test]
fn the_mean_label_is_weighted_and_the_vocabulary_is_not() {
    let table = df!("a" => ["x", "y", "y"], "w" => ["3", "0", "1"]).unwrap();
    let weighted = TableSpec { weight: Some("w".into()), ..spec(vec![categorical("a")]) };
    let fit = |train: &[u32]| fit(&table, &weighted, &[5.0, 9.0, 1.0], train, Task::Regression);
    let schema = fit(&[0, 1, 2]).unwrap();
    assert_eq!((schema.label().mean, schema.label().max), (4.0, 5.0));
    assert_eq!(only(&schema).vocabulary, ["y", "x"]);
    assert!(fit(&[1]).unwrap_err().to_string().contains("all training rows have weight 0 in column `w`"));
}

#[test]
fn roles_reach_the_schema() {
    let table = df!("u" => ["x"], "i" => ["y"]).unwrap();
    let roles =
        TableSpec { user: Some("u".into()), item: Some("i".into()), ..spec(vec![categorical("u"), categorical("i")]) };
    let schema = fit(&table, &roles, &[1.0], &[0], TASK).unwrap();
    assert_eq!((schema.user(), schema.item()), (Some("u"), Some("i")));
}

proptest! {
    #[test]
    fn the_same_rows_in_another_order_give_the_same_schema(
        rows in prop::collection::vec(("[a-c]{0,2}", "[a-c|]{0,4}"), 2..30),
        seed: u64,
    ) {
        use rand::{SeedableRng, seq::SliceRandom};
        let schema = |rows: &[(String, String)]| {
            let (a, tags_): (Vec<_>, Vec<_>) = rows.iter().cloned().unzip();
            let table = df!("a" => a, "tags" => tags_).unwrap();
            let train: Vec<u32> = (0..rows.len() as u32).collect();
            fitted(&table, vec![categorical("a"), tags(None)], &train).unwrap()
        };
        let mut shuffled = rows.clone();
        shuffled.shuffle(&mut rand_pcg::Pcg64::seed_from_u64(seed));
        prop_assert_eq!(schema(&rows), schema(&shuffled));
    }
}

fn hour_of(column: &str) -> FieldSpec {
    let derived = Derived { time: Some(TimePart::Hour), ..Derived::default() };
    FieldSpec { column: Some(column.into()), derived, ..categorical("hour") }
}

#[test]
fn times_that_cannot_be_read_are_counted_and_a_column_without_times_is_an_error() {
    let fit = |cells: [&str; 4]| {
        let table = CompactTable::try_from(&df!("ts" => cells, "y" => ["0", "1", "0", "1"]).unwrap()).unwrap();
        let spec = TableSpec { null_values: vec!["NA".into()], ..spec(vec![hour_of("ts")]) };
        let table = spec.with_fields(table)?;
        fit_and_warn(&table, &spec, &[0.0; 4], &[0, 1, 2], TASK)
    };
    let clean = fit(["2024-01-02 03:04", "NA", "1700001688", "later"]).unwrap();
    assert_eq!((&only(&clean.schema).vocabulary[..], clean.warnings), (&["22".to_owned(), "3".to_owned()][..], vec![]));
    let odd = fit(["2024-01-02 03:04", "soon", "2024-13-01", "later"]).unwrap();
    assert_eq!(odd.warnings.len(), 1);
    assert!(
        odd.warnings[0]
            .starts_with("field `hour`: 2 of 3 training rows have no time in column `ts`, such as `soon`: they"),
        "{:?}",
        odd.warnings
    );
    let early = fit(["14102100", "14102101", "14102102", "2024-01-01"]).unwrap().warnings;
    assert!(
        early[0].contains("3 of 3 training rows have a number in column `ts` that is within a year of 1970"),
        "{early:?}"
    );
    let error = fit(["soon", "later", "NA", "2024-01-01"]).unwrap_err().to_string();
    assert!(
        error.starts_with("field `hour` finds no time in column `ts` of the training rows: the first text is `soon`")
    );
    let error = fit(["NA", "", "NA", "2024-01-01"]).unwrap_err().to_string();
    assert!(error.ends_with("of the training rows, which is empty: leave it out"), "{error}");
}

#[test]
fn a_derived_field_needs_its_own_column() {
    // The raw text of the column would be taken for an hour.
    let raw = df!("ts" => ["5", "6"]).unwrap();
    assert!(matches!(fitted(&raw, vec![hour_of("ts")], &[0, 1]), Err(Error::MissingColumn { .. })));
    let table = df!("ts" => ["1700001688", "6"], "a" => ["x", "y"], "hour" => ["x", "y"]).unwrap();
    let cross = Derived { cross: vec!["a".into(), "hour".into()], ..Derived::default() };
    let both = FieldSpec { derived: cross, min_count: 1, ..categorical("both") };
    let spec = spec(vec![categorical("a"), hour_of("ts"), both]);
    let own = spec.with_fields(CompactTable::try_from(&table).unwrap()).unwrap();
    let schema = fit(&own, &spec, &[0.0; 2], &[0, 1], TASK).unwrap();
    assert_eq!(schema.fields()[2].vocabulary, ["x&22", "y&0"]);
    // New rows are read as those of training, whatever their other columns.
    let named = columns_of_fields(&table, &schema).unwrap();
    assert_eq!(encoded(&named, &schema), encoded_of(&own, &schema));
    let without = columns_of_fields(&table.drop("ts").unwrap(), &schema).unwrap();
    assert!(without.column("hour").is_err() && without.column("both").is_err());
}

fn encoded_of(table: &CompactTable, schema: &Schema) -> (Vec<i32>, Vec<f32>) {
    encoded(&table.take(&[0, 1], &["a", "hour", "both"]).unwrap(), schema)
}
