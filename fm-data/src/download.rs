//! Downloads over HTTPS that resume after an interruption and are verified by their MD5 sum.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use crate::error::{Error, Result};

/// A server that sends nothing for this long counts as unreachable. The whole download has no time limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The progress of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The bytes on the disk, including those of an earlier attempt.
    pub done: u64,
    /// The size of the whole file in bytes, if the server reports it.
    pub total: Option<u64>,
}

/// A file on a server.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Its address.
    pub url: &'a str,
}

impl Remote<'_> {
    /// Downloads the file to `<file>.partial`, and renames it to `file` at the end. A later call resumes a partial
    /// file. Does nothing if `file` exists and has the MD5 sum `md5`, in hexadecimal.
    ///
    /// # Errors
    /// [`Error::Download`] if the server cannot be reached, returns an error status, closes the connection early, or
    /// sends a file with another MD5 sum (which is deleted); [`Error::Io`] if the file cannot be written,
    /// [`Error::Data`] if the disk is full.
    pub fn download(&self, file: &Path, md5: &str, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        if file.is_file() && Partial::open(file)?.md5().eq_ignore_ascii_case(md5) {
            return Ok(());
        }
        let path = partial_path(file);
        let mut partial = Partial::open(&path)?;
        let response = self.request_rest(&mut partial);
        if response.is_err() && partial.done == 0 {
            // Best effort: the file is empty.
            let _ = std::fs::remove_file(&path);
        }
        if let Some(response) = response? {
            self.receive(response, &mut partial, progress)?;
        }
        partial.file.sync_all().map_err(Error::io("write", &path))?;
        let found = partial.md5();
        if !found.eq_ignore_ascii_case(md5) {
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            return self.fail(format!(
                "its MD5 sum is {found} instead of {md5}: it was damaged during the download, or has changed on the \
                 server; it has been deleted"
            ));
        }
        std::fs::rename(&path, file).map_err(Error::io("write", file))
    }

    /// The text of a small file.
    ///
    /// # Errors
    /// Like [`Remote::download`].
    pub fn text(&self) -> Result<String> {
        let mut response = self.get(0)?;
        if response.status() != StatusCode::OK {
            return self.refused(response.status());
        }
        response.body_mut().read_to_string().or_else(|error| self.unreachable(&error))
    }

    /// Requests the missing bytes. `None` if none are missing.
    fn request_rest(&self, partial: &mut Partial) -> Result<Option<Response<Body>>> {
        loop {
            let response = self.get(partial.done)?;
            match response.status() {
                StatusCode::OK => {
                    // The server does not support ranges, and sends the whole file.
                    partial.restart()?;
                    return Ok(Some(response));
                }
                StatusCode::PARTIAL_CONTENT if ContentRange::of(&response).start == Some(partial.done) => {
                    return Ok(Some(response));
                }
                StatusCode::RANGE_NOT_SATISFIABLE if ContentRange::of(&response).total == Some(partial.done) => {
                    return Ok(None);
                }
                // The partial file does not match the server's. The next request is for the whole file.
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if partial.done > 0 => {
                    partial.restart()?;
                }
                status => return self.refused(status),
            }
        }
    }

    fn receive(
        &self,
        response: Response<Body>,
        partial: &mut Partial,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let total = match response.status() {
            StatusCode::PARTIAL_CONTENT => ContentRange::of(&response).total,
            _ => response.body().content_length(),
        };
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        let broken = |done: u64, reason: &str| {
            let total = total.map(|total| format!(" of {total}")).unwrap_or_default();
            self.fail(format!(
                "the connection broke after {done}{total} bytes ({reason}); the next attempt resumes there"
            ))
        };
        loop {
            progress(Progress { done: partial.done, total });
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return broken(partial.done, &error.to_string()),
            };
            partial.write(&buffer[..n])?;
        }
        match total {
            Some(total) if total != partial.done => broken(partial.done, "it ended early"),
            _ => Ok(()),
        }
    }

    /// Requests the file from byte `start`, and returns the response with any status.
    fn get(&self, start: u64) -> Result<Response<Body>> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(STALL_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .build()
            .into();
        let mut request = agent.get(self.url);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        request.call().or_else(|error| self.unreachable(&error))
    }

    fn unreachable<T>(&self, error: &ureq::Error) -> Result<T> {
        self.fail(format!("the server cannot be reached ({error})"))
    }

    fn refused<T>(&self, status: StatusCode) -> Result<T> {
        self.fail(format!("the server answers {status}"))
    }

    fn fail<T>(&self, reason: String) -> Result<T> {
        Err(Error::Download { url: self.url.to_owned(), reason })
    }
}

