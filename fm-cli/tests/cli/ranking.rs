//! Rankings from implicit feedback with a planted taste: every reader borrows books of only one of four groups.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::data::{Numbers, declaration};
use crate::scene::{Scene, assert_holds, assert_same_scores};

const READERS: usize = 48;
const BOOKS: usize = 60;
/// The number of books that a reader borrows, out of 15 in the group.
const BORROWED: usize = 9;

const SCHEMA: &str = declaration!(
    r#"
label = "copies"
timestamp = "day""#,
    r#"
[[field]]
name = "shelf"
kind = "categorical"
side = "item"

[[field]]
name = "weekday"
kind = "categorical"
"#
);

/// A row for each loan. Readers come on several days, and all loans of a day have the same time.
fn loans() -> String {
    let mut numbers = Numbers(3);
    let mut rows = "reader,book,shelf,weekday,day,copies\n".to_owned();
    for reader in 0..READERS {
        let mut books: Vec<usize> = (0..BOOKS).filter(|book| book % 4 == reader % 4).collect();
        for at in 0..BORROWED {
            let left = books.len() - at;
            books.swap(at, at + numbers.below(left));
            let (book, day) = (books[at], at / 3);
            rows.push_str(&format!("r{reader},b{book},s{},d{},{day},1\n", book % 7, numbers.below(5)));
        }
    }
    rows
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("loans.csv", loans());
    scene.write("loans.toml", SCHEMA);
    scene
}

const TRAIN: &str = "train --data loans.csv --schema loans.toml --task ranking --split leave-last-out --model fm --lr 0.03 --batch-size 32";

