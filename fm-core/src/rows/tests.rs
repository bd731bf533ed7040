use proptest::prelude::*;
use tch::{Device, Tensor};

use super::*;
use crate::encoder::Encoder;
use crate::error::Error;
use crate::schema::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};

/// Ids: price 0 to 1, user 2 to 4, tags 5 to 7, age 8 to 9.
fn schema() -> Schema {
    let field = |name: &str, kind, values: &[&str]| {
        Field::new(name, kind, Side::Context, values.iter().map(|&v| v.into()).collect())
    };
    let number = || FieldKind::Numeric { mean: 0.0, std: 1.0 };
    let tags = FieldKind::MultiValued(List::new("|", 2, Weighting::Mean));
    let fields = vec![
        field("price", number(), &[]),
        field("user", FieldKind::Categorical, &["a", "b"]),
        field("tags", tags, &["x", "y"]),
        field("age", number(), &[]),
    ];
    let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
    Schema::new(label, fields).unwrap()
}

const TEXTS: [[Option<&str>; 4]; 3] = [
    [Some("0.5"), Some("a"), Some("y|x"), Some("-2")],
    [None, Some("b"), None, None],
    [Some("0"), None, Some("x|x|y"), Some("7")],
];

fn records() -> Records {
    Records::from_texts(&schema(), &TEXTS, &[0.25, 0.75, 0.5]).unwrap()
}

fn saved(records: &Records, folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("rows");
    records.save(&path, &schema()).unwrap();
    path
}

