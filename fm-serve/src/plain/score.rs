//! `POST /score`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{asked, parse_rows};
use crate::app::App;
use crate::http::{Body, in_background};
use crate::problem::{Problem, json};
use crate::work::{Answer, Task};

#[derive(Serialize)]
struct Scores<'a> {
    model: &'a str,
    predictions: Vec<f32>,
    /// For each field, the number of rows without a value that training knows; those with 0 are left out.
    unknown: BTreeMap<&'a str, usize>,
    /// Names that no field reads.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    ignored: BTreeSet<String>,
}

pub(crate) async fn score(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (query, slot) = asked(&app, request.uri())?;
    query.expect_empty()?;
    let (_, body) = Body::read(&app, request).await?;
    let (model, max_rows) = (slot.model(), app.options.max_rows);
    let parse = {
        let model = Arc::clone(&model);
        move |body: &[u8]| parse_rows(body, &model.columns, false, max_rows)
    };
    let (parsed, _body) = in_background(body, parse).await?;
    let answer = app.work(&slot, Arc::clone(&model), Task::Raw(parsed.rows)).await?;
    let Answer::Predictions { predictions, unknown } = answer else {
        return Err(Problem::failed("the answer is of another request"));
    };
    let names = model.schema().fields().iter().map(|field| field.name.as_str());
    let unknown = names.zip(unknown).filter(|(_, count)| *count > 0).collect();
    Ok(json(StatusCode::OK, &Scores { model: &slot.name, predictions, unknown, ignored: parsed.ignored }))
}
