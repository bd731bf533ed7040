//! Training day after day, each day from where the last one ended.

use serde_json::Value;
use toml::Value as Toml;

use crate::data::{HEADER, rows};
use crate::scene::{Scene, assert_holds};

const TRAIN: &str = "train --schema schema.toml --model fm --split random:0.1:0.1";

/// Two days of rows. The readers of the first day also occur on the second, which has others, too.
fn two_days() -> Scene {
    Scene::shared("two days", |scene| {
        let rows = rows();
        let (first, second) = rows.split_at(rows.len() / 2);
        let known: Vec<&str> = first.iter().map(String::as_str).filter(|row| *row < "r50").collect();
        scene.write("day-1.csv", HEADER.to_owned() + &known.concat());
        scene.write("day-2.csv", HEADER.to_owned() + &second.concat());
        // The best epoch is not the last one.
        scene.ok(&format!("{TRAIN} --data day-1.csv --epochs 8 --lr 0.2 --patience 0 --run day-1 --set train.keep=1"));
    })
}

#[test]
fn the_state_of_the_optimizer_is_kept_in_whole_in_part_or_not_at_all() {
    let scene = two_days();
    let checkpoint = |run: &str| scene.bytes(&format!("{run}/checkpoints/best.safetensors"));
    let second = format!("{TRAIN} --data day-2.csv --epochs 1 --init-from day-1");
    for (run, flags, said) in [
        ("fresh", "", None),
        ("kept", "--init-state keep", Some(", and the optimizer's state\n")),
        ("half", "--init-state keep --set init_state_decay=0.5", Some(", and the optimizer's state times 0.5\n")),
    ] {
        let output = scene.run(&format!("{second} {flags} --run {run}"));
        let said_by = String::from_utf8(output.stderr).unwrap();
        assert_holds(&said_by, &["initialized from ", " values of reader"]);
        match said {
            Some(said) => assert_holds(&said_by, &[said]),
            None => assert!(!said_by.contains("optimizer's state"), "{said_by}"),
        }
    }
    assert!(checkpoint("fresh") != checkpoint("kept"));
    assert!(checkpoint("half") != checkpoint("kept"));
    assert!(checkpoint("half") != checkpoint("fresh"));
}

#[test]
fn a_state_that_cannot_be_kept_is_an_error_of_one_line() {
    let scene = two_days();
    let second = format!("{TRAIN} --data day-2.csv --epochs 1 --init-from day-1 --init-state keep --run day-2 --quiet");
    for (flags, expected) in [
        ("--optimizer adagrad", "has the state of batch updates by adam, but the new run has batch updates by adagrad"),
        ("--set train.update=online --optimizer adam", "but the new run has online updates by adam"),
        ("--set init_state_decay=0", "init_state_decay is 0: it must be a number above 0 and at most 1"),
        ("--set init_state_decay=nan", "init_state_decay is NaN"),
        ("--set init_state=kept", "unknown variant `kept`"),
    ] {
        assert_holds(&scene.fails(&format!("{second} {flags}")), &[expected]);
        assert!(!scene.path("day-2").exists(), "{flags}");
    }
    // The best epoch's state is lost, unless it is that of the last epoch.
    let steps = std::fs::read_dir(scene.path("day-1/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let steps: Vec<_> = steps.filter(|path| path.to_str().unwrap().contains("step-")).collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
    std::fs::remove_file(&steps[0]).unwrap();
    let error = scene.fails(&second);
    assert_holds(
        &error,
        &["no checkpoint with the optimiser's state after its best epoch, ", "start with a fresh state"],
    );
}

/// The vocabulary of a run's field, or its whole declaration.
fn field(scene: &Scene, run: &str, name: &str) -> Value {
    let schema = scene.json(&format!("{run}/schema.json"));
    schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone()
}

#[test]
fn a_run_and_new_rows_suffice_for_the_next_day() {
    let scene = two_days();
    scene.ok("train --data day-2.csv --init-from day-1 --run day-2");
    let settings = |run: &str| -> toml::Table {
        let mut settings: toml::Table = toml::from_str(&scene.text(&format!("{run}/settings.toml"))).unwrap();
        settings.remove("init_from");
        settings["data"].as_table_mut().unwrap().remove("data");
        settings
    };
    assert_eq!(settings("day-2"), settings("day-1"));
    let words = |run: &str, name: &str| -> Vec<String> {
        serde_json::from_value(field(&scene, run, name)["vocabulary"].clone()).unwrap()
    };
    for name in ["reader", "book", "tags"] {
        let (before, now) = (words("day-1", name), words("day-2", name));
        assert_eq!(now[..before.len()], before);
        let mut distinct = now.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), now.len());
    }
    assert!(words("day-2", "reader").len() > words("day-1", "reader").len());
    let price = |run: &str| {
        let field = field(&scene, run, "price");
        (field["mean"].clone(), field["std"].clone())
    };
    assert_eq!(price("day-2"), price("day-1"));

    // The values and statistics of the new rows alone.
    scene.ok(
        "train --data day-2.csv --init-from day-1 --run fresh --set init_vocabulary=fresh --set init_statistics=fresh",
    );
    scene.ok(&format!("{TRAIN} --data day-2.csv --epochs 1 --run alone"));
    assert_eq!((words("fresh", "reader"), price("fresh")), (words("alone", "reader"), price("alone")));
    assert_ne!(price("fresh"), price("day-1"));

    // What the earlier run had is in the new one.
    std::fs::remove_dir_all(scene.path("day-1")).unwrap();
    std::fs::remove_file(scene.path("day-1.csv")).unwrap();
    let before = scene.metrics("day-2");
    std::fs::remove_dir_all(scene.path("data/cache")).unwrap();
    scene.ok("train --resume day-2");
    assert_eq!(scene.metrics("day-2"), before);
    scene.ok("evaluate day-2");
    scene.fails_with("train --data day-2.csv --init-from day-1", &["day-1 is not a usable run", "settings.toml"]);
}

