//! Explanations of predictions.

use serde_json::{Value, json};

use crate::data::{ACCENTED, UNRATED};
use crate::every_kind;
use crate::scene::{FM_ON_BOOKS, FM_ON_ML, Scene, assert_holds, assert_same_scores};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// The sum of a list of terms.
fn total(terms: &Value) -> f64 {
    list(terms).iter().map(|term| number(&term["term"])).sum()
}

/// Asserts that the terms of the formula and the Shapley values both add up to the logit.
#[track_caller]
fn assert_adds_up(explained: &Value) {
    let (parts, logit) = (&explained["parts"], number(&explained["logit"]));
    if !parts.is_null() {
        let terms = ["first_order", "pairs", "lumps"].iter().filter(|kind| !parts[*kind].is_null());
        let sum = number(&parts["bias"]) + terms.map(|kind| total(&parts[*kind])).sum::<f64>();
        assert!((sum - logit).abs() < 1e-5 * logit.abs().max(1.0), "{sum}, not {logit}");
        assert_eq!(parts["exact"], json!(list(&parts["lumps"]).is_empty()));
        if !parts["pairs"].is_null() {
            assert!((total(&parts["pairs"]) - total(&parts["pairs_of_fields"])).abs() < 1e-5, "{parts}");
        }
    }
    let shapley = &explained["shapley"];
    let sum = number(&shapley["baseline"]) + total(&shapley["fields"]);
    assert!((sum - logit).abs() < 1e-5 * logit.abs().max(1.0), "{sum}, not {logit}");
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[test]
fn the_explanation_of_every_model_adds_up_to_the_prediction() {
    let (scene, models) = every_kind::trained();
    for (number_of_model, model) in models.iter().enumerate() {
        let explained = scene.ok_json(&format!("explain {model} --user r01 --item b17 --json"));
        assert_adds_up(&explained);
        let (logit, prediction) = (number(&explained["logit"]), number(&explained["prediction"]));
        // The stars of the rows are 1, 2 and 4.
        let expected = if number_of_model % 2 == 1 { sigmoid(logit) } else { logit.clamp(1.0, 4.0) };
        assert!((expected - prediction).abs() < 1e-6, "{model}: {expected} and {prediction}");
    }
    let page = scene.ok(&format!("explain {} --user r01 --item b17", models[1]));
    assert_holds(&page, &["predicted probability 0.", " that stars is at least 3", "in log-odds"]);
}

/// Rows whose clicks follow from one field, and a little from another.
fn clicks() -> String {
    let mut state = 1u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let row = |_| {
        let (strong, weak, useless) = (random(10), random(10), random(10));
        let click = u64::from(6 * strong + 2 * weak + random(30) > 50);
        format!("s{strong},w{weak},u{useless},{click}\n")
    };
    "strong,weak,useless,click\n".to_owned() + &(0..4000).map(row).collect::<String>()
}

#[test]
fn the_field_that_decides_comes_first_and_a_useless_one_has_zero_within_its_interval() {
    let scene = Scene::new();
    scene.write("clicks.csv", clicks());
    scene.ok("train --data clicks.csv --label click --model lr --epochs 15 --run run");
    let found = scene.ok_json("explain run --json");
    let fields = list(&found["fields"]);
    let names: Vec<&str> = fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["strong", "weak"], "{found}");
    let useless = &fields[2];
    for measure in ["shuffled", "missing"] {
        let estimate = |field: &Value| (number(&field[measure]["value"]), number(&field[measure]["standard_error"]));
        let ((most, error), (least, error_of_least)) = (estimate(&fields[0]), estimate(useless));
        assert!(most > 3.0 * error && least.abs() < 3.0 * error_of_least, "{measure}: {found}");
    }
    let test = scene.summary("run")["test"]["logloss"].as_f64().unwrap();
    assert!((number(&found["value"]) - test).abs() < 1e-9 && found["count"] == 400, "{found}");
    let page = scene.ok("explain run --top 2");
    assert_holds(&page, &["logloss 0.", " on 400 test rows", "strong ", "and 1 more fields", "mean |Shapley|: "]);
    assert_holds(&scene.ok("explain run --part valid"), &["on 400 validation rows"]);
    scene.ok("export run --output model.pt");
    scene.fails_with("explain model.pt", &["model.pt is an exported file", "--row FIELD=VALUE"]);
    scene.fails_with("explain run --user 1", &["--item"]);
}

