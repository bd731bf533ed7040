//! Values that tables write in several forms, and values that training does not know.

use serde_json::json;

use crate::data::{HEADER, rows};
use crate::scene::{Scene, assert_holds, assert_same_scores};

/// Two fields without a role.
const PLAIN: &str = "label = \"click\"\n[[field]]\nname = \"user\"\nkind = \"categorical\"\n[[field]]\nname = \"item\"\nkind = \"categorical\"\n";
const LISTS: &str = "label = \"click\"\n[[field]]\nname = \"tags\"\nkind = \"multi-valued\"\n";
const TRAIN: &str = "--model fm --task binary --epochs 8 --batch-size 32 --lr 0.05 --run";

/// 240 clicks of 12 users on 10 items, each user written as `form` has it: an even user clicks on items below 5.
fn clicks(form: impl Fn(usize) -> String) -> String {
    let row = |n: usize| {
        let (user, item) = (n * 7 % 12, n * 11 % 10);
        format!("{},{item},{}\n", form(user), u8::from((user % 2 == 0) == (item < 5)))
    };
    "user,item,click\n".to_owned() + &(0..240).map(row).collect::<String>()
}

/// 240 rows of tags between which `list` writes what stands in lists: those with `hot` are clicks.
fn tagged(list: impl Fn(&[&str]) -> String) -> String {
    let row = |n: usize| {
        let tags = [["hot", "cold"][n % 2], ["a", "b", "c"][n % 3], ["d", "e"][n / 2 % 2]];
        format!("\"{}\",{}\n", list(&tags[..1 + n % 3]).replace('"', "\"\""), u8::from(n.is_multiple_of(2)))
    };
    "tags,click\n".to_owned() + &(0..240).map(row).collect::<String>()
}

/// Warnings of a command, without those about rows that are in several parts, as they are in most tests here.
fn warnings(scene: &Scene, line: &str) -> Vec<String> {
    let mut warnings = scene.warnings(line);
    warnings.retain(|line| !line.contains("are also training rows"));
    warnings
}

