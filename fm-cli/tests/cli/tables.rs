//! The forms in which people have tables: separators, decimal commas, compression, folders, types of Parquet, times.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use polars::prelude::*;
use polars_io::prelude::ParquetWriter;
use serde_json::{Value, json};

use crate::data::Numbers;
use crate::scene::{Scene, assert_holds};

const ROWS: usize = 300;

const SCHEMA: &str = r#"
label = "click"
weight = "worth"
timestamp = "at"
user = "user"

[[field]]
name = "user"
kind = "categorical"
side = "user"

[[field]]
name = "price"
kind = "numeric"

[[field]]
name = "tags"
kind = "multi-valued"
"#;

const TRAIN: &str =
    "--schema clicks.toml --task binary --split time --device cpu --model fm --embedding-dim 4 --epochs 4 --lr 0.05";

/// The cells of each column.
struct Table {
    user: Vec<i64>,
    price: Vec<f64>,
    tags: Vec<Vec<&'static str>>,
    worth: Vec<f64>,
    at: Vec<i64>,
    click: Vec<bool>,
}

fn table() -> Table {
    let mut numbers = Numbers(5);
    let mut table = Table { user: vec![], price: vec![], tags: vec![], worth: vec![], at: vec![], click: vec![] };
    for row in 0..ROWS {
        let (user, cents) = (numbers.below(20), numbers.below(4000));
        table.user.push(user as i64);
        table.price.push(1000.0 + cents as f64 / 100.0);
        table
            .tags
            .push([vec![], vec!["red"], vec!["red", "blue"], vec!["green", "red", "blue"]][numbers.below(4)].clone());
        table.worth.push([0.5, 1.0, 1.5][numbers.below(3)]);
        table.at.push(1_700_000_000 + 3_607 * (ROWS - row) as i64);
        table.click.push((user * 7 + cents / 400) % 5 < 2);
    }
    table
}

/// Rows as text: the separator, the decimal mark, and the text of a time and of a truth value.
fn text(separator: &str, mark: &str, time: impl Fn(i64) -> String, truth: [&str; 2]) -> Vec<String> {
    let table = table();
    let line = |row: usize| {
        let number = |number: f64| number.to_string().replace('.', mark);
        let click = truth[usize::from(table.click[row])].to_owned();
        let cells = [
            click,
            table.user[row].to_string(),
            number(table.price[row]),
            table.tags[row].join("|"),
            number(table.worth[row]),
            time(table.at[row]),
        ];
        let quoted = cells.map(|cell| if cell.contains(separator) { format!("\"{cell}\"") } else { cell });
        quoted.join(separator) + "\n"
    };
    let header = ["click", "user", "price", "tags", "worth", "at"].join(separator) + "\n";
    std::iter::once(header).chain((0..ROWS).map(line)).collect()
}

fn commas() -> Vec<String> {
    text(",", ".", |time| time.to_string(), ["0", "1"])
}

/// A time as a date and a time of the day, in a zone that is some hours ahead.
fn iso(time: i64, hours: i64) -> String {
    let naive = |time: i64| {
        let column = Column::new("at".into(), [time * 1000]);
        let text =
            column.cast(&DataType::Datetime(TimeUnit::Milliseconds, None)).unwrap().cast(&DataType::String).unwrap();
        text.str().unwrap().get(0).unwrap()[..19].replace(' ', "T")
    };
    let zone = if hours == 0 { "Z".into() } else { format!("+{hours:02}:00") };
    format!("{}{zone}", naive(time + 3_600 * hours))
}

