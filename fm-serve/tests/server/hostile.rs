//! Requests that are meant to do harm.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use crate::client::read;
use crate::scene::Scene;

#[test]
fn malformed_bodies_are_400_in_one_line() {
    let scene = Scene::shared();
    let deep = "[".repeat(1_000_000);
    let deep_objects = r#"{"a":"#.repeat(100_000);
    let escapes = format!(r#"[{{"user": "{}"}}]"#, "\u{1b}[2J\u{202e}\\u0000".replace('\u{1b}', "\\u001b"));
    assert_eq!(scene.post("/score", escapes).status, 200);
    for path in ["/score", "/explain", "/v2/models/stars/infer", "/v2/models/likes_ids/infer"] {
        for body in [
            "",
            "null",
            "nan",
            "\"",
            "{]",
            "[{\"user\":",
            "\u{0}",
            "[{\"user\": 1e}]",
            &deep,
            &deep_objects,
            "\u{feff}[]",
        ] {
            let answer = scene.post(path, body);
            assert_eq!(answer.status, 400, "{path} {}", &body[..body.len().min(20)]);
            assert!(answer.error().len() < 2000);
        }
        assert_eq!(scene.post(path, b"\xff\xfe[\x00").status, 400);
    }
    scene.lives();
}

#[test]
fn a_message_repeats_little_of_the_request_and_nothing_that_a_terminal_obeys() {
    let scene = Scene::shared();
    let name = format!("\\u001b[31m{}", "x".repeat(100_000));
    let body = format!(r#"{{"inputs": [{{"name": "{name}", "shape": [1], "datatype": "BYTES", "data": ["a"]}}]}}"#);
    let answer = scene.post("/v2/models/stars/infer", body);
    let error = answer.error();
    assert!(answer.status == 400 && error.len() < 2000 && !error.contains('\u{1b}'), "{error}");
    let answer = scene.get(&format!("/{}", "y".repeat(20_000)));
    assert!(answer.status == 404 && answer.error().len() < 2000);
}

#[test]
fn paths_lead_to_no_file() {
    let scene = Scene::shared();
    for path in [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/v2/models/..%2f..%2fetc%2fpasswd",
        "/v2/models/%00",
        "/v2/models/stars/../../../etc/passwd",
        "/v2/models/stars%2fready",
        "//etc/passwd",
        "/v2/models//infer",
    ] {
        let answer = scene.get(path);
        assert!([400, 404, 405].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!answer.text().contains("root:"), "{path}");
    }
    assert_eq!(scene.get("/v2/models/%ff").status, 400);
    scene.lives();
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    let scene = Scene::shared();
    let many_headers: String = (0..5000).map(|number| format!("h{number}: x\r\n")).collect();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /score\r\n\r\n".to_vec(),
        format!("GET / HTTP/1.1\r\n{many_headers}\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nhuge: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)).into_bytes(),
        b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n[]".to_vec(),
        b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n[]".to_vec(),
        b"POST /score HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nzz\r\n[]".to_vec(),
    ] {
        let mut stream = scene.client.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let status = read(&mut stream).map(|answer| answer.status);
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert!(status.is_none_or(|status| (400..500).contains(&status) || status == 505), "{start}: {status:?}");
    }
    scene.lives();
}

#[test]
fn compressed_bodies_are_not_unpacked() {
    let scene = Scene::shared();
    let answer = scene.client.request("POST", "/score", &[("content-encoding", "gzip")], b"\x1f\x8b");
    assert_eq!(answer.status, 415);
    assert_eq!(scene.client.request("POST", "/score", &[("content-encoding", "identity")], b"[]").status, 200);
}

#[test]
fn clients_that_go_away_or_hang_do_no_harm() {
    let scene = Scene::with(|options, _| options.timeout = Duration::from_secs(5));
    let mut held = vec![];
    for (bytes, is_half_closed) in [
        (&b""[..], false),
        (b"P", false),
        (b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n[{\"user\"", false),
        (b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n[{\"user\"", true),
        (b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n[]", true),
        (b"GET /schema HTTP/1.1\r\nhost: a\r\n\r\n", true),
    ] {
        for _ in 0..30 {
            let mut stream = scene.client.connect();
            stream.write_all(bytes).unwrap();
            if is_half_closed {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            held.push(stream);
        }
    }
    scene.lives();
    // Half of them read nothing, and go away.
    held.truncate(90);
    scene.lives();
    drop(held);
    std::thread::sleep(Duration::from_millis(300));
    scene.lives();
    assert_eq!(scene.metric("fm_connections"), 1.0, "only the request for metrics is left");
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let scene = Scene::with(|options, _| options.timeout = Duration::from_millis(500));
    let mut deaf = scene.client.connect();
    let ask = b"GET /schema HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // Until neither side can write more: the answers are longer than what the system keeps for a client.
    while deaf.write_all(&ask).is_ok() {}
    let start = std::time::Instant::now();
    while scene.metric("fm_connections") > 1.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the connection is still open");
        std::thread::sleep(Duration::from_millis(50));
    }
    scene.lives();
}

#[test]
fn requests_in_a_row_on_one_connection_are_answered_in_order() {
    let scene = Scene::shared();
    let mut stream = scene.client.connect();
    let one = |body: &str| format!("POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let all = [one("[{}]"), one("{"), one("[]"), "GET /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".into()]
        .concat();
    stream.write_all(all.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "400", "200", "404"]);
}

#[test]
fn a_large_body_of_small_elements_takes_little_memory() {
    let scene = Scene::with(|options, _| options.max_body = 8 << 20);
    let before = scene.metric("process_resident_memory_bytes");
    // Four million elements that a shape of one row does not hold, and objects with names that no field reads.
    let data = format!("[{}0]", "0,".repeat(4_000_000));
    let body = format!(r#"{{"inputs": [{{"name": "user", "shape": [1], "datatype": "INT8", "data": {data}}}]}}"#);
    let names: String = (0..700_000).map(|number| format!("\"{number}\":0,")).collect();
    for _ in 0..3 {
        assert_eq!(scene.post("/v2/models/stars/infer", &body).status, 400);
        let answer = scene.post("/score", format!("[{{{names}\"user\":1}}]"));
        assert_eq!((answer.status, answer.json()["ignored"].as_array().unwrap().len()), (200, 20));
    }
    let after = scene.metric("process_resident_memory_bytes");
    assert!(after - before < 200e6, "{} MB", (after - before) / 1e6);
}

#[test]
fn many_connections_at_once_are_all_answered() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..40 {
                    scene.lives();
                }
            });
        }
    });
    assert_eq!(scene.metric(r#"fm_requests_total{endpoint="score",status="200"}"#), 320.0);
}

#[test]
fn a_client_that_ends_its_side_after_the_request_gets_its_answer() {
    let scene = Scene::shared();
    let body = r#"[{"user": "ann"}]"#;
    let ask = format!("POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..50 {
        let mut stream = scene.client.connect();
        stream.write_all(ask.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&mut stream).unwrap().predictions().len(), 1);
    }
}
