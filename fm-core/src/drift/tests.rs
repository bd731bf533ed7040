use proptest::prelude::*;

use super::*;
use crate::schema::{FieldKind, Label, List, Side, Task, Transform, Weighting};

fn field(name: &str, kind: FieldKind, values: &[&str]) -> Field {
    Field::new(name, kind, Side::Context, values.iter().map(|&value| value.into()).collect())
}

fn schema(values: &[&str]) -> Schema {
    let fields = vec![
        field("word", FieldKind::Categorical, values),
        field("number", FieldKind::Numeric { mean: 50.0, std: 10.0 }, &[]),
        field("log", FieldKind::Transformed(Transform::Log { mean: 3.0, std: 2.0 }), &[]),
        field("bucket", FieldKind::Transformed(Transform::Buckets { edges: vec![20.0, 40.0, 60.0, 80.0] }), &[]),
        field("list", FieldKind::MultiValued(List::new("|", 4, Weighting::Mean)), values),
        Field { hash_buckets: Some(8), ..field("hashed", FieldKind::Categorical, &[]) },
    ];
    Schema::new(Label::fit("y", Task::Regression, [0.0]), fields).unwrap()
}

/// Rows with a word, a number for three fields, and a list.
fn rows(schema: &Schema, cells: &[(&str, f64, &str)]) -> Records {
    let texts: Vec<[String; 6]> = cells
        .iter()
        .map(|(word, number, list)| {
            let number = number.to_string();
            [(*word).into(), number.clone(), number.clone(), number, (*list).into(), (*word).into()]
        })
        .collect();
    let texts: Vec<[Option<&str>; 6]> =
        texts.iter().map(|row| row.each_ref().map(|text| Some(text.as_str()))).collect();
    Records::from_texts(schema, &texts, &vec![0.0; cells.len()]).unwrap()
}

fn evenly(words: &'static [&'static str]) -> Vec<(&'static str, f64, &'static str)> {
    (0..100).map(|row| (words[row % words.len()], row as f64, "a|b")).collect()
}

#[test]
fn a_distribution_has_the_shares_of_values_and_about_even_bins_of_numbers() {
    let schema = schema(&["a", "b"]);
    let mut cells = evenly(&["a", "a", "b", "?"]);
    cells[99].2 = "";
    let all = Distribution::all(&schema, &rows(&schema, &cells));
    assert_eq!((all[0].unknown, &all[0].values[..]), (0.25, &[("a".to_owned(), 0.5), ("b".to_owned(), 0.25)][..]));
    // 99 rows have two values, and one has none.
    let share = 99.0 / 199.0;
    assert_eq!(all[4].values, [("a".to_owned(), share), ("b".to_owned(), share)]);
    assert_eq!(all[4].unknown, 1.0 / 199.0);
    for numbers in &all[1..3] {
        assert_eq!(numbers.shares, [0.1; 10], "{numbers:?}");
        for (at, edge) in (1..).zip(&numbers.edges) {
            assert!((edge - f64::from(10 * at)).abs() < 1e-3, "{numbers:?}");
        }
    }
    assert_eq!((&all[3].edges[..], &all[3].shares[..]), (&[20.0, 40.0, 60.0, 80.0][..], &[0.2; 5][..]));
    assert_eq!(all[5].values.iter().map(|(_, share)| share).sum::<f64>(), 1.0);
    // Equal rows do not drift.
    for drift in drift(&all, &schema, &schema, &rows(&schema, &cells)) {
        assert!(drift.psi < 1e-9 && drift.unknown == drift.unknown_before && drift.new_values.is_none(), "{drift:?}");
    }
}

