//! Training that is killed, or that fills the disk, resumes and ends with the same bits.
#![cfg(unix)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::data::Numbers;
use crate::scene::{Scene, assert_holds, copy};

/// An embedding table of 100,000 rows: writing a checkpoint takes as long as the steps between two of them.
const HASHED: &str = "kind = \"categorical\"\nside = \"item\"\nhash_buckets = 100000";
const TRAIN: &str = "train --data books.csv --schema schema.toml --model fm --embedding-dim 4 --epochs 1 --patience 0 --batch-size 32 --quiet";

fn hash_books(scene: &Scene) {
    let schema = crate::data::SCHEMA.replacen("kind = \"categorical\"\nside = \"item\"", HASHED, 1);
    assert!(schema.contains(HASHED));
    scene.write("schema.toml", schema);
}

/// A scene with the run `straight`, which nothing interrupted, and `begun`, the same before its first step. Its learning rate
/// changes, and it has checkpoints within epochs. `time` has the seconds that `straight` took.
fn scene() -> Scene {
    Scene::shared("killed", |scene| {
        hash_books(scene);
        begin(scene);
        copy(&scene.path("begun"), &scene.path("straight"));
        let began = Instant::now();
        scene.ok("train --resume straight --quiet");
        scene.write("time", began.elapsed().as_secs_f64().to_string());
    })
}

fn begin(scene: &Scene) {
    scene.ok(&format!("{TRAIN} --run begun"));
    for file in ["metrics.jsonl", "timings.jsonl", "summary.json", "checkpoints/best.safetensors"] {
        std::fs::remove_file(scene.path("begun").join(file)).unwrap();
    }
    let checkpoints = scene.path("begun/checkpoints");
    std::fs::rename(checkpoints.join("step-0.safetensors"), checkpoints.join("last.safetensors")).unwrap();
    let mut settings = scene.text("begun/settings.toml");
    for (from, to) in [
        ("epochs = 1", "epochs = 6"),
        ("checkpoint_steps = 0", "checkpoint_steps = 30"),
        ("warmup_steps = 0", "warmup_steps = 100"),
        ("[train.schedule]\nname = \"constant\"", "[train.schedule]\nname = \"cosine\""),
    ] {
        assert!(settings.contains(from), "{settings}");
        settings = settings.replace(from, to);
    }
    scene.write("begun/settings.toml", settings);
}

