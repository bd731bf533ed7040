//! A file that is not an exported model, or a damaged one, gives an error of one line.

use std::io::{Cursor, Read, Write};

use fm_core::script::Scorer;
use fm_core::tch::{CModule, Device, Kind, Tensor};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::FileOptions};

use crate::scene::{Scene, assert_holds};

fn exported() -> Scene {
    Scene::after(&[
        "train --data books.csv --schema schema.toml --model lr --epochs 1 --run run",
        "export run -o model.pt",
    ])
}

/// Asserts that an exported file with these bytes is refused. It asks the library, because to start `fm` takes longer.
fn is_refused(scene: &Scene, name: &str, content: &[u8], words: &[&str]) {
    scene.write(name, content);
    let error = Scorer::load(scene.path(name), Device::Cpu).unwrap_err().to_string();
    assert_holds(&error, &[name, "not a usable exported model"]);
    assert_holds(&error, words);
    assert!(error.lines().count() == 1 && error.len() < 300, "{error}");
}

#[test]
fn the_error_about_a_damaged_file_says_which_command_writes_one() {
    let scene = exported();
    let whole = scene.bytes("model.pt");
    scene.write("cut.pt", &whole[..whole.len() - 1]);
    scene.write("edited.pt", with_schema(&whole, |schema| Some(schema.replacen("\"r01\",", "", 1))));
    for command in ["predict cut.pt --input books.csv --output scored.csv", "recommend edited.pt --user r01"] {
        let error = scene.fails(command);
        assert_holds(&error, &[".pt", "not a usable exported model", "fm export"]);
        assert!(error.len() < 250, "{error}");
    }
}

/// An archive with its `schema.json` changed, or without it.
fn with_schema(archive: &[u8], change: impl Fn(String) -> Option<String>) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut changed = ZipWriter::new(Cursor::new(vec![]));
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let mut content = vec![];
        file.read_to_end(&mut content).unwrap();
        if file.name().ends_with("/extra/schema.json") {
            let Some(schema) = change(String::from_utf8(content).unwrap()) else { continue };
            content = schema.into_bytes();
        }
        changed.start_file(file.name(), FileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        changed.write_all(&content).unwrap();
    }
    changed.finish().unwrap().into_inner()
}

#[test]
fn a_truncated_file_is_an_error() {
    let scene = exported();
    let whole = scene.bytes("model.pt");
    for length in [0, 1, 3, 4, 30, 1000, whole.len() / 2, whole.len() * 9 / 10, whole.len() - 22, whole.len() - 1] {
        is_refused(&scene, "cut.pt", &whole[..length], &[]);
    }
}

#[test]
fn a_file_of_another_kind_is_an_error() {
    let scene = exported();
    is_refused(&scene, "text.pt", &scene.bytes("books.csv"), &["not a TorchScript archive"]);
    is_refused(
        &scene,
        "checkpoint.pt",
        &scene.bytes("run/checkpoints/best.safetensors"),
        &["not a TorchScript archive"],
    );
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    is_refused(&scene, "empty-zip.pt", &zip.finish().unwrap().into_inner(), &[]);
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    zip.start_file("notes/extra/schema.json", FileOptions::default()).unwrap();
    zip.write_all(b"{}").unwrap();
    is_refused(&scene, "zip.pt", &zip.finish().unwrap().into_inner(), &[]);
}

#[test]
fn a_torchscript_file_without_a_schema_is_an_error() {
    let scene = exported();
    let ones = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
    let mut double = |inputs: &[Tensor]| vec![&inputs[0] * 2.0];
    let module = CModule::create_by_tracing("Double", "forward", &[ones], &mut double).unwrap();
    module.save(scene.path("double.pt")).unwrap();
    is_refused(&scene, "double.pt", &scene.bytes("double.pt"), &["has no file schema.json"]);
}

#[test]
fn a_file_with_another_schema_is_an_error() {
    let scene = exported();
    let whole = scene.bytes("model.pt");
    // Another program's way to write the archive is fine.
    scene.write("same.pt", with_schema(&whole, Some));
    scene.ok("predict same.pt --input books.csv --output scored.csv");

    let newer = |schema: String| Some(schema.replacen("\"format\":2,", "\"format\":999,\"holidays\":[],", 1));
    is_refused(&scene, "newer.pt", &with_schema(&whole, newer), &["its format 999 is newer than 4"]);
    is_refused(&scene, "none.pt", &with_schema(&whole, |_| None), &["has no file schema.json"]);
    let half = |schema: String| Some(schema[..schema.len() / 2].to_owned());
    is_refused(&scene, "half.pt", &with_schema(&whole, half), &["EOF"]);
    // One reader more than the model knows, one less, and another one.
    for others in ["\"r01\",\"r01a\",", "", "\"r61\","] {
        let edited = |schema: String| {
            let edited = schema.replacen("\"r01\",", others, 1);
            assert_ne!(edited, schema);
            Some(edited)
        };
        is_refused(
            &scene,
            "edited.pt",
            &with_schema(&whole, edited),
            &["its schema.json does not belong to its model"],
        );
    }
}
