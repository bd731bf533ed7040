//! Numbers with several transforms: fields that read one column, which every command takes once.

use std::fmt::Write;

use crate::data::Numbers;
use crate::scene::{Scene, assert_holds, assert_same_scores};

/// The transforms of the column `price`, each a field of this name.
const TRANSFORMS: [&str; 6] = ["standardize", "log", "min-max", "identity", "buckets", "criteo-log"];

/// A declaration of a user, an item, all transforms of `price`, and `price` as a category.
pub fn schema() -> String {
    let mut text = String::from(
        "label = \"stars\"\nuser = \"who\"\nitem = \"book\"\n[[field]]\nname = \"who\"\ncolumn = \"reader\"\nkind = \
         \"categorical\"\nside = \"user\"\n[[field]]\nname = \"book\"\nkind = \"categorical\"\nside = \"item\"\n[[field]]\nname = \
         \"price\"\nkind = \"categorical\"\nside = \"item\"\n",
    );
    for transform in TRANSFORMS {
        let buckets = if transform == "buckets" { "buckets = 12\n" } else { "" };
        let _ = writeln!(
            text,
            "[[field]]\nname = \"{transform}\"\ncolumn = \"price\"\nkind = \"numeric\"\nside = \"item\"\ntransform = \
             \"{transform}\"\n{buckets}"
        );
    }
    text
}

/// Rows of readers and books with prices from -2 to 7, some of which are missing. Books of a middle price have 5 stars, others
/// 1.
pub fn table(seed: u64, rows: usize) -> String {
    let mut numbers = Numbers(seed);
    let mut text = String::from("reader,book,price,stars\n");
    for _ in 0..rows {
        // Not larger, since float32 products of two numbers are compared.
        let magnitude = numbers.below(5000) as f64 / 5000.0;
        let price = 10f64.powf(magnitude) - 3.0;
        let is_liked = (0.3..0.7).contains(&magnitude);
        let cell = if numbers.below(20) == 0 { String::new() } else { format!("{price:.2}") };
        let stars = if is_liked { 5 } else { 1 };
        let _ = writeln!(text, "r{},b{},{cell},{stars}", numbers.below(20), numbers.below(50));
    }
    text
}

fn trained() -> Scene {
    let scene = Scene::new();
    scene.write("numbers.csv", table(0, 900));
    scene.write("numbers.toml", schema());
    scene.ok("train --data numbers.csv --schema numbers.toml --model fm --epochs 3 --run run");
    scene
}

#[test]
fn every_transform_is_shown_and_scored_alike_by_run_and_file() {
    let scene = trained();
    let inspected = scene.ok("data inspect numbers.csv --schema numbers.toml");
    let kinds =
        ["numeric", "numeric, log", "numeric, min-max", "numeric, identity", "numeric, buckets", "numeric, criteo-log"];
    assert_holds(&inspected, &kinds);
    let fields = scene.ok_json("data inspect numbers.csv --schema numbers.toml --json");
    let buckets = fields["fields"].as_array().unwrap().iter().find(|field| field["name"] == "buckets").unwrap();
    assert_eq!((&buckets["transform"], &buckets["cardinality"]), (&"buckets".into(), &13.into()));
    scene.ok("export run -o run.pt --with-catalogue");
    // New rows have the columns, and a column that has the name of a field and other values.
    let new = table(7, 300).lines().map(|line| format!("{line},9\n")).collect::<String>();
    scene.write("new.csv", new.replacen(",9\n", ",log\n", 1));
    scene.ok("predict run --input new.csv --output by_run.csv");
    scene.ok("predict run.pt --input new.csv --output by_file.csv");
    assert_same_scores(&scene.scores("by_run.csv"), &scene.scores("by_file.csv"));
    assert_eq!(scene.column("by_run.csv", "log"), vec!["9"; 300]);
    scene.without_column("new.csv", "log", "own.csv");
    scene.ok("predict run --input own.csv --output own_scores.csv");
    assert_same_scores(&scene.scores("by_run.csv"), &scene.scores("own_scores.csv"));
    scene.ok("evaluate run --data own.csv --output evaluated.csv");
    assert_same_scores(&scene.scores("by_run.csv"), &scene.scores("evaluated.csv"));
    scene.without_column("own.csv", "price", "without.csv");
    scene.fails_with("predict run --input without.csv --output out.csv", &["there is no column `price`"]);
    let warnings = scene.warnings("predict run --input without.csv --output out.csv --allow-missing");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_holds(&warnings[0], &["the input has no column price: all its values count as missing"]);
}

#[test]
fn commands_name_a_column_once_for_all_its_fields() {
    let scene = trained();
    scene.ok("export run -o run.pt --with-catalogue");
    assert_holds(&scene.ok("recommend run.pt --user r3"), &["b"]);
    assert_holds(&scene.ok("recommend run --user r3"), &["b"]);
    let explained = scene.ok("explain run --row reader=r3 --row book=b7 --row price=50");
    assert_holds(&explained, &["criteo-log", "min-max"]);
    let by_file = scene.ok("explain run.pt --row reader=r3 --row book=b7 --row price=50");
    assert_eq!(explained.lines().next(), by_file.lines().next());
    scene.ok("explain run --user r3 --item b7");
    scene.fails_with("explain run --row log=50", &["unknown field `log`; the fields are reader, book, price"]);
    scene.fails_with("recommend run.pt --user r3 --about price=3", &["`price` is a field of the item"]);
    scene.ok("train --data numbers.csv --schema numbers.toml --model fm --epochs 1 --init-from run --run next");
    let card = scene.ok("report run -o report.html");
    assert!(card.is_empty() || card.contains("report.html"), "{card}");
}
