//! From data to recommendations, for each kind of data and task.

use serde_json::{Value, json};

use crate::data::{ACCENTED, FILMS, UNRATED, rows};
use crate::scene::{FM_ON_BOOKS, FM_ON_ML, Scene, assert_holds, assert_same_scores};

/// Trains, and passes the run to every command that takes one.
fn follow(train: &str, score_range: std::ops::RangeInclusive<f64>) {
    let scene = Scene::new();
    let printed = scene.ok(&format!("train {train} --epochs 3 --run run"));
    assert_holds(&printed, &["validation", "test", "mean, test", "user and item bias, test"]);
    assert!(printed.lines().all(|line| line.chars().count() <= 100), "{printed}");

    for file in ["settings.toml", "schema.json", "checkpoints/best.safetensors", "checkpoints/last.safetensors"] {
        assert!(scene.path("run").join(file).is_file(), "{file}");
    }
    let metrics = scene.metrics("run");
    assert_eq!(metrics.len(), 3);
    for (epoch, record) in (1..).zip(&metrics) {
        assert_eq!(record["epoch"], json!(epoch));
        assert!(record["train_loss"].is_f64() && !record["valid"].as_object().unwrap().is_empty(), "{record}");
    }
    let summary = scene.summary("run");
    for key in ["best_epoch", "parameters"] {
        assert!(summary[key].as_u64().unwrap() > 0, "{summary}");
    }
    let best = &metrics[summary["best_epoch"].as_u64().unwrap() as usize - 1];
    assert_eq!(summary["valid"], best["valid"]);

    let evaluated = scene.ok_json("evaluate run --json --output test.csv");
    assert_eq!((&evaluated["part"], &evaluated["metrics"]), (&json!("test"), &summary["test"]));
    assert_eq!(evaluated["rows"], summary["rows"]["test"]);
    let of_valid = scene.ok_json("evaluate run --part valid --json");
    assert_eq!((&of_valid["metrics"], &of_valid["rows"]), (&summary["valid"], &summary["rows"]["valid"]));
    assert_eq!(scene.ok_json("evaluate run --part train --json")["rows"], summary["rows"]["train"]);

    scene.ok("export run --output model.pt");
    scene.without_column("test.csv", "score", "rows.csv");
    for (model, output) in [("run", "a.csv"), ("model.pt", "b.csv"), ("model.pt", "c.parquet"), ("run", "d.tsv")] {
        scene.ok(&format!("predict {model} --input rows.csv --output {output}"));
    }
    let scores = scene.scores("test.csv");
    assert_eq!(Value::from(scores.len()), evaluated["rows"]);
    assert!(scores.iter().all(|score| score_range.contains(score)));
    assert!(scores.iter().any(|score| (score - scores[0]).abs() > 0.01), "all rows score the same");
    assert_same_scores(&scene.scores("a.csv"), &scores);
    assert_same_scores(&scene.scores("b.csv"), &scores);
    // The columns of the input are unchanged, in the same order.
    scene.without_column("a.csv", "score", "rows again.csv");
    assert_eq!(scene.text("rows again.csv"), scene.text("rows.csv"));
}

#[test]
fn deepfm_predicts_stars() {
    follow("--data ml --model deepfm", 1.0..=5.0);
}

#[test]
fn fm_predicts_likes_after_online_updates_with_their_own_defaults() {
    follow("--data ml --model fm --task binary --set train.update=online", 0.0..=1.0);
    let scene = Scene::new();
    let config = |flags: &str| scene.ok(&format!("train --data ml --model fm {flags} --print-config"));
    assert_holds(&config("--set train.update=online"), &["lr = 0.1\n", "name = \"adagrad\"\n"]);
    assert_holds(&config("--set train.update=online --optimizer sgd"), &["lr = 0.01\n", "name = \"sgd\"\n"]);
    assert_holds(&config("--set train.update=online --lr 0.3"), &["lr = 0.3\n"]);
    scene.fails_with(
        "train --data ml --model deepfm --set train.update=online --run r",
        &["no kernel for online updates"],
    );
}

#[test]
fn deepfm_predicts_likes() {
    follow("--data ml --model deepfm --task binary", 0.0..=1.0);
}

#[test]
fn verbose_prints_all_metrics_and_the_line_of_an_epoch_only_the_main_ones() {
    let scene = Scene::new();
    let output = scene.run("train --data ml --model fm --task binary --epochs 1 --run run");
    let names = ["auc", "average_precision", "ece", "gauc", "logloss", "normalized_entropy"];
    let summary = scene.summary("run");
    let test = summary["test"].as_object().unwrap();
    assert_eq!(test.keys().collect::<Vec<_>>(), names);
    // The monitored metric comes first. Metrics beyond 80 columns need -v.
    let text = |name: &str| format!("{:.4}", test[name].as_f64().unwrap());
    let row = |printed: &str| -> Vec<String> {
        let row = printed.lines().find(|line| line.starts_with("fm, test")).unwrap_or_else(|| panic!("{printed}"));
        row.split_whitespace().skip(2).map(str::to_owned).collect()
    };
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
    assert_eq!(row(&printed)[..2], ["logloss", "auc"].map(text));
    let (mut found, mut expected) = (row(&scene.ok("train --resume run -v")), names.map(text));
    assert_eq!(found[0], text("logloss"));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let log = String::from_utf8(output.stderr).unwrap();
    let epoch = log.lines().find(|line| line.contains("epoch   1")).unwrap();
    assert_holds(epoch, &["  loss 0.", "  logloss 0."]);
    assert!(!epoch.contains("ece") && epoch.len() <= 80, "{epoch}");
}

