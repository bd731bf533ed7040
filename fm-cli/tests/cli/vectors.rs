//! `fm export --format vectors`: an index of the vectors finds what `fm recommend` finds.

use std::process::Command;

use fm_data::table::read_table;
use polars::prelude::*;
use tch::{Kind, Tensor};

use crate::scene::{FM_ON_BOOKS, FM_ON_ML, Scene, assert_holds, python};

fn texts(table: &DataFrame, name: &str) -> Vec<String> {
    table.column(name).unwrap().str().unwrap().iter().map(|text| text.unwrap().to_owned()).collect()
}

fn array(scene: &Scene, name: &str) -> Tensor {
    Tensor::read_npy(scene.path(name)).unwrap()
}

fn table(scene: &Scene, name: &str) -> DataFrame {
    read_table(scene.path(name).to_str().unwrap()).unwrap()
}

#[test]
fn the_best_inner_products_are_the_recommendations() {
    for command in [FM_ON_ML, FM_ON_BOOKS, "train --data ml --model fwfm --task ranking --epochs 1 --run run"] {
        let scene = Scene::after(&[command]);
        scene.ok("export run --format vectors --output vectors");
        scene.ok("recommend run --users all --top 10 --output best.csv");
        let (items, users) = (array(&scene, "vectors/items.npy"), array(&scene, "vectors/users.npy"));
        let products = users.matmul(&items.transpose(0, 1));
        let (items, users) = (table(&scene, "vectors/items.parquet"), table(&scene, "vectors/users.parquet"));
        let (items, ids, seen) = (texts(&items, "item"), texts(&users, "user"), seen(&users));
        assert_eq!(products.size(), [ids.len() as i64, items.len() as i64], "{command}");
        let best = scene.column("best.csv", "user").into_iter().zip(scene.column("best.csv", "item"));
        let best: Vec<(String, String)> = best.collect();
        for (row, user) in ids.iter().enumerate() {
            let _ = products.get(row as i64).index_fill_(0, &Tensor::from_slice(&seen[row]), f64::NEG_INFINITY);
            let expected: Vec<&String> = best.iter().filter(|(of, _)| of == user).map(|(_, item)| item).collect();
            let (_, places) = products.get(row as i64).topk(expected.len() as i64, 0, true, true);
            let found: Vec<i64> = places.try_into().unwrap();
            assert_eq!(found.iter().map(|&place| &items[place as usize]).collect::<Vec<_>>(), expected, "{user}");
        }
    }
}

/// The rows of the items that each user has seen.
fn seen(users: &DataFrame) -> Vec<Vec<i64>> {
    // `fm` reads a list as text.
    let numbers = |text: String| text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    texts(users, "seen").into_iter().map(numbers).collect()
}

#[test]
fn inner_products_and_constants_are_predictions() {
    let scene = Scene::after(&[
        "train --data books.csv --schema schema.toml --model ffm --task binary --threshold 4 --epochs 1 --run run",
    ]);
    scene.ok("export run --format vectors --output vectors");
    scene.ok("recommend run --users all --top 100 --output best.csv");
    let logits = array(&scene, "vectors/users.npy").matmul(&array(&scene, "vectors/items.npy").transpose(0, 1));
    let (items, users) = (table(&scene, "vectors/items.parquet"), table(&scene, "vectors/users.parquet"));
    let constants: Vec<f32> = texts(&users, "constant").iter().map(|number| number.parse().unwrap()).collect();
    let predictions = (logits + Tensor::from_slice(&constants).unsqueeze(1)).sigmoid().to_kind(Kind::Double);
    let (items, users) = (texts(&items, "item"), texts(&users, "user"));
    let place = |all: &[String], id: &String| all.iter().position(|other| other == id).unwrap() as i64;
    let rows = scene.column("best.csv", "user").into_iter().zip(scene.column("best.csv", "item"));
    for ((user, item), score) in rows.zip(scene.scores("best.csv")) {
        let found = predictions.double_value(&[place(&users, &user), place(&items, &item)]);
        assert!((found - score).abs() < 1e-5, "{user} {item}: {found} and {score}");
    }
}

#[test]
fn other_models_folders_with_files_and_options_of_files_are_errors() {
    let scene = Scene::after(&["train --data books.csv --schema schema.toml --model deepfm --epochs 1 --run run"]);
    let export = "export run --format vectors --output";
    scene.fails_with(&format!("{export} vectors"), &["deepfm is not an inner product", "lr, fm, bayesian_fm"]);
    let scene = Scene::after(&[FM_ON_BOOKS]);
    scene.fails_with(&format!("{export} run"), &["run exists: name a new folder"]);
    scene.fails_with(&format!("{export} books.csv"), &["books.csv exists"]);
    scene.fails_with(&format!("{export} nowhere/vectors"), &["nowhere"]);
    for option in ["--with-catalogue", "--dtype f16", "--quantize int8"] {
        scene.fails_with(&format!("{export} vectors {option}"), &["leave out", option.split(' ').next().unwrap()]);
    }
}

#[test]
fn the_vectors_of_an_exported_file_are_those_of_the_index() {
    let Some(python) = python() else { return };
    let scene = Scene::after(&[FM_ON_BOOKS]);
    scene.ok("export run --format vectors --output vectors");
    scene.ok("export run --output model.pt");
    let program = r#"
import csv, torch
model = torch.jit.load("model.pt")
rows = list(csv.DictReader(open("books.csv")))
users, items = model.user_vectors(rows), model.item_vectors(rows)
ids, values = model.encode(rows)
constants = model(ids, values).detach() - (users * items).sum(1)
# The values of another item change no vector of a user.
mixed = [{**user, **{name: item[name] for name in ("book", "tags", "price")}} for user, item in zip(rows, reversed(rows))]
of_user = {}
for row, constant in zip(rows, constants.tolist()):
    of_user.setdefault(row["reader"], []).append(constant)
print(torch.equal(model.user_vectors(mixed), users), len(rows), users.shape[1] == items.shape[1])
print(max(max(of) - min(of) for of in of_user.values()) < 1e-5)
"#;
    let output = scene.command(&python).args(["-c", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = scene.column("books.csv", "book").len();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("True {rows} True\nTrue\n"));
}

/// The example, if `FM_PYTHON` has FAISS.
#[test]
fn faiss_finds_the_recommendations() {
    let Some(python) = python() else { return };
    let has_faiss =
        Command::new(&python).args(["-c", "import faiss, numpy, pyarrow"]).output().unwrap().status.success();
    if !has_faiss {
        return eprintln!("skipped: FM_PYTHON has no faiss-cpu, numpy and pyarrow");
    }
    let scene = Scene::after(&[FM_ON_ML]);
    scene.ok("export run --format vectors --output vectors");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/retrieval/top.py");
    for user in ["1", "7", "33"] {
        let output = scene.command(&python).args([example, "vectors", "--user", user]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = text.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
        let expected = scene.ok_json(&format!("recommend run --user {user} --top 10 --json"));
        let items = expected["items"].as_array().unwrap();
        let expected: Vec<&str> = items.iter().map(|item| item["item"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{user}");
    }
    assert_holds(&scene.ok("export --help"), &["vectors"]);
}
