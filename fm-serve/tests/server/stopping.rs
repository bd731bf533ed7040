//! The end of a server.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::client::read;
use crate::scene::Scene;

#[test]
fn a_request_that_has_begun_is_answered_and_no_other_is_accepted() {
    let mut scene = Scene::new();
    let body = r#"[{"user": "ann"}]"#;
    let mut begun = scene.client.connect();
    write!(begun, "POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    begun.write_all(&body.as_bytes()[..5]).unwrap();
    let _idle = scene.client.connect();
    std::thread::sleep(Duration::from_millis(200));
    scene.stop();
    std::thread::sleep(Duration::from_millis(300));
    assert!(std::net::TcpStream::connect(scene.client.0).is_err(), "a new connection is accepted");
    begun.write_all(&body.as_bytes()[5..]).unwrap();
    let answer = read(&mut begun).unwrap();
    assert_eq!((answer.status, answer.predictions().len()), (200, 1));
    let start = Instant::now();
    scene.end().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection keeps the server from stopping");
}

#[test]
fn a_client_that_never_finishes_does_not_keep_the_server_from_stopping() {
    let mut scene = Scene::with(|options, _| options.timeout = Duration::from_millis(500));
    let mut slow = scene.client.connect();
    write!(slow, "POST /score HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n[").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    scene.end().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}
