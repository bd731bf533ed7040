//! Labels in any unit, and labels in words.

use serde_json::Value;

use crate::data::{Numbers, declaration};
use crate::scene::{Scene, assert_holds};

const SCHEMA: &str = declaration!("user", "item", "label = \"price\"", "");

/// Rows whose labels are the sum of what user, item and chance add, times a unit, plus an offset.
fn table(unit: f64, offset: f64) -> String {
    let mut numbers = Numbers(7);
    let mut rows = "user,item,price\n".to_owned();
    for _ in 0..1200 {
        let (user, item) = (numbers.below(25), numbers.below(15));
        // In eighths, so that powers of two are exact.
        let price = (user * 7 % 25) as f64 / 8.0 + (item * 4 % 15) as f64 / 8.0 + numbers.below(5) as f64 / 8.0;
        rows += &format!("u{user},i{item},{}\n", unit * price + offset);
    }
    rows
}

fn train(scene: &Scene, run: &str, table: &str, more: &str) -> Value {
    scene.write(&format!("{run}.csv"), table);
    scene.write("price.toml", SCHEMA);
    scene.ok(&format!("train --data {run}.csv --schema price.toml {more} --run {run}"));
    scene.summary(run)
}

const FM: &str = "--model fm --embedding-dim 4 --epochs 25 --batch-size 64 --lr 0.03";

#[test]
fn a_regression_learns_the_same_in_every_unit() {
    let scene = Scene::new();
    let one = train(&scene, "one", &table(1.0, 0.0), FM);
    let r2 = |results: &Value| results["test"]["r2"].as_f64().unwrap();
    assert!(r2(&one) > 0.95, "{one}");
    // Division by a power of two is exact, so all numbers are the same but for the unit.
    let unit = 2f64.powi(20);
    let power = train(&scene, "power", &table(unit, 0.0), FM);
    assert_eq!((r2(&power), power["best_epoch"].clone()), (r2(&one), one["best_epoch"].clone()));
    for metric in ["rmse", "mae"] {
        let of = |results: &Value| results["test"][metric].as_f64().unwrap();
        assert_eq!(of(&power), unit * of(&one), "{metric}");
    }
    let losses = |run| scene.metrics(run).iter().map(|epoch| epoch["train_loss"].as_f64().unwrap()).collect::<Vec<_>>();
    let in_unit: Vec<f64> = losses("one").iter().map(|loss| loss * unit * unit).collect();
    assert_eq!(losses("power"), in_unit);
    for (run, unit, offset) in
        [("million", 1e6, 0.0), ("millionth", 1e-6, 0.0), ("far", 1.0, 1e5), ("negative", -3e3, -7e3)]
    {
        let found = train(&scene, run, &table(unit, offset), FM);
        assert!((r2(&found) - r2(&one)).abs() < 0.02, "{run}: {} and {}", r2(&found), r2(&one));
        let bias = |results: &Value| results["baselines"]["user and item bias"]["r2"].as_f64().unwrap();
        assert!((bias(&found) - bias(&one)).abs() < 0.01, "{run}: {}", bias(&found));
    }
    for model in ["deepfm", "bayesian_fm"] {
        for (run, unit) in [("great", 1e6), ("small", 1e-6)] {
            let options = format!("--model {model} --epochs 20");
            let found = train(&scene, &format!("{model}-{run}"), &table(unit, 0.0), &options);
            assert!(r2(&found) > 0.9, "{model}, {run}: {}", r2(&found));
        }
    }
}

