//! Data and settings that hardly mean what the user wants: each has one line that names the remedy.

use crate::data::{HEADER, Numbers, declaration, rows};
use crate::scene::{Scene, assert_holds};

const USERS: usize = 30;
const ITEMS: usize = 25;
const ROWS: usize = 600;

const SCHEMA: &str = declaration!(
    "user",
    "item",
    r#"
label = "click""#,
    r#"
[[field]]
name = "extra"
kind = "categorical"
"#
);

/// Distinct pairs of users and items, whose label is noisy. `extra` gives one more column from the row and its label.
fn clicks(extra: impl Fn(usize, usize) -> String) -> Vec<String> {
    let mut numbers = Numbers(5);
    let mut pairs: Vec<(usize, usize)> = (0..USERS).flat_map(|user| (0..ITEMS).map(move |item| (user, item))).collect();
    for last in (1..pairs.len()).rev() {
        pairs.swap(last, numbers.below(last + 1));
    }
    let row = |(row, (user, item)): (usize, (usize, usize)), numbers: &mut Numbers| {
        let click = usize::from((user % 3 == item % 3) != (numbers.below(10) == 0));
        format!("u{user},i{item},{},{},{click}\n", extra(row, click), 1_700_000_000 + 60 * row)
    };
    pairs.into_iter().take(ROWS).enumerate().map(|pair| row(pair, &mut numbers)).collect()
}

fn table(rows: &[String]) -> String {
    format!("user,item,extra,time,click\n{}", rows.concat())
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("schema.toml", SCHEMA);
    scene.write("timed.toml", SCHEMA.replacen('\n', "\ntimestamp = \"time\"\n", 1));
    scene.write("clicks.csv", table(&clicks(|row, _| format!("e{}", row % 4))));
    scene
}

const TRAIN: &str = "--task binary --model fm --lr 0.03 --batch-size 32 --epochs 12 --force --run run";

/// Asserts that there is one warning with these words, and no other but about the result, which is not the point here.
#[track_caller]
fn assert_one(warnings: &[String], words: &[&str]) {
    let about_rows: Vec<&String> =
        warnings.iter().filter(|line| !line.contains("is worse than the baseline")).collect();
    assert_eq!(about_rows.len(), 1, "{warnings:#?}");
    assert_holds(about_rows[0], words);
}

#[test]
fn clean_tables_give_no_warning() {
    let scene = scene();
    assert_eq!(scene.warnings(&format!("train --data clicks.csv --schema schema.toml {TRAIN}")), [""; 0]);
    assert_eq!(scene.warnings(&format!("train --data clicks.csv --schema timed.toml --split time {TRAIN}")), [""; 0]);
    assert_eq!(scene.warnings("train --data ml --epochs 8 --batch-size 64 --run ml-run"), [""; 0]);
}

#[test]
fn a_field_that_determines_the_label_is_reported() {
    let scene = scene();
    let said = |extra: &dyn Fn(usize, usize) -> String| {
        scene.write("leak.csv", table(&clicks(extra)));
        scene.warnings(&format!("train --data leak.csv --schema schema.toml {TRAIN}"))
    };
    assert_one(&said(&|_, click| click.to_string()), &["`extra` determines `click`", "leave it out"]);
    assert_one(&said(&|row, click| format!("{}", 2 * (row % 2) + click)), &["`extra` determines `click`"]);
    // A time of the click, which only clicked rows have; no other part has the same times.
    let clicked = |row: usize, click: usize| if click == 1 { format!("t{row}") } else { String::new() };
    let said = said(&clicked);
    assert!(said.iter().any(|line| line.contains("it has a value in exactly the positive training rows")), "{said:#?}");
}