#[test]
fn the_fields_of_a_ranking_are_measured_over_users() {
    let scene = Scene::after(&["train --data ml --model fm --task ranking --epochs 1 --run run"]);
    let found = scene.ok_json("explain run --json");
    let test = scene.summary("run")["test"]["ndcg@10"].as_f64().unwrap();
    assert!((number(&found["value"]) - test).abs() < 1e-6 && found["measured"] == "users", "{found}");
    scene.ok("train --data ml --model fm --task ranking --epochs 1 --run of_lists --set train.monitor=coverage@5");
    scene.fails_with("explain of_lists", &["coverage@5 is not a mean over users"]);
}

#[test]
fn a_row_of_the_data_is_explained_with_its_label() {
    let scene = Scene::after(&["train --data ml --model deepfm --epochs 2 --run run"]);
    for part in ["train", "valid", "test"] {
        scene.ok(&format!("evaluate run --part {part} --output {part}.csv"));
        let rows = [scene.column(&format!("{part}.csv"), "user_id"), scene.column(&format!("{part}.csv"), "movie_id")];
        let labels = scene.column(&format!("{part}.csv"), "rating");
        for (row, score) in scene.scores(&format!("{part}.csv")).into_iter().enumerate().step_by(2000) {
            let (user, film) = (&rows[0][row], &rows[1][row]);
            let explained = scene.ok_json(&format!("explain run --user {user} --movie {film} --json"));
            assert_adds_up(&explained);
            assert_same_scores(&[number(&explained["prediction"])], &[score]);
            let label: f64 = labels[row].parse().unwrap();
            assert_eq!((&explained["part"], number(&explained["label"])), (&json!(part), label));
            let page = scene.ok(&format!("explain run --user {user} --movie {film}"));
            assert_holds(&page, &[&format!("actual rating {label}: a {part} row")]);
        }
    }
}

#[test]
fn the_explanation_of_an_unrated_item_has_its_recommended_score() {
    let scene = Scene::after(&[FM_ON_ML]);
    let list = scene.ok_json("recommend run --user 7 --top 1000 --json");
    for item in list["items"].as_array().unwrap().iter().step_by(20) {
        let film = item["item"].as_str().unwrap();
        let explained = scene.ok_json(&format!("explain run --user 7 --item {film} --json"));
        assert_adds_up(&explained);
        assert_same_scores(&[number(&explained["prediction"])], &[number(&item["score"])]);
        assert_eq!((&explained["title"], &explained["label"]), (&item["title"], &Value::Null));
    }
    let unrated = scene.ok_json(&format!("explain run --user 7 --item {UNRATED} --json"));
    assert_eq!((&unrated["known_item"], &unrated["title"]), (&json!(true), &json!("Film 80 (1990)")));
    // The values of the history are films, which have titles.
    let values = list_of_values(&unrated["parts"]["first_order"]);
    let history: Vec<&Value> = values.iter().filter(|value| value["field"] == "history").collect();
    assert!(history.len() > 5 && history.iter().all(|value| value["title"].as_str().unwrap().contains(" (")));
}

#[test]
fn implicit_feedback_is_a_field_in_training_and_in_recommendations() {
    let scene = Scene::new();
    let data = "--data ml --implicit 5 --history 0";
    assert_holds(&scene.ok("data inspect ml --implicit 5"), &["rated", "raters"]);
    scene.ok(&format!("train {data} --model bayesian_fm --epochs 3 --split random:0:0.2 --run run"));
    assert_eq!(scene.summary("run")["rows"]["valid"], 0);
    let list = scene.ok_json("recommend run --user 7 --top 3 --json");
    for item in list["items"].as_array().unwrap() {
        let film = item["item"].as_str().unwrap();
        let explained = scene.ok_json(&format!("explain run --user 7 --item {film} --json"));
        // A score has no limits.
        assert_same_scores(&[number(&explained["prediction"])], &[number(&item["score"]).clamp(1.0, 5.0)]);
        let values = list_of_values(&explained["parts"]["first_order"]);
        let titles = |name: &str| -> Vec<bool> {
            let of_field = values.iter().filter(|value| value["field"] == name);
            of_field.map(|value| value["title"].is_string()).collect()
        };
        // Films have titles, users do not.
        assert_eq!((titles("rated"), titles("raters")), (vec![true; 5], vec![false; 5]));
    }
    let refused = format!("train {data} --model fm --task ranking --split leave-last-out --run ranking");
    scene.fails_with(&refused, &["leave out `implicit`", "`history`"]);
}

