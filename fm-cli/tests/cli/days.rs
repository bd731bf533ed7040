//! Training day after day, each day from where the last one ended.

use crate::data::{HEADER, rows};
use crate::scene::{Scene, assert_holds};

const TRAIN: &str = "train --schema schema.toml --model fm --split random:0.1:0.1";

/// Two days of rows. Readers and books of the first half also occur in the second, which has others, too.
fn two_days() -> Scene {
    Scene::shared("two days", |scene| {
        let rows = rows();
        let (first, second) = rows.split_at(rows.len() / 2);
        scene.write("day-1.csv", HEADER.to_owned() + &first.concat());
        scene.write("day-2.csv", HEADER.to_owned() + &second.concat());
        // The best epoch is not the last one.
        scene.ok(&format!("{TRAIN} --data day-1.csv --epochs 8 --lr 0.2 --patience 0 --run day-1 --set train.keep=1"));
    })
}

#[test]
fn the_state_of_the_optimizer_is_kept_in_whole_in_part_or_not_at_all() {
    let scene = two_days();
    let checkpoint = |run: &str| scene.bytes(&format!("{run}/checkpoints/best.safetensors"));
    let second = format!("{TRAIN} --data day-2.csv --epochs 1 --init-from day-1");
    for (run, flags, said) in [
        ("fresh", "", None),
        ("kept", "--init-state keep", Some(", and the optimizer's state\n")),
        ("half", "--init-state keep --set init_state_decay=0.5", Some(", and the optimizer's state times 0.5\n")),
    ] {
        let output = scene.run(&format!("{second} {flags} --run {run}"));
        let said_by = String::from_utf8(output.stderr).unwrap();
        assert_holds(&said_by, &["initialized from ", " values of reader"]);
        match said {
            Some(said) => assert_holds(&said_by, &[said]),
            None => assert!(!said_by.contains("optimizer's state"), "{said_by}"),
        }
    }
    assert!(checkpoint("fresh") != checkpoint("kept"));
    assert!(checkpoint("half") != checkpoint("kept"));
    assert!(checkpoint("half") != checkpoint("fresh"));
}

#[test]
fn a_state_that_cannot_be_kept_is_an_error_of_one_line() {
    let scene = two_days();
    let second = format!("{TRAIN} --data day-2.csv --epochs 1 --init-from day-1 --init-state keep --run day-2 --quiet");
    for (flags, expected) in [
        ("--optimizer adagrad", "has the state of batch updates by adam, but the new run has batch updates by adagrad"),
        ("--set train.update=online --optimizer adam", "but the new run has online updates by adam"),
        ("--set init_state_decay=0", "init_state_decay is 0: it must be a number above 0 and at most 1"),
        ("--set init_state_decay=nan", "init_state_decay is NaN"),
        ("--set init_state=kept", "unknown variant `kept`"),
    ] {
        assert_holds(&scene.fails(&format!("{second} {flags}")), &[expected]);
        assert!(!scene.path("day-2").exists(), "{flags}");
    }
    // The best epoch's state is lost, unless it is that of the last epoch.
    let steps = std::fs::read_dir(scene.path("day-1/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let steps: Vec<_> = steps.filter(|path| path.to_str().unwrap().contains("step-")).collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
    std::fs::remove_file(&steps[0]).unwrap();
    let error = scene.fails(&second);
    assert_holds(
        &error,
        &["no checkpoint with the optimiser's state after its best epoch, ", "start with a fresh state"],
    );
}
