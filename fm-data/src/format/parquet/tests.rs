use std::path::Path;

use arrow::array::*;
use arrow::datatypes::{ArrowDataType, ArrowSchema, Field, TimeUnit};
use arrow::offset::Offsets;
use arrow::record_batch::RecordBatchT;
use polars::prelude::DataFrame;
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, RowGroupIterator, StatisticsOptions, Version, WriteOptions,
};

use super::super::selection::{ListText, Needed, Selection};
use super::*;
use crate::error::Error;
use crate::table::{ChunkSize, read_table};

/// The bytes of a file with these columns.
fn file(columns: Vec<(&str, Box<dyn Array>)>) -> Vec<u8> {
    let field = |(name, array): &(&str, Box<dyn Array>)| Field::new((*name).into(), array.dtype().clone(), true);
    let schema: ArrowSchema = columns.iter().map(field).map(|field| (field.name.clone(), field)).collect();
    let options = WriteOptions {
        statistics: StatisticsOptions::empty(),
        version: Version::V2,
        compression: CompressionOptions::Snappy,
        data_page_size: None,
    };
    let encodings = columns.iter().map(|_| vec![Encoding::Plain]).collect();
    let arrays: Vec<Box<dyn Array>> = columns.into_iter().map(|(_, array)| array).collect();
    let len = arrays[0].len();
    let rows = RecordBatchT::new(len, schema.clone().into(), arrays);
    let mut writer = FileWriter::try_new(Vec::new(), schema.clone(), options).unwrap();
    for group in RowGroupIterator::try_new([Ok(rows)].into_iter(), &schema, options, encodings).unwrap() {
        writer.write(len as u64, group.unwrap()).unwrap();
    }
    writer.end(None).unwrap();
    writer.into_inner()
}

fn read_bytes(bytes: &[u8], columns: Selection) -> Result<DataFrame> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    std::fs::write(&path, bytes).unwrap();
    let options =
        ReadOptions { columns, size: ChunkSize { rows: 2, ..ChunkSize::default() }, ..ReadOptions::default() };
    let mut chunks = Parquet.read(Input::open(&path)?, &options)?;
    let mut all = chunks.next_chunk()?.unwrap();
    while let Some(chunk) = chunks.next_chunk()? {
        all.vstack_mut_owned(chunk)?;
    }
    Ok(all)
}

fn column(table: &DataFrame, name: &str) -> Vec<String> {
    let cells = table.column(name).unwrap().str().unwrap();
    cells.iter().map(|cell| cell.unwrap_or("-").to_owned()).collect()
}

/// The texts of a column of one type.
fn texts_of(array: Box<dyn Array>) -> Vec<String> {
    column(&read_bytes(&file(vec![("x", array)]), Selection::default()).unwrap(), "x")
}

fn of_type<T: arrow::types::NativeType>(kind: ArrowDataType, values: &[Option<T>]) -> Box<dyn Array> {
    values.iter().copied().collect::<PrimitiveArray<T>>().to(kind).boxed()
}

#[test]
fn values_of_all_types_have_a_text() {
    use ArrowDataType as A;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond};
    assert_eq!(texts_of(of_type(A::Int8, &[Some(-5_i8), None, Some(7)])), ["-5", "-", "7"]);
    assert_eq!(texts_of(of_type(A::UInt64, &[Some(u64::MAX)])), [u64::MAX.to_string()]);
    assert_eq!(texts_of(of_type(A::Float32, &[Some(0.1_f32), Some(4.0), Some(f32::NAN)])), ["0.1", "4", "-"]);
    assert_eq!(texts_of(BooleanArray::from_slice([true, false]).boxed()), ["true", "false"]);
    let decimal = |scale| of_type(A::Decimal(12, scale), &[Some(123_450_i128), Some(-5), None]);
    assert_eq!(texts_of(decimal(2)), ["1234.50", "-0.05", "-"]);
    assert_eq!(texts_of(decimal(0)), ["123450", "-5", "-"]);
    assert_eq!(texts_of(of_type(A::Date32, &[Some(19_675_i32), Some(-1)])), ["2023-11-14", "1969-12-31"]);
    let instant = 1_700_001_688_500_i64;
    assert_eq!(
        texts_of(of_type(A::Timestamp(Millisecond, None), &[Some(instant), Some(-1)])),
        ["2023-11-14 22:41:28.5", "1969-12-31 23:59:59.999"]
    );
    assert_eq!(
        texts_of(of_type(A::Timestamp(Nanosecond, Some("Europe/Berlin".into())), &[Some(1_000_000 * instant)])),
        ["2023-11-14 22:41:28.5+00:00"]
    );
    assert_eq!(texts_of(of_type(A::Time64(Microsecond), &[Some(81_688_000_000_i64)])), ["22:41:28"]);
    assert_eq!(texts_of(of_type(A::Time32(Millisecond), &[Some(81_688_250_i32)])), ["22:41:28.25"]);
    assert_eq!(
        texts_of(of_type(A::Duration(Microsecond), &[Some(90_500_000_i64), Some(-250_000), Some(0)])),
        ["90.5", "-0.25", "0"]
    );
    let bytes = |values: &[&[u8]]| BinaryViewArray::from_slice_values(values).boxed();
    assert_eq!(texts_of(bytes(&[b"ab", "é".as_bytes()])), ["ab", "é"]);
    let text = Utf8ViewArray::from_slice([Some("042"), None]).boxed();
    assert_eq!(texts_of(text), ["042", "-"]);
    // Of whole numbers, all digits count: the shortest ones of the last are 65500.
    let half = Float16Array::from_vec([0.1_f32, 1.5, 65504.0].map(Into::into).to_vec()).boxed();
    assert_eq!(texts_of(half), ["0.1", "1.5", "65504"]);
    let bytes = file(vec![("x", bytes(&[b"a", b"b", b"\xFF"]))]);
    let others = Selection { needed: vec![Needed::one("y")], others: true };
    assert_eq!(column(&read_bytes(&bytes, others).unwrap(), "x"), ["a", "b", "\u{FFFD}"]);
    let error = read_bytes(&bytes, Selection::default()).unwrap_err();
    let says = "t.parquet: row 3: column `x` holds bytes that are not UTF-8: store it as text";
    assert!(error.to_string().ends_with(says), "{error}");
}

