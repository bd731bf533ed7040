//! `fm serve`

use std::net::IpAddr;
use std::path::PathBuf;

use crate::completion;
use crate::flags::{Folders, at_least_one};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm serve model.pt\n  \
                        fm serve runs/likes\n  \
                        fm serve stars=model.pt likes.pt --port 9000\n  \
                        fm serve model.pt --host 0.0.0.0 --token-file token.txt --log-format json")]
pub struct Serve {
    /// Exported files or runs, each as PATH or NAME=PATH
    ///
    /// Exported files or folders of runs, each as PATH, whose model has the name of the folder or of the file without its
    /// extension, or as NAME=PATH. The first one answers requests that name no model. A file that changes is loaded
    /// again. A run is exported once, to a temporary file, with all items if it has users and items.
    #[arg(value_name = "[NAME=]FILE|RUN", required = true, add = completion::runs())]
    pub files: Vec<String>,
    /// The address to listen on; 0.0.0.0 or :: for other machines, too
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Server")]
    pub host: IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8000, help_heading = "Server")]
    pub port: u16,
    /// A file with the token that requests must have: `Authorization: Bearer TOKEN`
    ///
    /// A file of one line: the token that requests must have, as `Authorization: Bearer TOKEN`. Health checks and the
    /// page itself need none. Without --tls-cert, leave TLS to a reverse proxy, or others can read the token.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the certificate of the server, to speak TLS
    ///
    /// A PEM file with the certificate of the server, followed by those that lead to a known authority: the server then
    /// speaks TLS 1.2 and 1.3 only. Restart it when the certificate is renewed.
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Server")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Server")]
    pub tls_key: Option<PathBuf>,
    /// How often files are checked for changes, in seconds; 0 never
    #[arg(long, value_name = "SECONDS", default_value_t = 2, help_heading = "Server",
          value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub reload_every: u64,
    /// Number of threads that score [default: the number of processors]
    ///
    /// Number of threads that score, each with one batch at a time [default: the number of processors]. Each uses as
    /// many threads of libtorch as `--threads` says, which is 1 by default.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Limits")]
    pub workers: Option<usize>,
    /// Maximum number of rows of a batch that several requests form
    #[arg(long, value_name = "ROWS", default_value_t = 256, value_parser = at_least_one, help_heading = "Limits")]
    pub max_batch: usize,
    /// How long a batch waits for more rows, in microseconds
    ///
    /// How long a batch waits for more rows, in microseconds. With 0, it takes the rows that have arrived while the
    /// worker was busy.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0, help_heading = "Limits",
          value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub batch_wait: u64,
    /// Maximum number of rows that wait; further requests get status 503
    #[arg(long, value_name = "ROWS", default_value_t = 16_384, value_parser = at_least_one, help_heading = "Limits")]
    pub max_queue: usize,
    /// Maximum number of rows of a request
    #[arg(long, value_name = "ROWS", default_value_t = 4096, value_parser = at_least_one, help_heading = "Limits")]
    pub max_rows: usize,
    /// Maximum size of a request, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 8192, value_parser = at_least_one, help_heading = "Limits")]
    pub max_body: usize,
    /// How long a request may take, in seconds
    ///
    /// How long a request may take, in seconds: to arrive (or it gets status 408), and to be answered (503). When the
    /// server stops, requests that have begun have twice this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Limits",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Maximum number of connections
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = at_least_one, help_heading = "Limits")]
    pub max_connections: usize,
    /// Where the data sets of runs are.
    #[command(flatten)]
    pub folders: Folders,
}