fn opened(records: &Records) -> Records {
    let folder = tempfile::tempdir().unwrap();
    Records::open(saved(records, &folder), &schema()).unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

/// The ids, values and offsets of a batch.
fn slots(batch: &Batch) -> (Vec<i32>, Option<Vec<f32>>, Vec<i32>) {
    let Features::Ragged(rows) = &batch.features else { panic!("records give ragged rows") };
    let slices = rows.slices().unwrap();
    (slices.ids.to_vec(), slices.values.map(<[f32]>::to_vec), slices.offsets.to_vec())
}

#[test]
fn a_batch_has_the_active_slots_of_its_rows() {
    for rows in [records(), opened(&records())] {
        let batch = rows.batch(&[1, 0, 2], Device::Cpu).unwrap();
        let (ids, values, offsets) = slots(&batch);
        assert_eq!(ids, [0, 4, 8, 1, 3, 7, 6, 9, 1, 2, 6, 7, 9]);
        let third = 1.0f32 / 3.0;
        let expected = [1.0, 1.0, 1.0, 0.5, 1.0, 0.5, 0.5, -2.0, 0.0, 1.0, 2.0 * third, third, 7.0];
        assert_eq!(values.unwrap(), expected);
        assert_eq!(offsets, [0, 1, 2, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13]);
        assert_eq!(floats(&batch.labels), [0.75, 0.25, 0.5]);
        assert!(batch.weights.is_none());
        assert!(rows.batch(&[3], Device::Cpu).unwrap_err().to_string().contains("row numbers below 3"));
        assert!(rows.batch(&[], Device::Cpu).unwrap().features.is_empty());
    }
}

#[test]
fn a_batch_whose_values_are_all_one_has_no_values() {
    let fields = vec![Field::categorical("user", Side::User, 2), Field::categorical("item", Side::Item, 3)];
    let schema = Schema::new(schema().label().clone(), fields).unwrap();
    let rows = Records::from_indices(&schema, &[[0, 2], [1, 0]], &[1.0, 0.0]).unwrap();
    let (ids, values, offsets) = slots(&rows.batch(&[1, 0], Device::Cpu).unwrap());
    assert_eq!((ids, values, offsets), (vec![2, 4, 1, 6], None, vec![0, 1, 2, 3, 4]));
}

#[test]
fn rows_can_be_read() {
    let rows = records();
    assert_eq!(rows.rows().map(Row::label).collect::<Vec<_>>(), [0.25, 0.75, 0.5]);
    assert_eq!(rows.ids_of(1).collect::<Vec<_>>(), [3, 4, 2]);
    assert_eq!(rows.row(2).field(2).values().collect::<Vec<_>>(), [2.0f32 / 3.0, 1.0 / 3.0]);
    assert_eq!(rows.row(2).field(3).values().collect::<Vec<_>>(), [7.0]);
    assert_eq!(rows.row(1).field(2).ids().len(), 0);
    assert!(rows.row(0).field(2).is_equal(rows.row(0).field(2)));
    assert!(!rows.row(0).field(3).is_equal(rows.row(2).field(3)), "the ids are equal, but the values are not");
}

#[test]
fn weights_and_groups_reach_files_batches_and_tensors() {
    let weighted = || records().with_weights(Some(&[0.5, 2.0, 0.0])).unwrap();
    let grouped = weighted().with_groups(Some(vec![7, -1, 7])).unwrap();
    for rows in [opened(&grouped), weighted().with_groups(Some(vec![7, -1, 7])).unwrap(), grouped] {
        let tensors = rows.to_tensor_rows(Device::Cpu).unwrap();
        for rows in [&rows as &dyn Rows, &tensors] {
            assert_eq!(rows.weights(), Some(vec![0.5, 2.0, 0.0]));
            assert_eq!(rows.groups(), Some(vec![7, -1, 7]));
            let batch = rows.batch(&[1, 0, 1], Device::Cpu).unwrap();
            assert_eq!(floats(batch.weights.as_ref().unwrap()), [2.0, 0.5, 2.0]);
            assert_eq!(batch.weight(), 4.5);
        }
        let rows = rows.with_weights(None).unwrap();
        assert_eq!((rows.weights(), rows.groups()), (None, Some(vec![7, -1, 7])));
        assert_eq!(rows.with_groups(None).unwrap().digest(), records().digest());
    }
    let refused = |weights: &[f32]| records().with_weights(Some(weights)).unwrap_err().to_string();
    assert!(refused(&[1.0]).contains("a weight for each of 3 rows, found 1"));
    assert!(refused(&[1.0, f32::NAN, 0.0]).contains("finite weights of at least 0, found NaN in row 1"));
    assert!(refused(&[-0.5, 1.0, 1.0]).contains("found -0.5 in row 0"));
    assert!(records().with_groups(Some(vec![1])).is_err());
}

#[test]
fn a_file_without_a_name_has_the_rows_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new");
    let mut writer = RecordsWriter::nameless(&place, &schema(), false).unwrap();
    writer.append(&records()).unwrap();
    writer.append(&records()).unwrap();
    let rows = writer.finish(&schema(), Some(&[1, 2, 3, 4, 5, 6])).unwrap();
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
    assert_eq!((rows.labels(), rows.groups()), ([0.25, 0.75, 0.5].repeat(2), Some(vec![1, 2, 3, 4, 5, 6])));
    assert_eq!(
        slots(&rows.batch(&[0, 1, 2], Device::Cpu).unwrap()),
        slots(&rows.batch(&[3, 4, 5], Device::Cpu).unwrap())
    );
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(RecordsWriter::nameless(&file, &schema(), false).unwrap_err().to_string().starts_with("cannot write"));
}

#[test]
fn rows_are_grouped_by_user_and_rows_of_unknown_users_have_no_group() {
    let with_user = |user: &str| schema().with_roles(Some(user.into()), None).unwrap();
    let rows = |schema: &Schema| Records::from_texts(schema, &TEXTS, &[0.0; 3]).unwrap();
    assert_eq!(rows(&with_user("user")).groups(), Some(vec![3, 4, -1]));
    assert_eq!(rows(&with_user("user")).to_tensor_rows(Device::Cpu).unwrap().groups(), Some(vec![3, 4, -1]));
    assert_eq!(rows(&schema()).groups(), None);
    assert_eq!(rows(&with_user("tags")).groups(), None, "several values are not one user");
}

#[test]
fn tensor_rows_are_the_same_rows() {
    let (a, b) = (records(), records().to_tensor_rows(Device::Cpu).unwrap());
    let order = [2, 0, 1, 0];
    let (a, b) = (a.batch(&order, Device::Cpu).unwrap(), b.batch(&order, Device::Cpu).unwrap());
    assert_eq!(slots(&a), slots(&b));
    assert_eq!(a.labels, b.labels);
}

