//! `fm data cache` and `fm data presets`.

use std::fmt::Write;

use crate::scene::{Scene, assert_holds};

#[test]
fn what_is_kept_is_listed_and_removed() {
    let scene = Scene::new();
    assert_holds(&scene.ok("data cache"), &["0.0 kB  in 0 items"]);
    scene.ok("train --data books.csv --schema schema.toml --model lr --epochs 1 --run run");
    std::fs::create_dir_all(scene.path("data/ml-1m")).unwrap();
    scene.write("data/ml-1m/ratings.dat", "1::2::3::4\n");
    scene.write("data/mine.csv", "a\n");
    let listed = scene.ok("data cache");
    assert_holds(&listed, &["today", "encoded", "books.csv  [cache/", "release   ml-1m", "in 2 items of "]);
    let kept = scene.ok_json("data cache --json");
    assert_eq!(kept.as_array().unwrap().len(), 2);
    assert_holds(&scene.ok("data cache --clear --older-than 1"), &["removed 0 items", "0.0 kB freed"]);
    assert_eq!(scene.ok("data cache"), listed);
    let bytes =
        kept.as_array().unwrap().iter().find(|one| one["kind"] == "encoded").unwrap()["bytes"].as_f64().unwrap();
    assert_holds(&scene.ok("data cache --clear"), &["removed 1 item of ", &format!("{:.1} kB freed", bytes / 1e3)]);
    assert!(scene.path("data/ml-1m").exists());
    assert_holds(&scene.ok("data cache --clear all"), &["removed 1 item of "]);
    assert!(scene.path("data/mine.csv").exists() && !scene.path("data/ml-1m").exists());
    // A run needs nothing of it.
    scene.ok("evaluate run");
    scene.fails_with("data cache --older-than 3", &["--clear"]);
    scene.fails_with("data cache --clear everything", &["everything", "encoded, all"]);
}

#[test]
fn a_preset_declares_a_file_of_its_data_set() {
    let scene = Scene::new();
    let names: Vec<String> = (1..=13).map(|i| format!("I{i}")).chain((1..=26).map(|i| format!("C{i}"))).collect();
    let mut text = format!("Label,{}\n", names.join(","));
    for row in 0..400 {
        let cells: Vec<String> = (0..39)
            .map(|column| match (row + column) % 7 {
                0 => String::new(),
                _ if column < 13 => ((row * (column + 3)) % 900).to_string(),
                _ => format!("{:08x}", (row * 31 + column) % 9),
            })
            .collect();
        writeln!(text, "{},{}", row % 2, cells.join(",")).unwrap();
    }
    scene.write("train.csv", text);
    scene.ok("train --data train.csv --schema criteo_x4 --model fm --epochs 1 --run run");
    let settings = scene.text("run/settings.toml");
    assert_holds(&settings, &["task = \"binary\"", "transform = \"criteo-log\"", "min_count = 10"]);
    assert_eq!(settings.matches("[[data.schema.field]]").count(), 39);
    scene.write("own.toml", "[data]\ndata = \"train.csv\"\nschema = \"criteo_x4\"\n[model]\nname = \"lr\"\n");
    assert_holds(&scene.ok("train --config own.toml --print-config"), &["task = \"binary\""]);
    scene.write("schema.toml", scene.ok("data presets criteo_x4"));
    scene.ok("train --data train.csv --schema schema.toml --task binary --model fm --epochs 1 --run same");
    assert_eq!(scene.metrics("run"), scene.metrics("same"));
    let list = scene.ok("data presets");
    assert_holds(
        &list,
        &["criteo_x4: ", "rows: 45,840,617", "fields: 39", "https://huggingface.co/", "licence: CC BY 4.0"],
    );
    scene.fails_with("data presets criteo", &["no schema.toml or preset `criteo`", "did you mean `criteo_x4`?"]);
    scene.fails_with("train --data train.csv --schema criteo_x5", &["did you mean `criteo_x4`?"]);
    scene.fails_with("train --data train.csv --schema frappe_x1", &["there is no column `user`"]);
    let output = scene.fm("data presets criteo_x4 --check train.csv").output().unwrap();
    assert_holds(
        &String::from_utf8_lossy(&output.stdout),
        &["train.csv: has the columns of criteo_x4, but not the bytes"],
    );
    assert_holds(&String::from_utf8_lossy(&output.stderr), &["error: 1 of 1 files differ"]);
    scene.fails_with("data presets avazu_x4 --check train.csv", &["train.csv: is no table of avazu_x4"]);
}