/// The downloaded part of a file, and the state of its MD5 sum.
struct Partial {
    path: PathBuf,
    file: File,
    done: u64,
    hasher: Md5,
}

impl Partial {
    /// Opens or creates the file, and computes the sum of its content.
    fn open(path: &Path) -> Result<Partial> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(Error::io("open", path))?;
        let mut hasher = Md5::new();
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let done = io::copy(&mut (&mut file).take(length), &mut hasher).map_err(Error::io("read", path))?;
        Ok(Partial { path: path.to_owned(), file, done, hasher })
    }

    fn restart(&mut self) -> Result<()> {
        if self.done > 0 {
            self.file.set_len(0).map_err(Error::io("write", &self.path))?;
            self.file.seek(SeekFrom::Start(0)).map_err(Error::io("write", &self.path))?;
            self.done = 0;
            self.hasher = Md5::new();
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| no_space_or_io(source, &self.path))?;
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
        Ok(())
    }

    fn md5(&self) -> String {
        self.hasher.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `Content-Range: bytes <start>-<end>/<total>`, or `bytes */<total>`.
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn of(response: &Response<Body>) -> ContentRange {
        let header = response.headers().get("Content-Range").and_then(|value| value.to_str().ok()).unwrap_or("");
        let (range, total) = header.trim_start_matches("bytes").trim().split_once('/').unwrap_or(("", ""));
        let start = range.split_once('-').and_then(|(start, _)| start.parse().ok());
        ContentRange { start, total: total.parse().ok() }
    }
}

fn partial_path(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    file.with_file_name(name)
}

