//! Equal seeds give equal runs.

use crate::scene::{FM_ON_ML, Scene};

#[test]
fn equal_seeds_give_equal_bits_and_other_seeds_do_not() {
    let scene = Scene::new();
    for (run, seed) in [("a", 7), ("b", 7), ("c", 8)] {
        scene.ok(&format!("train --data ml --epochs 2 --batch-size 100 --seed {seed} --run {run}"));
    }
    assert_eq!(scene.metrics("a"), scene.metrics("b"));
    assert_eq!(scene.summary("a"), scene.summary("b"));
    for checkpoint in ["best", "last"] {
        let bytes = |run: &str| scene.bytes(&format!("{run}/checkpoints/{checkpoint}.safetensors"));
        assert!(bytes("a") == bytes("b"), "{checkpoint} differs");
        assert!(bytes("a") != bytes("c"), "{checkpoint} is the same for another seed");
    }
    assert_ne!(scene.metrics("a"), scene.metrics("c"));
}

#[test]
fn a_run_does_not_depend_on_whether_the_data_came_from_the_cache() {
    // Its cache knows the original files, not the copies.
    let scene = Scene::after(&[FM_ON_ML]);
    std::fs::remove_dir_all(scene.path("data/cache")).unwrap();
    for run in ["encoded", "cached"] {
        scene.ok(&FM_ON_ML.replace("--run run", &format!("--run {run}")));
        assert_eq!(scene.metrics("run"), scene.metrics(run));
    }
}
