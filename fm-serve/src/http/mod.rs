//! Connections, and what all requests have in common.

mod body;
mod connections;
mod open_files;
mod patient_stream;
mod places;
mod query;
mod request_id;
mod routes;
mod tls;
mod token;

pub(crate) use body::{Body, in_background};
pub(crate) use connections::listen;
pub(crate) use open_files::most_connections;
pub(crate) use places::Places;
pub use query::Query;
pub(crate) use query::number;
pub(crate) use routes::router;
pub(crate) use tls::Tls;
pub(crate) use token::Token;