#[test]
fn settings_of_the_earlier_run_are_taken_unless_they_depend_on_what_is_given() {
    let scene = two_days();
    let printed = |flags: &str| -> toml::Table {
        let text = scene.ok(&format!("train --data day-2.csv --init-from day-1 --print-config {flags}"));
        toml::from_str(&text).unwrap()
    };
    let same = printed("");
    assert_eq!((&same["train"]["lr"], &same["train"]["epochs"]), (&Toml::from(0.2), &Toml::from(8)));
    assert_eq!(same["model"]["name"].as_str(), Some("fm"));
    let other = printed("--optimizer ftrl --epochs 2");
    assert_eq!((&other["train"]["lr"], &other["train"]["epochs"]), (&Toml::from(0.1), &Toml::from(2)));
    let other = printed("--model lr --task binary --threshold 4");
    assert_eq!((&other["train"]["l2"], &other["train"]["patience"]), (&Toml::from(0.005), &Toml::from(0)));
    assert!(other["model"]["options"].get("embedding_dim").is_none());
}

/// The metrics of a part in the changes since the earlier run, and the fields by name.
fn changes(scene: &Scene, run: &str) -> Value {
    scene.json(&format!("{run}/values.json"))["changes"].clone()
}

#[test]
fn a_day_is_compared_with_the_run_before_whose_data_is_gone() {
    let scene = two_days();
    let rows = rows();
    let (second, later) = rows[rows.len() / 2..].split_at(rows.len() / 3);
    scene.write("second.csv", HEADER.to_owned() + &second.concat());
    scene.write("later.csv", HEADER.to_owned() + &later.concat());
    std::fs::remove_file(scene.path("day-1.csv")).unwrap();
    let line = "train --train second.csv --test later.csv --split random:0:0 --init-from day-1 --epochs 1 --run day-2";
    let output = scene.run(line);
    assert_holds(&String::from_utf8(output.stderr).unwrap(), &["the training rows beside those of ", "unknown before"]);
    assert_holds(&String::from_utf8(output.stdout).unwrap(), &["fm, test", "before, test"]);
    let changes = changes(&scene, "day-2");

    // The model of the run before, on the same rows.
    let evaluated = scene.ok_json("evaluate day-1 --data later.csv --json");
    for (metric, expected) in evaluated["metrics"].as_object().unwrap() {
        let (expected, found) = (expected.as_f64().unwrap(), changes["test"][metric].as_f64().unwrap());
        assert!((expected - found).abs() < 1e-5, "{metric}: {expected} and {found}");
    }
    // The new model is another one.
    assert_ne!(scene.summary("day-2")["test"]["rmse"], changes["test"]["rmse"]);

    // The rows beside the training rows of the run before, encoded as that run does.
    let evaluated = scene.ok_json("evaluate day-1 --data second.csv --drift --json");
    let [by_run, by_new] = [&evaluated["drift"], &changes["fields"]].map(|fields| fields.as_array().unwrap());
    assert_eq!(by_run.len(), 4);
    for (run, new) in by_run.iter().zip(by_new) {
        assert_eq!(run["field"], new["field"]);
        for name in ["psi", "unknown", "unknown_before"] {
            assert!((run[name].as_f64().unwrap() - new[name].as_f64().unwrap()).abs() < 1e-6, "{run} {new}");
        }
    }
    let reader = by_new.iter().find(|field| field["field"] == "reader").unwrap();
    assert!(
        reader["new_values"].as_u64().unwrap() > 0 && reader["unknown"].as_f64() > reader["unknown_before"].as_f64()
    );
    let table = scene.ok("evaluate day-1 --data second.csv --drift");
    assert_holds(&table, &["new rows of second.csv", "field", "psi", "reader"]);
    assert!(!scene.ok("evaluate day-1 --data second.csv").contains("psi"));

    scene.ok("report day-1 day-2 -o report.html");
    let since = ["day-2: test rows, since training", "day-2: training rows, since "];
    assert_holds(
        &scene.text("report.html"),
        &["What has changed", since[0], since[1], "rmse, test", "before", "after"],
    );
    // Its data is gone.
    scene.ok("report day-1 -o report.html");
    assert!(!scene.text("report.html").contains("What has changed"));
}