#[test]
fn rows_of_several_parts_are_reported() {
    let scene = scene();
    let rows = clicks(|row, _| format!("e{}", row % 4));
    scene.write("train.csv", table(&rows[..400]));
    scene.write("valid.csv", table(&rows[400..500]));
    scene.write("test.csv", table(&rows[500..]));
    scene.write("mixed.csv", table(&[&rows[..20], &rows[500..]].concat()));
    let said = |valid: &str, test: &str| {
        scene.warnings(&format!(
            "train --train train.csv --valid {valid}.csv --test {test}.csv --schema schema.toml {TRAIN}"
        ))
    };
    assert_eq!(said("valid", "test"), [""; 0]);
    assert_one(&said("valid", "train"), &["400 of 400 test rows are also training rows"]);
    assert_one(&said("valid", "mixed"), &["20 of 120 test rows are also training rows", "leave the repeated rows out"]);
    assert_one(&said("train", "test"), &["400 of 400 validation rows are also training rows"]);
    // A table that was appended to itself.
    scene.write("twice.csv", table(&[&rows[..], &rows].concat()));
    let said = scene.warnings(&format!("train --data twice.csv --schema schema.toml {TRAIN}"));
    let repeated = |part: &str| said.iter().any(|line| line.contains(&format!("{part} rows are also training rows")));
    assert!(repeated("validation") && repeated("test"), "{said:#?}");
}

#[test]
fn a_random_split_of_rows_with_times_is_reported() {
    let scene = scene();
    for split in ["", "--split random:0.2:0.2", "--split kfold:5:1"] {
        let said = scene.warnings(&format!("train --data clicks.csv --schema timed.toml {split} {TRAIN}"));
        assert_one(&said, &["`time` is declared as the timestamp", "`--split time`"]);
    }
}

#[test]
fn a_model_that_is_worse_than_a_baseline_says_so() {
    let scene = scene();
    let still = TRAIN.replace("0.03", "0.0000001");
    let said = scene.warnings(&format!("train --data clicks.csv --schema schema.toml {still}"));
    assert_eq!(said, [""; 0], "as good as the mean is not worse");
    // Labels without a pattern, which a large model learns by heart.
    let random: Vec<String> = clicks(|row, _| format!("e{}", row % 4))
        .iter()
        .enumerate()
        .map(|(row, line)| format!("{},{}\n", line.rsplit_once(',').unwrap().0, row * row * 7 % 11 % 2))
        .collect();
    scene.write("random.csv", table(&random));
    let overfit =
        "--task binary --model fm --embedding-dim 32 --lr 0.1 --l2 0 --split random:0:0.3 --epochs 30 --run random";
    let said = scene.warnings(&format!("train --data random.csv --schema schema.toml {overfit}"));
    assert_eq!(said.len(), 2, "{said:#?}");
    assert_holds(&said[0], &["no validation rows"]);
    assert_holds(&said[1], &["fm is worse than the baseline", "on the 180 test rows: logloss", "`--l2`"]);
}

#[test]
fn a_learning_rate_of_0_is_an_error() {
    let words = ["the learning rate is 0: it must be a number above 0"];
    scene().fails_with("train --data clicks.csv --schema schema.toml --task binary --lr 0 -q", &words);
}

#[test]
fn labels_of_a_ranking_say_what_users_want() {
    let scene = scene();
    let train =
        "train --data clicks.csv --schema timed.toml --task ranking --split leave-last-out --model fm --epochs 2";
    let by_default = scene.run(&format!("{train} --run one"));
    let said = String::from_utf8(by_default.stderr).unwrap();
    assert_holds(&said, &["rows with the label 1 in column `click` are what users want", "a threshold of 0"]);
    assert!(!said.contains("range from"), "{said}");
    scene.ok(&format!("{train} --threshold 1 --run two"));
    assert_eq!(scene.summary("one"), scene.summary("two"));
    scene.ok(&format!("{train} --threshold 0 --run all"));
    assert_ne!(scene.summary("one")["test"], scene.summary("all")["test"]);

    let rated = scene.text("clicks.csv").replace(",1\n", ",5\n").replace(",0\n", ",2\n");
    scene.write("clicks.csv", rated);
    // The second time, the rows come from the cache.
    for run in ["three", "four"] {
        let said = scene.warnings(&format!("{train} --run {run}"));
        assert_one(&said, &["the labels in column `click` range from 2 to 5", "`threshold`", "all 600 rows"]);
    }
    let ml = train.replace("--data clicks.csv --schema timed.toml", "--data ml");
    for line in [format!("{train} --threshold 2 --run five"), format!("{ml} --run six")] {
        let said = scene.warnings(&line);
        assert!(said.iter().all(|line| line.contains("is worse than the baseline")), "{said:#?}");
    }
}

