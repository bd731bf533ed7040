//! A server of exported models, on [`fm_core::script::Scorer`] alone.
//!
//! | path | answers |
//! |---|---|
//! | `/v2/...` | the [Open Inference Protocol](v2), which KServe and Triton speak |
//! | `/score`, `/recommend`, `/explain`, `/schema`, `/openapi.json` | a [JSON API](plain) for people |
//! | `/metrics` | [metrics] in Prometheus' text format |
//! | `/` | a page to try the models |
//!
//! Sockets and parsing are on tokio's threads, and libtorch on threads of its own, between which is a bounded queue.
//! Every limit has a default in [`Options`].
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! use fm_serve::{ModelFile, Options, Server};
//!
//! let options = Options::new(vec![ModelFile::parse("model.pt")?]);
//! let server = Server::open(options)?;
//! println!("http://{}", server.address());
//! server.run(&AtomicBool::new(false))?; // until another thread or a signal sets it
//! # Ok::<(), fm_serve::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod app;
mod error;
mod http;
pub mod metrics;
mod model;
mod models;
mod options;
mod page;
pub mod plain;
mod problem;
pub mod raw_rows;
mod reload;
mod server;
pub mod v2;
mod work;

pub use error::{Error, Result};
pub use http::Query;
pub use model::Columns;
pub use options::{ModelFile, Options, TlsFiles};
pub use problem::Problem;
pub use server::Server;