#[test]
fn ids_of_floats_and_of_integers_are_the_same_ids() {
    let scene = Scene::new();
    scene.write("plain.toml", PLAIN);
    scene.write("int.csv", clicks(|user| user.to_string()));
    scene.write("float.csv", clicks(|user| format!(" {user}.0")));
    let train = |data: &str, run: &str| warnings(&scene, &format!("train {data} --schema plain.toml {TRAIN} {run}"));
    assert!(train("--train float.csv --valid int.csv --test int.csv", "mixed").is_empty());
    assert!(train("--train int.csv --valid int.csv --test int.csv", "int").is_empty());
    assert_eq!(scene.summary("mixed"), scene.summary("int"));
    assert!(scene.test_auc("mixed") > 0.9);
    for table in ["int", "float"] {
        assert!(warnings(&scene, &format!("predict mixed --input {table}.csv --output of-{table}.csv")).is_empty());
    }
    assert_eq!(scene.scores("of-int.csv"), scene.scores("of-float.csv"));
    // What is written is what was read.
    assert_eq!(scene.column("of-float.csv", "user"), scene.column("float.csv", "user"));

    scene.write("exact.toml", PLAIN.replacen("kind = \"categorical\"", "kind = \"categorical\"\nexact = true", 1));
    let parts = "--train int.csv --valid float.csv --test int.csv";
    let found = warnings(&scene, &format!("train {parts} --schema exact.toml {TRAIN} exact"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(&found[0], &["`user` has no value that training knows in 240 of 240 validation rows (in 0.0% of"]);
}

#[test]
fn every_command_that_reads_rows_warns_of_fields_whose_values_training_does_not_know() {
    let scene = Scene::new();
    scene.write("plain.toml", PLAIN);
    scene.write("int.csv", clicks(|user| user.to_string()));
    scene.write("named.csv", clicks(|user| format!("u{user}")));
    let train =
        format!("train --force --train int.csv --valid int.csv --test named.csv --schema plain.toml {TRAIN} run");
    let of_test = "`user` has no value that training knows in 240 of 240 test rows";
    // The second time, the encoded rows come out of the cache.
    for _ in 0..2 {
        let found = warnings(&scene, &train);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_holds(&found[0], &[of_test]);
    }
    let found = warnings(&scene, "evaluate run");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(&found[0], &[of_test, "for example `u0`", "which had `"]);
    assert_eq!(scene.ok_json("evaluate run --json")["unknown"], json!({ "user": 240, "item": 0 }));
    let found = warnings(&scene, "predict run --input named.csv --output scored.csv");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(&found[0], &["`user` has no value that training knows in 240 of 240 rows, for example `u0`"]);
    // Few unknown values are no reason to warn.
    scene.write("mixed.csv", clicks(|user| if user < 4 { format!("u{user}") } else { user.to_string() }));
    assert!(warnings(&scene, "predict run --input mixed.csv --output scored.csv").is_empty());
}

#[test]
fn a_file_without_some_fields_is_told_which() {
    let scene = Scene::new();
    scene.ok("train --data books.csv --schema schema.toml --model fm --epochs 1 --run run");
    let row = rows()[0].clone();
    scene.write("rows.csv", HEADER.replace("reader", "Reader").replace("price", "cost_of") + &row);
    let found = warnings(&scene, "predict run --input rows.csv --output scored.csv --allow-missing");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(&found[0], &["the input has no column reader, price", "did you mean `Reader` for `reader`"]);
}

#[test]
fn lists_in_brackets_and_with_spaces_hold_the_same_values() {
    let scene = Scene::new();
    scene.write("lists.toml", LISTS);
    let quoted = |quote: char| {
        move |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| format!("{quote}{tag}{quote}")).collect();
            format!("[{}]", tags.join(", "))
        }
    };
    let forms: [(&str, String); 4] = [
        ("plain", tagged(|tags| tags.join("|"))),
        ("spaced", tagged(|tags| tags.join(" | "))),
        ("python", tagged(quoted('\''))),
        ("json", tagged(quoted('"'))),
    ];
    for (name, table) in &forms {
        scene.write(&format!("{name}.csv"), table);
        assert!(warnings(&scene, &format!("train --data {name}.csv --schema lists.toml {TRAIN} {name}")).is_empty());
        assert_eq!(scene.summary(name)["test"], scene.summary("plain")["test"], "{name}");
        scene.ok(&format!("predict plain --input {name}.csv --output of-{name}.csv"));
        assert_same_scores(&scene.scores(&format!("of-{name}.csv")), &scene.scores("of-plain.csv"));
    }
    assert!(scene.test_auc("json") > 0.95);

    scene.write("semicolons.csv", tagged(|tags| [tags, &["x"]].concat().join(";")));
    let found = warnings(&scene, &format!("train --data semicolons.csv --schema lists.toml {TRAIN} semicolons"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(&found[0], &["no training row has two values of `tags`", "100% of its values", "separator = ';'"]);
}

#[test]
fn a_list_keeps_its_newest_values_and_says_that_it_was_cut() {
    let scene = Scene::new();
    scene.write("lists.toml", LISTS.replace("multi-valued\"", "multi-valued\"\nmax_len = 2"));
    scene.write("first.toml", LISTS.replace("multi-valued\"", "multi-valued\"\nmax_len = 2\nkeep = \"first\""));
    let newest_last = |tags: &[&str]| {
        let old: Vec<&str> = ["p", "q", "r"].iter().chain(&tags[1..]).copied().collect();
        format!("{}|{}", old.join("|"), tags[0])
    };
    scene.write("history.csv", tagged(newest_last));
    let train =
        |schema: &str| warnings(&scene, &format!("train --data history.csv --schema {schema}.toml {TRAIN} {schema}"));
    let found = train("lists");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(
        &found[0],
        &["100% of the training rows have more than 2 values of `tags`", "the last 2 of each are kept"],
    );
    assert!(scene.test_auc("lists") > 0.95);
    train("first");
    assert!(scene.test_auc("first") < 0.8);
}

#[test]
fn texts_for_missing_values_are_told_and_can_be_declared() {
    let scene = Scene::new();
    scene.write("plain.toml", PLAIN);
    scene.write("nulls.toml", format!("null_values = [\"NULL\", \"nan\"]\n{PLAIN}"));
    let form = |user: usize| ["NULL", "nan"].get(user).map_or(user.to_string(), |&null| null.to_owned());
    scene.write("clicks.csv", clicks(form));
    let train =
        |schema: &str| warnings(&scene, &format!("train --data clicks.csv --schema {schema}.toml {TRAIN} {schema}"));
    let found = train("plain");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_holds(&found[0], &["`user` is the text `n", "and 1 more", "null_values = [\"NULL\", \"nan\"]"]);
    assert!(train("nulls").is_empty());
    let vocabulary = &scene.json("nulls/schema.json")["fields"][0]["vocabulary"];
    assert_eq!(vocabulary.as_array().unwrap().len(), 10);
    // A null value scores as an empty cell does.
    scene.write("rows.csv", "user,item\nNULL,1\n nan,1\n,1\n");
    scene.ok("predict nulls --input rows.csv --output scored.csv");
    let scores = scene.scores("scored.csv");
    assert_same_scores(&scores, &[scores[2]; 3]);
    scene.ok("export nulls -o model.pt");
    scene.ok("predict model.pt --input rows.csv --output of-file.csv");
    assert_same_scores(&scene.scores("of-file.csv"), &scores);
}

#[test]
fn recommended_items_that_training_has_not_seen_are_marked() {
    let scene = Scene::new();
    let (train, test): (Vec<String>, Vec<String>) = rows().into_iter().partition(|row| row.as_str() < "r51");
    scene.write("train.csv", HEADER.to_owned() + &train.concat());
    let test = test.concat() + "r02,new,\"A new book\",kind1|shelf1,9.5,9999,4\n";
    scene.write("test.csv", HEADER.to_owned() + &test);
    scene.ok("train --train train.csv --test test.csv --schema schema.toml --model fm --epochs 1 --run run --quiet");
    scene.ok("export run -o model.pt --with-catalogue");
    for model in ["run", "model.pt"] {
        let text = scene.ok(&format!("recommend {model} --user r01 --top 1000"));
        let marked: Vec<&str> = text.lines().filter(|line| line.ends_with("  not in the training rows")).collect();
        assert_eq!(marked.len(), 1, "{text}");
        assert!(marked[0].contains("[new]"), "{text}");
        let items = scene.ok_json(&format!("recommend {model} --user r01 --top 1000 --json"))["items"].clone();
        let known = |item: &serde_json::Value| item["known_item"].as_bool().unwrap();
        assert!(items.as_array().unwrap().iter().all(|item| known(item) != (item["item"] == json!("new"))), "{items}");
    }
}