fn list_of_values(terms: &Value) -> Vec<Value> {
    list(terms).iter().map(|term| term["of"].clone()).collect()
}

/// The terms and the sum of each table on a page that has a sum.
fn tables(page: &str) -> Vec<(Vec<f64>, f64)> {
    let (mut tables, mut terms) = (vec![], vec![]);
    for line in page.lines() {
        let term = line.split_whitespace().next().filter(|word| word.starts_with(['+', '-']));
        match term {
            Some(term) if line.ends_with("  logit") => tables.push((std::mem::take(&mut terms), term.parse().unwrap())),
            Some(term) => terms.push(term.parse().unwrap()),
            None if line.is_empty() => terms.clear(),
            None => {}
        }
    }
    tables
}

#[test]
fn the_printed_terms_add_up_to_the_logit_for_any_number_of_them() {
    let scene = Scene::new();
    for (model, headings) in [
        ("fm", &["Exact: the formula", "pairs that pull up", "pairs that pull down", "summed by field"][..]),
        ("xdeepfm", &["Not exact", "\"CIN\" and \"deep part\"", "without terms of single pairs"]),
    ] {
        scene.ok(&format!("train --data ml --model {model} --epochs 4 --lr 0.02 --run {model}"));
        for top in [3, 10_000] {
            let page = scene.ok(&format!("explain {model} --user 7 --item 1 --top {top}"));
            assert_holds(&page, headings);
            assert_holds(&page, &["predicted rating ", "units of rating", "Shapley", "2048 rows scored", ACCENTED]);
            assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
            assert_eq!(page.contains(" other "), top < 10_000, "{page}");
            let tables = tables(&page);
            assert_eq!(tables.len(), 2, "{page}");
            for (terms, logit) in tables {
                let rounding = 0.5e-4 * (terms.len() + 1) as f64;
                assert!((terms.iter().sum::<f64>() - logit).abs() <= rounding, "{terms:?} {logit} in {page}");
            }
        }
    }
}

#[test]
fn an_unknown_user_is_explained_and_reported_as_unknown() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    let output = scene.run("explain run --user nobody --item nothing --json");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_holds(&stderr, &["WARN", "user nobody is not in the data", "item nothing is not in the data"]);
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_adds_up(&explained);
    assert_eq!((&explained["known_user"], &explained["known_item"]), (&json!(false), &json!(false)));
    // An unknown value has the same effect as a missing one.
    assert_same_scores(&[number(&explained["logit"])], &[number(&explained["shapley"]["baseline"])]);
    let page = scene.ok("explain run --user nobody --item nothing");
    let heading = "user nobody (not in the data), item [nothing] (not in the data)";
    assert_holds(&page, &[heading, "reader=nobody (unknown)", "price missing"]);
    let known = scene.ok_json("explain run --user r01 --item nothing --json");
    assert_eq!((&known["known_user"], &known["known_item"]), (&json!(true), &json!(false)));
}

#[test]
fn a_row_of_the_command_line_needs_no_data_and_has_the_score_of_predict() {
    let scene = Scene::after(&["train --data books.csv --schema schema.toml --model deepfm --epochs 1 --run run"]);
    scene.ok("export run -o model.pt --with-catalogue");
    scene.write("rows.csv", "reader,book,tags,price\nr01,b02,kind2|new|shelf2|newer,7.5\n");
    scene.ok("predict run --input rows.csv --output scored.csv");
    std::fs::remove_file(scene.path("books.csv")).unwrap();
    let row = "--row reader=r01 --row book=b02 --row tags=kind2|new|shelf2|newer --row price=7.5";
    let explained = scene.ok_json(&format!("explain run {row} --json"));
    assert_adds_up(&explained);
    assert_same_scores(&[number(&explained["prediction"])], &scene.scores("scored.csv"));
    assert!(explained.get("user").is_none() && explained.get("label").is_none());
    // Values that are not in the training data share a slot.
    let values = list_of_values(&explained["parts"]["first_order"]);
    let unknown: Vec<&Value> = values.iter().filter(|value| value["known"] == json!(false)).collect();
    assert_eq!(unknown, [&json!({ "field": "tags", "value": "new, newer", "title": null, "known": false })]);

    let of_file = scene.ok_json(&format!("explain model.pt {row} --json"));
    assert_adds_up(&of_file);
    assert_eq!(of_file["parts"], Value::Null);
    let values = |explained: &Value| -> Vec<f64> {
        list(&explained["shapley"]["fields"]).iter().map(|field| number(&field["term"])).collect()
    };
    assert_same_scores(&values(&of_file), &values(&explained));
    let page = scene.ok(&format!("explain model.pt {row}"));
    assert_holds(&page, &["contain the formula", "Shapley", "book=Book 2, or é [b02]", "16 rows scored", "logit"]);

    // The mean price has x = 0, a missing price x = 1. All other fields are missing.
    let mean = scene.json("run/schema.json")["fields"][3]["mean"].clone();
    let alone = scene.ok_json(&format!("explain run --row price={mean} --json"));
    assert_adds_up(&alone);
    let fields = list(&alone["shapley"]["fields"]);
    assert_eq!((fields.len(), &fields[0]["of"][0]["field"]), (1, &json!("price")));
    assert!(number(&fields[0]["term"]).abs() > 1e-6, "{alone}");
}

