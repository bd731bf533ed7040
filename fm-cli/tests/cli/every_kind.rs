//! A table with a field of every kind, rows that hold anything, and a run of every model.

use crate::data::{Numbers, declaration};
use crate::scene::Scene;

/// The fields of [`SCHEMA`], in its order.
pub const FIELDS: [&str; 12] =
    ["reader", "book", "tags", "moods", "words", "city", "price", "age", "sold", "views", "genres", "visited"];

/// The declaration: categorical, multi-valued with each weighting, hashed of both kinds, numbers with
/// several transforms, a sequence that shares a table.
pub const SCHEMA: &str = declaration!(
    r#"
label = "stars""#,
    r#"min_count = 2

[[field]]
name = "tags"
kind = "multi-valued"
side = "item"
weighting = "mean"

[[field]]
name = "moods"
kind = "multi-valued"
side = "user"
separator = "é"
max_len = 2
weighting = "sum"

[[field]]
name = "words"
kind = "multi-valued"
side = "context"
separator = " "
max_len = 3
weighting = "sqrt"
hash_buckets = 40

[[field]]
name = "city"
kind = "categorical"
side = "user"
hash_buckets = 3

[[field]]
name = "price"
kind = "numeric"
side = "item"

[[field]]
name = "age"
kind = "numeric"
transform = "min-max"
side = "user"

[[field]]
name = "sold"
kind = "numeric"
transform = "log"
side = "item"

[[field]]
name = "views"
kind = "numeric"
transform = "buckets"
buckets = 8

[[field]]
name = "genres"
kind = "multi-valued"
side = "item"
max_len = 3
weighting = "given"

[[field]]
name = "visited"
kind = "sequence"
side = "user"
shares = "book"
max_len = 4
"#
);

const MOODS: [&str; 4] = ["ruhig", "wild", "schräg", "ernst"];
const CITIES: [&str; 4] = ["Köln", "Łódź", "東京", "Rome"];

/// 300 labelled rows: 20 readers, 30 books.
pub fn table() -> String {
    let row = |n: usize| {
        let (reader, book) = (n * 7 % 20, n * 11 % 30);
        let tags = format!("kind{}|shelf{}|kind{}", book % 4, book % 6, book % 2);
        let moods = format!("{}é{}", MOODS[reader % 4], MOODS[book % 3]);
        let words = format!("word{} and{} word{}", n % 17, n % 5, n % 3);
        let (city, age) = (CITIES[reader % 4], 20 + reader);
        let stars = 1 + (reader * book + n) % 5;
        let genres = format!("genre{}:0.{}|genre{}|genre{}:-1", book % 3, book % 7, book % 4, book % 5);
        let visited = format!("b{:02}|b{:02}|b{:02}", n % 30, n % 7, n % 7);
        let price = format!("{}.{}", book % 9, book % 10);
        let (sold, views) = (3i64.pow(book as u32 % 9) - 4, n * n % 1000);
        format!(
            "r{reader:02},b{book:02},{tags},{moods},{words},{city},{price},{age},{sold},{views},{genres},{visited},{stars}\n"
        )
    };
    FIELDS.join(",") + ",stars\n" + &(0..300).map(row).collect::<String>()
}

/// A scene with a run of each model on [`table`], in a folder of the model's name, and the models. The second, the fourth and so on
/// predict whether a book gets at least 3 stars, the others predict the stars.
pub fn trained() -> (Scene, Vec<&'static str>) {
    let models: Vec<&str> = fm_models::MODELS.iter().map(|entry| entry.name).collect();
    // Its sampler knows no sequences and no shared tables.
    let (bayesian, others): (Vec<&str>, Vec<&str>) = models.iter().partition(|model| **model == "bayesian_fm");
    let (binary, stars): (Vec<&str>, Vec<&str>) =
        others.iter().partition(|other| models.iter().position(|model| model == *other).unwrap() % 2 == 1);
    // One process trains several models.
    let compare = "compare --data every.csv --schema every.toml --set train.epochs=1 --set train.batch_size=32 --set train.lr=0.02";
    let fields = FIELDS[..FIELDS.len() - 1].join(",");
    let scene = Scene::after(&[
        &format!("{compare} --task binary --threshold 3 --models {} -o binary", binary.join(",")),
        &format!("{compare} --models {} -o stars", stars.join(",")),
        &format!("{compare} --models {} --fields {fields} -o bayesian", bayesian.join(",")),
    ]);
    for (folder, models) in [("binary", binary), ("stars", stars), ("bayesian", bayesian)] {
        for model in models {
            std::fs::rename(scene.path(&format!("{folder}/{model}/seed-1")), scene.path(model)).unwrap();
        }
    }
    (scene, models)
}

/// Texts of cells of each field: seen, unseen, empty, malformed, with too many values, and only separators.
const TEXTS: [&[&str]; FIELDS.len()] = [
    &["r01", "r07", "r19", "r99", "", "R01", " r01", "rö", "日本"],
    &["b02", "b11", "b29", "b99", "", "b2", "b02 "],
    &[
        "kind1|shelf2",
        "kind0|kind0|kind0",
        "new",
        "",
        "|",
        "||kind1||new|kind1|new|",
        "['kind1' 'shelf2']",
        "[kind1]",
        "kind1 | shelf2 ",
        "kind0|kind1|kind2|kind3|shelf1",
    ],
    &["ruhigéwild", "wildéwildéwildéernst", "schräg", "ernstéwildéruhig", "", "éé", "fröhlich"],
    &["word1 and2 word1", "never seen never", "", "   ", "日本 語 日本 語 日本", "a b c d e f g h"],
    &["Köln", "Łódź", "東京", "Rome", "", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch auf Ynys Môn"],
    &["7.5", "0.3", " 4.25 ", "", "cheap", "1e999", "-.5e1", "nan", "0x10", "1_0", "3.", "\u{a0}5"],
    &["31", "+2.7e1", "", "inf", "old", "39.000000001", "1e-400", "-0", "٣"],
    &["23", "-3", "0", "1e6", "-1e9", "", "many", "6.5e2"],
    &["1", "121", "500.5", "-7", "1e9", "", "nan", "841"],
    &[
        "genre1:2|genre0",
        "genre1:.5|genre1:-.25|genre1",
        "genre2:x|:3|new:0.5",
        "",
        "||",
        "genre0:0",
        "a:1|b:2|genre4:3|genre0:4",
    ],
    &["b01|b02|b01", "b03", "", "b99|b98|b97", "|", "b01|b02|b03|b04|b05|b05|b04", "b05|b06|b07|b01|b99|b99"],
];

/// Unlabelled rows, in the order of [`FIELDS`]. An empty text is a missing one.
pub fn rows(n: usize) -> Vec<[&'static str; FIELDS.len()]> {
    let mut numbers = Numbers(2);
    (0..n).map(|_| TEXTS.map(|texts| texts[numbers.below(texts.len())])).collect()
}