#[test]
fn predictions_explanations_and_tables_are_in_the_unit_of_the_label() {
    let scene = Scene::new();
    for (run, unit) in [("million", 1e6), ("millionth", 1e-6)] {
        let results = train(&scene, run, &table(unit, 0.0), FM);
        let labels: Vec<f64> =
            scene.column(&format!("{run}.csv"), "price").iter().map(|cell| cell.parse().unwrap()).collect();
        scene.ok(&format!("predict {run} --input {run}.csv --output scored.csv"));
        let scores = scene.scores("scored.csv");
        let error =
            (scores.iter().zip(&labels).map(|(score, label)| (score - label).powi(2)).sum::<f64>() / 1200.0).sqrt();
        assert!(error < 0.3 * unit, "{error}");
        scene.ok(&format!("export {run} --output {run}.pt"));
        scene.ok(&format!("predict {run}.pt --input {run}.csv --output exported.csv"));
        for (a, b) in scores.iter().zip(scene.scores("exported.csv")) {
            assert!((a - b).abs() < 1e-5 * unit, "{a} and {b}");
        }
        for file in [run.to_owned(), format!("{run}.pt")] {
            let found = scene.ok_json(&format!("explain {file} --row user=u3 --row item=i2 --json"));
            let number = |value: &Value| value.as_f64().unwrap() / unit;
            let terms = found["shapley"]["fields"].as_array().unwrap().iter().map(|term| number(&term["term"]));
            let total = number(&found["shapley"]["baseline"]) + terms.sum::<f64>();
            let prediction = number(&found["prediction"]);
            assert!((total - prediction).abs() < 1e-4 && (2.0..6.0).contains(&prediction), "{found}");
            let Some(bias) = found["parts"]["bias"].as_f64() else { continue };
            let of = |kind: &str| {
                found["parts"][kind].as_array().unwrap().iter().map(|term| number(&term["term"])).sum::<f64>()
            };
            assert!((bias / unit + of("first_order") + of("pairs") - prediction).abs() < 1e-4, "{found}");
        }
        let text = scene.ok(&format!("explain {run} --row user=u3 --row item=i2"));
        let bias = text.lines().find(|line| line.ends_with("  bias")).unwrap();
        let bias: f64 = bias.split_whitespace().next().unwrap().parse().unwrap();
        assert!((1.5..4.0).contains(&(bias / unit)), "{text}");
        let rmse = results["test"]["rmse"].as_f64().unwrap();
        let evaluated = scene.ok(&format!("evaluate {run}"));
        let shown = evaluated.split("rmse ").nth(1).unwrap().split(',').next().unwrap().trim();
        assert!((shown.parse::<f64>().unwrap() / rmse - 1.0).abs() < 1e-2, "{evaluated}");
        scene.ok(&format!("report {run} --output {run}.html"));
    }
}

#[test]
fn a_warm_start_keeps_the_unit_of_the_run_that_it_begins_with() {
    let scene = Scene::new();
    train(&scene, "first", &table(1000.0, 0.0), FM);
    let scale = |run: &str| scene.json(&format!("{run}/schema.json"))["label"]["scale"].as_f64();
    assert_eq!(scale("first"), Some(1024.0));
    // Twice the labels would have twice the scale.
    let text = table(2000.0, 0.0);
    train(&scene, "scratch", &text, FM);
    assert_eq!(scale("scratch"), Some(2048.0));
    train(&scene, "second", &text, "--init-from first --model fm --embedding-dim 4 --epochs 1 --lr 1e-12");
    assert_eq!(scale("second"), Some(1024.0));
    for run in ["first", "second"] {
        scene.ok(&format!("predict {run} --input first.csv --output {run}-scored.csv"));
    }
    // Where the range of the labels does not clamp the first run's predictions, they are the same.
    let (first, second) = (scene.scores("first-scored.csv"), scene.scores("second-scored.csv"));
    let close = first.iter().zip(&second).filter(|(a, b)| (*a - *b).abs() < 1.0).count();
    assert!(close > 1100, "{close}");
    scene.ok("train --resume second");
}

#[test]
fn labels_may_be_words() {
    let scene = Scene::new();
    let numbers = table(1.0, 0.0);
    let with = |words: [&str; 2]| {
        let liked = |line: &str| {
            let (row, price) = line.rsplit_once(',').unwrap();
            let price: f64 = price.parse().ok()?;
            Some(format!("{row},{}\n", words[usize::from(price > 3.0)]))
        };
        "user,item,price\n".to_owned() + &numbers.lines().filter_map(liked).collect::<String>()
    };
    let binary = "--task binary --model fm --epochs 2";
    let expected = train(&scene, "numbers", &with(["0", "1"]), binary);
    for (run, words) in [("capital", ["False", "True"]), ("lower", ["no", "yes"]), ("letters", ["F", "T"])] {
        assert_eq!(train(&scene, run, &with(words), binary), expected, "{words:?}");
    }
    scene.write("mixed.csv", with(["2", "true"]));
    let error = scene.fails("train --data mixed.csv --schema price.toml --run mixed");
    assert_holds(&error, &["mixed.csv, line", "`true` in column `price` is not a number"]);
}
