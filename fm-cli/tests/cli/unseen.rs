//! Users and items that are not in the training data.

use serde_json::json;

use crate::data::{HEADER, rows};
use crate::scene::{Scene, assert_holds, assert_same_scores};

/// Trains on the rows of readers 1 to 50, and tests on all others and a new book.
fn trained() -> Scene {
    Scene::shared("unseen", train)
}

fn train(scene: &Scene) {
    let (train, mut test): (Vec<String>, Vec<String>) = rows().into_iter().partition(|row| row.as_str() < "r51");
    assert!(test.iter().all(|row| row.starts_with("r5") || row.starts_with("r6")));
    test.push("r01,new,\"A new book\",kind1|shelf1,9.5,9999,4\n".into());
    scene.write("train.csv", HEADER.to_owned() + &train.concat());
    scene.write("test.csv", HEADER.to_owned() + &test.concat());
    scene.ok("train --train train.csv --test test.csv --schema schema.toml --model fm --epochs 2 --run run");
}

#[test]
fn predict_scores_unknown_users_and_items_and_counts_their_rows() {
    let scene = trained();
    scene.write("rows.csv", format!("{HEADER}r01,b02,x,kind2,7.2,1,3\nr99,b02,x,kind2,7.2,1,3\nr01,b999,x,,,1,3\n"));
    let output = scene.run("predict run --input rows.csv --output scored.csv");
    assert_holds(
        &String::from_utf8(output.stderr).unwrap(),
        &["WARN", "the reader is unknown in 1 of 3 rows", "the book is unknown in 1 of 3 rows"],
    );
    let scores = scene.scores("scored.csv");
    assert!(scores.iter().all(|score| (1.0..=5.0).contains(score)), "{scores:?}");

    // All unknown users and a missing one score alike.
    scene.write("others.csv", format!("{HEADER}r98,b02,x,kind2,7.2,1,3\n,b02,x,kind2,7.2,1,3\n"));
    scene.ok("predict run --input others.csv --output others-scored.csv");
    assert_same_scores(&scene.scores("others-scored.csv"), &[scores[1], scores[1]]);
}

#[test]
fn predict_warns_of_no_unknown_values_if_there_are_none() {
    let scene = trained();
    scene.write("rows.csv", format!("{HEADER}r01,b02,x,kind2,7.2,1,3\n"));
    assert_eq!(scene.warnings_of_copy("predict run --input rows.csv --output scored.csv"), [""; 0]);
}

#[test]
fn evaluate_counts_rows_of_unknown_users_and_items() {
    let scene = trained();
    let rows = scene.column("test.csv", "reader").len();
    let evaluated = scene.ok_json("evaluate run --json");
    assert_eq!(evaluated["rows"], json!(rows));
    let unknown = evaluated["unknown"].as_object().unwrap();
    assert_eq!((&unknown["reader"], &unknown["book"]), (&json!(rows - 1), &json!(1)));
    // A missing number is unknown. A missing list has no slots.
    let missing = scene.column("test.csv", "price").iter().filter(|price| price.is_empty()).count();
    assert_eq!((&unknown["price"], &unknown["tags"]), (&json!(missing), &json!(0)));
    let text = scene.ok("evaluate run");
    assert_holds(&text, &[&format!("test ({rows} rows, book unknown in 1, reader unknown in {}):", rows - 1)]);
    assert!(!scene.ok("evaluate run --part train").contains("unknown"));
}

#[test]
fn recommend_warns_about_an_unknown_user_and_lists_what_suits_anyone() {
    let scene = trained();
    let output = scene.run("recommend run --user nobody --json");
    assert_holds(&String::from_utf8(output.stderr).unwrap(), &["WARN", "user nobody is not in the data"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&list["known_user"], list["items"].as_array().unwrap().len()), (&json!(false), 10));
}

#[test]
fn a_user_of_the_test_rows_alone_is_unknown_to_the_model() {
    let scene = trained();
    let warned = scene.warnings_of_copy("recommend run --user r55");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert_holds(&warned[0], &["training does not know user r55, who is in the data"]);
    assert_eq!(scene.warnings_of_copy("recommend run --user r01"), [""; 0]);
    let warned = scene.warnings_of_copy("explain run --user r55 --item new");
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert_holds(&warned.concat(), &["does not know user r55", "does not know item new"]);
}