#[test]
fn slots_that_do_not_match_the_schema_are_an_error() {
    let push = |slots: &[(u32, Option<f32>)], label: f32| {
        let mut row = Slots::default();
        for &(id, value) in slots {
            row.words.push(id | if value.is_some() { layout::GIVEN } else { 0 });
            row.given.extend(value.map(f32::to_bits));
        }
        RecordsBuilder::new(&schema()).push(&row, label, None).map_err(|error| error.to_string())
    };
    let one = Some(1.0);
    assert_eq!(push(&[(1, one), (3, None), (6, None), (8, None)], 0.0), Ok(()));
    assert_eq!(push(&[(1, one), (3, Some(2.0)), (8, None)], 0.0), Ok(()), "any value may be given");
    let refused = |slots: &[(u32, Option<f32>)]| push(slots, 0.0).unwrap_err();
    let expected = "slot 1 of row 0 has id 5, but field `user` has the ids 2 to 4";
    assert_eq!(refused(&[(1, one), (5, None), (6, None), (8, None)]), expected);
    let expected = "slot 3 of row 0 has id 10, but field `age` has the ids 8 to 9";
    assert_eq!(refused(&[(1, one), (3, None), (6, None), (10, None)]), expected);
    assert!(refused(&[(1, one), (3, None)]).contains("one slot of field `age`, found 0 in row 0"));
    assert!(refused(&[(1, one), (3, None), (4, None), (8, None)]).contains("one slot of field `user`, found 2"));
    assert!(refused(&[(1, one), (3, None), (6, None), (7, None), (5, None), (8, None)]).contains("at most 2 slots"));
    assert!(refused(&[(1, None), (3, None), (8, None)]).contains("a value of field `price`, found none in row 0"));
    assert!(refused(&[(1, Some(f32::NAN)), (3, None), (8, None)]).contains("finite values, found NaN in row 0"));
    let label = push(&[(1, one), (3, None), (8, None)], f32::INFINITY).unwrap_err();
    assert!(label.contains("finite targets, found inf in row 0"), "{label}");
    let weight = RecordsBuilder::new(&schema()).push(&Slots::default(), 0.0, Some(1.0)).unwrap_err().to_string();
    assert!(weight.contains("expected no weight"), "{weight}");
}

#[test]
fn values_in_memory_are_encoded_like_their_texts() {
    let values = [
        [Value::Number(0.5), Value::Index(0), Value::Indices(&[1, 0]), Value::Number(-2.0)],
        [Value::Missing, Value::Index(1), Value::Missing, Value::Missing],
        [Value::Number(0.0), Value::Missing, Value::Indices(&[0, 0, 1]), Value::Number(7.0)],
    ];
    let rows = Records::from_values(&schema(), &values, &[0.25, 0.75, 0.5]).unwrap();
    assert_eq!(rows.digest(), records().digest());
    let refused = |value| {
        let mut row = values[0];
        row[1] = value;
        Records::from_values(&schema(), &[row], &[0.0]).unwrap_err().to_string()
    };
    assert_eq!(refused(Value::Index(2)), "rows: expected a value below 2 of field `user`, found 2 in row 0");
    assert!(refused(Value::Number(1.0)).contains("one value of field `user`, found Number(1.0) in row 0"));
    let short = Records::from_values(&schema(), &[&values[0][..3]], &[0.0]).unwrap_err().to_string();
    assert_eq!(short, "rows: expected a value for each of 4 fields, found 3 in row 0");
    let labels = Records::from_values(&schema(), &values, &[0.0]).unwrap_err().to_string();
    assert_eq!(labels, "rows: expected a label for each of 3 rows, found 1");
}

