//! Training by several processes.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scene::{Scene, assert_holds};

/// Starts a command on each rank of a group. `line` gives the command of a rank.
pub fn start<S: AsRef<str>>(scene: &Scene, size: usize, line: impl Fn(usize) -> S) -> Vec<Child> {
    start_waiting(scene, size, 60, line)
}

/// As [`start`], with the number of seconds that the processes wait for each other.
fn start_waiting<S: AsRef<str>>(scene: &Scene, size: usize, seconds: u64, line: impl Fn(usize) -> S) -> Vec<Child> {
    // Free when it is asked for; nothing else takes it before rank 0 listens.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let rank = |rank: usize| {
        let line = format!("{} --distributed env --distributed-timeout {seconds}", line(rank).as_ref());
        let mut command = scene.fm(&line);
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", size.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    (0..size).map(rank).collect()
}

pub fn wait(ranks: Vec<Child>) -> Vec<Output> {
    ranks.into_iter().map(|rank| rank.wait_with_output().unwrap()).collect()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command on each rank, which must succeed. Only rank 0 says something.
pub fn train(scene: &Scene, size: usize, line: &str) {
    let outputs = wait(start(scene, size, |_| line));
    for (rank, output) in outputs.iter().enumerate() {
        assert!(output.status.success(), "rank {rank} of {size}, {line}: {}", stderr(output));
        assert!(rank == 0 || output.stdout.is_empty() && output.stderr.is_empty(), "rank {rank}: {}", stderr(output));
    }
    assert!(!outputs[0].stdout.is_empty());
}

/// The tensors of a run's last checkpoint.
pub fn tensors(scene: &Scene, run: &str) -> BTreeMap<String, Vec<f32>> {
    let file = scene.bytes(&format!("{run}/checkpoints/last.safetensors"));
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    header.remove("__metadata__");
    let tensor = |place: &Value| -> Vec<f32> {
        let [from, to] = [0, 1].map(|end| place["data_offsets"][end].as_u64().unwrap() as usize);
        data[from..to].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    header.into_iter().map(|(name, place)| (name, tensor(&place))).collect()
}

/// Asserts that two runs differ by rounding only.
#[track_caller]
pub fn assert_near(scene: &Scene, a: &str, b: &str) {
    let (run, a, b) = (b, tensors(scene, a), tensors(scene, b));
    assert!(a.keys().eq(b.keys()));
    for (name, values) in &a {
        for (x, y) in values.iter().zip(&b[name]) {
            // Rounding, which layer norm enlarges.
            assert!((x - y).abs() <= 1e-5 * x.abs().max(1.0), "{run}, {name}: {x} and {y}");
        }
    }
}

#[track_caller]
pub fn assert_same(scene: &Scene, a: &str, b: &str) {
    let file = |run: &str| scene.bytes(&format!("{run}/checkpoints/last.safetensors"));
    assert!(file(a) == file(b), "{a} and {b} differ");
    assert_eq!(scene.metrics(a), scene.metrics(b));
}

/// Trains on one, two and three processes. Dividing the tables among them must not change a bit.
fn assert_equal_for_any_number(scene: &Scene, name: &str, line: &str) {
    scene.ok(&format!("{line} --run {name}-1"));
    for size in [2, 3] {
        let [replicated, sharded] = ["replicated", "sharded"].map(|tables| {
            let run = format!("{name}-{size}-{tables}");
            train(scene, size, &format!("{line} --run {run} --tables {tables}"));
            run
        });
        assert_near(scene, &format!("{name}-1"), &replicated);
        assert_same(scene, &replicated, &sharded);
        assert_eq!(scene.summary(&replicated), scene.summary(&sharded));
    }
}

/// Options with which a model computes the same whatever the number of processes: no dropout, no statistics of a batch. A
/// rectifier that rounding switches on changes a gradient by more than rounding.
fn exact_options(model: &Value) -> String {
    let of_option = |name: &String| match name.as_str() {
        name if name.ends_with("dropout") => Some(format!(" --set model.options.{name}=0")),
        name if name.ends_with("batch_norm") => Some(format!(" --set model.options.{name}=off")),
        "members" => Some(r#" --set model.options.members=[{name="fm"},{name="lr"}]"#.to_owned()),
        // Layer norm of the small products of EDCN enlarges rounding.
        "gate_norm" => Some(format!(" --set model.options.{name}=false")),
        // The gradient of a power of a small number is large, and so is its rounding.
        "logarithmic_neurons" => Some(" --set model.options.init_std=10".to_owned()),
        "attention_activation" => Some(format!(" --set model.options.{name}=sigmoid")),
        name if name.ends_with("activation") => Some(format!(" --set model.options.{name}=tanh")),
        _ => None,
    };
    model["options"].as_object().unwrap().keys().filter_map(of_option).collect()
}

#[test]
fn several_processes_train_every_model_as_one_does() {
    let scene = Scene::new();
    for model in scene.ok_json("models --json").as_array().unwrap() {
        let name = model["name"].as_str().unwrap();
        if name == "bayesian_fm" {
            continue;
        }
        let options = exact_options(model);
        // The last of the batches is shorter. Adam would divide a small gradient by its size, and so enlarge its rounding.
        let is_of_sequences = model["needs_history"] == true;
        let history = if is_of_sequences { " --history 5 --set data.history_form=sequence" } else { "" };
        let line =
            format!("train --data ml{history} --model {name} --optimizer adagrad --epochs 1 --batch-size 700{options}");
        assert_equal_for_any_number(&scene, name, &line);
    }
}

#[test]
fn several_processes_train_with_every_optimizer_as_one_does() {
    let scene = Scene::new();
    for (name, settings) in [
        ("sgd", "--optimizer sgd --lr 0.05 --l2 0.1"),
        ("adagrad", "--optimizer adagrad --l2 0.1 --set train.l2_scope=table"),
        ("rmsprop", "--optimizer rmsprop --set train.clip_value=0.01"),
        ("adam", "--optimizer adam --set train.clip_norm=0.1 --set train.accumulate=3"),
        ("momentum", "--optimizer sgd --lr 0.05 --set train.optimizer.momentum=0.9 --set train.clip_norm=0.05"),
        ("ftrl", "--optimizer ftrl"),
    ] {
        let line = format!("train --data ml --task binary --model fm --epochs 1 --batch-size 300 {settings}");
        assert_equal_for_any_number(&scene, name, &line);
    }
    let books = "--data books.csv --schema schema.toml --model ffm --epochs 1";
    assert_equal_for_any_number(&scene, "table", &format!("train {books} --batch-size 50"));
    // Adam would enlarge the gradient of the bias, which is rounding alone.
    let ranking = "--task ranking --threshold 4 --split leave-last-out --set train.ranking.loss=sampled-softmax \
                   --optimizer adagrad";
    assert_equal_for_any_number(&scene, "ranking", &format!("train {books} {ranking} --batch-size 64"));
}

#[test]
fn fewer_rows_than_processes_are_enough() {
    let scene = Scene::new();
    assert_equal_for_any_number(&scene, "tiny", "train --data ml --model fm --epochs 1 --batch-size 2");
}

/// 20 epochs, which take long enough to interrupt them.
pub const LONG: &str = "train --data ml --model deepfm --epochs 20 --patience 0 --batch-size 32 --hidden-units 16";

/// Waits for the end of the second epoch.
fn wait_for_epochs(scene: &Scene, run: &str, ranks: &mut [Child]) {
    let began = Instant::now();
    let metrics = scene.path(run).join("metrics.jsonl");
    while std::fs::read_to_string(&metrics).map_or(0, |text| text.matches('\n').count()) < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "no second epoch within a minute");
        assert!(
            ranks.iter_mut().all(|rank| rank.try_wait().unwrap().is_none()),
            "training ended before the second epoch"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(rank: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &rank.id().to_string()]).status().unwrap().success());
}

/// Interrupts two processes that write `run`.
pub fn interrupt_in_third_epoch(scene: &Scene, line: &str) {
    let mut ranks = start(scene, 2, |_| line);
    wait_for_epochs(scene, "run", &mut ranks);
    // A launcher signals all of them; one is enough.
    signal(&ranks[1], "-TERM");
    let outputs = wait(ranks);
    assert!(outputs.iter().all(|output| output.status.code() == Some(130)), "{outputs:?}");
    assert_holds(stderr(&outputs[0]).lines().last().unwrap(), &["interrupted in epoch", "`fm train --resume run`"]);
    assert_eq!(stderr(&outputs[1]), "");
}

/// Kills one of two processes in the third epoch. Returns the last line of the other, which loses it, and how long that
/// takes.
pub fn last_words_after_a_kill(scene: &Scene, run: &str, killed: usize, line: &str) -> (String, Duration) {
    let mut ranks = start(scene, 2, |_| line);
    wait_for_epochs(scene, run, &mut ranks);
    let began = Instant::now();
    signal(&ranks[killed], "-KILL");
    let outputs = wait(ranks);
    let (elapsed, rank) = (began.elapsed(), 1 - killed);
    assert_eq!(outputs[rank].status.code(), Some(1));
    let message = stderr(&outputs[rank]).lines().last().unwrap().to_owned();
    assert_holds(&message, &[&format!("error: rank {rank} of 2 lost another process")]);
    (message, elapsed)
}

#[test]
fn a_group_that_is_interrupted_resumes_to_the_same_bits() {
    let scene = Scene::new();
    train(&scene, 2, &format!("{LONG} --run straight"));
    interrupt_in_third_epoch(&scene, &format!("{LONG} --run run"));
    train(&scene, 2, "train --resume run");
    assert_same(&scene, "run", "straight");
}

#[test]
fn processes_end_when_one_of_them_is_killed_and_another_number_resumes() {
    let scene = Scene::new();
    for killed in [0, 1] {
        let run = format!("killed-{killed}");
        let (message, elapsed) = last_words_after_a_kill(&scene, &run, killed, &format!("{LONG} --run {run}"));
        // Far below the timeout of processes that wait for each other.
        assert!(elapsed < Duration::from_secs(60));
        assert!(killed == 0 || message.ends_with(&format!("resume with `fm train --resume {run}`")), "{message}");
        scene.ok(&format!("train --resume {run}"));
        assert_eq!(scene.metrics(&run).len(), 20);
    }
}

#[test]
fn processes_end_at_the_timeout_when_one_of_them_hangs() {
    let scene = Scene::new();
    for (stopped, tables) in [(0, "replicated"), (1, "sharded"), (2, "replicated")] {
        let run = format!("stopped-{stopped}");
        // Longer than a busy machine makes a process wait.
        let mut ranks = start_waiting(&scene, 3, 5, |_| format!("{LONG} --quiet --run {run} --tables {tables}"));
        wait_for_epochs(&scene, &run, &mut ranks);
        let mut hanging = ranks.remove(stopped);
        signal(&hanging, "-STOP");
        let began = Instant::now();
        let outputs = wait(ranks);
        let waited = began.elapsed().as_secs();
        signal(&hanging, "-KILL");
        hanging.wait().unwrap();
        assert!((4..30).contains(&waited), "{waited} s");
        for output in &outputs {
            assert_eq!(output.status.code(), Some(1));
            let message = stderr(output);
            assert_eq!(message.lines().count(), 1, "{message}");
            assert_holds(&message, &["of 3 lost another process"]);
        }
        scene.ok(&format!("train --resume {run} --quiet"));
        assert_eq!(scene.metrics(&run).len(), 20);
    }
}

/// Runs commands that must fail with one line in all, which it returns.
pub fn fails(scene: &Scene, lines: [&str; 2]) -> String {
    let outputs = wait(start(scene, 2, |rank| lines[rank]));
    assert!(outputs.iter().all(|output| output.status.code() == Some(1)), "{outputs:?}");
    assert!(outputs.iter().all(|output| output.stdout.is_empty()));
    let text: String = outputs.iter().map(stderr).collect();
    let lines: Vec<&str> = text.lines().collect();
    let [error] = lines[..] else { panic!("{text}") };
    error.to_owned()
}

#[test]
fn what_one_process_cannot_do_with_others_is_one_line_of_one_of_them() {
    let scene = Scene::new();
    let same = |line: &str, words: &[&str]| assert_holds(&fails(&scene, [line, line]), words);
    let fm = "train --data ml --model fm --run run --quiet";
    let error = fails(&scene, [fm, &format!("{fm} --lr 0.5")]);
    assert_eq!(error, "error: rank 1 and rank 0 have different settings: start all processes with the same arguments");
    same("train --data none.csv --run run --quiet", &["none.csv"]);
    same("train --data ml --optimizer adam --set train.optimizer.beta_1=2 --run run --quiet", &["beta_1"]);
    same("train --data ml --model nfm --run run --quiet", &["batch normalization", "train in one process"]);
    same("train --data ml --model bayesian_fm --run run --quiet", &["draws its parameters: train in one process"]);
    same(&format!("{fm} --optimizer adagrad --set train.update=online"), &["online updates", "train in one process"]);
    same(&format!("{fm} --optimizer sgd --lr 1e30"), &["became", "lower the learning rate"]);
    assert!(!scene.path("run").exists());
}

#[test]
fn processes_that_cannot_meet_say_why() {
    let scene = Scene::new();
    let with = |variables: &[(&str, &str)]| {
        let mut command = scene.fm("train --data ml --run run --distributed env --distributed-timeout 1");
        for name in ["MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        scene.command_fails(&mut command)
    };
    assert_holds(&with(&[]), &["the variable RANK is not set", "torchrun --no-python"]);
    assert_holds(&with(&[("RANK", "2"), ("WORLD_SIZE", "2")]), &["RANK is 2, but must be below WORLD_SIZE"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let usual = [("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port), ("RANK", "0"), ("WORLD_SIZE", "3")];
    assert_holds(&with(&usual), &["rank 0 of 3 could not meet the others", "within 1 s", "1/3 clients joined"]);
}

#[test]
fn one_process_of_a_launcher_trains_as_without_it() {
    let scene = Scene::new();
    let line = "train --data ml --model fm --epochs 1";
    scene.ok(&format!("{line} --run alone"));
    train(&scene, 1, &format!("{line} --run launched"));
    assert_same(&scene, "alone", "launched");
}

#[test]
fn torchrun_starts_processes_and_restarts_them() {
    let Some(python) = std::env::var_os("FM_PYTHON") else {
        println!("skipped: FM_PYTHON names no Python with PyTorch");
        return;
    };
    let scene = Scene::new();
    // Without the file, a process kills itself as soon as the run has two epochs.
    scene.write(
        "rank.sh",
        "[ $RANK = 0 ] || [ -e killed ] || (while [ $(cat run/metrics.jsonl 2>/dev/null | wc -l) -lt 2 ]; do sleep 0.05; \
         done; touch killed; kill -KILL $$) &\nexec \"$@\"\n",
    );
    let mut torchrun = scene.command(python);
    torchrun.args(["-m", "torch.distributed.run", "--no-python", "--standalone", "--nproc-per-node", "2"]);
    torchrun.args([
        "--max-restarts",
        "1",
        "--monitor-interval",
        "0.1",
        "--",
        "sh",
        "rank.sh",
        env!("CARGO_BIN_EXE_fm"),
    ]);
    torchrun.args(format!("{LONG} --run run --distributed env").split_whitespace());
    let output = torchrun.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(scene.path("killed").exists());
    assert_holds(&stderr(&output), &["lost another process", "resuming after epoch"]);
    train(&scene, 2, &format!("{LONG} --run straight"));
    assert_same(&scene, "run", "straight");
}
