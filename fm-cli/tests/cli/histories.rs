//! Histories of a table's own rows.

use crate::scene::{Scene, assert_holds, assert_same_scores};

const SCHEMA: &str = r#"
label = "rating"
timestamp = "time"
user = "user_id"
item = "movie_id"
[[field]]
name = "user_id"
kind = "categorical"
side = "user"
[[field]]
name = "movie_id"
kind = "categorical"
side = "item"
[[field]]
name = "history"
kind = "multi-valued"
history = true
at_least = 4
max_len = 100
"#;

/// The ratings of the MovieLens release of the scene as a table of one's own.
fn scene() -> Scene {
    let scene = Scene::new();
    let ratings = scene.text("ml/u.data").replace('\t', ",");
    scene.write("ratings.csv", format!("user_id,movie_id,rating,time\n{ratings}"));
    scene.write("ratings.toml", SCHEMA);
    scene
}

const TRAIN: &str = "--task binary --threshold 4 --model fm --epochs 2 --split time:0.1:0.1 -q";

#[test]
fn a_table_with_a_history_is_trained_and_recommended_as_movielens_is() {
    let scene = scene();
    scene.ok(&format!("train --data ml --fields user_id,movie_id,history --run ml-run {TRAIN}"));
    scene.ok(&format!("train --data ratings.csv --schema ratings.toml --run run {TRAIN}"));
    let [own, movielens] = ["run", "ml-run"].map(|run| scene.summary(run));
    assert_eq!((&own["test"], &own["valid"]), (&movielens["test"], &movielens["valid"]));
    let scores = |run: &str| {
        let list = scene.ok_json(&format!("recommend {run} --user 7 --top 5 --json"));
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["score"].as_f64().unwrap()).collect::<Vec<f64>>()
    };
    assert_same_scores(&scores("run"), &scores("ml-run"));
    // The settings of the run declare the history, too.
    scene.ok("evaluate run");
    scene.ok("train --resume run -q");
    assert_holds(&scene.text("run/settings.toml"), &["history = true", "at_least = 4.0"]);
}

#[test]
fn new_rows_have_their_history_as_a_column() {
    let scene = scene();
    scene.ok(&format!("train --data ratings.csv --schema ratings.toml --run run {TRAIN}"));
    scene.ok("export run -o run.pt --with-catalogue");
    let new = "user_id,movie_id,history,rating\n7,3,12|5|4,5\n7,3,,1\nnobody,3,5,4\n";
    scene.write("new.csv", new);
    scene.ok("predict run --input new.csv --output by_run.csv");
    scene.ok("predict run.pt --input new.csv --output by_file.csv");
    assert_same_scores(&scene.scores("by_run.csv"), &scene.scores("by_file.csv"));
    scene.ok("evaluate run --data new.csv --output evaluated.csv");
    assert_same_scores(&scene.scores("by_run.csv"), &scene.scores("evaluated.csv"));
    let scores = scene.scores("by_run.csv");
    assert!((scores[0] - scores[1]).abs() > 1e-6, "{scores:?}");
    scene.without_column("new.csv", "history", "without.csv");
    scene.fails_with("predict run --input without.csv --output out.csv", &["there is no column `history`"]);
    scene.ok("recommend run.pt --user 7 --about history=12|5");
    scene.ok("explain run --user 7 --item 3");
}

#[test]
fn a_history_that_lacks_what_it_is_made_of_is_an_error_of_one_line() {
    let scene = scene();
    for (from, to, reason) in [
        ("timestamp = \"time\"\n", "", "field `history` is a history, and needs the timestamp of the rows"),
        ("user = \"user_id\"\n", "", "field `history` is a history, and needs the user of the rows"),
        ("item = \"movie_id\"\n", "", "field `history` is a history, and needs the item of the rows"),
        ("kind = \"multi-valued\"\n", "kind = \"categorical\"\n", "has a max_len, which only multi-valued fields"),
        ("history = true\n", "", "field `history` has at_least, which only a history uses"),
        ("history = true\n", "history = true\nkeep = \"last\"\n", "begins with the newest item"),
        ("history = true\n", "history = true\ncolumn = \"movie_id\"\n", "reads no column"),
        ("at_least = 4\n", "at_least = nan\n", "has at_least = NaN"),
    ] {
        scene.write("wrong.toml", SCHEMA.replace(from, to));
        scene.fails_with(
            &format!("train --data ratings.csv --schema wrong.toml --run x {TRAIN}"),
            &["wrong.toml, line", reason],
        );
    }
}
