use arrow::array::*;
use arrow::datatypes::{ArrowDataType, ArrowSchema, ExtensionType, Field, IntegerType, TimeUnit};
use arrow::io::ipc::write::default_ipc_fields;
use arrow::offset::Offsets;
use arrow::record_batch::RecordBatchT;

use super::super::selection::{ListText, Needed, Selection};
use super::*;
use crate::error::Error;
use crate::table::{ChunkSize, TableReader, read_table};

const PACKINGS: [Option<Compression>; 2] = [None, Some(Compression::LZ4)];

/// The bytes of a file with these columns, in batches of some rows.
fn file(columns: &[(&str, Box<dyn Array>)], batch: usize, compression: Option<Compression>) -> Vec<u8> {
    let field = |(name, array): &(&str, Box<dyn Array>)| Field::new((*name).into(), array.dtype().clone(), true);
    let schema: ArrowSchema = columns.iter().map(field).map(|field| (field.name.clone(), field)).collect();
    let schema = Arc::new(schema);
    let fields = default_ipc_fields(schema.iter_values());
    let options = WriteOptions { compression };
    let mut writer = FileWriter::try_new(Vec::new(), Arc::clone(&schema), Some(fields), options).unwrap();
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    for start in (0..rows).step_by(batch) {
        let len = batch.min(rows - start);
        let arrays = columns.iter().map(|(_, array)| array.sliced(start, len)).collect();
        writer.write(&RecordBatchT::new(len, Arc::clone(&schema), arrays), None).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner()
}

fn read_in(bytes: &[u8], rows: usize, columns: Selection) -> Result<(Vec<String>, DataFrame, usize)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.arrow");
    std::fs::write(&path, bytes).unwrap();
    let size = ChunkSize { rows, ..ChunkSize::default() };
    let mut chunks = TableReader::open_with(&path, &ReadOptions { columns, size, ..ReadOptions::default() })?;
    let names = chunks.names().to_vec();
    let mut all = chunks.next().unwrap()?;
    let mut count = 1;
    for chunk in &mut chunks {
        all.vstack_mut_owned(chunk?)?;
        count += 1;
    }
    Ok((names, all, count))
}

fn read(bytes: &[u8], columns: Selection) -> Result<DataFrame> {
    Ok(read_in(bytes, 2, columns)?.1)
}

fn column(table: &DataFrame, name: &str) -> Vec<String> {
    let cells = table.column(name).unwrap().str().unwrap();
    cells.iter().map(|cell| cell.unwrap_or("-").to_owned()).collect()
}

/// The texts of a column of one type, which do not depend on the packing.
fn texts_of(array: Box<dyn Array>) -> Vec<String> {
    let of = |packing| column(&read(&file(&[("x", array.clone())], 2, packing), Selection::default()).unwrap(), "x");
    let [plain, packed] = PACKINGS.map(of);
    assert_eq!(plain, packed);
    plain
}

fn of_type<T: arrow::types::NativeType>(kind: ArrowDataType, values: &[Option<T>]) -> Box<dyn Array> {
    values.iter().copied().collect::<PrimitiveArray<T>>().to(kind).boxed()
}

fn list<O: arrow::offset::Offset>(kind: ArrowDataType, values: Box<dyn Array>, lengths: &[usize]) -> Box<dyn Array> {
    let offsets = Offsets::<O>::try_from_lengths(lengths.iter().copied()).unwrap();
    ListArray::<O>::new(kind, offsets.into(), values, None).boxed()
}