#[test]
fn the_index_is_that_of_its_formula() {
    let schema = schema(&["a", "b"]);
    let reference = Distribution::all(&schema, &rows(&schema, &evenly(&["a", "b"])));
    let now: Vec<_> = evenly(&["a", "a", "a", "b"]).into_iter().map(|(word, x, list)| (word, x / 2.0, list)).collect();
    let drift = drift(&reference, &schema, &schema, &rows(&schema, &now));
    let expected = 0.25 * (0.75f64 / 0.5).ln() - 0.25 * (0.25f64 / 0.5).ln();
    assert!((drift[0].psi - expected).abs() < 1e-9, "{drift:?}");
    // Ten bins with a tenth each have become five bins with a fifth each.
    let term = |before: f64, now: f64| (now - before) * (now / before).ln();
    let expected = 5.0 * term(0.1, 0.2) + 5.0 * term(0.1, 1e-4);
    assert!((drift[1].psi - expected).abs() < 1e-9 && (drift[2].psi - expected).abs() < 0.2, "{drift:?}");
    assert!(drift[3].psi > 1.0, "{drift:?}");
    assert!(drift[4].psi < 1e-9 && drift[5].psi > 0.2, "{drift:?}");
}

#[test]
fn a_value_that_the_run_does_not_know_is_unknown_whatever_the_rows_are_encoded_with() {
    let known = schema(&["a", "b"]);
    let grown = schema(&["a", "b", "c", "d"]);
    let reference = Distribution::all(&known, &rows(&known, &evenly(&["a", "b"])));
    let now = evenly(&["a", "c", "b", "e"]);
    let by_run = drift(&reference, &known, &known, &rows(&known, &now));
    let by_new = drift(&reference, &known, &grown, &rows(&grown, &now));
    assert_eq!((by_new[0].new_values, by_run[0].new_values), (Some(2), None));
    for (run, new) in by_run.iter().zip(&by_new) {
        assert_eq!((run.psi, run.unknown), (new.psi, new.unknown), "{run:?}");
    }
    assert_eq!((by_run[0].unknown_before, by_run[0].unknown), (0.0, 0.5));
}

#[test]
fn a_distribution_is_small_and_survives_a_round_trip() {
    let words: Vec<String> = (0..500)
        .map(|word| format!("{word:0300}").chars().rev().take(if word < 30 { 300 } else { 9 }).collect())
        .collect();
    let schema = schema(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let cells: Vec<(&str, f64, &str)> = words.iter().map(|word| (word.as_str(), 7.0, "")).collect();
    let all = Distribution::all(&schema, &rows(&schema, &cells));
    assert_eq!(all[0].values.len(), VALUES);
    assert!(all[0].values.iter().all(|(value, _)| value.len() <= VALUE_BYTES));
    assert_eq!((&all[1].edges[..], &all[1].shares[..]), (&[][..], &[1.0][..]));
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Distribution>>(&text).unwrap(), all);
    // Of no rows.
    let none = Distribution::all(&schema, &rows(&schema, &[]));
    assert!(drift(&none, &schema, &schema, &rows(&schema, &cells)).iter().all(|drift| drift.psi.is_finite()));
    assert!(drift(&all, &schema, &schema, &rows(&schema, &[])).iter().all(|drift| drift.psi.is_finite()));
}

proptest! {
    #[test]
    fn an_index_is_finite_and_not_negative(
        before in prop::collection::vec((0usize..5, -1e3..1e3f64), 1..40),
        now in prop::collection::vec((0usize..5, -1e30..1e30f64), 1..40),
    ) {
        let schema = schema(&["a", "b", "c"]);
        let words = ["a", "b", "c", "?", ""];
        let of = |cells: &[(usize, f64)]| {
            rows(&schema, &cells.iter().map(|&(word, x)| (words[word], x, words[word])).collect::<Vec<_>>())
        };
        let reference = Distribution::all(&schema, &of(&before));
        for drift in drift(&reference, &schema, &schema, &of(&now)) {
            prop_assert!(drift.psi.is_finite() && drift.psi >= 0.0, "{drift:?}");
            prop_assert!((0.0..=1.0).contains(&drift.unknown));
        }
    }
}