#[test]
fn validation_rows_are_held_out_if_there_is_no_table_of_them() {
    let scene = Scene::new();
    let rows = rows();
    scene.write("train.csv", HEADER.to_owned() + &rows[..2000].concat());
    scene.write("test.csv", HEADER.to_owned() + &rows[2000..].concat());
    let untimed = scene.text("schema.toml").replace("timestamp = \"when\"\n", "");
    scene.write("untimed.toml", untimed);
    let train = |schema: &str, more: &str| {
        let line = format!(
            "train --train train.csv --test test.csv --schema {schema}.toml --model fm --epochs 3 {more} --run run --force"
        );
        let output = scene.run(&line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("WARN"), "{said}");
        let rows = scene.summary("run")["rows"].clone();
        (said, ["train", "valid", "test"].map(|part| rows[part].as_u64().unwrap()))
    };
    let (said, rows) = train("schema", "");
    assert_eq!(rows, [1800, 200, 1000]);
    assert_holds(&said, &["200 of the 2000 training rows validate, the latest ones", "no validation table"]);
    scene.ok("evaluate run --part valid --output valid.csv");
    let times: Vec<usize> = scene.column("valid.csv", "when").iter().map(|time| time.parse().unwrap()).collect();
    assert_eq!((times.iter().min(), times.iter().max()), (Some(&2800), Some(&2999)));

    let (said, rows) = train("untimed", "--split random:0.25:0");
    assert_eq!(rows, [1500, 500, 1000]);
    assert_holds(&said, &["500 of the 2000 training rows validate, drawn at random"]);
    scene.ok("evaluate run --part valid --output first.csv");
    train("untimed", "--split random:0.25:0 --seed 2");
    scene.ok("evaluate run --part valid --output second.csv");
    assert_ne!(scene.text("first.csv"), scene.text("second.csv"));
    let line =
        "train --train train.csv --test test.csv --schema schema.toml --model fm --split random:0:0 --run run --force";
    let output = scene.run(&format!("{line} --epochs 2"));
    assert_holds(&String::from_utf8(output.stderr).unwrap(), &["no validation rows"]);
    assert_eq!(scene.summary("run")["rows"]["train"], 2000);
    scene.fails_with("train --train train.csv --schema schema.toml --split kfold:5:0 -q", &["a table for each part"]);
}

#[test]
fn auc_within_users_tells_users_apart_whatever_their_ids() {
    let scene = scene();
    let metrics = |schema: &str| {
        scene.write("own.toml", schema);
        scene.ok(&format!("train --data clicks.csv --schema own.toml --split random:0.1:0.6 {TRAIN} -q"));
        let measured = scene.ok_json("evaluate run --json --output scored.csv")["metrics"]["gauc"].as_f64().unwrap();
        assert_eq!(scene.summary("run")["test"]["gauc"].as_f64().unwrap(), measured);
        measured
    };
    for schema in [
        SCHEMA.replacen("name = \"user\"", "name = \"user\"\nhash_buckets = 3", 1),
        SCHEMA.replacen("name = \"user\"", "name = \"user\"\nmin_count = 8", 1),
        SCHEMA.to_owned(),
    ] {
        let measured = metrics(&schema);
        assert!((measured - gauc(&scene)).abs() < 1e-6, "{measured} instead of {}\n{schema}", gauc(&scene));
    }
}

/// The GAUC of `scored.csv`, by the texts of its users.
fn gauc(scene: &Scene) -> f64 {
    let rows: Vec<(String, f64, bool)> = scene
        .column("scored.csv", "user")
        .into_iter()
        .zip(scene.scores("scored.csv"))
        .zip(scene.column("scored.csv", "click"))
        .map(|((user, score), click)| (user, score, click == "1"))
        .collect();
    let (mut sum, mut total) = (0.0, 0.0);
    for user in 0..USERS {
        let own: Vec<_> = rows.iter().filter(|row| row.0 == format!("u{user}")).collect();
        let of = |class: bool| own.iter().filter(move |row| row.2 == class);
        let pairs = of(true).flat_map(|a| {
            of(false).map(move |b| {
                if a.1 > b.1 {
                    1.0
                } else if a.1 == b.1 {
                    0.5
                } else {
                    0.0
                }
            })
        });
        let won: Vec<f64> = pairs.collect();
        if !won.is_empty() {
            sum += own.len() as f64 * won.iter().sum::<f64>() / won.len() as f64;
            total += own.len() as f64;
        }
    }
    sum / total
}
