//! An exported file means the same to PyTorch as to `fm`.

use crate::scene::{Scene, python};

/// The Python program encodes rows by its own reading of `schema.json`, and
/// compares its predictions with the column `score`.
#[test]
fn pytorch_agrees_with_the_program_on_every_row() {
    let Some(python) = python() else { return };
    let scene = Scene::new();
    scene.write("hashed.toml", crate::hashed::schema(&[("reader", 50), ("tags", 1000)]));
    // Of four kinds, the first is there twice; in three buckets, others share a slot, too.
    scene.write("kinds.csv", crate::data::table().replace("|shelf", "|kind0|shelf"));
    scene.write("crowded.toml", crate::hashed::schema(&[("tags", 3)]));
    let runs = [
        ("stars", "--data ml --model deepfm"),
        ("liked", "--data ml --model fm --task binary"),
        ("table", "--data books.csv --schema schema.toml --model deepfm"),
        ("hashed", "--data books.csv --schema hashed.toml --model deepfm"),
        ("repeated", "--data kinds.csv --schema schema.toml --model fm"),
        ("crowded", "--data kinds.csv --schema crowded.toml --model fm"),
    ];
    for (run, train) in runs {
        scene.ok(&format!("train {train} --epochs 2 --run {run}"));
        scene.ok(&format!("export {run} -o {run}.pt"));
        scene.ok(&format!("evaluate {run} --part train --output {run}.csv"));
        // Twice the training rows: more than a batch of 4096.
        let rows = scene.text(&format!("{run}.csv"));
        let body = rows.split_once('\n').unwrap().1;
        scene.write("rows.csv", format!("{rows}{body}"));
        scene.without_column("rows.csv", "score", "rows.csv");
        scene.ok(&format!("predict {run} --input rows.csv --output {run}.csv"));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity.py");
    let pairs = runs.iter().flat_map(|(run, _)| [format!("{run}.pt"), format!("{run}.csv")]);
    let output = scene.command(&python).arg(script).args(pairs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let compared = String::from_utf8_lossy(&output.stdout);
    assert_eq!(compared.lines().count(), runs.len(), "{compared}");
    print!("{compared}");
}
