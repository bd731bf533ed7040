//! Connections, and what all requests have in common.

mod body;
mod connections;
mod patient_stream;
mod query;
mod request_id;
mod routes;
mod token;

pub(crate) use body::{Body, in_background};
pub(crate) use connections::listen;
pub use query::Query;
pub(crate) use query::number;
pub(crate) use routes::router;
pub(crate) use token::Token;
