//! The same seed, the same run.

use crate::scene::Scene;

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_bit_and_another_seed_another() {
    let scene = Scene::new();
    for (run, seed) in [("a", 7), ("b", 7), ("c", 8)] {
        scene.ok(&format!("train --data ml --epochs 3 --batch-size 100 --seed {seed} --run {run}"));
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
    let scene = Scene::new();
    scene.ok("train --data ml --model fm --epochs 2 --run first");
    scene.ok("train --data ml --model fm --epochs 2 --run second");
    std::fs::remove_dir_all(scene.path("data/cache")).unwrap();
    scene.ok("train --data ml --model fm --epochs 2 --run third");
    assert_eq!(scene.metrics("first"), scene.metrics("second"));
    assert_eq!(scene.metrics("first"), scene.metrics("third"));
}
