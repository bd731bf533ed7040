//! The device that the program computes on.

use crate::scene::Scene;

#[test]
fn a_missing_gpu_is_an_error() {
    let scene = Scene::new();
    if !scene.ok("doctor").contains("CUDA         none") {
        eprintln!("skipped: this machine has a CUDA device");
        return;
    }
    for device in ["cuda", "cuda:1"] {
        let line = format!("train --data ml --device {device} --run run");
        scene.fails_with(&line, &["no CUDA device", "--device cpu", "fm doctor"]);
    }
}

#[test]
fn an_unknown_device_is_an_error_that_names_the_known_ones() {
    let scene = Scene::new();
    scene.fails_with("train --data ml --device gpu --run run", &["gpu", "auto, cpu, cuda, cuda:1"]);
}
