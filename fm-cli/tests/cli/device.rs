//! Where the program computes.

use crate::scene::Scene;

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
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
fn a_device_that_does_not_exist_is_answered_with_those_that_do() {
    let scene = Scene::new();
    scene.fails_with("train --data ml --device gpu --run run", &["gpu", "auto, cpu, cuda, cuda:1"]);
}
