//! Runs that are measured on rows that they were not trained on, and data that has moved.

use serde_json::Value;

use crate::data::{HEADER, SCHEMA, rows};
use crate::scene::{Scene, assert_holds};

/// Runs on the first 2400 rows of the table, with 300 more for each other part.
fn trained() -> Scene {
    Scene::shared("new rows", |scene| {
        let rows = rows();
        for (name, range) in [("train", 0..2400), ("valid", 2400..2700), ("test", 2700..3000)] {
            scene.write(&format!("{name}.csv"), HEADER.to_owned() + &rows[range].concat());
        }
        scene.write("known.csv", HEADER.to_owned() + &rows[..2700].concat());
        scene.ok("train --data known.csv --schema schema.toml --split time --model fm --epochs 3 --run one -q");
        let tables = "--train train.csv --valid valid.csv --test test.csv";
        scene.ok(&format!("train {tables} --schema schema.toml --model fm --epochs 3 --run three -q"));
        let binary = "--task binary --threshold 4 --model fm --epochs 3 --run binary -q";
        scene.ok(&format!("train --data known.csv --schema schema.toml --split time {binary}"));
    })
}

/// The RMSE of a table with scores.
fn rmse(scene: &Scene, file: &str) -> f64 {
    let stars = scene.column(file, "stars");
    let squares = stars.iter().zip(scene.scores(file)).map(|(y, score)| (y.parse::<f64>().unwrap() - score).powi(2));
    (squares.sum::<f64>() / stars.len() as f64).sqrt()
}

#[test]
fn a_run_is_measured_on_all_rows_of_a_new_table() {
    let scene = trained();
    for run in ["one", "three"] {
        let measured = scene.ok_json(&format!("evaluate {run} --data test.csv --json --output scored.csv"));
        assert_eq!(
            (&measured["rows"], &measured["part"], &measured["data"]),
            (&300.into(), &"new".into(), &"test.csv".into())
        );
        let found = measured["metrics"]["rmse"].as_f64().unwrap();
        assert!((found - rmse(&scene, "scored.csv")).abs() < 1e-6, "{run}: {found}");
        // The model and the rows are those of `fm predict`.
        scene.ok(&format!("predict {run} --input test.csv --output predicted.csv"));
        assert_eq!(scene.scores("scored.csv"), scene.scores("predicted.csv"));
        assert_holds(
            &scene.ok(&format!("evaluate {run} --data test.csv")),
            &["new rows of test.csv (300 rows): rmse "],
        );
    }
    // Those are the test rows of one of the runs.
    let test = scene.ok_json("evaluate three --json");
    assert_eq!(test["metrics"], scene.ok_json("evaluate three --data test.csv --json")["metrics"]);
    assert_eq!((&test["part"], test["data"].as_str().unwrap().ends_with("test.csv")), (&"test".into(), true));
    assert_eq!(scene.warnings_of_copy("evaluate one --data test.csv"), [""; 0]);
}

#[test]
fn new_rows_need_no_times_and_are_measured_by_user() {
    let scene = trained();
    scene.without_column("test.csv", "when", "timeless.csv");
    let of = |data: &str| scene.ok_json(&format!("evaluate binary --data {data} --json"))["metrics"].clone();
    assert_eq!(of("timeless.csv"), of("test.csv"));
    assert!(of("test.csv")["gauc"].is_number() && of("test.csv")["auc"].is_number());
    scene.without_column("test.csv", "stars", "unlabelled.csv");
    scene.fails_with("evaluate binary --data unlabelled.csv -q", &["no column `stars`"]);
    scene.write("empty.csv", HEADER);
    scene.fails_with("evaluate binary --data empty.csv -q", &["empty.csv"]);
}

#[test]
fn new_rows_are_reported_like_those_that_are_predicted() {
    let scene = trained();
    let strange = scene.text("test.csv").replace("\nr", "\nx").replace(",b02,", ",b999,");
    let strange = strange.replacen(".0,", "e30,", 1);
    scene.write("strange.csv", strange);
    let warned = scene.warnings_of_copy("evaluate one --data strange.csv");
    assert!(warned.iter().any(|line| line.contains("`reader`") && line.contains("300 of 300 rows")), "{warned:?}");
    let evaluated = scene.ok("evaluate one --data strange.csv");
    let unknown = scene.column("strange.csv", "book").iter().filter(|book| *book == "b999").count();
    assert_holds(&evaluated, &[&format!("(300 rows, book unknown in {unknown}, reader unknown in 300)")]);

    let stars = |factor: usize| -> String {
        let text = scene.text("test.csv");
        let (header, rows) = text.split_once('\n').unwrap();
        let times = |line: &str| {
            let (rest, stars) = line.rsplit_once(',').unwrap();
            format!("{rest},{}\n", stars.parse::<usize>().unwrap() * factor)
        };
        format!("{header}\n{}", rows.lines().map(times).collect::<String>())
    };
    scene.write("percent.csv", stars(20));
    let warned = scene.warnings_of_copy("evaluate one --data percent.csv");
    assert!(warned[0].contains("`stars` is not from 1 to 5") && warned[0].contains("same unit"), "{warned:?}");
    scene.write("none.csv", stars(0));
    let warned = scene.warnings_of_copy("evaluate binary --data none.csv");
    assert!(warned[0].contains("all 300 rows of none.csv are negative, as `stars` is below 4"), "{warned:?}");
}

