//! Errors that keep a server from starting or running.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What keeps a server from starting or running. What is wrong with a request is a [`Problem`](crate::Problem).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be served.
    #[error(transparent)]
    Model(#[from] fm_core::Error),
    /// An option is out of its range, or contradicts another.
    #[error("{0}")]
    Option(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file with the token cannot be read.
    #[error("cannot read {path}: {source}")]
    Token {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The operating system gives no threads or sockets.
    #[error("cannot start the server: {0}")]
    Start(std::io::Error),
}

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;
