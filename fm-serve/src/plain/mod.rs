//! A JSON API for people and scripts.
//!
//! | request | answer |
//! |---|---|
//! | `POST /score` with `[{"user_id": 42}, ...]` or `{"rows": [...]}` | predictions, and what training does not know |
//! | `GET /recommend?user=42&k=10` | the best items for a user, if the file has a catalogue |
//! | `POST /recommend` with `{"user": {"user_id": 42}, "k": 10}` | the same, where columns have names such as `k` |
//! | `POST /explain` with a row | what each field adds to its prediction |
//! | `GET /schema` | columns, values, and what the model can do |
//! | `GET /openapi.json` | a description of all paths |
//!
//! All take `model=NAME`; without it, the first model answers.

mod explain;
mod openapi;
mod parse_recommendation;
mod parse_rows;
mod recommend;
mod schema;
mod score;

use std::sync::Arc;

use axum::http::Uri;

pub(crate) use explain::explain;
pub(crate) use openapi::openapi;
pub use parse_recommendation::{ParsedRecommendation, parse_recommendation};
pub use parse_rows::{ParsedRows, parse_rows};
pub(crate) use recommend::{recommend, recommend_by_json};
pub(crate) use schema::schema;
pub(crate) use score::score;

use crate::app::App;
use crate::http::Query;
use crate::models::Slot;
use crate::problem::Problem;

/// The parameters of a request, and the model that they name.
fn asked(app: &App, uri: &Uri) -> Result<(Query, Arc<Slot>), Problem> {
    let mut query = Query::parse(uri.query().unwrap_or_default())?;
    let slot = Arc::clone(app.models.find(query.take("model").as_deref())?);
    Ok((query, slot))
}
