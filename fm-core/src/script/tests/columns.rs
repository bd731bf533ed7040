//! Fields that read one column.

use tch::Device;

use super::{bundle, encoded, run, with_cells};
use crate::schema::{Field, FieldKind, Label, List, Schema, Side, Task, Transform, Weighting};
use crate::script::Scorer;

/// Four fields of the column `price`, two of the column `tags`, and one of its own.
fn schema() -> Schema {
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
    let of = |name: &str, column: &str, kind, vocabulary: &[&str]| Field {
        column: Some(column.into()),
        ..Field::new(name, kind, Side::Item, values(vocabulary))
    };
    let fields = vec![
        of("cheap", "price", FieldKind::Transformed(Transform::Buckets { edges: vec![3.0, 10.0] }), &[]),
        Field::new("user", FieldKind::Categorical, Side::User, values(&["ann", "bob"])),
        Field::new("price", FieldKind::Numeric { mean: 5.0, std: 2.0 }, Side::Item, vec![]),
        of("log", "price", FieldKind::Transformed(Transform::Log { mean: 1.5, std: 0.5 }), &[]),
        of("tag", "tags", FieldKind::Categorical, &["new", "new|red"]),
        of("all tags", "tags", FieldKind::MultiValued(List::new("|", 3, Weighting::Mean)), &["new", "red"]),
        of("exactly", "price", FieldKind::Categorical, &["7"]),
    ];
    Schema::new(Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]), fields).unwrap()
}

const ROWS: [[&str; 3]; 4] = [["7.0", "ann", "new|red"], ["1e3", "carl", "red|new"], ["", "bob", "new"], ["x", "", ""]];

#[test]
fn fields_that_read_one_column_have_its_values_given_once() {
    let schema = schema();
    assert_eq!(schema.columns(), ["price", "user", "tags"]);
    let rows = ROWS.map(|row| row.map(String::from).to_vec());
    let [ids, values, _, _, scores] = run(&with_cells(&schema), &schema, &rows);
    let expected = encoded(&schema, &rows);
    assert_eq!((ids.size(), ids == expected.ids, values == expected.values), (vec![4, 9], true, true));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    bundle(&schema, None).save(&file, &[]).unwrap();
    let scorer = Scorer::load(&file, Device::Cpu).unwrap();
    let named = ROWS.map(|row| ["price", "user", "tags"].into_iter().zip(row));
    assert_eq!(scorer.score(named).unwrap(), Vec::<f32>::try_from(scores).unwrap());
    // The name of a field is not that of a column.
    let names = |rows: [(&'static str, &'static str); 1]| scorer.score([rows]).unwrap();
    assert_eq!(names([("log", "7")]), names([("nothing", "7")]));
    assert_ne!(names([("price", "7")]), names([("nothing", "7")]));
}

#[test]
fn a_server_has_an_argument_for_each_column() {
    let archive = bundle(&schema(), None).served_columns().unwrap();
    assert_eq!(archive.arguments(), ["price", "user", "tags"]);
}
