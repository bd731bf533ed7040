//! Limits of size, time and number, and the token.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{Answer, read};
use crate::scene::Scene;

const ROW: &str = r#"[{"user": "ann"}]"#;

#[test]
fn too_many_rows_or_bytes_are_413() {
    let scene = Scene::with(|options, _| {
        options.max_rows = 3;
        options.max_body = 1000;
    });
    assert_eq!(scene.post("/score", "[{},{},{}]").status, 200);
    scene.refuses("/score", "[{},{},{},{}]", 413, "more than 3 rows");
    let long = format!("[{{}}{}]", " ".repeat(1000));
    scene.refuses("/score", &long, 413, "longer than 1000 bytes");
    // The length may be unknown until the end.
    let mut chunked =
        b"POST /score HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec();
    for chunk in long.as_bytes().chunks(100) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    assert_eq!(scene.client.send(&chunked).status, 413);
    // An announced length that is too long is refused before the body comes.
    let announced = b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n";
    assert_eq!(scene.client.send(announced).status, 413);
    scene.lives();
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_408() {
    let scene = Scene::with(|options, _| options.timeout = Duration::from_millis(300));
    let start = Instant::now();
    let slow = b"POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nconnection: close\r\n\r\n[";
    let answer = scene.client.send(slow);
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(answer.error().contains("0.3 s") && start.elapsed() < Duration::from_secs(10));
    scene.lives();
}

#[test]
fn a_full_queue_is_503_and_says_when_to_try_again() {
    let scene = Scene::with(|options, _| {
        options.workers = 1;
        options.max_rows = 2000;
        options.queue_rows = 2000;
    });
    let body = format!("[{}]", vec![r#"{"user":"ann","item":"b","tags":"x|y","age":3}"#; 2000].join(","));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..12).map(|_| scope.spawn(|| scene.post("/score", &body))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty() && refused.len() < answers.len(), "{} of {}", refused.len(), answers.len());
    for answer in refused {
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.error().contains("the queue is full"));
    }
    assert!(answers.iter().filter(|answer| answer.status == 200).all(|answer| answer.predictions().len() == 2000));
    scene.lives();
}

#[test]
fn memory_for_bodies_is_bounded_whatever_is_announced() {
    let scene = Scene::with(|options, _| {
        options.max_body = 1 << 20;
        options.max_bodies = 2 << 20;
        options.timeout = Duration::from_secs(3);
    });
    // Each sends a part of what it announces. What is announced takes no memory.
    let mut slow: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = scene.client.connect();
            write!(
                stream,
                "POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                1 << 20
            )
            .unwrap();
            stream
        })
        .collect();
    scene.lives();
    let most = vec![b' '; (1 << 20) - 10];
    for stream in &mut slow {
        // The server may refuse it before it ends.
        let _ = stream.write_all(&most);
    }
    let answers: Vec<_> = slow.iter_mut().filter_map(read).map(|answer| answer.status).collect();
    assert!(answers.contains(&503) && answers.contains(&408), "{answers:?}");
    scene.lives();
    // A counted byte is given back when its request ends; the request for metrics has no body.
    assert_eq!(scene.metric("fm_body_bytes"), 0.0);
}

/// A connection with a request that has begun, and so keeps its place.
fn begun(scene: &Scene) -> TcpStream {
    let mut stream = scene.client.connect();
    write!(stream, "POST /score HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", ROW.len())
        .unwrap();
    stream
}