/// A Parquet file with columns of the types that people use, and one that nothing needs.
fn write_parquet(scene: &Scene, name: &str, rows: std::ops::Range<usize>) {
    let table = table();
    let tags: ListChunked = table.tags.iter().map(|tags| Some(Series::new("".into(), tags.as_slice()))).collect();
    let times: Vec<i64> = table.at.iter().map(|time| time * 1_000_000).collect();
    let at = Column::new("at".into(), times).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let user: Vec<f64> = table.user.iter().map(|&user| user as f64).collect();
    let columns = vec![
        tags.with_name("tags".into()).into_column(),
        Column::new("user".into(), user),
        at,
        Column::new("price".into(), &table.price),
        Column::new("worth".into(), &table.worth),
        Column::new("click".into(), &table.click),
    ];
    let table = DataFrame::new(ROWS, columns).unwrap();
    let file = std::fs::File::create(scene.path(name)).unwrap();
    ParquetWriter::new(file).finish(&mut table.slice(rows.start as i64, rows.len())).unwrap();
}

/// Rows as JSON lines, with keys in any order, and without those of empty values in places.
fn json_lines() -> Vec<String> {
    let table = table();
    let line = |row: usize| {
        let mut object = json!({
            "worth": table.worth[row],
            "user": table.user[row] as f64,
            "price": table.price[row],
            "at": iso(table.at[row], 0),
            "click": table.click[row],
            "other": {"nested": [row]},
        });
        if !table.tags[row].is_empty() || row.is_multiple_of(2) {
            object["tags"] = json!(table.tags[row]);
        }
        format!("{object}\n")
    };
    (0..ROWS).map(line).collect()
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("clicks.toml", SCHEMA);
    scene.write("clicks.csv", commas().concat());
    scene
}