#[test]
fn fm_learns_from_a_table() {
    follow("--data books.csv --schema schema.toml --model fm", 1.0..=5.0);
}

#[test]
fn fm_learns_a_planted_taste() {
    let scene = Scene::new();
    scene.ok("train --data ml --model fm --epochs 30 --lr 0.02 --run run");
    let summary = scene.summary("run");
    let (model, bias) = (&summary["test"]["rmse"], &summary["baselines"]["user and item bias"]["rmse"]);
    assert!(model.as_f64().unwrap() < 0.8 * bias.as_f64().unwrap(), "{summary}");
}

#[test]
fn separate_tables_are_the_training_validation_and_test_rows() {
    let scene = Scene::new();
    let (header, rows) = (crate::data::HEADER, rows());
    for (name, rows) in [("train.csv", &rows[..2000]), ("valid.csv", &rows[2000..2400]), ("test.csv", &rows[2400..])] {
        scene.write(name, header.to_owned() + &rows.concat());
    }
    let tables = "--train train.csv --valid valid.csv --test test.csv";
    scene.ok(&format!("train {tables} --schema schema.toml --model fm --epochs 2 --run run"));
    assert_eq!(scene.summary("run")["rows"], json!({ "train": 2000, "valid": 400, "test": 600 }));
    scene.ok("evaluate run --output scored.csv");
    assert_eq!(scene.column("scored.csv", "when"), scene.column("test.csv", "when"));

    scene.ok("train --train train.csv --schema schema.toml --model fm --epochs 2 --run alone");
    assert_eq!(scene.summary("alone")["rows"], json!({ "train": 1800, "valid": 200, "test": 0 }));
    assert_eq!(scene.ok_json("recommend alone --user r07 --json")["known_user"], json!(true));
}

#[test]
fn recommendations_have_titles_and_leave_out_what_the_user_has_rated() {
    let scene = Scene::after(&[FM_ON_ML]);
    scene.ok("export run -o model.pt");
    let ratings = scene.text("ml/u.data");
    let rated: Vec<&str> = ratings.lines().filter_map(|line| line.strip_prefix("7\t")?.split('\t').next()).collect();
    assert!(!rated.is_empty());

    let all = scene.ok_json("recommend run --user 7 --top 1000 --json");
    assert_eq!((&all["user"], &all["known_user"]), (&json!("7"), &json!(true)));
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.len() + rated.len(), FILMS);
    assert!(items.iter().all(|item| !rated.contains(&item["item"].as_str().unwrap())));
    assert!(items.iter().any(|item| item["item"] == json!(UNRATED.to_string())));
    assert!(items.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()));
    assert_eq!(items.iter().map(|item| item["rank"].as_u64().unwrap()).collect::<Vec<_>>()[..3], [1, 2, 3]);

    let of_bundle = scene.ok_json("recommend model.pt --user 7 --top 1000 --json");
    let scores = |list: &Value| -> Vec<f64> {
        list["items"].as_array().unwrap().iter().map(|item| item["score"].as_f64().unwrap()).collect()
    };
    assert_same_scores(&scores(&all), &scores(&of_bundle));

    let text = scene.ok("recommend run --user 7 --top 3");
    assert_eq!(text.lines().count(), 3);
    let first = items[0]["title"].as_str().unwrap();
    assert!(text.lines().next().unwrap().starts_with("  1. ") && text.contains(first), "{text}");
    let stranger = scene.ok("recommend run --user 99999 --top 1000");
    assert_holds(&stranger, &[ACCENTED]);
}

#[test]
fn a_table_recommends_its_titles() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    let items = scene.ok_json("recommend run --user r07 --top 2 --json")["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 2);
    assert_holds(items[0]["title"].as_str().unwrap(), &["Book ", ", or é"]);
    let rows = rows();
    let pair = format!("r07,{},", items[0]["item"].as_str().unwrap());
    assert!(!rows.iter().any(|row| row.starts_with(&pair)));
}

#[test]
fn a_run_opens_from_any_folder_and_after_its_data_has_moved() {
    let scene = Scene::after(&[FM_ON_ML]);
    scene.ok("export run -o model.pt");
    let elsewhere = scene.path("some where élse");
    std::fs::create_dir(&elsewhere).unwrap();
    let output = scene.fm("evaluate ../run").current_dir(&elsewhere).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    std::fs::rename(scene.path("ml"), elsewhere.join("ml")).unwrap();
    scene.fails_with("recommend run --user 7", &["there is no folder", "ml"]);
    let output = scene.fm("recommend ../model.pt --user 7 --data ml").current_dir(&elsewhere).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 10);
}
