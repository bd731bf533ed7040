//! `POST /explain`

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

/// The Shapley values of a row.
#[derive(Serialize)]
struct Explanation<'a> {
    model: &'a str,
    prediction: f32,
    /// The sum of `baseline` and all terms: a logit, or the label before it is limited to the range of the training
    /// rows.
    sum: f64,
    /// The sum if all values are missing.
    baseline: f64,
    /// The fields that have a value, the largest effect first.
    terms: Vec<Term<'a>>,
}

#[derive(Serialize)]
struct Term<'a> {
    field: &'a str,
    /// The text of the column that the field reads; null for a field of several columns.
    value: Option<&'a str>,
    term: f64,
    /// Of the estimate, if there are too many fields to try all combinations.
    #[serde(skip_serializing_if = "Option::is_none")]
    standard_error: Option<f64>,
}

pub(crate) async fn explain(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (query, slot) = asked(&app, request.uri())?;
    query.expect_empty()?;
    let (_, body) = Body::read(&app, request).await?;
    let model = slot.model();
    let parse = {
        let model = Arc::clone(&model);
        move |body: &[u8]| parse_rows(body, &model.columns, true, 1)
    };
    let (parsed, _body) = in_background(body, parse).await?;
    let rows = parsed.rows;
    let answer = app.work(&slot, Arc::clone(&model), Task::Explain(rows.clone())).await?;
    let Answer::Terms(prediction, shapley) = answer else {
        return Err(Problem::failed("the answer is of another request"));
    };
    let fields = model.schema().fields().iter().enumerate();
    let mut terms: Vec<Term<'_>> = fields
        .map(|(at, field)| Term {
            field: &field.name,
            value: model.columns.position(field.column()).and_then(|column| rows.get(0, column)),
            term: shapley.values[at],
            standard_error: shapley.standard_errors.as_ref().map(|errors| errors[at]),
        })
        .filter(|term| term.term != 0.0)
        .collect();
    terms.sort_by(|a, b| b.term.abs().total_cmp(&a.term.abs()));
    let (model, sum, baseline) = (slot.name.as_str(), shapley.logit, shapley.baseline);
    Ok(json(StatusCode::OK, &Explanation { model, prediction, sum, baseline, terms }))
}