#[test]
fn an_exported_file_explains_users_and_items_of_the_data() {
    let scene = Scene::new();
    scene.ok("train --data ml --model fm --task binary --epochs 2 --run run");
    scene.ok("export run -o model.pt");
    let (of_run, of_file) = (
        scene.ok_json("explain run --user 3 --item 4 --json"),
        scene.ok_json("explain model.pt --user 3 --item 4 --json"),
    );
    assert_same_scores(&[number(&of_file["prediction"])], &[number(&of_run["prediction"])]);
    assert_eq!(of_file["shapley"]["rows"], json!(2048));
    std::fs::rename(scene.path("ml"), scene.path("moved")).unwrap();
    let error = scene.fails("explain model.pt --user 3 --item 4");
    assert_holds(&error, &["ml", "--row FIELD=VALUE explains a row without the data"]);
    assert_eq!(scene.ok_json("explain model.pt --user 3 --item 4 --data moved --json"), of_file);
}

/// Fourteen fields have too many subsets, so values are estimated. For an FM, which has only pairs, the estimate is exact.
#[test]
fn shapley_values_of_many_fields_are_estimates_with_a_standard_error() {
    let scene = Scene::new();
    let names: Vec<String> = (0..14).map(|field| format!("f{field}")).collect();
    let fields = names.iter().map(|name| format!("[[field]]\nname = \"{name}\"\nkind = \"categorical\"\n"));
    scene.write("many.toml", format!("label = \"y\"\n{}", fields.collect::<String>()));
    let row = |n: usize| (0..14).map(|field| format!("v{},", n * (field + 3) % 5)).collect::<String>();
    let rows = (0..200).map(|n| format!("{}{}\n", row(n), n % 7)).collect::<String>();
    scene.write("many.csv", format!("{},y\n{rows}", names.join(",")));
    scene.ok("train --data many.csv --schema many.toml --model fm --epochs 3 --run run");
    let row: String = names.iter().map(|name| format!(" --row {name}=v0")).collect();
    let explained = scene.ok_json(&format!("explain run{row} --json"));
    assert_adds_up(&explained);
    assert_eq!(explained["shapley"]["rows"], json!(2 * 100 * 13 + 2));
    assert!(number(&explained["shapley"]["standard_error"]) < 1e-6);
    assert_holds(&scene.ok(&format!("explain run{row}")), &["Estimated with standard errors of at most 0.0000"]);
}

#[test]
fn an_invalid_explanation_is_an_error_of_one_line() {
    let scene = Scene::after(&["train --data books.csv --schema schema.toml --model lr --epochs 1 --run run"]);
    for (line, words) in [
        ("explain run --user r01", &["--item"][..]),
        ("explain run --user r01 --item b01 --part valid", &["--part"]),
        ("explain run --row reader=r01 --user r01", &["--row", "--user"]),
        ("explain run --row reader", &["FIELD=VALUE", "`=` is missing"]),
        ("explain run --row writer=r01", &["unknown field `writer`", "reader, book, tags, price"]),
        ("explain run --row book=b01 --row book=b02", &["`book` is given twice", "`b01`", "`b02`"]),
        ("explain run --user r01 --item b01 --top 0", &["at least 1"]),
        ("explain none --user r01 --item b01", &["cannot read none"]),
        ("explain books.csv --user r01 --item b01", &["books.csv", "not a TorchScript archive"]),
    ] {
        scene.fails_with(line, words);
    }
}
