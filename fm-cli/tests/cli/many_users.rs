//! `fm recommend --users`: recommendations for many users.

use std::collections::BTreeMap;

use crate::scene::{FM_ON_BOOKS, FM_ON_ML, Scene, assert_holds};

/// The items and scores of each user in a table that the command wrote.
fn lists(scene: &Scene, file: &str) -> BTreeMap<String, Vec<(String, f64)>> {
    let (users, items) = (scene.column(file, "user"), scene.column(file, "item"));
    let mut lists: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    let ranks = scene.column(file, "rank");
    for (((user, item), score), rank) in users.into_iter().zip(items).zip(scene.scores(file)).zip(ranks) {
        let list = lists.entry(user).or_default();
        list.push((item, score));
        assert_eq!(rank, list.len().to_string());
    }
    lists
}

/// The items and scores that the command recommends to one user.
fn alone(scene: &Scene, flags: &str) -> Vec<(String, f64)> {
    let found = scene.ok_json(&format!("recommend {flags} --json"));
    let item = |item: &serde_json::Value| (item["item"].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap());
    found["items"].as_array().unwrap().iter().map(item).collect()
}

#[track_caller]
fn assert_same(found: &[(String, f64)], expected: &[(String, f64)]) {
    let close = |(a, b): (&(String, f64), &(String, f64))| a.0 == b.0 && (a.1 - b.1).abs() < 1e-5;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(close), "{found:?}, not {expected:?}");
}

#[test]
fn all_users_together_get_what_each_gets_alone() {
    for command in [FM_ON_BOOKS, FM_ON_ML, "train --data ml --model deepfm --task ranking --epochs 1 --run run"] {
        let scene = Scene::after(&[command]);
        scene.ok("recommend run --users all --top 3 --output all.csv");
        let lists = lists(&scene, "all.csv");
        assert!(lists.len() > 5, "{command}");
        for (user, found) in lists.iter().step_by(lists.len() / 5) {
            assert_same(found, &alone(&scene, &format!("run --user {user} --top 3")));
        }
    }
}

#[test]
fn users_of_a_file_are_those_of_its_column_and_items_can_be_left_out() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    let best = alone(&scene, "run --user r01 --top 1")[0].0.clone();
    scene.write("users.csv", "reader,since\nr01,2020\nnobody,2021\n");
    let warnings =
        scene.warnings(&format!("recommend run --users users.csv --top 4 --exclude {best} --output some.csv"));
    assert_holds(&warnings.join("\n"), &["1 of the 2 users are not in the data"]);
    let lists = lists(&scene, "some.csv");
    assert_eq!(lists.keys().collect::<Vec<_>>(), ["nobody", "r01"]);
    assert_same(&lists["r01"], &alone(&scene, &format!("run --user r01 --top 4 --exclude {best}")));
    scene.ok("export run --output model.pt");
    scene.ok("recommend model.pt --users users.csv --top 4 --output exported.csv");
    assert_same(&self::lists(&scene, "exported.csv")["r01"], &alone(&scene, "run --user r01 --top 4"));
}

#[test]
fn an_invalid_request_for_many_users_is_an_error_of_one_line_and_writes_nothing() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    scene.write("users.csv", "a,b\n1,2\n");
    for (line, words) in [
        ("recommend run --users all", &["--output"][..]),
        ("recommend run --users all --user r01 --output x.csv", &["--user"]),
        ("recommend run --users nowhere.csv --output x.csv", &["nowhere.csv"]),
        ("recommend run --users users.csv --output x.csv", &["no column `reader`", "a, b"]),
        ("recommend run --users all --output x.txt.zip", &["x.txt.zip"]),
        ("recommend run", &["--user"]),
    ] {
        scene.fails_with(line, words);
        assert!(!scene.path("x.csv").exists());
    }
}

#[test]
fn items_are_chosen_by_their_values_and_diverse_lists_differ() {
    let scene = Scene::after(&[FM_ON_ML]);
    let list = |flags: &str| alone(&scene, &format!("run --user 1 {flags}"));
    let (all, chosen) = (list("--top 1000"), list("--top 1000 --where genres=Action"));
    assert!(!chosen.is_empty() && chosen.len() < all.len());
    // The order is the same.
    assert!(chosen.iter().eq(all.iter().filter(|item| chosen.contains(item))));
    let (plain, diverse) = (list("--top 5"), list("--top 5 --diversity 0.9"));
    assert_eq!(plain[0], diverse[0]);
    assert_ne!(plain, diverse);

    let flags = "--top 5 --diversity 0.9 --where genres=Action";
    scene.ok(&format!("recommend run --users all {flags} --output all.csv"));
    assert_same(&lists(&scene, "all.csv")["1"], &list(flags));

    for (flags, words) in [
        ("--where genres=Acton", &["no training row has the genres `Acton`", "did you mean `Action`?"][..]),
        ("--where age=25", &["`age` is not a field of the items", "genres"]),
        ("--diversity 2", &["--diversity", "from 0 to 1"]),
    ] {
        scene.fails_with(&format!("recommend run --user 1 {flags}"), words);
    }
}
