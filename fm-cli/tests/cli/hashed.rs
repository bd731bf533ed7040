//! Fields that are hashed into buckets instead of having a vocabulary.

use fm_core::farmhash::bucket;
use serde_json::json;

use crate::data::{HEADER, SCHEMA, rows};
use crate::scene::{Scene, assert_holds, assert_same_scores};

const TRAIN: &str = "train --data books.csv --schema schema.toml --model fm --epochs 2";

/// The declaration of the table with some fields hashed.
pub fn schema(fields: &[(&str, i64)]) -> String {
    fields.iter().fold(SCHEMA.to_owned(), |schema, (field, buckets)| {
        let name = format!("name = \"{field}\"\n");
        assert!(schema.contains(&name), "{field}");
        schema.replace(&name, &format!("{name}hash_buckets = {buckets}\n"))
    })
}

fn scene(fields: &[(&str, i64)]) -> Scene {
    let scene = Scene::new();
    scene.write("schema.toml", schema(fields));
    scene
}

#[test]
fn a_table_of_hashed_fields_is_trained_exported_and_scored() {
    let scene = scene(&[("reader", 100), ("book", 1000), ("tags", 50)]);
    let printed = scene.ok(&format!("{TRAIN} --run run"));
    assert_holds(&printed, &["fm, test", "user and item bias, test"]);
    let fields = scene.json("run/schema.json")["fields"].clone();
    for (field, buckets) in [(0, 100), (1, 1000), (2, 50)] {
        assert_eq!((&fields[field]["hash_buckets"], &fields[field]["vocabulary"]), (&json!(buckets), &json!(null)));
    }

    let evaluated = scene.ok_json("evaluate run --json --output test.csv");
    assert_eq!(evaluated["metrics"], scene.summary("run")["test"]);
    scene.ok("export run -o model.pt");
    scene.without_column("test.csv", "score", "rows.csv");
    scene.ok("predict model.pt --input rows.csv --output scored.csv");
    assert_same_scores(&scene.scores("scored.csv"), &scene.scores("test.csv"));
}

#[test]
fn an_unseen_value_scores_as_its_bucket_and_a_missing_one_does_not() {
    let scene = scene(&[("reader", 16)]);
    scene.ok(&format!("{TRAIN} --run run"));
    let stranger = |is_alike: bool| {
        let mut strangers = (100..).map(|number| format!("r{number}"));
        strangers.find(|stranger| (bucket(stranger, 16) == bucket("r01", 16)) == is_alike).unwrap()
    };
    let row = |reader: &str| format!("{reader},b02,x,kind2,7.2,1,3\n");
    let readers = ["r01".into(), stranger(true), stranger(false), String::new()];
    scene.write("rows.csv", HEADER.to_owned() + &readers.map(|reader| row(&reader)).concat());
    let output = scene.run("predict run --input rows.csv --output scored.csv");
    assert_holds(&String::from_utf8(output.stderr).unwrap(), &["the reader is unknown in 1 of 4 rows"]);
    let scores = scene.scores("scored.csv");
    assert_same_scores(&scores[..1], &scores[1..2]);
    assert!(scores[2] != scores[0] && scores[3] != scores[0] && scores[3] != scores[2], "{scores:?}");
}

#[test]
fn recommend_excludes_read_books_although_buckets_are_shared_and_warns_about_unknown_users() {
    let scene = scene(&[("reader", 8), ("book", 8)]);
    scene.ok(&format!("{TRAIN} --run run"));
    let rows = rows();
    let read = |book: &str| rows.iter().any(|row| row.starts_with(&format!("r07,{book},")));
    let list = scene.ok_json("recommend run --user r07 --top 1000 --json");
    let books: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert!(!books.iter().any(|book| read(book)), "{books:?}");
    assert_eq!(books.len(), (1..80).filter(|book| !read(&format!("b{book:02}"))).count());

    let output = scene.run("recommend run --user nobody");
    assert_holds(
        &String::from_utf8(output.stderr).unwrap(),
        &["user nobody is not in the data", "users of the same hash bucket"],
    );
}

#[test]
fn inspect_counts_the_values_that_share_a_bucket() {
    let scene = scene(&[("reader", 1_000_000), ("book", 8)]);
    let inspect = "data inspect books.csv --schema schema.toml";
    let fields = scene.ok_json(&format!("{inspect} --json"))["fields"].clone();
    let figures = |field: usize| ["cardinality", "distinct", "colliding"].map(|key| fields[field][key].clone());
    assert_eq!(figures(0), [json!(1_000_001), json!(60), json!(0)]);
    assert_eq!(figures(1), [json!(9), json!(79), json!(79)]);
    assert_eq!(figures(2), [json!(11), json!(10), json!(null)]);
    assert_holds(&scene.ok(inspect), &["colliding", "1000001"]);
}

#[test]
fn another_number_of_buckets_encodes_the_table_again() {
    let scene = scene(&[("book", 8)]);
    for buckets in [8u32, 9] {
        scene.write("schema.toml", schema(&[("book", buckets.into())]));
        let prepared = scene.prepare("books.csv", Some("schema.toml")).unwrap();
        assert_eq!(prepared.schema.fields()[1].hash_buckets, Some(buckets));
    }
}

#[test]
fn an_invalid_declaration_is_an_error_of_one_line() {
    let scene = Scene::new();
    let with = |field, line: &str| schema(&[(field, 9)]).replace("hash_buckets = 9\n", line);
    let refused = |schema: String, words: &[&str]| {
        scene.write("schema.toml", schema);
        scene.refuses("books.csv", Some("schema.toml"), words);
    };
    refused(
        with("book", "hash_buckets = 0\n"),
        &["schema.toml, line 14: field `book` needs hash_buckets of at least 1"],
    );
    refused(with("book", "hash_buckets = -1\n"), &["schema.toml, line 15", "`-1`"]);
    refused(with("book", "hash_buckets = 2.5\n"), &["schema.toml, line 15", "`2.5`"]);
    refused(with("book", "hash_bucket = 9\n"), &["schema.toml, line 15", "did you mean `hash_buckets`?"]);
    refused(with("book", "hash_buckets = 9\nmin_count = 2\n"), &["field `book` has hash_buckets and a min_count"]);
    refused(schema(&[("price", 9)]), &["field `price` is numeric and cannot have hash_buckets"]);
    let words = &["field `book` brings the table to", "fewer hash buckets"];
    refused(schema(&[("book", 2_147_483_647)]), words);
    for command in [TRAIN, "data inspect books.csv --schema schema.toml"] {
        scene.fails_with(command, words);
    }
}