fn lists(values: Box<dyn Array>, lengths: &[usize]) -> Box<dyn Array> {
    let kind = ArrowDataType::LargeList(Box::new(Field::new("item".into(), values.dtype().clone(), true)));
    let offsets = Offsets::<i64>::try_from_lengths(lengths.iter().copied()).unwrap();
    ListArray::<i64>::new(kind, offsets.into(), values, None).boxed()
}

fn list_column(separator: &str, is_exact: bool) -> Selection {
    let list = Some(ListText { separator: separator.into(), is_exact });
    Selection { needed: vec![Needed { name: "x".into(), list }], others: false }
}

#[test]
fn lists_are_joined_where_that_is_unambiguous() {
    let text = |values: &[Option<&str>]| Utf8ViewArray::from_slice(values).boxed();
    let bytes = file(vec![("x", lists(text(&[Some("a"), None, Some("b c"), Some("d|e"), Some("f")]), &[3, 0, 1, 1]))]);
    let read = |selection| column(&read_bytes(&bytes, selection).unwrap(), "x");
    assert_eq!(read(list_column("|", false)), ["a|b c", "", r#"["d|e"]"#, "f"]);
    assert_eq!(read(list_column(" ", false)), [r#"["a","b c"]"#, "", "d|e", "f"]);
    assert_eq!(read(Selection::default()), [r#"["a","b c"]"#, "[]", r#"["d|e"]"#, r#"["f"]"#]);
    let error = read_bytes(&bytes, list_column("|", true)).unwrap_err().to_string();
    assert!(
        error.ends_with("row 3: column `x` has a value with the separator `|` in it, which would divide it"),
        "{error}"
    );
    let numbers = file(vec![("x", lists(of_type(ArrowDataType::Float64, &[Some(4.0), Some(0.5)]), &[2]))]);
    assert_eq!(column(&read_bytes(&numbers, list_column(",", true)).unwrap(), "x"), ["4,0.5"]);
    let one = Selection { needed: vec![Needed::one("x")], others: false };
    assert!(read_bytes(&bytes, one).unwrap_err().to_string().contains("declare a multi-valued field or a sequence"));
}

#[test]
fn columns_without_a_text_form_block_only_fields() {
    let inner = Field::new("a".into(), ArrowDataType::Int64, true);
    let items = of_type(ArrowDataType::Int64, &[Some(1_i64), Some(2)]);
    let record = StructArray::new(ArrowDataType::Struct(vec![inner]), 2, vec![items], None).boxed();
    let ids = of_type(ArrowDataType::Int64, &[Some(7_i64), Some(8)]);
    let bytes = file(vec![("r", record), ("id", ids)]);
    assert_eq!(read_bytes(&bytes, Selection::default()).unwrap().get_column_names(), ["id"]);
    let needed = |name: &str| Selection { needed: vec![Needed::one(name)], others: false };
    assert_eq!(column(&read_bytes(&bytes, needed("id")).unwrap(), "id"), ["7", "8"]);
    assert_eq!(read_bytes(&bytes, needed("none")).unwrap().height(), 2);
    let error = read_bytes(&bytes, needed("r")).unwrap_err().to_string();
    assert!(error.contains("column `r`") && error.contains("holds maps, structs or nested lists"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_of_one_line() {
    let ids = of_type(ArrowDataType::Int64, &(0..200_i64).map(Some).collect::<Vec<_>>());
    let names = Utf8ViewArray::from_slice((0..200).map(|row| Some(format!("name {}", row % 7))).collect::<Vec<_>>());
    let tags = Utf8ViewArray::from_slice([Some("a"); 200]).boxed();
    let whole = file(vec![("id", ids), ("name", names.boxed()), ("tags", lists(tags, &[1; 200]))]);
    assert_eq!(read_bytes(&whole, Selection::default()).unwrap().height(), 200);
    let (mut errors, mut random) = (0, 1_u64);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        // A step of a linear congruential generator: the same damages in every run.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes[at] ^= (random >> 33) as u8 | 1;
        match read_bytes(&bytes, Selection::default()) {
            Ok(_) => {}
            Err(Error::Data { path, reason, .. }) => {
                assert_eq!(path.file_name(), Path::new("t.parquet").file_name());
                assert_eq!(reason.lines().count(), 1, "byte {at}: {reason}");
                errors += 1;
            }
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(errors > whole.len() / 10, "{errors}");
    for len in (0..whole.len()).step_by(97) {
        read_bytes(&whole[..len], Selection::default()).unwrap_err();
    }
    assert!(read_table("none.parquet").unwrap_err().to_string().starts_with("cannot read none.parquet"));
}
