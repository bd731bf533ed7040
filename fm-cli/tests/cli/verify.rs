//! `fm verify`, and that equal exports are equal files.

use crate::scene::{Scene, assert_holds};

fn trained() -> Scene {
    let scene = Scene::new();
    scene.ok("train --data books.csv --schema schema.toml --task binary --threshold 4 --model deepfm --epochs 2 --run run -q");
    scene
}

#[test]
fn two_exports_of_a_run_are_equal_to_the_last_byte() {
    let scene = trained();
    for options in ["", "--with-catalogue", "--dtype f16", "--quantize int8", "--format onnx"] {
        scene.ok(&format!("export run -q -o a {options}"));
        scene.ok(&format!("export run -q -o b {options}"));
        assert!(scene.bytes("a") == scene.bytes("b"), "{options}");
    }
    for repository in ["c", "d"] {
        scene.ok(&format!("export run -q -o {repository} --format triton"));
    }
    for file in ["deepfm/1/model.pt", "deepfm_ids/1/model.pt", "deepfm/config.pbtxt"] {
        assert!(scene.bytes(&format!("c/{file}")) == scene.bytes(&format!("d/{file}")), "{file}");
    }
}

#[test]
fn a_file_and_a_run_tell_where_they_come_from_and_that_they_are_whole() {
    let scene = trained();
    scene.ok("export run -q -o model.pt");
    scene.ok("export run -q -o repository --format triton");
    let rows = scene.json("run/rows.json");
    let [created, train, schema] = [&rows["created"], &rows["rows"]["train"], &rows["files"]["schema"]];
    let mut origins = vec![];
    for file in ["model.pt", "repository/deepfm/1/model.pt", "repository/deepfm_ids/1/model.pt", "run"] {
        let text = scene.ok(&format!("verify {file}"));
        let words =
            ["deepfm", "run, created 20", "libtorch 2.11.0", "fm 0.", "stars", "reader, book, tags", "It is whole."];
        assert_holds(&text, &words);
        assert_holds(&text, &[created, train, schema].map(|value| value.as_str().unwrap()));
        let told = scene.ok_json(&format!("verify {file} --json"));
        assert_eq!(told["whole"], true);
        origins.push(told["origin"].clone());
    }
    assert!(origins.iter().all(|origin| *origin == origins[0] && origin["epoch"].as_u64() > Some(0)), "{origins:?}");

    let mut damaged = scene.bytes("model.pt");
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0x55);
    scene.write("damaged.pt", damaged);
    scene.fails_with("verify damaged.pt", &["damaged.pt is not a usable exported model: its record"]);
    scene.fails_with("verify books.csv", &["it is not a TorchScript archive"]);
    scene.fails_with("verify none.pt", &["cannot read none.pt"]);
    scene.write("model.onnx", "");
    scene.fails_with("verify model.onnx", &["model.onnx is an ONNX file, which has no checksums"]);
    let mut last = scene.bytes("run/checkpoints/last.safetensors");
    let middle = last.len() / 2;
    last[middle] ^= 1;
    scene.write("run/checkpoints/last.safetensors", last);
    scene.fails_with("verify run", &["last.safetensors is not a usable checkpoint", "damaged"]);
}

#[test]
fn settings_that_were_edited_by_hand_are_told() {
    let scene = trained();
    assert!(
        scene.run("evaluate run").stderr.is_empty()
            || !String::from_utf8_lossy(&scene.run("evaluate run").stderr).contains("WARN")
    );
    let settings = scene.text("run/settings.toml");
    scene.write("run/settings.toml", settings.replace("epochs = 2", "epochs = 3"));
    let output = scene.run("evaluate run");
    assert_holds(
        &String::from_utf8_lossy(&output.stderr),
        &["WARN", "settings.toml has been edited since the run was created"],
    );
    scene.ok("train --resume run -q");
    assert_eq!(scene.metrics("run").len(), 3);
}
