//! Numbers that arithmetic does not carry: very large ones, codes for missing values, times in milliseconds, and text.

use std::fmt::Write;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::data::{Numbers, declaration};
use crate::scene::{Scene, assert_holds, assert_same_scores};

const ROWS: usize = 240;

const SCHEMA: &str = declaration!(
    "user",
    "item",
    r#"
label = "click"
timestamp = "ts""#,
    r#"
[[field]]
name = "price"
kind = "numeric"
side = "item"

[[field]]
name = "tags"
kind = "multi-valued"
side = "item"
weighting = "given"
"#
);

const TRAIN: &str = "train --data clicks.csv --schema clicks.toml --task binary --device cpu --model fm --embedding-dim 4 --epochs 30 \
                     --batch-size 32 --lr 0.03 --l2 0.0001 --split time";

const COMPARE: &str = "compare --data clicks.csv --schema clicks.toml --task binary --split time --set train.epochs=2 \
                       --models lr,fm --output board";

/// A row: dear items, of 30 and more, are clicked.
fn row(at: usize, price: &str) -> String {
    let (user, item, is_dear) = (at % 20, at % 13, usize::from(price.parse::<f64>().is_ok_and(|price| price >= 25.0)));
    format!("{user},{item},{price},red:0.5|blue,{},{is_dear}\n", 1_700_000_000 + at)
}

/// A table in the order of time, with these prices in the place of others: the last tenth tests, the tenth before validates.
fn table(prices: &[(usize, &str)]) -> String {
    let mut numbers = Numbers(3);
    let cheap_or_dear =
        |numbers: &mut Numbers| format!("{}.{}", [10, 30][numbers.below(2)] + numbers.below(5), numbers.below(10));
    let mut text = "user,item,price,tags,ts,click\n".to_owned();
    for at in 0..ROWS {
        let usual = cheap_or_dear(&mut numbers);
        let price = prices.iter().find(|(row, _)| *row == at).map_or(usual.as_str(), |(_, price)| price);
        text += &row(at, price);
    }
    text
}

fn scene(table: &str) -> Scene {
    let scene = Scene::new();
    scene.write("clicks.csv", table);
    scene.write("clicks.toml", SCHEMA);
    scene
}

#[test]
fn usual_numbers_give_no_warning() {
    let scene = scene(&table(&[]));
    assert_eq!(scene.warnings(&format!("{TRAIN} --run run")), [""; 0]);
    assert!(scene.test_auc("run") > 0.99);
}

#[test]
fn an_extreme_number_in_any_part_spoils_no_metric_and_is_counted() {
    for (at, price, part) in [(ROWS - 1, "1e30", "test"), (ROWS - 30, "-1e30", "validation"), (9, "9.9e18", "training")]
    {
        let scene = scene(&table(&[(at, price)]));
        let warned = scene.warnings(&format!("{TRAIN} --run run"));
        let [warning] = &warned[..] else { panic!("{part}: {warned:?}") };
        assert_holds(warning, &["field `price`", "1 of ", part]);
        assert!(scene.test_auc("run") > 0.9, "{part}: {}", scene.test_auc("run"));
        let summary = scene.text("run/summary.json");
        assert!(!summary.contains("null") && !scene.text("run/metrics.jsonl").contains("null"), "{summary}");
        scene.ok("report run --output run.html");
        scene.ok("export run --output model.pt");
        scene.ok(COMPARE);
        scene.ok(COMPARE);
        // The rows come from the cache, and the warning with them.
        assert_eq!(scene.warnings(&format!("{TRAIN} --run again")), warned);
        assert_eq!(scene.summary("again"), scene.summary("run"));
    }
}

#[test]
fn every_model_scores_any_number_alike_in_a_run_and_in_an_exported_file() {
    let scene = scene(&table(&[]));
    let header = "user,item,price,tags\n";
    let prices = ["20", "500", "1e20", "1e30", "-1e30", "1e300", "1e400", "nan"];
    let rows = prices.iter().fold(header.to_owned(), |rows, price| rows + &format!("3,5,{price},red:{price}|blue\n"));
    scene.write("wild.csv", rows);
    for model in fm_models::MODELS.iter().filter(|entry| !entry.needs_history).map(|entry| entry.name) {
        scene.ok(&TRAIN
            .replace("--model fm", &format!("--model {model} --run {model}"))
            .replace("--epochs 30", "--epochs 2")
            .replace(
                "--embedding-dim 4 ",
                if ["lr", "ensemble"].contains(&model) { "" } else { "--embedding-dim 4 " },
            ));
        let warned = scene.warnings(&format!("predict {model} --input wild.csv --output {model}.csv"));
        let [price, tags] = &warned[..] else { panic!("{model}: {warned:?}") };
        assert_holds(price, &["field `price`", "4 of 8 rows", "100 standard deviations"]);
        assert_holds(tags, &["field `tags`", "4 of 8 rows", "1000000"]);
        let scores = scene.scores(&format!("{model}.csv"));
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{model}: {scores:?}");
        // Beyond the limit, a number is the limit; what is no number is missing.
        assert_same_scores(&[scores[2], scores[3], scores[6]], &[scores[3], scores[5], scores[7]]);
        scene.ok(&format!("export {model} --output {model}.pt"));
        scene.ok(&format!("predict {model}.pt --input wild.csv --output {model}-exported.csv"));
        assert_same_scores(&scene.scores(&format!("{model}-exported.csv")), &scores);
    }
}