#[track_caller]
fn assert_same_run(scene: &Scene, a: &str, b: &str) {
    for file in ["metrics.jsonl", "checkpoints/best.safetensors", "checkpoints/last.safetensors"] {
        assert!(scene.bytes(&format!("{a}/{file}")) == scene.bytes(&format!("{b}/{file}")), "{a}: {file} differs");
    }
    assert_eq!(scene.summary(a), scene.summary(b));
    let files = |run: &str| {
        let entries = std::fs::read_dir(scene.path(run).join("checkpoints")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(files(a), files(b));
}

/// Runs `fm` for a time, then kills it.
fn killed_after(scene: &Scene, line: &str, time: Duration) {
    let mut child = scene.fm(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_killed_twenty_times_ends_as_if_uninterrupted() {
    let scene = scene();
    let whole = Duration::from_secs_f64(scene.text("time").parse().unwrap());
    let mut numbers = Numbers(3);
    let mut is_unfinished = 0;
    for round in 0..4 {
        let run = format!("killed-{round}");
        copy(&scene.path("begun"), &scene.path(&run));
        let checkpoints = scene.path(&run).join("checkpoints");
        for _ in 0..5 {
            let time = whole * numbers.below(1000) as u32 / 3000;
            killed_after(&scene, &format!("train --resume {run} --quiet"), time);
            let names = std::fs::read_dir(&checkpoints).unwrap().map(|entry| entry.unwrap().file_name());
            is_unfinished += usize::from(names.into_iter().any(|name| name.to_string_lossy().ends_with(".partial")));
            // The run is usable at any time.
            let has_best = checkpoints.join("best.safetensors").exists();
            if has_best && numbers.below(5) == 0 {
                scene.ok(&format!("evaluate {run} --quiet"));
            }
        }
        scene.ok(&format!("train --resume {run} --quiet"));
        assert_same_run(&scene, &run, "straight");
    }
    eprintln!("{is_unfinished} of 20 kills fell into the writing of a checkpoint");
}

#[test]
fn a_run_killed_as_it_starts_resumes_or_says_how_to_start_again() {
    let scene = Scene::new();
    hash_books(&scene);
    scene.ok(&format!("{TRAIN} --run straight"));
    let (mut anew, mut resumed) = (0, 0);
    for milliseconds in [0, 1, 3, 6, 10, 20, 40, 80] {
        let folder = scene.path("killed");
        let mut child = scene.fm(&format!("{TRAIN} --run killed")).stdout(Stdio::null()).spawn().unwrap();
        while !folder.exists() {
            assert!(child.try_wait().unwrap().is_none(), "training ended without a run");
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let output = scene.fm("train --resume killed --quiet").output().unwrap();
        if output.status.success() {
            resumed += 1;
        } else {
            let error = String::from_utf8(output.stderr).unwrap();
            assert_holds(&error, &["killed cannot be resumed", "start again with `--force`"]);
            scene.ok(&format!("{TRAIN} --run killed --force"));
            anew += 1;
        }
        assert_same_run(&scene, "killed", "straight");
        std::fs::remove_dir_all(folder).unwrap();
    }
    eprintln!("{anew} of 8 runs were killed before their first checkpoint, {resumed} went on");
}

/// As [`scene`], with the run `run`, which was killed in its second half.
fn halfway() -> Scene {
    Scene::shared("killed halfway", |scene| {
        self::scene().copy_to(scene);
        copy(&scene.path("begun"), &scene.path("run"));
        let mut child = scene.fm("train --resume run --quiet").stdout(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while std::fs::read_to_string(scene.path("run/metrics.jsonl")).map_or(0, |text| text.lines().count()) < 3 {
            assert!(began.elapsed() < Duration::from_secs(60), "no third epoch within a minute");
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    })
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint_and_the_run_resumes_when_there_is_room() {
    let scene = halfway();
    // No file may exceed 1 MiB. A block of `ulimit -f` has 512 bytes.
    let last = scene.bytes("run/checkpoints/last.safetensors");
    let mut command = scene.command("sh");
    let limit = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\"";
    command.args(["-c", limit, env!("CARGO_BIN_EXE_fm"), "train", "--resume", "run", "--quiet"]);
    let error = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_holds(
        &error,
        &["cannot write", "File too large", "once that is fixed, resume with `fm train --resume run`"],
    );
    assert!(scene.bytes("run/checkpoints/last.safetensors") == last);
    scene.ok("train --resume run --quiet");
    assert_same_run(&scene, "run", "straight");
}

#[test]
fn a_disk_without_a_free_byte_keeps_the_last_checkpoint_and_the_run_resumes_when_there_is_room() {
    let scene = halfway();
    std::fs::create_dir(scene.path("disk")).unwrap();
    let mut run = 0;
    for entry in std::fs::read_dir(scene.path("run/checkpoints")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "partial") {
            // Resuming would delete it, which makes room.
            std::fs::remove_file(file).unwrap();
        } else {
            run += std::fs::metadata(file).unwrap().len();
        }
    }
    // A private file system, which disappears when the script ends.
    let script = "mount -t tmpfs -o size=$1 none disk || { echo no-mount; exit 0; }
        cp -r run disk/run && cp disk/run/checkpoints/last.safetensors before || exit 3
        \"$0\" train --resume disk/run --quiet 2>error && exit 4
        cmp before disk/run/checkpoints/last.safetensors || exit 5
        mount -o remount,size=$2 disk || exit 6
        \"$0\" train --resume disk/run --quiet >/dev/null || exit 7
        cp -r disk/run mended";
    let mut command = scene.command("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_fm")]);
    command.args([(run + (1 << 20)).to_string(), (4 * run).to_string()]);
    let output = match command.output() {
        Ok(output) if !output.stdout.starts_with(b"no-mount") && output.status.code() != Some(1) => output,
        _ => {
            eprintln!("skipped: this user may not mount a disk of its own");
            return;
        }
    };
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    let error = scene.text("error");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert_holds(
        &error,
        &["cannot write disk/run/checkpoints/", "No space left on device", "fm train --resume disk/run"],
    );
    assert_same_run(&scene, "mended", "straight");
}

#[test]
fn training_resumes_from_the_previous_checkpoint_if_the_last_is_damaged() {
    let scene = halfway();
    let mut last = scene.bytes("run/checkpoints/last.safetensors");
    let middle = last.len() / 2;
    last[middle] ^= 1;
    scene.write("run/checkpoints/last.safetensors", last);
    let output = scene.run("train --resume run");
    let log = String::from_utf8(output.stderr).unwrap();
    let words = [
        "WARN",
        "last.safetensors is not a usable checkpoint: it is damaged or truncated",
        "resuming from run/checkpoints/step-",
    ];
    assert_holds(&log, &words);
    assert_same_run(&scene, "run", "straight");
}