#[test]
fn stored_distributions_are_checked_and_may_be_missing() {
    let scene = two_days();
    let text = scene.text("day-1/values.json");
    assert_holds(&scene.ok("verify day-1"), &["whole"]);
    scene.write("day-1/values.json", text.replace("\"unknown\": 0.0", "\"unknown\": 0.5"));
    let changed = &["values.json is not a usable file of values: it has been changed since it was written"];
    scene.fails_with("verify day-1", changed);
    scene.fails_with("evaluate day-1 --data day-2.csv --drift", changed);
    scene.write("day-1/values.json", "{");
    scene.fails_with(
        "train --data day-2.csv --init-from day-1 --run day-2 --quiet",
        &["values.json is not a usable file"],
    );
    std::fs::remove_file(scene.path("day-1/values.json")).unwrap();
    scene.fails_with("evaluate day-1 --data day-2.csv --drift", &["day-1 has no values.json", "train it again"]);
    let output = scene.run("train --data day-2.csv --init-from day-1 --epochs 1 --run day-2");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_holds(&said, &["has not stored the distribution of its values: nothing to compare with"]);
    assert!(changes(&scene, "day-2")["fields"].as_array().unwrap().is_empty());
}

#[test]
fn progressive_validation_needs_no_other_rows_and_goes_on_from_day_to_day() {
    let scene = two_days();
    let line = "train --data day-2.csv --split random:0:0 --init-from day-1 --set train.progressive=true --run day-2";
    let output = scene.run(line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_holds(&said, &["progressive, ", " of 1,500 rows  rmse "]);
    assert!(!said.contains("no validation rows"), "{said}");
    assert_holds(&String::from_utf8(output.stdout).unwrap(), &["fm, progressive"]);
    let [epoch] = &scene.metrics("day-2")[..] else { panic!("one pass") };
    assert_eq!(epoch["progressive"], scene.summary("day-2")["progressive"]);
    assert!(epoch["valid"].as_object().unwrap().is_empty());
    // What the run before predicts is better than what a new one does before it has learned anything.
    scene.ok(&line
        .replace("--init-from day-1", "--schema schema.toml --model fm --lr 0.2")
        .replace("--run day-2", "--run new"));
    let rmse = |run: &str| scene.summary(run)["progressive"]["rmse"].as_f64().unwrap();
    assert!(rmse("day-2") < rmse("new"), "{} {}", rmse("day-2"), rmse("new"));
    scene.ok("train --resume day-2");
    assert!(scene.warnings("evaluate day-2 --part train").is_empty());
    // The rows are in the order of their times, whatever their order in the file.
    let mut lines: Vec<String> = scene.text("day-2.csv").lines().skip(1).map(|line| format!("{line}\n")).collect();
    lines.reverse();
    scene.write("reversed.csv", HEADER.to_owned() + &lines.concat());
    scene.ok(&line.replace("day-2.csv", "reversed.csv").replace("--run day-2", "--run reversed"));
    assert_eq!(scene.metrics("reversed"), scene.metrics("day-2"));
    scene.fails_with(
        &format!("{line} --force --epochs 2 --quiet"),
        &["epochs is 2: it must be 1 with progressive validation"],
    );
    scene.fails_with(
        &format!("{line} --force --model bayesian_fm --quiet").replace("--init-from day-1", "--schema schema.toml"),
        &["progressive validation is not for a model that is sampled"],
    );
}
