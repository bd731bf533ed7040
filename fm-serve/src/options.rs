//! What a server serves, where, and within which limits.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// An exported file and the name of its model in paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// The name: ASCII letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl ModelFile {
    /// `FILE`, whose model has the name of the file without its extension, or `NAME=FILE`. A folder keeps its whole name.
    ///
    /// # Errors
    /// [`Error::Option`] for a name that cannot be part of a path.
    ///
    /// ```
    /// use fm_serve::ModelFile;
    ///
    /// assert_eq!(ModelFile::parse("exports/likes.pt")?.name, "likes");
    /// assert_eq!(ModelFile::parse("stars=model.pt")?.name, "stars");
    /// assert!(ModelFile::parse("my model.pt").is_err());
    /// # Ok::<(), fm_serve::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<ModelFile> {
        let named = text.split_once('=').filter(|(name, _)| is_name(name) && !Path::new(text).exists());
        let (name, path) = match named {
            Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
            None => {
                let path = PathBuf::from(text);
                let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
                let name = name.unwrap_or_default().to_string_lossy().into_owned();
                (name, path)
            }
        };
        if !is_name(&name) {
            return Err(Error::Option(format!(
                "`{name}` cannot be the name of a model in a path: give one of letters, digits, `.`, `_` and `-`, as \
                 in likes={text}"
            )));
        }
        Ok(ModelFile { name, path })
    }
}

/// Whether a text can be the name of a model.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 100 && text != "." && text != ".." && text.bytes().all(is_plain)
}

/// What a server serves, where, and within which limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The models; the first answers where a request names none.
    pub files: Vec<ModelFile>,
    /// The address to listen on. By default, only programs on this machine can connect.
    pub host: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Number of threads that score, each with one batch at a time.
    pub workers: usize,
    /// Number of libtorch's own threads within each of them.
    pub threads_per_worker: usize,
    /// Maximum number of rows of a batch that several requests form. A request is never divided.
    pub max_batch: usize,
    /// How long a batch waits for more rows. With zero, it takes what has arrived while the worker was busy.
    pub batch_wait: Duration,
    /// Maximum number of rows that wait; further requests get status 503.
    pub queue_rows: usize,
    /// Maximum number of rows of a request.
    pub max_rows: usize,
    /// Maximum number of bytes of a request's body.
    pub max_body: usize,
    /// Maximum number of bytes of all bodies that are being read or answered.
    pub max_bodies: usize,
    /// How long a request may take: to arrive, and then to be answered.
    pub timeout: Duration,
    /// Maximum number of connections.
    pub max_connections: usize,
    /// How often files are checked for changes; zero never reloads.
    pub reload_every: Duration,
    /// A file with the token that requests must have, but for health checks and the page itself.
    pub token_file: Option<PathBuf>,
    /// The files for TLS; `None` to speak HTTP without it.
    pub tls: Option<TlsFiles>,
}

/// The PEM files that TLS needs.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate of the server, followed by those that lead to a known authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Options {
    /// Serves these files with the default limits.
    pub fn new(files: Vec<ModelFile>) -> Options {
        Options {
            files,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8000,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            threads_per_worker: 1,
            max_batch: 256,
            batch_wait: Duration::ZERO,
            queue_rows: 16_384,
            max_rows: 4096,
            max_body: 8 << 20,
            max_bodies: 64 << 20,
            timeout: Duration::from_secs(10),
            max_connections: 1024,
            reload_every: Duration::from_secs(2),
            token_file: None,
            tls: None,
        }
    }

    /// Checks what [`Server::open`](crate::Server::open) checks before it loads a file.
    ///
    /// # Errors
    /// [`Error::Option`] for limits that contradict each other, and names that stand for two models.
    pub fn check(&self) -> Result<()> {
        let invalid = |reason: String| Err(Error::Option(reason));
        if self.files.is_empty() {
            return invalid("there is no file to serve".into());
        }
        for (at, ModelFile { name, .. }) in self.files.iter().enumerate() {
            if self.files[..at].iter().any(|other| other.name == *name) {
                return invalid(format!("two files have the name `{name}`: give each its own, as in other={name}.pt"));
            }
            if self.files.iter().any(|other| name.strip_suffix(crate::v2::ENCODED) == Some(other.name.as_str())) {
                return invalid(format!(
                    "`{name}` is the name of another file's model of ids: give it another, as in other={name}.pt"
                ));
            }
        }
        for (what, number) in [
            ("workers", self.workers),
            ("threads of a worker", self.threads_per_worker),
            ("rows of a batch", self.max_batch),
            ("rows of a request", self.max_rows),
            ("bytes of a body", self.max_body),
            ("connections", self.max_connections),
        ] {
            if number == 0 {
                return invalid(format!("the number of {what} must be at least 1"));
            }
        }
        if self.queue_rows < self.max_rows {
            return invalid(format!(
                "the queue holds {} rows, fewer than the {} that a request can have",
                self.queue_rows, self.max_rows
            ));
        }
        if self.max_body > 1 << 28 {
            return invalid(format!("a body of {} bytes is more than 256 MiB", self.max_body));
        }
        if self.max_bodies < self.max_body {
            return invalid(format!(
                "{} bytes for all bodies are fewer than the {} of one",
                self.max_bodies, self.max_body
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(names: &[&str]) -> Options {
        Options::new(names.iter().map(|name| ModelFile::parse(&format!("{name}=x.pt")).unwrap()).collect())
    }

    #[test]
    fn a_name_stands_for_one_model() {
        assert!(options(&["a", "b"]).check().is_ok());
        for names in [&["a", "a"][..], &["a", "a_ids"], &["a_ids", "a"], &[]] {
            assert!(options(names).check().is_err(), "{names:?}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        for text in ["../x=m.pt", ".pt", "a/..", "a b.pt", "é.pt", "..=m.pt", ""] {
            assert!(ModelFile::parse(text).is_err() || is_name(&ModelFile::parse(text).unwrap().name), "{text}");
        }
        assert!(ModelFile::parse("a b.pt").is_err() && ModelFile::parse("").is_err());
    }

    #[test]
    fn limits_that_contradict_each_other_are_errors() {
        let with = |change: fn(&mut Options)| {
            let mut options = options(&["a"]);
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(with(|options| options.queue_rows = 1).contains("fewer than the 4096"));
        assert!(with(|options| options.workers = 0).contains("workers"));
        assert!(with(|options| options.max_bodies = 1).contains("all bodies"));
        assert!(with(|options| options.max_body = 1 << 30).contains("256 MiB"));
    }
}