#[test]
fn values_of_all_types_have_a_text() {
    use ArrowDataType as A;
    assert_eq!(texts_of(of_type(A::Int8, &[Some(-5_i8), None, Some(7)])), ["-5", "-", "7"]);
    assert_eq!(texts_of(of_type(A::UInt64, &[Some(u64::MAX)])), [u64::MAX.to_string()]);
    assert_eq!(texts_of(of_type(A::Float32, &[Some(0.1_f32), Some(4.0), Some(f32::NAN)])), ["0.1", "4", "-"]);
    assert_eq!(texts_of(BooleanArray::from_slice([true, false]).boxed()), ["true", "false"]);
    assert_eq!(texts_of(NullArray::new(A::Null, 3).boxed()), ["-", "-", "-"]);
    assert_eq!(texts_of(of_type(A::Decimal(12, 2), &[Some(123_450_i128), None])), ["1234.50", "-"]);
    assert_eq!(texts_of(of_type(A::Decimal32(5, 1), &[Some(-5_i32)])), ["-0.5"]);
    assert_eq!(texts_of(of_type(A::Decimal64(12, 3), &[Some(1_i64)])), ["0.001"]);
    assert_eq!(texts_of(of_type(A::Date32, &[Some(19_675_i32)])), ["2023-11-14"]);
    let time = A::Timestamp(TimeUnit::Millisecond, Some("Europe/Berlin".into()));
    assert_eq!(texts_of(of_type(time, &[Some(1_700_001_688_500_i64)])), ["2023-11-14 22:41:28.5+00:00"]);
    assert_eq!(texts_of(of_type(A::Duration(TimeUnit::Second), &[Some(90_i64)])), ["90"]);
    let texts = [Some("042"), None, Some("é, longer than twelve bytes")];
    let expected = ["042", "-", "é, longer than twelve bytes"];
    assert_eq!(texts_of(Utf8Array::<i32>::from(texts).boxed()), expected);
    assert_eq!(texts_of(Utf8Array::<i64>::from(texts).boxed()), expected);
    assert_eq!(texts_of(Utf8ViewArray::from_slice(texts).boxed()), expected);
    let bytes = texts.map(|text| text.map(str::as_bytes));
    assert_eq!(texts_of(BinaryArray::<i32>::from(bytes).boxed()), expected);
    assert_eq!(texts_of(BinaryArray::<i64>::from(bytes).boxed()), expected);
    assert_eq!(texts_of(BinaryViewArray::from_slice(bytes).boxed()), expected);
    let values = Utf8Array::<i32>::from([Some("a"), None, Some("c")]).boxed();
    let kind = A::Dictionary(IntegerType::UInt16, Box::new(values.dtype().clone()), false);
    let keys: PrimitiveArray<u16> = [Some(2_u16), None, Some(1), Some(0), Some(2)].into_iter().collect();
    let dictionary = DictionaryArray::try_new(kind, keys, values).unwrap().boxed();
    assert_eq!(texts_of(dictionary), ["c", "-", "-", "a", "c"]);
    let uuid = ExtensionType { name: "arrow.uuid".into(), inner: A::FixedSizeBinary(16), metadata: None };
    let uuid = FixedSizeBinaryArray::new(A::Extension(Box::new(uuid)), (0..16).collect::<Vec<u8>>().into(), None);
    assert_eq!(texts_of(uuid.boxed()), ["00010203-0405-0607-0809-0a0b0c0d0e0f"]);
}

