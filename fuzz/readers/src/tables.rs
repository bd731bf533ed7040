//! Readers of tables: CSV, JSON lines, Parquet, Arrow, libsvm and libffm, and the files of MovieLens releases.

use std::io::Cursor;

use fm_data::movielens::{official_fold, read};
use fm_data::table::{ListText, Needed, Selection};
use fm_data::{ChunkSize, ReadOptions, TableReader, TableWriter, read_table, write_table};
use polars::prelude::{DataFrame, df};

use crate::file;

/// The rows of a table, or the error, without its path.
type Cells = Result<Vec<Vec<Option<String>>>, String>;

fn cells(reader: fm_data::Result<TableReader>) -> Cells {
    let mut rows = vec![];
    for chunk in reader.map_err(|error| error.to_string())? {
        let chunk: DataFrame = chunk.map_err(|error| error.to_string())?;
        let columns: Vec<_> = chunk.columns().iter().map(|column| column.str().unwrap()).collect();
        if rows.is_empty() {
            rows.push(columns.iter().map(|column| Some(column.name().to_string())).collect());
        }
        let row = |at: usize| columns.iter().map(|column| column.get(at).map(str::to_owned)).collect();
        rows.extend((0..chunk.height()).map(row));
    }
    Ok(rows)
}

/// Number of rows above which a table is not read in small chunks.
const MANY: usize = 100_000;

/// Of the rows, the number is in the last byte of a fuzzed file.
fn sizes(bytes: &[u8]) -> [ChunkSize; 2] {
    let rows = 1 + usize::from(bytes.last().copied().unwrap_or(0) % 4);
    [ChunkSize::default(), ChunkSize { rows, ..ChunkSize::default() }]
}

/// CSV, read at once and in small chunks.
pub fn csv(bytes: &[u8]) -> bool {
    let source = || Cursor::new(bytes.to_vec());
    let [whole, small] = sizes(bytes).map(|size| cells(TableReader::from_csv(source(), "t.csv", size)));
    assert_eq!(whole, small);
    whole.is_ok()
}

pub fn csv_files() -> Vec<Vec<u8>> {
    let texts = ["a,b\n1,2\n", "\u{feff}a,b\r\n\"x, \"\"y\"\"\n\",é\r\n,\"\"\r\n", "a\n\n1\n2\n3\n4\n"];
    texts.iter().filter(|text| csv(text.as_bytes())).map(|text| text.as_bytes().to_vec()).collect()
}

/// Lines of libsvm files, and of libffm files, read at once and in small chunks. What can be read can be written.
pub fn sparse(bytes: &[u8]) -> bool {
    let are_valid = ["t.libsvm", "t.libffm"].map(|name| {
        let path = file(name, bytes);
        let [whole, small] = sizes(bytes).map(|size| cells(TableReader::open(&path, size)));
        assert_eq!(whole.as_ref().ok(), small.as_ref().ok());
        if whole.is_ok() {
            let copy = path.with_file_name(format!("copy-{name}"));
            write_table(&copy, &mut read_table(&path).unwrap()).unwrap();
            assert_eq!(cells(TableReader::open(&copy, ChunkSize::default())), whole);
        }
        whole.is_ok()
    });
    are_valid.contains(&true)
}