#[test]
fn a_foreign_truncated_or_extended_file_is_an_error_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = saved(&records(), &folder);
    let good = std::fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = Records::open(&path, &schema()).unwrap_err().to_string();
        error.split_once("not a usable file of encoded rows: ").unwrap().1.to_owned()
    };
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    assert_eq!(refused(b""), "its header is missing");
    assert_eq!(refused(b"user,item\n1,2\n"), "its header is missing");
    let len = good.len();
    assert_eq!(refused(&good[..len - 1]), format!("it has {} bytes instead of {len}", len - 1));
    assert_eq!(refused(&[&good[..], b"x"].concat()), format!("it has {} bytes instead of {len}", len + 1));
    assert_eq!(refused(&with(8, &[9])), "its format is 9, but this version reads only 4");
    assert_eq!(refused(&with(12, &[4])), "its header has unknown flags");
    assert!(refused(&with(16, &[255; 8])).starts_with("its header declares 18446744073709551615 rows"));
    assert!(refused(&with(24, &[255; 8])).ends_with("rows in 18446744073709551615 words"));
    assert_eq!(refused(&with(32, &[0; 8])), "it was encoded with another schema");
    // The words of the records, whose number the header has, are followed by zeros.
    let words = 64 + 4 * usize::from(good[24]);
    assert_eq!(refused(&with(words, &[1])), "it has bytes between its sections");
    // The first record: 5 slots, the target, the ids from byte 72 on.
    assert_eq!(refused(&with(64, &[255; 4])), "row 0 has no whole record");
    assert_eq!(refused(&with(76, &[7])), "slot 1 of row 0 has id 7, but field `user` has the ids 2 to 4");
    assert!(refused(&with(68, &f32::NAN.to_le_bytes())).ends_with("expected finite targets, found NaN in row 0"));
}

#[test]
fn a_file_takes_4_bytes_per_slot_and_per_given_value_and_at_most_16_per_row() {
    let n = 5000;
    let texts: Vec<_> = (0..n).map(|row| TEXTS[row % 3]).collect();
    let rows = Records::from_texts(&schema(), &texts, &vec![0.0; n]).unwrap();
    let slots = (0..n).map(|row| [5, 3, 5][row % 3]).sum::<usize>();
    // Given values: two numbers; none, since no number is given and no tag is repeated; two numbers and a repeated tag.
    let values = (0..n).map(|row| [2, 0, 4][row % 3]).sum::<usize>();
    let size = |rows: &Records| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::metadata(saved(rows, &folder)).unwrap().len() as usize
    };
    // In addition to the rows: the header, and padding between sections.
    let fixed = 64 + 3 * 64;
    let content = 4 * slots + 4 * values;
    assert!(size(&rows) <= fixed + content + 12 * n + n.div_ceil(1024) * 8, "{} for {content}", size(&rows));
    assert!(size(&rows) <= fixed + content + 16 * n);
    // A weight is a value that the schema does not imply.
    let weighted = rows.with_weights(Some(&vec![2.0; n])).unwrap();
    assert!(size(&weighted) <= fixed + content + 4 * n + 16 * n);
}

#[test]
fn rows_of_many_blocks_are_found_however_they_were_built() {
    let n = 3000;
    let texts: Vec<_> = (0..n).map(|row| TEXTS[row % 3]).collect();
    let labels: Vec<f32> = (0..n).map(|row| row as f32).collect();
    let all = Records::from_texts(&schema(), &texts, &labels).unwrap();
    let mut joined = RecordsBuilder::new(&schema());
    for (texts, labels) in texts.chunks(700).zip(labels.chunks(700)) {
        joined.append(&Records::from_texts(&schema(), texts, labels).unwrap()).unwrap();
    }
    let joined = joined.finish();
    for rows in [&opened(&all), &joined, &all] {
        assert_eq!((rows.labels(), rows.digest()), (labels.clone(), all.digest()));
        let numbers = [2999, 1023, 1024, 0, 2048];
        let batch = rows.batch(&numbers, Device::Cpu).unwrap();
        assert_eq!(floats(&batch.labels), [2999.0, 1023.0, 1024.0, 0.0, 2048.0]);
        let expected: Vec<_> = numbers.iter().map(|&row| TEXTS[row % 3]).collect();
        let expected = Records::from_texts(&schema(), &expected, &[0.0; 5]).unwrap();
        assert_eq!(slots(&batch), slots(&expected.batch(&[0, 1, 2, 3, 4], Device::Cpu).unwrap()));
    }
    let mut weighted = RecordsBuilder::weighted(&schema());
    assert!(matches!(weighted.append(&all), Err(Error::Shape { .. })));
}

