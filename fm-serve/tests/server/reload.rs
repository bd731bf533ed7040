//! Files that change while they are served.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fm_core::Task;

use crate::scene::{Scene, export};

const ROW: &str = r#"[{"user": "ann", "item": "b", "age": 20}]"#;

fn scene() -> Scene {
    Scene::with(|options, _| options.reload_every = Duration::from_millis(100))
}

/// Puts a new file in the place of another, as `fm export` does.
fn replace(path: &Path, content: impl FnOnce(&Path)) {
    let new = path.with_extension("new");
    content(&new);
    std::fs::rename(new, path).unwrap();
}

#[track_caller]
fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(60), "it did not happen in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_new_file_answers_after_the_old_one_without_a_gap() {
    let scene = scene();
    let before = scene.post("/score", ROW).predictions();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let mut answers = vec![];
            while !is_over.load(Ordering::Relaxed) {
                let answer = scene.post("/score", ROW);
                assert_eq!(answer.status, 200);
                answers.push(answer.predictions());
            }
            answers
        });
        replace(&scene.path("stars.pt"), |new| export(new, Task::Regression, true));
        wait_for(|| scene.metric(r#"fm_model_loads_total{model="stars",result="ok"}"#) == 1.0);
        std::thread::sleep(Duration::from_millis(50));
        is_over.store(true, Ordering::Relaxed);
        let after = scene.scorer("stars").score([[("user", "ann"), ("item", "b"), ("age", "20")]]).unwrap();
        assert_ne!(before, after);
        let answers = asks.join().unwrap();
        let old = answers.iter().take_while(|answer| **answer == before).count();
        assert!(old > 0 && answers[old..].iter().all(|answer| *answer == after), "{answers:?}");
        assert_eq!(scene.post("/score", ROW).predictions(), after);
    });
    assert_eq!(scene.metric(r#"fm_model_loads_total{model="likes",result="ok"}"#), 0.0);
}

#[test]
fn a_damaged_file_is_reported_and_the_old_model_goes_on() {
    let scene = scene();
    let before = scene.post("/score", ROW).predictions();
    let path = scene.path("stars.pt");
    let whole = std::fs::read(&path).unwrap();
    let failures = || scene.metric(r#"fm_model_loads_total{model="stars",result="error"}"#);
    replace(&path, |new| std::fs::write(new, &whole[..whole.len() / 2]).unwrap());
    wait_for(|| failures() == 1.0);
    assert_eq!(scene.post("/score", ROW).predictions(), before);
    // It is not tried again until it changes.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(failures(), 1.0);
    std::fs::remove_file(&path).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((scene.post("/score", ROW).predictions(), failures()), (before.clone(), 1.0));
    replace(&path, |new| std::fs::write(new, &whole).unwrap());
    wait_for(|| scene.metric(r#"fm_model_loads_total{model="stars",result="ok"}"#) == 1.0);
    assert_eq!(scene.post("/score", ROW).predictions(), before);
}
