//! What answers each path of the protocol.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{self, HEAD_LENGTH, answer};
use super::metadata::{of_model, of_server};
use super::{ENCODED, Input, VERSION, request};
use crate::app::App;
use crate::http::{Body, in_background};
use crate::models::{Form, Slot};
use crate::problem::{self, Problem};
use crate::work::{Answer, Task};

/// `model`, and `version` if the path has one.
type Names = Result<Path<HashMap<String, String>>, PathRejection>;

fn ok(value: &Value) -> Response {
    problem::json(StatusCode::OK, value)
}

pub(crate) async fn server() -> Response {
    ok(&of_server())
}

pub(crate) async fn live() -> Response {
    ok(&json!({ "live": true }))
}

pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.is_ready() { ok(&json!({ "ready": true })) } else { stopping().into_response() }
}

fn stopping() -> Problem {
    Problem::overloaded("the server stops: send requests to another one")
}

/// The models of the server, as Triton's repository extension lists them.
pub(crate) async fn index(State(app): State<Arc<App>>) -> Response {
    let entry = |name: String| json!({ "name": name, "version": VERSION, "state": "READY", "reason": "" });
    let names = app.models.slots().iter().flat_map(|slot| [slot.name.clone(), format!("{}{ENCODED}", slot.name)]);
    ok(&names.map(entry).collect())
}

/// The model that a path names.
fn find(app: &App, names: Names) -> Result<(String, Arc<Slot>, Form), Problem> {
    let Path(mut names) = names.map_err(|error| Problem::bad_request(error.body_text()))?;
    let name = names.remove("model").unwrap_or_default();
    let (slot, form) = app.models.find_form(&name)?;
    match names.get("version") {
        Some(version) if version != VERSION => {
            Err(Problem::not_found(format!("model `{name}` has no version `{version}`, only {VERSION}")))
        }
        _ => Ok((name, Arc::clone(slot), form)),
    }
}

pub(crate) async fn metadata(State(app): State<Arc<App>>, names: Names) -> Result<Response, Problem> {
    let (name, slot, form) = find(&app, names)?;
    Ok(ok(&of_model(&name, &slot.model(), form)))
}

pub(crate) async fn model_ready(State(app): State<Arc<App>>, names: Names) -> Result<Response, Problem> {
    let (name, ..) = find(&app, names)?;
    if app.is_ready() { Ok(ok(&json!({ "name": name, "ready": true }))) } else { Err(stopping()) }
}

pub(crate) async fn infer(State(app): State<Arc<App>>, names: Names, request: Request) -> Result<Response, Problem> {
    let (name, slot, form) = find(&app, names)?;
    let (headers, body) = Body::read(&app, request).await?;
    let head = head_length(&headers)?;
    let (model, max_rows) = (slot.model(), app.options.max_rows);
    let parsed = {
        let model = Arc::clone(&model);
        move |body: &[u8]| request::parse(body, head, &model.columns, form == Form::Encoded, max_rows)
    };
    let (request, _body) = in_background(body, parsed).await?;
    let form = answer::Form { id: request.id, is_flat: request.is_flat, is_binary: request.is_binary };
    let task = match request.input {
        Input::Raw(rows) => Task::Raw(rows),
        Input::Encoded { rows, ids, values } => Task::Encoded { rows, ids, values },
    };
    match app.work(&slot, model, task).await? {
        Answer::Predictions { predictions, .. } => Ok(answer(&name, &form, &predictions)),
        Answer::Items(_) | Answer::Terms(..) => Err(Problem::failed("the answer is of another request")),
    }
}

fn head_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(length) = headers.get(HEAD_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Some).ok_or_else(|| Problem::bad_request("Inference-Header-Content-Length is not a whole number"))
}
