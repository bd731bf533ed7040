//! Rows that cannot be read, in every command: an error, or left out and counted in one warning.

use crate::scene::{Scene, assert_holds};

/// The table of books with three bad rows, which the first warns of.
fn with_bad_rows(scene: &Scene) -> [&'static str; 4] {
    let text = scene.text("books.csv");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(3, "r01,b02,x,kind1,5.5,1000,good");
    lines.insert(10, "r01,b02,x");
    lines.insert(50, "r01,b02,\"x,kind1,5.5,1000,3");
    scene.write("bad.csv", lines.join("\n") + "\n");
    [
        "left out 3 of ",
        "bad.csv, line 4: `good` in column `stars`",
        "bad.csv, line 11: has 3 cells",
        "bad.csv, line 51: ",
    ]
}

const TRAIN: &str = "--schema schema.toml --split time --model lr --epochs 1";

#[test]
fn a_run_leaves_bad_rows_out_if_it_is_told_to_and_says_so_each_time() {
    let scene = Scene::new();
    let says = with_bad_rows(&scene);
    let train = format!("train --data bad.csv {TRAIN}");
    scene.fails_with(&format!("{train} --run bad"), &["bad.csv, line 11: has 3 cells", "`--on-bad-row skip`"]);
    scene.fails_with(&format!("{train} --run bad --on-bad-row ignore"), &["ignore", "fail, skip"]);
    for run in ["bad", "again"] {
        let warnings = scene.warnings(&format!("{train} --run {run} --on-bad-row skip"));
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert_holds(warning, &says);
    }
    scene.ok(&format!("train --data books.csv {TRAIN} --run good"));
    assert_eq!(scene.metrics("bad"), scene.metrics("good"));
    assert_holds(&scene.text("bad/settings.toml"), &["on_bad_row = \"skip\""]);
    // Its rows are read again as they were in training.
    let warnings = scene.warnings("evaluate bad");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_holds(&warnings[0], &says);
    assert_holds(&scene.warnings("evaluate good --data bad.csv --on-bad-row skip").join("\n"), &says);
    scene.fails_with("evaluate good --data bad.csv", &["bad.csv, line 11: has 3 cells", "`--on-bad-row skip`"]);
    let inspected = scene.warnings("data inspect bad.csv --schema schema.toml --on-bad-row skip");
    assert_holds(&inspected.join("\n"), &says);
}

#[test]
fn conversion_and_inference_leave_bad_rows_out_and_prediction_does_not() {
    let scene = Scene::after(&[format!("train --data books.csv {TRAIN} --run run")]);
    let says = with_bad_rows(&scene);
    scene.fails_with("data convert bad.csv clean.csv", &["bad.csv, line 11: ", "`--on-bad-row skip`"]);
    let warnings = scene.warnings("data convert bad.csv clean.csv --on-bad-row skip");
    // It knows no label.
    assert_holds(&warnings.join("\n"), &["left out 2 of ", says[2], says[3]]);
    assert_eq!(scene.text("clean.csv").lines().count(), scene.text("bad.csv").lines().count() - 2);
    let warnings = scene.warnings("data convert bad.csv clean.libffm --schema schema.toml --on-bad-row skip");
    assert_holds(&warnings.join("\n"), &says);
    let rows = |name: &str| scene.text(name).lines().count();
    assert_eq!(rows("clean.libffm"), rows("books.csv") - 1);
    assert_holds(&scene.warnings("data infer bad.csv --on-bad-row skip").join("\n"), &says);
    scene.fails_with("data infer bad.csv", &["bad.csv, line 11: has 3 cells", "`--on-bad-row skip`"]);
    let error = scene.fails("predict run --input bad.csv --output scores.csv");
    assert_holds(&error, &["bad.csv, line 11: has 3 cells", "`fm data convert --on-bad-row skip`"]);
    assert_eq!(scene.warnings_of_copy("predict run --input clean.csv --output scores.csv"), [""; 0]);
    scene.write("other.csv", "reader,book\n1,2,3\n1,2\n1\n1\n");
    let error = scene.fails("data convert other.csv new.csv --on-bad-row skip");
    assert_holds(&error, &["other.csv: 3 of 4 rows cannot be read, more than half", "line 2: has 3 cells"]);
    scene.fails_with("train --data ml --model lr --on-bad-row skip", &["only rows of tables can be skipped"]);
}
