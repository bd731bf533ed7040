//! Several models on several seeds or folds, in one table.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scene::{Scene, assert_holds};

const COMPARE: &str = "compare --data ml --models lr,fm --seeds 1,2,3 --set train.epochs=2";

/// The logit of a probability.
fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// The leaderboard without times.
fn board(scene: &Scene, folder: &str) -> Value {
    let mut board = scene.json(&format!("{folder}/leaderboard.json"));
    for line in board["lines"].as_array_mut().unwrap() {
        for time in ["seconds", "rows_per_second"] {
            assert!(line.as_object_mut().unwrap().remove(time).unwrap()["mean"].as_f64().unwrap() > 0.0);
        }
    }
    board
}

#[test]
fn a_leaderboard_has_the_means_of_its_runs_with_the_best_first() {
    let scene = Scene::new();
    let table = scene.ok(&format!("{COMPARE} -o board"));
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let board = scene.json("board/leaderboard.json");
    assert_eq!((&board["metric"], &board["variations"]), (&"rmse".into(), &["seed-1", "seed-2", "seed-3"][..].into()));
    let lines = board["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let name = line["name"].as_str().unwrap();
        let summaries: Vec<Value> =
            (1..4).map(|seed| scene.json(&format!("board/{name}/seed-{seed}/summary.json"))).collect();
        let values: Vec<f64> = summaries.iter().map(|summary| summary["test"]["rmse"].as_f64().unwrap()).collect();
        let mean = values.iter().sum::<f64>() / 3.0;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let spread = &line["test"]["rmse"];
        assert_eq!(numbers(&spread["values"]), values);
        assert!((spread["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
        assert!((spread["std"].as_f64().unwrap() - std).abs() < 1e-12);
        assert_eq!(line["parameters"], summaries[0]["parameters"]);
        assert_holds(&table, &[name, &format!("{mean:.4} ± {std:.4}")]);
    }
    let means: Vec<f64> = lines.iter().map(|line| line["test"]["rmse"]["mean"].as_f64().unwrap()).collect();
    assert!(means[0] <= means[1]);
    assert!((0.0..=1.0).contains(&lines[0]["p_value"].as_f64().unwrap()) && lines[1]["p_value"].is_null());
    let whole = scene.ok(&format!("{COMPARE} -o board --verbose"));
    assert_eq!(whole.trim_end(), scene.text("board/leaderboard.md").trim_end());
    // Its runs are ordinary runs, and the stated size is that of the exported file.
    scene.ok("evaluate board/fm/seed-2");
    scene.ok("export board/fm/seed-1 -o model.pt");
    let (exported, stated) =
        (scene.bytes("model.pt").len() as f64, lines.iter().find(|line| line["name"] == "fm").unwrap());
    assert!((stated["bundle_bytes"].as_f64().unwrap() / exported - 1.0).abs() < 0.1);
}

#[test]
fn a_killed_comparison_resumes_and_trains_nothing_twice() {
    let scene = Scene::new();
    let mut child =
        scene.fm(&format!("{COMPARE} -o board")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (first, began) = (scene.path("board/lr/seed-2/summary.json"), Instant::now());
    while !first.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no second run within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let written = || std::fs::metadata(&first).unwrap().modified().unwrap();
    let before = written();
    scene.ok(&format!("{COMPARE} -o board"));
    assert_eq!(written(), before);
    scene.ok(&format!("{COMPARE} -o straight"));
    assert_eq!(board(&scene, "board"), board(&scene, "straight"));
}

#[test]
fn settings_files_are_compared_on_folds() {
    let scene = Scene::new();
    scene.write("small.toml", "[model]\nname = \"fm\"\noptions.embedding_dim = 2\n[train]\nepochs = 1\n");
    scene.write(
        "large.toml",
        "data.split = \"random:0:0.1\"\n[model]\nname = \"fm\"\noptions.embedding_dim = 8\n[train]\nepochs = 1\n",
    );
    scene.ok("compare --data ml --configs small.toml,large.toml --folds 3 -o board --metric mae");
    let board = scene.json("board/leaderboard.json");
    assert_eq!((&board["metric"], &board["variations"]), (&"mae".into(), &["fold-0", "fold-1", "fold-2"][..].into()));
    let rows: i64 = (0..3)
        .map(|fold| scene.json(&format!("board/small/fold-{fold}/summary.json"))["rows"]["test"].as_i64().unwrap())
        .sum();
    assert_eq!(rows, 3000, "each row tests once");
    let valid =
        |name: &str| scene.json(&format!("board/{name}/fold-0/summary.json"))["rows"]["valid"].as_i64().unwrap();
    assert_eq!((valid("small"), valid("large")), (200, 0), "the share that validates is that of the file's split");
}

#[test]
fn an_invalid_comparison_is_an_error_before_training() {
    let scene = Scene::new();
    scene.fails_with("compare --data ml", &["nothing to compare", "--models", "--configs"]);
    scene.fails_with("compare --data ml --models lr,lr", &["`lr` is given twice"]);
    scene.fails_with("compare --data ml --models lr,depfm", &["a similar value exists: 'deepfm'"]);
    scene.fails_with("compare --data ml --models lr --metric rsme", &["did you mean `rmse`?"]);
    scene.fails_with("compare --data ml --models lr --configs none.toml", &["cannot read none.toml"]);
    scene.ok("compare --data ml --models lr --set train.epochs=1 -o board");
    scene.fails_with(
        "compare --data ml --models lr --set train.epochs=2 -o board",
        &["board/lr/seed-1", "other settings"],
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_says_that_the_same_command_resumes() {
    let scene = Scene::new();
    let line = "compare --data ml --models fm --seeds 1,2 --set train.epochs=200 --set train.patience=0 -o board -q";
    let child = scene.fm(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (metrics, began) = (scene.path("board/fm/seed-1/metrics.jsonl"), Instant::now());
    while !metrics.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no first epoch within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_holds(
        &String::from_utf8(output.stderr).unwrap(),
        &["interrupted in training 1 of 2", "the same command resumes"],
    );
}

#[test]
fn rankings_are_compared_and_tuned_by_the_metric_at_its_cutoff() {
    let scene = Scene::new();
    let compare = "compare --data ml --task ranking --models lr,fm --set train.epochs=1 -o board --verbose";
    // The table has metrics of one cutoff, the file those of all.
    let columns = |line: &str| -> Vec<String> {
        let printed = scene.ok(line);
        printed.lines().next().unwrap().split('|').map(|name| name.trim().to_owned()).collect()
    };
    let rest = ["p to next", "parameters", "training", "rows/s", "file", ""];
    let at_10 = ["", "", "ndcg@10", "coverage@10", "hr@10", "mrr", "recall@10"];
    assert_eq!(columns(compare), [&at_10[..], &rest].concat());
    let at_5 = ["", "", "hr@5", "coverage@5", "mrr", "ndcg@5", "recall@5"];
    assert_eq!(columns(&format!("{compare} --metric hr@5")), [&at_5[..], &rest].concat());
    let by_mrr = ["", "", "mrr", "coverage@10", "hr@10", "ndcg@10", "recall@10"];
    assert_eq!(columns(&format!("{compare} --metric mrr")), [&by_mrr[..], &rest].concat());
    scene.ok(compare);
    let board = scene.json("board/leaderboard.json");
    assert_eq!(board["metric"], "ndcg@10");
    assert_eq!(board["lines"][0]["test"].as_object().unwrap().len(), 13);
    let means: Vec<f64> =
        (0..2).map(|line| board["lines"][line]["test"]["ndcg@10"]["mean"].as_f64().unwrap()).collect();
    assert!(means[0] >= means[1], "{means:?}");
    scene.write(
        "space.toml",
        "[model]\nname = \"fm\"\n[train]\nepochs = 1\nlr = { min = 0.001, max = 0.1, scale = \"log\" }\n",
    );
    assert_holds(&scene.ok("tune space.toml --data ml --task ranking --trials 2 --study study"), &["ndcg@10 ", "of 2"]);
}

#[test]
fn results_on_other_rows_are_not_compared() {
    let scene = Scene::new();
    let compare =
        &format!("compare --data {} --models lr --set train.epochs=1 -o board -q", scene.path("ml").display());
    scene.ok(compare);
    let board = scene.json("board/leaderboard.json");
    // Once more, with the results that there are.
    scene.ok(compare);
    assert_eq!(scene.json("board/leaderboard.json"), board);
    scene.write("ml/u.data", scene.text("ml/u.data").replace("\t79\t", "\t80\t"));
    scene.fails_with(compare, &["the data has changed since board/lr/seed-1 was trained", "--output"]);
    std::fs::remove_dir_all(scene.path("ml")).unwrap();
    let warned = scene.warnings(&compare.replace(" -q", ""));
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert_holds(&warned[0], &["the data of board/lr/seed-1 cannot be read"]);
}

#[test]
fn a_report_calls_runs_by_their_models_and_seeds() {
    let scene = Scene::new();
    scene.ok("compare --data ml --models lr --set train.epochs=1 -o board -q");
    scene.ok("report board/lr/seed-1 --output report.html");
    assert_holds(&scene.text("report.html"), &["Report on lr/seed-1"]);
}

#[test]
fn auto_climbs_the_ladder_and_says_what_to_take() {
    let scene = Scene::new();
    let line = "compare --data books.csv --schema schema.toml --models auto --set train.epochs=4 --output auto";
    let found = scene.ok_json(&format!("{line} --json"));
    let models = found["models"].as_array().unwrap();
    assert_eq!(models.len(), 8);
    let finished: Vec<&Value> = models.iter().filter(|model| model["ending"] == "finished").collect();
    let best = finished.iter().map(|model| model["valid"].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    let taken = models.iter().find(|model| model["model"] == found["take"]).unwrap();
    assert_eq!(taken["valid"].as_f64(), Some(best));
    assert!(found["standard_error"].as_f64().unwrap() > 0.0 && found["baselines"]["mean"].is_object(), "{found}");
    for model in models.iter().filter(|model| model["ending"] == "behind") {
        assert!(model["heads_for"].as_f64().unwrap() > best && model["test"] == serde_json::json!({}), "{model}");
    }

    // Again, nothing is trained: what was stopped stays stopped.
    let times = |found: &Value| {
        found["models"].as_array().unwrap().iter().map(|model| model["seconds"].clone()).collect::<Vec<_>>()
    };
    let again = scene.ok_json(&format!("{line} --json"));
    assert_eq!(times(&found), times(&again));
    let text = scene.ok(line);
    assert_holds(&text, &["baseline: mean", &format!("Take {}:", found["take"].as_str().unwrap()), "next: fm report"]);
    // Other comparisons use its runs.
    let winner = found["take"].as_str().unwrap();
    scene.ok(&format!(
        "compare --data books.csv --schema schema.toml --models {winner} --set train.epochs=4 --output auto"
    ));

    scene.fails_with(&format!("{line} --seeds 1,2"), &["`--models auto` chooses the models", "--seeds"]);
    scene.fails_with(&format!("{line} --budget 30"), &["such as 90s, 30m or 2h"]);
}

#[test]
fn an_ensemble_of_seeds_scores_the_mean_of_their_logits_and_is_a_run() {
    let scene = Scene::new();
    let table = scene.ok(
        "compare --data ml --task binary --models fm,deepfm --seeds 4,7 --ensemble --set train.epochs=1 --output board",
    );
    assert_holds(&table, &["ensemble of 2 fm", "ensemble of 2 deepfm"]);
    let board = scene.json("board/leaderboard.json");
    for model in ["fm", "deepfm"] {
        let runs = ["seed-4", "seed-7", "ensemble"].map(|name| format!("board/{model}/{name}"));
        let scores = runs.each_ref().map(|run| {
            scene.ok(&format!("evaluate {run} --output scored.csv"));
            scene.scores("scored.csv")
        });
        for ((a, b), mean) in scores[0].iter().zip(&scores[1]).zip(&scores[2]) {
            assert!((0.5 * (logit(*a) + logit(*b)) - logit(*mean)).abs() < 1e-4, "{a} {b} {mean}");
        }
        let name = format!("ensemble of 2 {model}");
        let line = board["lines"].as_array().unwrap().iter().find(|line| line["name"] == name.as_str()).unwrap();
        let summary = scene.summary(&runs[2]);
        assert_eq!(numbers(&line["test"]["logloss"]["values"]), [summary["test"]["logloss"].as_f64().unwrap()]);
        assert_eq!(summary["parameters"], 2 * scene.summary(&runs[0])["parameters"].as_i64().unwrap() + 1);
        // One file, which scores the same.
        scene.ok(&format!("export {} --output {model}.pt", runs[2]));
        scene.ok(&format!("predict {model}.pt --input scored.csv --output again.csv"));
        let again = scene.scores("again.csv");
        assert!(scores[2].iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-6));
    }
    // Again: finished runs are reused.
    scene.ok("compare --data ml --task binary --models fm --seeds 4,7 --ensemble --set train.epochs=1 --output board");
    for command in ["calibrate", "report", "explain"] {
        let rest = if command == "explain" { " --user 7 --item 5" } else { "" };
        scene.ok(&format!("{command} board/fm/ensemble{rest}"));
    }
    scene.ok("ensemble board/fm/seed-4 board/deepfm/seed-7 --run both");
    assert_holds(&scene.ok("runs ."), &["both"]);
    // There is nothing to train: the results stay.
    let (before, best) = (scene.text("both/summary.json"), scene.bytes("both/checkpoints/best.safetensors"));
    scene.ok("train --resume both");
    assert_eq!((scene.text("both/summary.json"), scene.bytes("both/checkpoints/best.safetensors")), (before, best));
    scene.fails_with("ensemble both board/fm/seed-4 --run both --force", &["both", "is one of the members"]);
}

#[test]
fn runs_on_other_rows_make_no_ensemble() {
    let scene = Scene::new();
    scene.ok("compare --data ml --models fm --seeds 1,2 --set train.epochs=1 --output board");
    let both = "ensemble board/fm/seed-1 board/fm/seed-2 --run both";
    scene.fails_with(both, &["seed-2 was trained on other rows than", "the same `data.seed`"]);
    scene.fails_with("ensemble board/fm/seed-1 --run one", &["2"]);
    scene.fails_with("ensemble board/fm/seed-1 board/fm/seed-1 --run board", &["board"]);
    assert!(!scene.path("both").exists());
    scene.fails_with("compare --data ml --models fm --ensemble", &["--seeds"]);
    scene.fails_with("compare --data ml --models fm --ensemble --seeds 1", &["at least two `--seeds`"]);
}

#[test]
fn runs_of_any_training_make_an_ensemble_and_a_sampled_member_is_not_trained_by_gradients() {
    let scene = Scene::new();
    scene.ok("train --data ml --model fm --epochs 1 --run old");
    let train = "train --data ml --epochs 2 --init-from old --model fm";
    scene.ok(&format!("{train} --run warm"));
    scene.ok("train --data ml --model fm --epochs 2 --set train.update=online --run online");
    scene.ok("train --data ml --model bayesian_fm --epochs 2 --run sampled");
    scene.ok("ensemble warm warm --run of_warm");
    scene.ok("ensemble online sampled --run both");
    scene.ok("evaluate both");
    let members = r#"--set model.options.members=[{name="bayesian_fm"},{name="fm"}]"#;
    let refused = format!("train --data ml --model ensemble {members} --run joint");
    scene.fails_with(&refused, &["bayesian_fm cannot be trained as a member", "`fm ensemble`"]);
    scene.ok("train --data ml --model ensemble --epochs 1 --run joint");
    assert_holds(&scene.text("joint/settings.toml"), &["embedding_dim"]);
}