/// The error of a failed write to `path`, with its own message for a full device.
pub(crate) fn no_space_or_io(source: io::Error, path: &Path) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::data(path, None, "no space is left on its device")
        }
        _ => Error::Io { action: "write", path: path.to_owned(), source },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    const CONTENT: &[u8] = b"0123456789abcdefghij";
    const CONTENT_MD5: &str = "644be06dfc54061fd1e67f5ebbabcd58";

    /// A local server that gives each of its answers once, in order, and stops.
    pub(crate) struct Server {
        pub(crate) base_url: String,
        thread: JoinHandle<Vec<String>>,
    }

    impl Server {
        /// Each request gets the next answer, after which the connection is closed.
        pub(crate) fn start(answers: Vec<Vec<u8>>) -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let base_url = format!("http://{}", listener.local_addr().unwrap());
            let serve = move |answer: &Vec<u8>| {
                let (mut stream, _) = listener.accept().unwrap();
                let head = read_head(&stream);
                stream.write_all(answer).unwrap();
                head
            };
            let thread = std::thread::spawn(move || answers.iter().map(serve).collect());
            Server { base_url, thread }
        }

        /// The heads of the requests, once all answers are given.
        pub(crate) fn requests(self) -> Vec<String> {
            self.thread.join().unwrap()
        }
    }

    fn read_head(stream: &TcpStream) -> String {
        let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
        lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n").to_lowercase()
    }

    /// An answer with its status line, headers and body. The header claims the length `length`.
    pub(crate) fn answer(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        [head.as_bytes(), body].concat()
    }

    fn whole() -> Vec<u8> {
        answer("200 OK", "", CONTENT.len(), CONTENT)
    }

    struct Outcome {
        result: Result<()>,
        requests: Vec<String>,
        content: Option<Vec<u8>>,
        partial: Option<Vec<u8>>,
        progress: Vec<Progress>,
    }

    /// Downloads with `partial` already there.
    fn download(partial: Option<&[u8]>, answers: Vec<Vec<u8>>) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.zip");
        if let Some(partial) = partial {
            std::fs::write(partial_path(&file), partial).unwrap();
        }
        let server = Server::start(answers);
        let mut progress = Vec::new();
        let remote = Remote { url: &format!("{}/file.zip", server.base_url) };
        let result = remote.download(&file, CONTENT_MD5, &mut |p| progress.push(p));
        let read = |path: &Path| std::fs::read(path).ok();
        let (content, partial) = (read(&file), read(&partial_path(&file)));
        Outcome { result, requests: server.requests(), content, partial, progress }
    }

    #[test]
    fn a_file_is_downloaded_and_verified() {
        let outcome = download(None, vec![whole()]);
        outcome.result.unwrap();
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));
        assert_eq!(outcome.partial, None);
        assert!(!outcome.requests[0].contains("range:"));
        assert_eq!(outcome.progress.first(), Some(&Progress { done: 0, total: Some(20) }));
        assert_eq!(outcome.progress.last(), Some(&Progress { done: 20, total: Some(20) }));
    }

    #[test]
    fn a_valid_file_is_not_downloaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.zip");
        std::fs::write(&file, CONTENT).unwrap();
        let nowhere = Remote { url: "http://127.0.0.1:1/file.zip" };
        nowhere.download(&file, &CONTENT_MD5.to_uppercase(), &mut |_| {}).unwrap();
    }

    #[test]
    fn a_partial_file_is_resumed() {
        let rest = answer("206 Partial Content", "Content-Range: bytes 8-19/20\r\n", 12, &CONTENT[8..]);
        let outcome = download(Some(&CONTENT[..8]), vec![rest]);
        outcome.result.unwrap();
        assert!(outcome.requests[0].contains("range: bytes=8-"), "{:?}", outcome.requests);
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));
        assert_eq!(outcome.progress.first(), Some(&Progress { done: 8, total: Some(20) }));
    }

    #[test]
    fn a_server_without_ranges_restarts_the_download() {
        let outcome = download(Some(&CONTENT[..8]), vec![whole()]);
        outcome.result.unwrap();
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));
    }

    #[test]
    fn a_wrong_range_restarts_the_download() {
        let elsewhere = answer("206 Partial Content", "Content-Range: bytes 5-19/20\r\n", 15, &CONTENT[5..]);
        let outcome = download(Some(&CONTENT[..8]), vec![elsewhere, whole()]);
        outcome.result.unwrap();
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));

        let too_long = answer("416 Range Not Satisfiable", "Content-Range: bytes */20\r\n", 0, b"");
        let outcome = download(Some(&[b'x'; 30]), vec![too_long, whole()]);
        outcome.result.unwrap();
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));
        assert!(!outcome.requests[1].contains("range:"));
    }

    #[test]
    fn a_complete_partial_file_is_used() {
        let complete = answer("416 Range Not Satisfiable", "Content-Range: bytes */20\r\n", 0, b"");
        let outcome = download(Some(CONTENT), vec![complete]);
        outcome.result.unwrap();
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));
    }

    #[test]
    fn a_wrong_sum_deletes_the_download() {
        let outcome = download(None, vec![answer("200 OK", "", 5, b"wrong")]);
        let message = outcome.result.unwrap_err().to_string();
        assert!(message.contains("2bda2998d9b0ee197da142a0447f6725 instead of 644b"), "{message}");
        assert_eq!((outcome.content, outcome.partial), (None, None));
    }

    #[test]
    fn an_http_error_says_what_to_do() {
        let message = download(None, vec![answer("404 Not Found", "", 0, b"")]).result.unwrap_err().to_string();
        assert!(message.ends_with("/file.zip: the server answers 404 Not Found"), "{message}");
        let message = download(None, vec![answer("416 Range Not Satisfiable", "", 0, b"")]).result.unwrap_err();
        assert!(message.to_string().contains("416"), "{message}");
    }

    #[test]
    fn an_unreachable_server_is_an_error_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = Remote { url: "http://127.0.0.1:1/file.zip" };
        let error = nowhere.download(&folder.path().join("file.zip"), CONTENT_MD5, &mut |_| {}).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("the server cannot be reached"), "{message}");
        assert_eq!(message.lines().count(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lost_connection_keeps_the_partial_file_for_the_next_attempt() {
        let outcome = download(None, vec![answer("200 OK", "", CONTENT.len(), &CONTENT[..7])]);
        let message = outcome.result.unwrap_err().to_string();
        assert!(message.contains("broke after 7 of 20 bytes"), "{message}");
        assert!(message.ends_with("the next attempt resumes there"), "{message}");
        assert_eq!(outcome.partial.as_deref(), Some(&CONTENT[..7]));

        let rest = answer("206 Partial Content", "Content-Range: bytes 7-19/20\r\n", 13, &CONTENT[7..]);
        let outcome = download(outcome.partial.as_deref(), vec![rest]);
        outcome.result.unwrap();
        assert_eq!(outcome.content.as_deref(), Some(CONTENT));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_of_one_line_and_keeps_the_partial_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.zip");
        std::os::unix::fs::symlink("/dev/full", partial_path(&file)).unwrap();
        let server = Server::start(vec![whole()]);
        let remote = Remote { url: &format!("{}/file.zip", server.base_url) };
        let message = remote.download(&file, CONTENT_MD5, &mut |_| {}).unwrap_err().to_string();
        assert!(message.contains("file.zip.partial: no space is left"), "{message}");
        assert!(partial_path(&file).exists());
    }
}
