//! `fm export --format triton`: a model repository.

use std::path::Path;

use crate::scene::{FM_ON_BOOKS, SERVED, Scene, assert_holds, python};

fn trained() -> Scene {
    Scene::after(&[FM_ON_BOOKS])
}

/// The files in a folder of the scene and below, sorted.
fn files(scene: &Scene, folder: &str) -> Vec<String> {
    fn visit(root: &Path, folder: &Path, files: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => visit(root, &path, files),
                false => files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let (root, mut files) = (scene.path(folder), vec![]);
    visit(&root, &root, &mut files);
    files.sort();
    files
}

fn layout(name: &str) -> Vec<String> {
    let of = |name: &str| [format!("{name}/1/model.pt"), format!("{name}/config.pbtxt")];
    [of(name), of(&format!("{name}_ids"))].concat()
}

#[test]
fn a_repository_contains_a_model_of_texts_and_one_of_ids() {
    let scene = trained();
    scene.ok("export run --format triton -o models/mine");
    assert_eq!(files(&scene, "models/mine"), layout("fm"));
    let config = scene.text("models/mine/fm/config.pbtxt");
    assert_holds(
        &config,
        &[
            "name: \"fm\"\n",
            "input {  # the field \"tags\"\n  name: \"tags\"\n  data_type: TYPE_STRING\n  dims: [ 1 ]\n  reshape { shape: [ ] }\n",
            "name: \"OUTPUT__0\"\n  data_type: TYPE_FP32\n  dims: [ 1 ]\n  reshape { shape: [ ] }\n",
            "# OUTPUT__0 is the prediction of \"stars\", within 1 to 5.",
        ],
    );
    // Reader, book, two tags and a price.
    let config = scene.text("models/mine/fm_ids/config.pbtxt");
    assert_holds(&config, &["name: \"fm_ids\"\n", "name: \"ids\"\n  data_type: TYPE_INT64\n  dims: [ 5 ]\n}"]);

    // A second export replaces the first. Another name adds models, and other files are kept.
    scene.write("models/mine/README", "");
    let model = scene.bytes("models/mine/fm/1/model.pt");
    scene.ok("train --data books.csv --schema schema.toml --model fm --epochs 1 --run run2");
    scene.ok("export run2 --format triton -o models/mine");
    assert!(scene.bytes("models/mine/fm/1/model.pt") != model);
    scene.ok("export run --format triton -o models/mine --name other-2.0");
    assert_eq!(files(&scene, "models/mine"), [vec!["README".into()], layout("fm"), layout("other-2.0")].concat());
}

#[test]
fn options_that_do_not_fit_a_repository_are_an_error() {
    let scene = trained();
    let export = "export run --format triton -o";
    scene.fails_with(&format!("{export} models --with-catalogue"), &["recommend", "--with-catalogue"]);
    scene.fails_with(&format!("{export} books.csv"), &["books.csv is not a folder"]);
    scene.fails_with(&format!("{export} books.csv/models"), &["cannot create books.csv/models"]);
    scene.fails_with("export run -o model.pt --name mine", &["--name", "--format triton"]);
    for name in ["a/b", "..", ".hidden", "é"] {
        let output = scene.fm(&format!("{export} models --name {name}")).output().unwrap();
        assert!(!output.status.success());
        assert_holds(&String::from_utf8(output.stderr).unwrap(), &["--name", "start with a letter or a digit"]);
    }
    assert!(!scene.path("models").exists());
}

#[test]
fn models_of_other_origin_are_not_replaced() {
    let scene = trained();
    for (repository, file, content) in [
        ("a", "fm/config.pbtxt", "name: \"fm\"\n"),
        ("b", "fm_ids/config.pbtxt", ""),
        ("c", "fm/1/model.pt", "weights"),
        ("d", "fm", "a file"),
    ] {
        let path = scene.path(repository).join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        let words = ["exists and is not a model of this kind written by `fm export`", "--name"];
        scene.fails_with(&format!("export run --format triton -o {repository}"), &words);
    }
    std::fs::create_dir_all(scene.path("e/fm")).unwrap();
    scene.ok("export run --format triton -o e");
    assert_eq!(files(&scene, "e"), layout("fm"));
    // A model of texts cannot replace one of ids.
    scene.fails_with("export run --format triton -o e --name fm_ids", &["e/fm_ids exists", "of this kind"]);
}

#[test]
fn a_model_for_triton_is_not_an_exported_file() {
    let scene = trained();
    scene.ok("export run --format triton -o models");
    for model in ["models/fm/1/model.pt", "models/fm_ids/1/model.pt"] {
        scene.fails_with(
            &format!("predict {model} --input books.csv --output scored.csv"),
            &[model, "Triton", "fm export"],
        );
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_partial_repository() {
    let scene = trained();
    let export = "export run --format triton -o models";
    // The configurations fit in 8 KiB, the archives do not.
    assert_holds(
        &crate::bad_input::fails_when_full(&scene, 8, export),
        &["cannot write models/fm/1/model.pt", "File too large"],
    );
    assert!(!scene.path("models").exists());
    scene.ok(export);
    crate::bad_input::fails_when_full(&scene, 8, export);
}

/// The Python has Triton's protobuf. Its program reads config.pbtxt, calls `forward` as Triton's backend does, and compares the
/// results with the column `score`.
#[test]
fn a_repository_serves_the_predictions_of_the_program() {
    let Some(python) = python() else { return };
    let scene = Scene::after(&SERVED);
    // TorchScript renames the first when it writes an archive, and the second is not a valid name of an argument.
    for (name, new) in [("reserved", "nan"), ("hostile", "x: int) -> \\\"é #")] {
        let column = new.replace('\\', "").replace('"', "\"\"");
        scene.write(&format!("{name}.csv"), crate::data::table().replacen("price", &format!("\"{column}\""), 1));
        scene.write(&format!("{name}.toml"), crate::data::SCHEMA.replace("\"price\"", &format!("\"{new}\"")));
    }
    let own = ["reserved", "hostile"];
    for run in own {
        scene.ok(&format!("train --data {run}.csv --schema {run}.toml --model fm --epochs 2 --run {run}"));
    }
    let runs = [&["stars", "liked", "table", "hashed"], &own[..]].concat();
    for run in &runs {
        scene.ok(&format!("export {run} --format triton -o models --name {run}"));
        scene.ok(&format!("evaluate {run} --output {run}.csv"));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/triton_repository.py");
    let pairs = runs.iter().flat_map(|run| [format!("models/{run}"), format!("{run}.csv")]);
    let output = scene.command(&python).arg(script).args(pairs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let compared = String::from_utf8_lossy(&output.stdout);
    assert_eq!(compared.lines().count(), 2 * runs.len(), "{compared}");
    print!("{compared}");
}