#[test]
fn lists_are_texts_as_in_other_formats() {
    use ArrowDataType as A;
    let values = || Utf8Array::<i32>::from([Some("a"), None, Some("b c"), Some("d|e")]).boxed();
    let item = || Box::new(Field::new("item".into(), values().dtype().clone(), true));
    let joined = Selection {
        needed: vec![Needed { name: "x".into(), list: Some(ListText { separator: "|".into(), is_exact: false }) }],
        others: false,
    };
    for lists in
        [list::<i32>(A::List(item()), values(), &[3, 0, 1]), list::<i64>(A::LargeList(item()), values(), &[3, 0, 1])]
    {
        assert_eq!(texts_of(lists.clone()), [r#"["a","b c"]"#, "[]", r#"["d|e"]"#]);
        let bytes = file(&[("x", lists)], 10, None);
        assert_eq!(column(&read(&bytes, joined.clone()).unwrap(), "x"), ["a|b c", "", r#"["d|e"]"#]);
        let one = Selection { needed: vec![Needed::one("x")], others: false };
        assert!(read(&bytes, one).unwrap_err().to_string().contains("declare a multi-valued field or a sequence"));
    }
    let pairs = FixedSizeListArray::new(A::FixedSizeList(item(), 2), 2, values(), None).boxed();
    assert_eq!(texts_of(pairs), [r#"["a"]"#, r#"["b c","d|e"]"#]);
}

#[test]
fn batches_are_read_in_chunks_and_only_with_the_columns_that_are_needed() {
    let id = of_type(ArrowDataType::Int64, &(0..10_i64).map(Some).collect::<Vec<_>>());
    let inner = Field::new("a".into(), ArrowDataType::Int64, true);
    let record = StructArray::new(ArrowDataType::Struct(vec![inner]), 10, vec![id.clone()], None).boxed();
    let name = Utf8ViewArray::from_slice((0..10).map(|row| Some(format!("n{row}"))).collect::<Vec<_>>()).boxed();
    for packing in PACKINGS {
        let bytes = file(&[("r", record.clone()), ("id", id.clone()), ("name", name.clone())], 4, packing);
        let (names, table, chunks) = read_in(&bytes, 3, Selection::default()).unwrap();
        assert_eq!(names, ["r", "id", "name"]);
        assert_eq!(table.get_column_names(), ["id", "name"]);
        assert_eq!(column(&table, "name"), (0..10).map(|row| format!("n{row}")).collect::<Vec<_>>());
        assert_eq!(chunks, 5);
        let needed =
            |names: &[&str]| Selection { needed: names.iter().map(|&name| Needed::one(name)).collect(), others: false };
        let table = read(&bytes, needed(&["name", "id"])).unwrap();
        assert_eq!((table.get_column_names().len(), table.height()), (2, 10));
        assert_eq!(column(&table, "id")[9], "9");
        assert_eq!(read(&bytes, needed(&["none"])).unwrap().height(), 10);
        let error = read(&bytes, needed(&["r"])).unwrap_err().to_string();
        assert!(error.contains("column `r` holds maps, structs or nested lists"), "{error}");
    }
    let (names, table, chunks) = read_in(&file(&[("id", id.sliced(0, 0))], 4, None), 3, Selection::default()).unwrap();
    assert_eq!((names, table.width(), table.height(), chunks), (vec!["id".to_owned()], 1, 0, 1));
}

#[test]
fn files_that_are_something_else_are_errors_that_say_what() {
    let id = || of_type(ArrowDataType::Int64, &[Some(1_i64)]);
    let whole = file(&[("id", id())], 1, None);
    let fault = |bytes: &[u8]| {
        let error = read(bytes, Selection::default()).unwrap_err().to_string();
        error.split_once("not a readable Arrow IPC file: ").unwrap_or_else(|| panic!("{error}")).1.to_owned()
    };
    assert_eq!(fault(b""), "it does not begin as Arrow IPC files do");
    assert_eq!(fault(b"id,x\n1,2\n"), "it does not begin as Arrow IPC files do");
    assert_eq!(fault(b"FEA1 and so on"), "it is of version 1 of Feather: write it again as version 2");
    assert_eq!(fault(&whole[8..]), "it is a stream of Arrow IPC: write it in the form of a file");
    assert_eq!(fault(&whole[..whole.len() - 3]), "it does not end as Arrow IPC files do");
    assert_eq!(fault(b"ARROW1\0\0\xFF\xFF\xFF\x7FARROW1"), "it does not end as Arrow IPC files do");
    let mut kind = id().dtype().clone();
    for _ in 0..150 {
        kind = ArrowDataType::LargeList(Box::new(Field::new("item".into(), kind, true)));
    }
    let deep = new_empty_array(kind);
    assert_eq!(fault(&file(&[("deep", deep)], 1, None)), "its columns are nested more than 100 levels deep");
    let error = read_table("none.feather").unwrap_err().to_string();
    assert!(error.starts_with("cannot read none.feather"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_of_one_line() {
    let ids = of_type(ArrowDataType::Int64, &(0..50_i64).map(Some).collect::<Vec<_>>());
    let names =
        Utf8ViewArray::from_slice((0..50).map(|row| Some(format!("a longer name {}", row % 7))).collect::<Vec<_>>());
    let words = || Utf8Array::<i32>::from([Some("a"), Some("b")]).boxed();
    let kind = ArrowDataType::Dictionary(IntegerType::Int8, Box::new(words().dtype().clone()), false);
    let keys: PrimitiveArray<i8> = (0..50).map(|row| Some(row % 2)).collect();
    let word = DictionaryArray::try_new(kind, keys, words()).unwrap().boxed();
    let item = ArrowDataType::List(Box::new(Field::new("item".into(), words().dtype().clone(), true)));
    let tags = list::<i32>(item, Utf8Array::<i32>::from([Some("t"); 50]).boxed(), &[1; 50]);
    for packing in PACKINGS {
        let columns =
            [("id", ids.clone()), ("name", names.clone().boxed()), ("word", word.clone()), ("tags", tags.clone())];
        let whole = file(&columns, 20, packing);
        assert_eq!(read(&whole, Selection::default()).unwrap().height(), 50);
        let (mut errors, mut random) = (0, 1_u64);
        for at in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            // A step of a linear congruential generator: the same damages in every run.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes[at] ^= (random >> 33) as u8 | 1;
            match read(&bytes, Selection::default()) {
                Ok(_) => {}
                Err(Error::Data { path, reason, .. }) => {
                    assert_eq!(path.file_name().unwrap(), "t.arrow");
                    assert_eq!(reason.lines().count(), 1, "byte {at}: {reason}");
                    errors += 1;
                }
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
        assert!(errors > whole.len() / 30, "{errors}");
        for len in (0..whole.len()).step_by(37) {
            read(&whole[..len], Selection::default()).unwrap_err();
        }
    }
}