#[test]
fn a_digest_reveals_every_change() {
    let digest =
        |texts: &[[Option<&str>; 4]], labels: &[f32]| Records::from_texts(&schema(), texts, labels).unwrap().digest();
    let labels = [0.25, 0.75, 0.5];
    let same = digest(&TEXTS, &labels);
    assert_eq!(same.len(), 32);
    let mut others = vec![
        digest(&TEXTS[..2], &labels[..2]),
        digest(&TEXTS, &[0.25, 0.75, 0.75]),
        records().with_weights(Some(&[1.0; 3])).unwrap().digest(),
        records().with_weights(Some(&[1.0, 1.0, 2.0])).unwrap().digest(),
        records().with_groups(Some(vec![0; 3])).unwrap().digest(),
    ];
    for (row, field, text) in [(0, 0, "0.75"), (1, 0, "1"), (1, 1, "a"), (0, 2, "x|y"), (2, 2, "x|y|y"), (0, 3, "")] {
        let mut texts = TEXTS;
        texts[row][field] = Some(text);
        others.push(digest(&texts, &labels));
    }
    others.push(digest(&[TEXTS[1], TEXTS[0], TEXTS[2]], &[0.75, 0.25, 0.5]));
    for (at, other) in others.iter().enumerate() {
        assert!(*other != same && !others[..at].contains(other), "{at}");
    }
    // The values that records leave out follow from the schema.
    let mut fields = schema().fields().to_vec();
    fields[2].kind = FieldKind::MultiValued(List::new("|", 2, Weighting::Sqrt));
    let other = Schema::new(schema().label().clone(), fields).unwrap();
    assert_ne!(Records::from_texts(&other, &TEXTS[..2], &labels[..2]).unwrap().digest(), others[0]);
}

proptest! {
    #[test]
    fn records_are_padded_features_without_the_padding(
        texts in prop::collection::vec(
            ("(|-?[0-9]{1,3}|x)", "[abc]?", "([xyz]\\|?){0,5}", "[0-9]?"), 1..20,
        ),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let schema = schema();
        let texts: Vec<[Option<&str>; 4]> =
            texts.iter().map(|(a, b, c, d)| [a, b, c, d].map(|text| Some(text.as_str()))).collect();
        let rows = Records::from_texts(&schema, &texts, &vec![0.0; texts.len()]).unwrap();
        let order: Vec<usize> = order.iter().map(|at| at.index(texts.len())).collect();
        let chosen: Vec<_> = order.iter().map(|&row| texts[row]).collect();
        let expected = Encoder::new(&schema).features(&chosen).unwrap().padded().unwrap();
        for rows in [&rows, &opened(&rows)] {
            let found = rows.batch(&order, Device::Cpu).unwrap().features.padded().unwrap();
            prop_assert!(found.ids.equal(&expected.ids) && found.values.equal(&expected.values));
        }
    }

    #[test]
    fn no_change_to_a_file_is_read_out_of_bounds(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut: prop::sample::Index,
        extra: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = records();
        if extra {
            rows = rows.with_weights(Some(&[1.0, 2.0, 3.0])).unwrap().with_groups(Some(vec![1, 2, 3])).unwrap();
        }
        let path = saved(&rows, &folder);
        let mut bytes = std::fs::read(&path).unwrap();
        changes.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(rows) = Records::open(&path, &schema()) {
            rows.batch(&[0, 1, 2], Device::Cpu).unwrap();
            let _ = (rows.labels(), rows.weights(), rows.groups(), rows.digest());
            rows.rows().for_each(|row| (0..4).for_each(|field| assert!(row.field(field).values().all(f32::is_finite))));
        }
        std::fs::write(&path, &bytes[..cut.index(bytes.len())]).unwrap();
        prop_assert!(Records::open(&path, &schema()).is_err());
    }
}
