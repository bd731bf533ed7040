//! Data and declarations that change, or move, after training.

use crate::scene::{FM_ON_BOOKS, Scene, assert_holds};

/// The table with its rows in reverse order.
fn reordered(scene: &Scene) -> String {
    let text = scene.text("books.csv");
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    format!("{header}\n{}\n", rows.join("\n"))
}

#[test]
fn evaluate_warns_that_training_rows_may_be_among_the_test_rows() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    assert_eq!(scene.warnings_of_copy("evaluate run"), [""; 0]);
    scene.write("books.csv", reordered(&scene));
    let output = scene.run("evaluate run");
    assert_holds(&String::from_utf8(output.stderr).unwrap(), &["WARN", "the data has changed since training"]);
}

#[test]
fn a_run_is_not_resumed_on_other_rows() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    scene.write("books.csv", reordered(&scene));
    scene.fails_with("train -q --resume run", &["the data has changed since", "was trained"]);
}

#[test]
fn a_run_keeps_its_declaration() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    let before = scene.ok("evaluate run");
    std::fs::remove_file(scene.path("schema.toml")).unwrap();
    assert_eq!(scene.ok("evaluate run"), before);
    scene.ok("export run --output model.pt");
    assert_eq!(scene.ok("recommend model.pt --user r01 --top 3"), scene.ok("recommend run --user r01 --top 3"));
}

#[test]
fn recommendations_differ_by_item_even_if_no_side_is_declared() {
    let scene = Scene::new();
    let declared: String =
        scene.text("schema.toml").lines().filter(|l| !l.starts_with("side")).map(|l| format!("{l}\n")).collect();
    scene.write("schema.toml", declared);
    scene.ok(FM_ON_BOOKS);
    let recommended = scene.ok_json("recommend run --user r01 --top 5 --json");
    let scores: Vec<f64> =
        recommended["items"].as_array().unwrap().iter().map(|i| i["score"].as_f64().unwrap()).collect();
    assert!(scores.first() > scores.last(), "{scores:?}");
}

#[test]
fn a_table_can_have_columns_that_the_others_lack() {
    let scene = Scene::new();
    let more: String = scene.text("books.csv").lines().map(|line| format!("{line},x\n")).collect();
    scene.write("more.csv", more.replacen(",x\n", ",unused\n", 1));
    scene.ok("train --train more.csv --valid books.csv --schema schema.toml --model lr --epochs 1 --run run");
}

#[test]
fn a_validation_metric_that_is_not_a_number_means_divergence() {
    let scene = Scene::new();
    let line =
        "train --data ml --model lr --optimizer sgd --lr 1e39 --batch-size 200000 --epochs 1 --history 0 --run run -q";
    scene.fails_with(line, &["over the validation rows became", "lower the learning rate"]);
}
