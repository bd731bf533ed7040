//! What is written in one format and copied to another is read as it was.

use polars::prelude::*;
use proptest::prelude::*;

use super::{ChunkSize, TableReader, TableWriter, read_table, write_table};

const FORMATS: [&str; 8] = ["csv", "tsv", "txt.gz", "csv.zst", "jsonl", "ndjson.gz", "parquet", "arrow"];

type Cells = Vec<Option<String>>;

/// The columns with their names.
fn cells(table: &DataFrame) -> Vec<(String, Cells)> {
    let cells = |column: &Column| column.str().unwrap().iter().map(|cell| cell.map(str::to_owned)).collect();
    table.columns().iter().map(|column| (column.name().to_string(), cells(column))).collect()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z0-9]{1,3}",
        3 => "[\",;|\t\r\n \u{FEFF}é\\\\'\\[{]{0,4}",
        1 => "\\PC{0,6}",
        1 => prop::sample::select(vec!["", "null", "NaN", "PAR1", "ARROW1", "BZh91AY", "\u{FEFF}a", "4.0", "042"])
            .prop_map(str::to_owned),
    ]
}

/// Columns with names and cells of any kind.
fn table() -> impl Strategy<Value = Vec<(String, Cells)>> {
    (1_usize..4, 1_usize..6).prop_flat_map(|(width, height)| {
        let names = prop::collection::hash_set(text(), width);
        let cells = prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, text()), height), width);
        (names, cells).prop_map(|(names, cells)| names.into_iter().zip(cells).collect())
    })
}

fn is_separated(format: &str) -> bool {
    ["csv", "tsv", "txt"].iter().any(|extension| format.starts_with(extension))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_pair_of_formats_keeps_all_cells(columns in table(), rows in 1_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let series = |(name, cells): &(String, Cells)| Column::new(name.as_str().into(), cells);
        let height = columns[0].1.len();
        let mut table = DataFrame::new(height, columns.iter().map(series).collect()).unwrap();
        for from in FORMATS {
            let first = folder.path().join(format!("first.{from}"));
            write_table(&first, &mut table).unwrap();
            for to in FORMATS {
                let second = folder.path().join(format!("second.{to}"));
                let mut writer = TableWriter::create(&second).unwrap();
                for chunk in TableReader::open(&first, ChunkSize { rows, ..ChunkSize::default() }).unwrap() {
                    writer.write(&mut chunk.unwrap()).unwrap();
                }
                writer.finish().unwrap();
                let mut expected = columns.clone();
                // Only there, a missing value and an empty one are the same.
                if expected.len() == 1 && (is_separated(from) || is_separated(to)) {
                    expected[0].1.iter_mut().for_each(|cell| *cell = Some(cell.take().unwrap_or_default()));
                }
                prop_assert_eq!(cells(&read_table(&second).unwrap()), expected, "{} to {}", from, to);
            }
        }
    }
}
