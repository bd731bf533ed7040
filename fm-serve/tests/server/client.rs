//! A client that sends exactly the bytes that a test wants.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The line of a problem.
    #[track_caller]
    pub fn error(&self) -> String {
        let error = self.json()["error"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned();
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        error
    }

    /// The numbers of `predictions`, or of the output in JSON.
    #[track_caller]
    pub fn predictions(&self) -> Vec<f32> {
        let json = self.json();
        let list = json["predictions"].as_array().or_else(|| json["outputs"][0]["data"].as_array());
        let list = list.unwrap_or_else(|| panic!("{self:?}"));
        list.iter().map(|number| number.as_f64().unwrap() as f32).collect()
    }
}

/// A server to ask.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub SocketAddr);

impl Client {
    pub fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn get(self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    pub fn post(self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", path, &[], body.as_ref())
    }

    pub fn request(self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes, and reads the answer until the server closes the connection.
    pub fn send(self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The server may answer, and close the connection, before it has read everything.
        let _ = stream.write_all(bytes);
        read(&mut stream)
            .unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)])))
    }
}

/// Reads an answer until the server closes the connection; `None` if it does so without one.
pub fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = vec![];
    // What came before an error, such as a reset, counts.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Some(Answer { status, headers: lines.map(header).collect(), body: bytes[end + 4..].to_vec() })
}
