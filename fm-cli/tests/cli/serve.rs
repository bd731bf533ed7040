//! `fm serve`, as clients use it.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::ok;
use crate::scene::{SERVED, Scene, assert_holds, assert_same_scores, python};

/// A scene with `model.pt`, the file of a run on the MovieLens release, and `rows.csv`, two rows of it.
fn scene() -> Scene {
    Scene::shared("served", |scene| {
        Scene::after(&SERVED[..2]).copy_to(scene);
        scene.ok("export stars -o model.pt --with-catalogue");
        scene.ok("export liked -o liked.pt");
        scene.write("rows.csv", "user_id,movie_id,genres\n4,12,Drama|War\n7,unknown,\n");
    })
}

/// `fm serve`, which is killed at the end of the test if it still runs.
struct Served {
    child: Child,
    /// What it said until it listened.
    said: String,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Served {
    fn start(scene: &Scene, arguments: &str) -> Served {
        Served::of(scene.fm(&format!("serve {arguments} --port 0")))
    }

    fn of(mut command: Command) -> Served {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        let address = loop {
            let start = lines.len();
            assert!(stderr.read_line(&mut lines).unwrap() > 0, "the server ended: {lines}");
            if let Some((_, address)) = lines[start..].split_once(" on http://") {
                break address.trim_end_matches(['\n', '"', '}']).split('"').next().unwrap().to_owned();
            }
        };
        Served { child, said: lines, stderr, address }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// Sends a signal, and returns the exit code and the rest of standard error.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        let start = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the server does not stop");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended if the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_served_file_scores_as_fm_predict_does_and_ends_at_a_signal() {
    let scene = scene();
    scene.ok("predict model.pt --input rows.csv --output scored.csv --allow-missing");
    for (signal, format) in [("-TERM", "text"), ("-INT", "json")] {
        let served = Served::start(&scene, &format!("model.pt --log-format {format}"));
        let rows =
            r#"[{"user_id": 4, "movie_id": 12, "genres": ["Drama", "War"]}, {"user_id": "7", "movie_id": "unknown"}]"#;
        let (status, json) = served.ask("POST", "/score", rows);
        let found: Vec<f64> =
            json["predictions"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
        assert_same_scores(&found, &scene.scores("scored.csv"));
        assert_eq!((status, &json["unknown"]["movie_id"]), (200, &Value::from(1)));
        let (code, rest) = served.end(signal);
        assert_eq!(code, Some(0), "{rest}");
        assert_holds(&rest, &["stopping", "stopped"]);
        if format == "json" {
            assert!(rest.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{rest}");
        }
    }
}

#[test]
fn recommendations_of_a_served_file_are_those_of_fm_recommend() {
    let scene = scene();
    let expected = scene.ok_json("recommend model.pt --user 4 --about age=25 --top 3 --json");
    let served = Served::start(&scene, "other=liked.pt model.pt");
    let (_, found) = served.ask("GET", "/recommend?model=model&user=4&age=25&k=3", "");
    let list = |items: &Value| -> Vec<(String, String)> {
        let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
        items.as_array().unwrap().iter().map(|item| (text(item, "item"), text(item, "title"))).collect()
    };
    assert_eq!(list(&found["items"]), list(&expected["items"]));
    assert_eq!(found["known_user"], expected["known_user"]);
    assert_eq!(served.ask("GET", "/recommend?user=4", "").0, 404, "the first model has no catalogue");
}

#[test]
fn a_run_is_served_as_its_exported_file_is() {
    let scene = scene();
    let temporary = scene.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let start = |arguments: &str| {
        let mut command = scene.fm(&format!("serve {arguments} --port 0"));
        command.env("TMPDIR", &temporary);
        Served::of(command)
    };
    let served = start("stars likes=liked file=model.pt");
    assert_holds(
        &served.said,
        &["exported stars", "items to recommend; the server keeps this version", "stars, likes, file"],
    );
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the exported file is left behind");
    let rows = r#"[{"user_id": 4, "movie_id": 12, "genres": ["Drama", "War"]}]"#;
    let score = |model: &str| served.ask("POST", &format!("/score?model={model}"), rows).1["predictions"].clone();
    assert_eq!(score("stars"), score("file"));
    assert_ne!(score("likes"), score("file"));
    let items = |model: &str| served.ask("GET", &format!("/recommend?user=4&model={model}"), "").1["items"].clone();
    assert_eq!(items("stars"), items("file"));
    assert!(items("file")[0]["title"].is_string());
    let (_, mut described) = served.ask("GET", "/schema?model=stars", "");
    described["model"] = Value::from("file");
    assert_eq!(described, served.ask("GET", "/schema?model=file", "").1);
    drop(served);
    // The data may be elsewhere: then there is nothing to recommend.
    std::fs::rename(scene.path("ml"), scene.path("moved")).unwrap();
    let served = start("stars");
    assert_holds(&served.said, &["exported stars", "without items to recommend (", "ml"]);
    assert_eq!(served.ask("GET", "/recommend?user=4", "").0, 404);
}

#[test]
fn what_cannot_be_served_is_an_error_of_one_line() {
    let scene = scene();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    scene.write("cut.pt", &scene.bytes("model.pt")[..1000]);
    scene.write("short", "secret");
    for (arguments, words) in [
        ("none.pt", "none.pt"),
        ("rows.csv", "rows.csv"),
        ("ml", "ml"),
        ("stars liked=liked.pt liked", "two files have the name `liked`"),
        ("cut.pt", "cut.pt"),
        ("model.pt cut.pt", "cut.pt"),
        ("model.pt model.pt", "two files have the name `model`"),
        ("model.pt model_ids=liked.pt", "`model_ids`"),
        (&format!("model.pt --port {port}"), &format!("cannot listen on 127.0.0.1:{port}")),
        ("model.pt --token-file none", "cannot read none"),
        ("model.pt --token-file short", "at least 16"),
        ("model.pt --max-queue 10", "the queue holds 10 rows"),
        ("model.pt --host example.org", "--host"),
        ("", "FILE"),
    ] {
        scene.fails_with(&format!("serve {arguments}"), &[words]);
    }
}

/// The lines of shell blocks of a page that call curl.
fn curl_lines() -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/serving.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let text = blocks.collect::<String>().replace("\\\n", " ");
    text.lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

#[test]
fn the_curl_lines_on_the_page_work() {
    let lines = curl_lines();
    assert!(lines.len() > 4, "{lines:?}");
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl");
        return;
    }
    let scene = scene();
    let served = Served::start(&scene, "model.pt");
    for line in lines {
        assert!(line.contains("localhost:8000"), "{line}");
        let line = line.replace("localhost:8000", &served.address).replacen(
            "curl ",
            "curl --fail-with-body --silent --show-error ",
            1,
        );
        let answer = ok(scene.command("/bin/sh").args(["-c", &line]));
        assert!(!answer.is_empty(), "{line}");
    }
}

#[test]
fn predictions_are_those_of_pytorch_bit_for_bit_for_the_same_batch() {
    let Some(python) = python() else { return };
    let scene = scene();
    let served = Served::start(&scene, "model.pt liked.pt");
    println!("{}", client(&scene, &python, "torch", &served.address));
}

#[test]
fn clients_of_triton_and_kserve_need_no_change() {
    let Some(python) = python() else { return };
    let scene = scene();
    let served = Served::start(&scene, "model.pt liked.pt");
    for (which, module, package) in
        [("triton", "tritonclient.http", "tritonclient[http]"), ("kserve", "kserve", "kserve")]
    {
        if scene.command(&python).args(["-c", &format!("import {module}")]).output().unwrap().status.success() {
            println!("{}", client(&scene, &python, which, &served.address));
        } else {
            eprintln!("skipped: FM_PYTHON has no {module}: pip install '{package}'");
        }
    }
}

/// Runs `serve.py`, which must succeed.
fn client(scene: &Scene, python: &Path, which: &str, address: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve.py");
    ok(scene.command(python).args([script, which, address, "model", "liked"]))
}
