//! A server, asked over sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod hostile;
mod json_api;
mod limits;
mod page;
mod protocol;
mod reload;
mod scene;
mod stopping;
mod tls;