#[test]
fn training_rows_among_new_rows_are_counted() {
    let scene = trained();
    let known = "2,400 of 2,700 rows of known.csv are training rows";
    let warned = scene.warnings_of_copy("evaluate three --data train.csv");
    assert!(warned[0].contains("2,400 of the 2,400 rows of train.csv are training rows"), "{warned:?}");
    let warned = scene.warnings_of_copy("evaluate three --data known.csv");
    assert!(warned[0].contains(&known.replace("of 2,700", "of the 2,700")), "{warned:?}");
}

#[test]
fn data_at_a_new_location_is_measured_by_its_parts() {
    let scene = trained();
    let before = scene.ok_json("evaluate one --json");
    let tables = scene.ok_json("evaluate three --part valid --json");
    for table in ["known", "train", "valid", "test"] {
        std::fs::rename(scene.path(&format!("{table}.csv")), scene.path(&format!("{table}-moved.csv"))).unwrap();
    }
    for line in ["evaluate one --data known-moved.csv --json", "evaluate one --data known-moved.csv --part test --json"]
    {
        let after = scene.ok_json(line);
        assert_eq!((&after["metrics"], &after["part"]), (&before["metrics"], &"test".into()));
    }
    let moved = "--train train-moved.csv --valid valid-moved.csv --test test-moved.csv";
    assert_eq!(scene.ok_json(&format!("evaluate three --part valid {moved} --json"))["metrics"], tables["metrics"]);
    scene.ok(&format!("recommend three --user r01 {moved}"));
    scene.ok(&format!("explain three --user r01 --item b02 {moved}"));
    scene.ok(&format!("report three {moved} --output moved.html"));
    scene.ok(&format!("export three --with-catalogue {moved} --output model.pt"));

    // One table that is split at random must not stand for three.
    let words = ["in a table for each part", "`--train`, `--valid` and `--test`"];
    for line in [
        "evaluate three --part test",
        "recommend three --user r01",
        "report three",
        "explain three --user r01 --item b02",
    ] {
        scene.fails_with(&format!("{line} --data known-moved.csv -q"), &words);
    }
    scene.fails_with(&format!("recommend one --user r01 {moved} -q"), &["in one data set", "`--data`"]);
    scene.fails_with("report one --data test-moved.csv -q", &["does not have the rows", "`fm evaluate one --data"]);
}

#[test]
fn a_ranking_is_measured_on_its_own_data_only() {
    let scene = trained();
    let train =
        "train --data known.csv --schema schema.toml --task ranking --threshold 4 --split time --model fm --epochs 1";
    scene.ok(&format!("{train} --run ranking -q"));
    let before: Value = scene.ok_json("evaluate ranking --json");
    std::fs::copy(scene.path("known.csv"), scene.path("copy.csv")).unwrap();
    assert_eq!(scene.ok_json("evaluate ranking --data copy.csv --json")["metrics"], before["metrics"]);
    scene.fails_with(
        "evaluate ranking --data test.csv -q",
        &["a ranking is measured without the items", "--split time"],
    );
}

#[test]
fn a_movielens_run_is_measured_on_a_table_with_its_columns() {
    let scene = Scene::after(&[crate::scene::LR_ON_ML]);
    scene.ok("evaluate run --output rows.csv");
    scene.without_column("rows.csv", "score", "new.csv");
    let of_table = scene.ok_json("evaluate run --data new.csv --json");
    assert_eq!(of_table["metrics"], scene.ok_json("evaluate run --json")["metrics"]);
    assert_eq!(of_table["part"], "new");
}

#[test]
fn a_table_with_scores_is_scored_again() {
    let scene = trained();
    scene.ok("evaluate one --data test.csv --output scored.csv");
    let before = scene.text("scored.csv");
    scene.ok("predict one --input scored.csv --output again.csv");
    assert_eq!(scene.text("again.csv"), before);
    scene.ok("evaluate three --data scored.csv --output other.csv");
    assert_ne!(scene.scores("other.csv"), scene.scores("scored.csv"));
    // A field of that name is not thrown away.
    scene.write("schema.toml", SCHEMA.replace("name = \"price\"", "name = \"score\""));
    scene.write("books.csv", scene.text("books.csv").replace(",price,", ",score,"));
    scene.ok("train --data books.csv --schema schema.toml --model fm --epochs 1 --run own -q");
    scene.fails_with("predict own --input books.csv --output out.csv -q", &["column `score`", "`--keep`"]);
}