#[test]
fn milliseconds_since_1970_keep_their_order() {
    let scene = Scene::new();
    let mut numbers = Numbers(5);
    let mut rows = "ms,click\n".to_owned();
    for _ in 0..ROWS {
        let ms = numbers.below(60_000);
        writeln!(rows, "{},{}", 1_700_000_000_000u64 + ms as u64, u8::from(ms >= 30_000)).unwrap();
    }
    scene.write("clicks.csv", rows);
    scene.write("clicks.toml", "label = \"click\"\n[[field]]\nname = \"ms\"\nkind = \"numeric\"\n");
    let train = TRAIN.replace("--split time", "--split random");
    assert_eq!(scene.warnings(&format!("{train} --run run")), [""; 0]);
    assert!(scene.test_auc("run") > 0.99);
    let schema = scene.json("run/schema.json");
    let mean = schema["fields"][0]["mean"].as_f64().unwrap();
    assert!((mean - 1_700_000_030_000.0).abs() < 5000.0, "{mean}");
}

#[test]
fn codes_for_missing_values_and_text_are_shown_with_the_remedy() {
    let coded: Vec<(usize, &str)> = (0..9).map(|n| (n * 20, "-999")).collect();
    let warned = scene(&table(&coded)).warnings(&format!("{TRAIN} --run run"));
    let [warning] = &warned[..] else { panic!("{warned:?}") };
    assert_holds(warning, &["field `price`", "9 of 192 numbers", "are -999", "null_values"]);

    let text: Vec<(usize, &str)> = ["—", "$30.96", "10%"].into_iter().enumerate().collect();
    let scene = scene(&table(&text));
    let warned = scene.warnings(&format!("{TRAIN} --run run"));
    let [warning] = &warned[..] else { panic!("{warned:?}") };
    assert_holds(warning, &["field `price`", "3 of 192 values", "are not numbers", "such as `—`", "null_values"]);
    assert_eq!(scene.warnings("data inspect clicks.csv --schema clicks.toml --task binary --split time"), warned);
}

#[test]
fn recommendations_and_explanations_have_finite_scores() {
    let scene = scene(&table(&[(ROWS - 1, "1e30")]));
    scene.ok(&format!("{TRAIN} --run run"));
    // The item of the last row is the only one that user 12 has not seen.
    let listed = scene.run("recommend run --user 12 --json");
    assert_holds(&String::from_utf8(listed.stderr).unwrap(), &["field `price`", "1 of "]);
    let list: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let items = list["items"].as_array().unwrap();
    assert!(!items.is_empty() && items.iter().all(|item| item["score"].is_f64()), "{list}");
    let explained = scene.run("explain run --row price=1e30 --json");
    assert_holds(&String::from_utf8(explained.stderr).unwrap(), &["field `price`", "1 of 1 row"]);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert!(explained["logit"].is_f64() && explained["prediction"].is_f64(), "{explained}");
}

#[test]
fn results_that_are_not_finite_are_read_back() {
    let scene = scene(&table(&[]));
    scene.ok(COMPARE);
    let path = "board/fm/seed-1/summary.json";
    let mut summary = scene.json(path);
    for part in ["valid", "test"] {
        summary[part].as_object_mut().unwrap().values_mut().for_each(|value| *value = Value::Null);
    }
    summary["baselines"]["mean"]["logloss"] = Value::Null;
    let summary = summary.to_string();
    scene.write(path, &summary);
    let mut digests = scene.json("board/fm/seed-1/rows.json");
    digests["summary"] = format!("{:016x}", xxh3_64(summary.as_bytes())).into();
    scene.write("board/fm/seed-1/rows.json", digests.to_string());
    // What is not a number is worst.
    let board = scene.ok(COMPARE);
    let lines: Vec<&str> = board.lines().filter(|line| line.starts_with("| lr") || line.starts_with("| fm")).collect();
    assert!(lines[0].starts_with("| lr") && lines[1].contains("NaN"), "{board}");
    scene.ok("report board/fm/seed-1 --output run.html");
    scene.ok("export board/fm/seed-1 --output model.pt");
    scene.ok("train --resume board/fm/seed-1");
}