pub fn sparse_files() -> Vec<Vec<u8>> {
    let texts = ["1 3:0.5 17:1\n-1 7:2 # why\n0\n", "2 qid:4 1:1\r\n\r\n1 qid:5\n", "1 2:9:1 0:3:0.5\n0 10:8:2\n"];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// JSON lines with a column of single values and one of lists, read at once and in small chunks; and all columns.
pub fn json_lines(bytes: &[u8]) -> bool {
    let path = file("t.jsonl", bytes);
    let list = Some(ListText { separator: "|".into(), is_exact: false });
    let columns = Selection { needed: vec![Needed { name: "b".into(), list }, Needed::one("a")], others: false };
    let [whole, small] = sizes(bytes).map(|size| {
        let options = ReadOptions { size, columns: columns.clone(), ..ReadOptions::default() };
        cells(TableReader::open_with(&path, &options))
    });
    assert_eq!(whole.as_ref().ok(), small.as_ref().ok());
    let all = cells(TableReader::open(&path, ChunkSize::default()));
    whole.is_ok() && all.is_ok()
}

pub fn json_lines_files() -> Vec<Vec<u8>> {
    let texts = [
        "{\"a\":1,\"b\":[2,\"x|y\",null]}\n",
        "\u{feff}{\"a\":\"\\u00e9\\n\",\"c\":{\"d\":[[]]}}\r\n\r\n{\"b\":true,\"a\":-1.50e3}",
        "{}\n{\"a\":4.0}\n{\"b\":\"1|2\",\"e\":null}\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Parquet, read at once and in small chunks.
pub fn parquet(bytes: &[u8]) -> bool {
    in_chunks("t.parquet", bytes)
}

/// Arrow IPC, read at once and in small chunks.
pub fn arrow(bytes: &[u8]) -> bool {
    in_chunks("t.arrow", bytes)
}

fn in_chunks(name: &str, bytes: &[u8]) -> bool {
    let path = file(name, bytes);
    let [whole, small] = sizes(bytes).map(|size| {
        let path = &path;
        move || cells(TableReader::open(path, size))
    });
    let rows = whole();
    // Rows of nulls take no bytes, so that a small file may have millions of them, which small chunks would take minutes for.
    if rows.as_ref().is_ok_and(|rows| rows.len() > MANY) {
        return true;
    }
    assert_eq!(rows.as_ref().ok(), small().as_ref().ok());
    rows.is_ok()
}

pub fn parquet_files() -> Vec<Vec<u8>> {
    tables("seed.parquet")
}

pub fn arrow_files() -> Vec<Vec<u8>> {
    tables("seed.arrow")
}

fn tables(name: &str) -> Vec<Vec<u8>> {
    let written = |mut table: DataFrame| {
        let path = file(name, b"");
        let mut writer = TableWriter::create(&path).unwrap();
        writer.write(&mut table).unwrap();
        writer.finish().unwrap();
        std::fs::read(path).unwrap()
    };
    let mixed = df!("a" => [Some("x"), None, Some("é")], "n" => [1i64, -2, 3], "f" => [0.5f32, f32::NAN, 1.0], "b" => [true, false, true]);
    vec![written(mixed.unwrap()), written(df!("a" => Vec::<String>::new()).unwrap())]
}

/// The names of the files of each form of a release.
const RELEASES: [&[&str]; 3] = [
    &["u.data", "u.item", "u.user", "u.genre", "u1.base", "u1.test"],
    &["ratings.dat", "movies.dat", "users.dat"],
    &["ratings.csv", "movies.csv"],
];

/// What separates files in an input.
const NEXT_FILE: &[u8] = b"\0\n";

/// The files of a MovieLens release. The first byte chooses the form.
pub fn movielens(bytes: &[u8]) -> bool {
    let Some((&form, mut rest)) = bytes.split_first() else { return false };
    let names = RELEASES[usize::from(form) % RELEASES.len()];
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let end = rest.windows(NEXT_FILE.len()).position(|mark| mark == NEXT_FILE);
        let content = &rest[..end.unwrap_or(rest.len())];
        std::fs::write(folder.path().join(name), content).unwrap();
        let Some(end) = end else { break };
        rest = &rest[end + NEXT_FILE.len()..];
    }
    let Ok(release) = read(folder.path()) else { return false };
    let frame = release.frame().unwrap();
    assert_eq!(frame.height(), release.ratings.height());
    if let Ok((train, test)) = official_fold(folder.path(), &release, "u1") {
        assert_eq!(train.len() + test.len(), frame.height());
    }
    true
}

pub fn movielens_releases() -> Vec<Vec<u8>> {
    let of_form = |form: u8, files: &[&str]| [&[form][..], files.join("\0\n").as_bytes()].concat();
    let items = "1|Toy Story (1995)|01-Jan-1995||http://x|0|1\n2|Héat|||x|1|0\n";
    vec![
        of_form(
            0,
            &[
                "1\t2\t4\t881250949\n3\t1\t2\t881250950\n",
                items,
                "1|24|M|writer|85711\n3|53|F|other|94043\n",
                "unknown|0\nAction|1\n",
                "1\t2\t4\t881250949\n",
                "3\t1\t2\t881250950\n",
            ],
        ),
        of_form(1, &["1::2::4.5::978300760\n", "2::A::B (1990)::Action|War\n", "1::F::1::10::48067\n"]),
        of_form(
            2,
            &[
                "userId,movieId,rating,timestamp\n1,2,4.0,964982703\n",
                "movieId,title,genres\n2,\"A, The (1990)\",(no genres listed)\n",
            ],
        ),
    ]
}
