//! PyTorch reads exported files as `fm` does.

use crate::scene::{SERVED, Scene, python};

/// The Python program has its own encoder, written from the description of `schema.json`. It compares its predictions with the
/// column `score`.
#[test]
fn pytorch_and_the_program_agree_on_every_row() {
    let Some(python) = python() else { return };
    let scene = Scene::after(&SERVED);
    // The first of four kinds occurs twice in a cell; with three buckets, different kinds share a slot.
    scene.write("kinds.csv", crate::data::table().replace("|shelf", "|kind0|shelf"));
    scene.write("crowded.toml", crate::hashed::schema(&[("tags", 3)]));
    for (run, schema) in [("repeated", "schema"), ("crowded", "crowded")] {
        scene.ok(&format!("train --data kinds.csv --schema {schema}.toml --model fm --epochs 2 --run {run}"));
    }
    scene.write("numbers.csv", crate::numbers::table(0, 900));
    scene.write("numbers.toml", crate::numbers::schema());
    scene.ok("train --data numbers.csv --schema numbers.toml --model fm --epochs 2 --run numbers");
    // A release of MovieLens is not one table: its rows are those of a run that evaluates them.
    scene.ok("evaluate stars --part train --output ml.csv");
    scene.without_column("ml.csv", "score", "ml.csv");
    let runs = [
        ("stars", "ml.csv"),
        ("liked", "ml.csv"),
        ("table", "books.csv"),
        ("hashed", "books.csv"),
        ("repeated", "kinds.csv"),
        ("crowded", "kinds.csv"),
        ("numbers", "numbers.csv"),
    ];
    for (run, file) in runs {
        scene.ok(&format!("export {run} -o {run}.pt"));
        // Each row twice: more than a batch of 4096.
        let rows = scene.text(file);
        let body = rows.split_once('\n').unwrap().1;
        scene.write("rows.csv", format!("{rows}{body}"));
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