#[test]
fn a_ranking_finds_a_planted_taste_and_every_command_takes_the_run() {
    let scene = scene();
    let printed = scene.ok(&format!("{TRAIN} --epochs 15 --run run"));
    let names = ["fm, validation", "fm, test", "popularity, validation", "popularity, test", "item-kNN, test"];
    assert_holds(&printed, &names);
    // The monitored metric comes first. Metrics beyond 80 columns need -v.
    assert!(printed.trim_start().starts_with("ndcg@10"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
    let all = scene.ok("train --resume run -v");
    assert_holds(all.lines().next().unwrap(), &["coverage@10", "hr@10", "mrr", "ndcg@10", "recall@10"]);

    // The model has learned the group: 8 of its 15 books are candidates.
    let summary = scene.summary("run");
    let value = |of: &Value, metric: &str| of[metric].as_f64().unwrap();
    let popularity = value(&summary["baselines"]["popularity"], "ndcg@10");
    assert!(value(&summary["test"], "hr@10") > 0.9, "{summary}");
    assert!(value(&summary["test"], "ndcg@10") > 2.0 * popularity, "{summary}");
    assert!(value(&summary["valid"], "ndcg@10") > value(&summary["valid_baselines"]["popularity"], "ndcg@10"));

    let metrics = scene.metrics("run");
    let ndcg = |record: &Value| value(&record["valid"], "ndcg@10");
    let best = metrics.iter().map(ndcg).fold(0.0, f64::max);
    assert_eq!(ndcg(&metrics[summary["best_epoch"].as_u64().unwrap() as usize - 1]), best);
    assert_eq!(value(&summary["valid"], "ndcg@10"), best);

    // Evaluation repeats the metrics of training.
    assert_eq!(scene.ok_json("evaluate run --part valid --json")["metrics"], summary["valid"]);
    assert_eq!(scene.ok_json("evaluate run --json --output test.csv")["metrics"], summary["test"]);
    assert!(value(&scene.ok_json("evaluate run --part train --json")["metrics"], "mrr") > 0.0);

    let evaluated = scene.ok("evaluate run");
    let names: Vec<&str> = evaluated.split_whitespace().filter(|word| word.starts_with("ndcg@")).collect();
    assert_eq!(names, ["ndcg@10", "ndcg@5", "ndcg@20"], "the monitored metric comes first");

    // A score is a logit, in the run and in the exported file.
    scene.without_column("test.csv", "score", "rows.csv");
    scene.ok("export run -o model.pt --with-catalogue");
    for model in ["run", "model.pt"] {
        scene.ok(&format!("predict {model} --input rows.csv --output scored.csv"));
        assert_same_scores(&scene.scores("scored.csv"), &scene.scores("test.csv"));
    }
    assert!(scene.scores("test.csv").iter().any(|score| !(0.0..=1.0).contains(score)));

    // A reader of group 1 is recommended the rest of the group.
    let borrowed: BTreeSet<String> = scene
        .column("loans.csv", "reader")
        .into_iter()
        .zip(scene.column("loans.csv", "book"))
        .filter_map(|(reader, book)| (reader == "r5").then_some(book))
        .collect();
    let offered = |line: &str| -> Vec<String> {
        let items = scene.ok_json(line)["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["item"].as_str().unwrap().to_owned()).collect()
    };
    let from_run = offered("recommend run --user r5 --top 5 --json");
    assert!(from_run.iter().all(|book| !borrowed.contains(book)));
    assert!(from_run.iter().all(|book| book[1..].parse::<usize>().unwrap() % 4 == 1), "{from_run:?}");
    let excluded: Vec<&str> = borrowed.iter().map(String::as_str).collect();
    let line =
        format!("recommend model.pt --user r5 --top 60 --json --about weekday=d1 --exclude {}", excluded.join(","));
    assert_eq!(offered(&line).len(), BOOKS - BORROWED);

    scene.ok("export run -o model.onnx --format onnx");
    let told = scene.ok("export run -o small.pt --quantize int8");
    assert_holds(&told, &["test ndcg@10", "test coverage@10"]);
    scene.ok("export run -o models --format triton");
    assert_holds(&scene.text("models/fm/config.pbtxt"), &["the score that ranks the items of one user"]);
    scene.ok("summary fm --data loans.csv --schema loans.toml --task ranking --split leave-last-out");
}

#[test]
fn equal_seeds_give_equal_rankings_with_and_without_the_cache() {
    let scene = scene();
    for (run, seed) in [("a", 7), ("b", 7), ("c", 8)] {
        scene.ok(&format!("{TRAIN} --epochs 2 --seed {seed} --run {run}"));
    }
    assert_eq!((scene.metrics("a"), scene.summary("a")), (scene.metrics("b"), scene.summary("b")));
    assert_ne!(scene.metrics("a"), scene.metrics("c"));
}

#[test]
fn the_items_of_a_user_are_left_out_even_if_users_are_not_a_field() {
    let scene = scene();
    scene.ok(&format!("{TRAIN} --epochs 2 --fields book,shelf --run run"));
    let summary = scene.summary("run");
    // All readers have the same scores, but not the same candidates: borrowed books are left out.
    assert_eq!(scene.ok_json("evaluate run --json")["metrics"], summary["test"]);
    scene.fails_with("recommend run --user r5", &["keep both fields"]);
}

#[test]
fn a_ranking_without_roles_or_positive_rows_is_an_error() {
    let scene = scene();
    let without = |role: &str| SCHEMA.replace(role, "");
    scene.write("nobody.toml", without("user = \"reader\"\n"));
    scene.write("nothing.toml", without("item = \"book\"\n"));
    for schema in ["nobody", "nothing"] {
        let words = ["a ranking needs to know", "schema.toml"];
        scene.fails_with(&format!("train --data loans.csv --schema {schema}.toml --task ranking"), &words);
    }
    scene.fails_with(&format!("{TRAIN} --threshold 2"), &["nothing to rank", "every training row is negative"]);
    scene.fails_with(&format!("{TRAIN} --threshold nan"), &["threshold is NaN"]);
}

#[test]
fn a_field_that_reveals_the_item_gives_a_warning() {
    let scene = scene();
    let told = |schema: &str| {
        scene.write("loans.toml", schema);
        let output = scene.run(&format!("{TRAIN} --epochs 1 --run run --force"));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!told(SCHEMA).contains("gives away"));
    // The same field without its side.
    let undeclared = SCHEMA.replace(
        "name = \"shelf\"\nkind = \"categorical\"\nside = \"item\"",
        "name = \"shelf\"\nkind = \"categorical\"",
    );
    assert_holds(&told(&undeclared), &["all rows of an item have the same `shelf`", "side = \"item\""]);
}