/// Trains, without warnings, and returns the results.
fn trained(scene: &Scene, data: &str, run: &str) -> Value {
    let warnings = scene.warnings(&format!("train --data {data} {TRAIN} --run {run}"));
    assert_eq!(warnings, [""; 0], "{data}");
    scene.summary(run)["test"].clone()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_table_gives_the_same_model_in_every_form() {
    let scene = scene();
    let expected = trained(&scene, "clicks.csv", "commas");
    let rows = commas();
    let semicolons = text(";", ",", |time| format!("{time}.0"), ["False", "True"]);
    let tabs = text("\t", ".", |time| iso(time, 0), ["no", "yes"]);
    scene.write("tabs.txt", format!("\u{FEFF}{}", tabs.concat()));
    scene.write("returns.csv", text("|", ".", |time| iso(time, 2), ["0", "1"]).concat().replace('\n', "\r"));
    scene.write("rows.csv.gz", gzip(&rows.concat()));
    scene.write("hidden_gzip.csv", gzip(&rows.concat()));
    scene.write("rows.csv.zst", zstd::encode_all(rows.concat().as_bytes(), 1).unwrap());
    // Nothing needs these columns: two without a name, two of one name, and one that is not UTF-8.
    let others = |line: &String| format!("{},,x,x,\u{1}\n", line.trim_end());
    let others: String = rows.iter().map(others).collect();
    scene.write("others.csv", others.bytes().map(|byte| if byte == 1 { 0xFF } else { byte }).collect::<Vec<_>>());
    write_parquet(&scene, "native.parquet", 0..ROWS);
    scene.write("rows.jsonl", json_lines().concat());
    let mut native = fm_data::read_table(scene.path("native.parquet")).unwrap();
    fm_data::write_table(scene.path("native.feather"), &mut native).unwrap();
    scene.write(
        "rows.ndjson.zst",
        zstd::encode_all(format!("\u{FEFF}\n{}", json_lines().join("\r\n")).as_bytes(), 1).unwrap(),
    );
    for folder in ["parts", "parquet", "objects"] {
        std::fs::create_dir(scene.path(folder)).unwrap();
    }
    scene.write("parts/_SUCCESS", "");
    scene.write("parts/part-0.csv", rows[..100].concat());
    scene.write("parts/part-1.csv.gz", gzip(&format!("{}{}", rows[0], rows[100..].concat())));
    write_parquet(&scene, "parquet/part-0.parquet", 0..17);
    write_parquet(&scene, "parquet/part-1.parquet", 17..ROWS);
    scene.write("objects/part-0.jsonl", json_lines()[..50].concat());
    scene.write("objects/part-1.jsonl", json_lines()[50..].concat());
    for data in [
        "tabs.txt",
        "returns.csv",
        "rows.csv.gz",
        "hidden_gzip.csv",
        "rows.csv.zst",
        "others.csv",
        "native.parquet",
        "parts",
        "parquet",
        "rows.jsonl",
        "rows.ndjson.zst",
        "native.feather",
        "objects",
        // Without a shell, the program sees these.
        "parts/part-?.csv*",
        "./obj*/part-[01].jsonl",
    ] {
        let run = data.replace(|c: char| !c.is_alphanumeric(), "-");
        assert_eq!(trained(&scene, data, &format!("on-{run}")), expected, "{data}");
    }
    // The run keeps the pattern.
    let pattern = scene.path("parts/part-?.csv*");
    assert_holds(&scene.text("on-parts-part---csv-/settings.toml"), &[pattern.to_str().unwrap()]);
    scene.ok("predict commas --input parquet/*.parquet --output whole.csv --keep user");
    scene.ok("predict commas --input parquet --output folder.csv --keep user");
    assert_eq!(scene.text("whole.csv"), scene.text("folder.csv"));
    let tables = "--train parts/part-0* --test parts/*-1*";
    scene.ok(&format!("train {tables} {TRAIN} --run parted").replace("--split time", ""));
    scene.ok("evaluate parted --data parquet/* --output matches.csv");
    scene.ok("evaluate parted --data parquet --output parts.csv");
    assert_eq!(scene.text("matches.csv"), scene.text("parts.csv"));
    scene.write("clicks.toml", format!("separator = \";\"\ndecimal = \",\"\n{SCHEMA}"));
    scene.write("semicolons.csv", semicolons.concat());
    assert_eq!(trained(&scene, "semicolons.csv", "semicolons"), expected);
    // The run reads numbers of new rows in the same form.
    scene.ok("predict semicolons --input semicolons.csv --output scored.csv --keep user,price");
    scene.ok("predict commas --input clicks.csv --output expected.csv.gz --keep user");
    scene.ok("predict commas --input native.parquet --output native.csv --keep user");
    assert_eq!(scene.scores("scored.csv"), scene.scores("native.csv"));
    assert_eq!(scene.column("scored.csv", "price")[0], table().price[0].to_string().replace('.', ","));
    let bytes = scene.bytes("expected.csv.gz");
    let mut packed = flate2::read::GzDecoder::new(bytes.as_slice());
    let mut written = String::new();
    std::io::Read::read_to_string(&mut packed, &mut written).unwrap();
    assert_eq!(written, scene.text("native.csv"));
}

#[test]
fn other_columns_are_copied_where_that_is_possible() {
    let scene = scene();
    scene.ok(&format!("train --data clicks.csv {TRAIN} --run run"));
    scene.write("new.csv", "user,,note,price,tags,note,at\n3,a,b,1001.5,red,c,d\n");
    scene.ok("predict run --input new.csv --output scored.csv");
    let header = scene.text("scored.csv").lines().next().unwrap().to_owned();
    assert_eq!(header, "user,\"\",note,price,tags,note_2,at,score");
    scene.write("new.csv", "user,price,tags,user\n3,1001.5,red,3\n");
    scene.fails_with("predict run --input new.csv --output again.csv", &["new.csv, line 1", "`user` occurs twice"]);
    scene.write("new.csv", "user;price\n3;1001.5\n");
    scene.fails_with("predict run --input new.csv --output again.csv", &["no column `tags`", "user, price"]);
}

#[test]
fn a_time_that_is_none_is_an_error_with_its_place() {
    let scene = scene();
    for (time, words) in [
        ("soon", ["`soon` in column `at`", "2023-11-14T22:41:28"]),
        ("2023-02-30", ["`2023-02-30` in column `at`", "a date"]),
        ("", ["an empty cell in column `at`", "a date"]),
        ("2023-11-14", ["`2023-11-14` in column `at` is a date or time", "are numbers"]),
    ] {
        let mut rows = commas();
        let cells: Vec<&str> = rows[7].trim_end().rsplitn(2, ',').collect();
        rows[7] = format!("{},{time}\n", cells[1]);
        scene.write("wrong.csv", rows.concat());
        scene.refuses("wrong.csv", Some("clicks.toml"), &[&["wrong.csv, line 8"], &words[..]].concat());
        scene.write("wrong.csv.gz", gzip(&rows.concat()));
        scene.refuses("wrong.csv.gz", Some("clicks.toml"), &["wrong.csv.gz, line 8"]);
        std::fs::create_dir_all(scene.path("wrong")).unwrap();
        scene.write("wrong/a.csv", rows[..5].concat());
        scene.write("wrong/b.csv", format!("{}{}", rows[0], rows[5..].concat()));
        scene.refuses("wrong", Some("clicks.toml"), &["b.csv, line 4"]);
    }
}

#[test]
fn folders_whose_files_do_not_fit_are_errors() {
    let scene = scene();
    std::fs::create_dir(scene.path("parts")).unwrap();
    let refuses = |words: &[&str]| scene.refuses("parts", Some("clicks.toml"), words);
    refuses(&["does not contain a MovieLens release", "nor does it have parts of a table"]);
    scene.write("parts/a.csv", commas().concat());
    scene.write("parts/b.csv", "click,user,price\n1,2,3\n");
    refuses(&["b.csv", "no column `at`", "a.csv has"]);
    scene.write("parts/b.parquet", "");
    refuses(&["the folder has .csv and .parquet files"]);
    scene.refuses("parts/*", Some("clicks.toml"), &["parts/*: the pattern has .csv and .parquet files"]);
    scene.refuses("parts/c*.csv", Some("clicks.toml"), &["parts/c*.csv: the pattern matches no .csv, "]);
    scene.refuses("parts/[", Some("clicks.toml"), &["parts/[: is a malformed pattern: "]);
}

#[test]
fn files_that_are_something_else_say_what() {
    let scene = scene();
    for (name, content, words) in [
        ("a.csv", &b"PAR1 and so on"[..], "is a Parquet file: its name must end in .parquet"),
        ("b.csv", b"PK\x03\x04 and so on", "is a zip archive or an Excel workbook"),
        ("c.csv", b"\xFF\xFEc\0l\0i\0c\0k\0", "is UTF-16"),
        ("d.parquet", b"click,user\n1,2\n", "not a readable Parquet file"),
        ("f.csv", b"ARROW1\0\0", "is an Arrow IPC file: its name must end in .arrow, .feather or .ipc"),
        ("g.feather", b"click,user\n1,2\n", "not a readable Arrow IPC file: it does not begin as"),
        ("e.csv.gz", b"\x1F\x8B\x08\0 and so on", "cannot read"),
    ] {
        scene.write(name, content);
        scene.refuses(name, Some("clicks.toml"), &[name, words]);
    }
    let error = scene.fails("predict none --input rows.xlsx --output out.xlsx");
    assert_holds(&error, &["the extension of a table must be .csv, .tsv, .txt, .jsonl, "]);
}

/// Small files are in memory; a test of `MappedFile` cuts a large one.
#[test]
fn a_small_cache_file_that_is_cut_during_training_does_not_disturb_it() {
    use std::process::Stdio;

    let scene = scene();
    scene.write("clicks.csv", commas().concat() + &commas()[1..].concat().repeat(300));
    let train = TRAIN.replace("--epochs 4", "--epochs 12 --patience 100");
    let line = format!("train --data clicks.csv {train} --run run");
    let mut training = scene.fm(&line).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while !scene.path("run/metrics.jsonl").exists() {
        assert!(training.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for entry in std::fs::read_dir(scene.path("data/cache")).unwrap() {
        let rows = entry.unwrap().path().join("train.rows");
        std::fs::File::options().write(true).open(rows).unwrap().set_len(4096).unwrap();
    }
    let output = training.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(scene.metrics("run").len(), 12);
}