/// Asks until the answer has this status, and returns it.
fn until(scene: &Scene, status: u16) -> Answer {
    loop {
        let answer = scene.post("/score", ROW);
        if answer.status == status {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn connections_beyond_the_limit_get_an_answer() {
    let scene = Scene::with(|options, _| options.max_connections = 3);
    let taken: Vec<_> = (0..3).map(|_| begun(&scene)).collect();
    let answer = until(&scene, 503);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(answer.error().contains("no connection left"));
    drop(taken);
    until(&scene, 200);
}

#[cfg(target_os = "linux")]
#[test]
fn a_burst_of_connections_waits_until_they_are_accepted() {
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stars.pt");
    crate::scene::export(&file, fm_core::Task::Regression, false);
    let mut options = fm_serve::Options::new(vec![fm_serve::ModelFile::parse(file.to_str().unwrap()).unwrap()]);
    options.port = 0;
    // It listens, but does not run yet.
    let server = fm_serve::Server::open(options).unwrap();
    let connect = || std::net::TcpStream::connect_timeout(&server.address(), Duration::from_millis(500));
    let burst: Vec<_> = (0..500.min(most)).map(|_| connect().unwrap()).collect();
    drop(burst);
}

#[test]
fn an_idle_connection_gives_its_place_to_a_new_one() {
    let scene = Scene::with(|options, _| options.max_connections = 3);
    let mut asking = begun(&scene);
    // One says nothing, and one never ends its head.
    let mut silent = scene.client.connect();
    let mut slow = scene.client.connect();
    slow.write_all(b"GET /schema HTTP/1.1\r\nhost").unwrap();
    // A new one takes a place as soon as an idle one has been so for long enough.
    let is_closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        match stream.read(&mut [0; 1]) {
            Ok(count) => {
                assert_eq!(count, 0, "an idle connection is answered");
                true
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    };
    let mut new = vec![];
    for idle in [&mut silent, &mut slow] {
        while !is_closed(idle) {
            new.push(scene.client.connect());
        }
    }
    // The request that has begun keeps its place.
    asking.write_all(ROW.as_bytes()).unwrap();
    assert_eq!(read(&mut asking).unwrap().status, 200);
    drop(new);
    until(&scene, 200);
}

#[test]
fn only_requests_with_the_token_are_answered() {
    const TOKEN: &str = "a-token-of-many-characters";
    let scene = Scene::with(|options, folder| {
        let file = folder.join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        options.token_file = Some(file);
    });
    for path in ["/schema", "/metrics", "/v2", "/v2/models/stars", "/openapi.json", "/none", "//", "/v2/health/live/"] {
        let answer = scene.get(path);
        assert_eq!((answer.status, answer.headers["www-authenticate"].as_str()), (401, "Bearer"), "{path}");
    }
    scene.refuses("/score", ROW, 401, "Authorization");
    for path in ["/", "/v2/health/live", "/v2/health/ready"] {
        assert_eq!(scene.get(path).status, 200, "{path}");
    }
    let with = |text: &str| scene.client.request("POST", "/score", &[("Authorization", text)], ROW.as_bytes()).status;
    assert_eq!(with(&format!("Bearer {TOKEN}")), 200);
    assert_eq!([with("Bearer wrong"), with(TOKEN), with(&format!("Basic {TOKEN}"))], [401; 3]);
}

#[test]
fn requests_that_wait_share_a_batch() {
    let scene = Scene::with(|options, _| {
        options.workers = 1;
        options.batch_wait = Duration::from_millis(300);
    });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask =
            |user: usize| scene.post("/score", format!(r#"[{{"user": "{}"}}]"#, ["ann", "bob", "7", "eve"][user]));
        let asks: Vec<_> = (0..4).map(|user| scope.spawn(move || ask(user))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    let expected = scene.scorer("stars").score(["ann", "bob", "7", "eve"].map(|user| [("user", user)])).unwrap();
    for (answer, expected) in answers.iter().zip(expected) {
        assert!((answer.predictions()[0] - expected).abs() <= 1e-6);
    }
    assert_eq!(answers[3].json()["unknown"]["user"], 1, "unknown values are those of the request");
    assert_eq!(answers[0].json()["unknown"].get("user"), None);
    assert!(scene.metric("fm_batch_rows_count") < 4.0, "each request had a batch of its own");
    assert_eq!(scene.metric("fm_batch_rows_sum"), 4.0);
}

#[test]
fn an_answer_has_the_id_of_its_request() {
    let scene = Scene::shared();
    let id = |given: &str| {
        scene.client.request("GET", "/v2", &[("X-Request-Id", given)], b"").headers["x-request-id"].clone()
    };
    assert_eq!(id("abc-1"), "abc-1");
    assert_ne!(id("a b"), "a b");
    assert_ne!(id(""), id(""));
}
