//! `GET /openapi.json`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::asked;
use super::parse_recommendation::{ITEMS, MAX_ITEMS};
use super::recommend::is_ambiguous;
use crate::app::App;
use crate::model::Model;
use crate::problem::{self, Problem};

pub(crate) async fn openapi(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let (query, slot) = asked(&app, &uri)?;
    query.expect_empty()?;
    Ok(problem::json(StatusCode::OK, &description(&slot.name, &slot.model(), app.token.is_some())))
}

/// The description of all paths, with the columns of a model.
fn description(name: &str, model: &Model, needs_token: bool) -> Value {
    let row = row(model, |_| true);
    let rows = json!({ "oneOf": [
        { "type": "array", "items": { "$ref": "#/components/schemas/Row" } },
        { "type": "object", "required": ["rows"],
          "properties": { "rows": { "type": "array", "items": { "$ref": "#/components/schemas/Row" } } } },
    ] });
    let named = parameter("model", "The model; the first one by default", false, json!({ "type": "string" }));
    let mut description = json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("fm serve: {name}"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The paths below /v2 are those of the Open Inference Protocol: \
                https://github.com/kserve/open-inference-protocol",
        },
        "paths": {
            "/score": { "post": {
                "summary": "Predictions of rows", "parameters": [named],
                "requestBody": body(rows), "responses": answers("A prediction per row"),
            } },
            "/explain": { "post": {
                "summary": "What each field adds to a prediction", "parameters": [named],
                "requestBody": body(json!({ "$ref": "#/components/schemas/Row" })),
                "responses": answers("Terms by field"),
            } },
            "/schema": { "get": {
                "summary": "Columns and their values",
                "parameters": [named],
                "responses": answers("The columns"),
            } },
            "/metrics": { "get": { "summary": "Metrics in Prometheus' text format", "responses": answers("Metrics") } },
            "/v2": { "get": { "summary": "The server", "responses": answers("Name, version and extensions") } },
            "/v2/health/live": { "get": { "summary": "Whether the process lives", "responses": answers("It lives") } },
            "/v2/health/ready": { "get": { "summary": "Whether it takes requests", "responses": answers("It does") } },
        },
        "components": { "schemas": { "Row": row } },
    });
    let paths = &mut description["paths"];
    if model.items > 0 && model.user().is_some() {
        let summary = "The best items for a user";
        paths["/recommend"] = json!({ "post": {
            "summary": summary, "parameters": [named], "requestBody": body(user_and_context(model)),
            "responses": answers("Items with their scores: predictions that are not limited to the range of labels"),
        } });
        // Without the parameter of the user there is no such request.
        if !is_ambiguous(model, "user") {
            let mut parameters = parameters_of_recommend(model);
            parameters.extend((!is_ambiguous(model, "model")).then_some(named));
            paths["/recommend"]["get"] =
                json!({ "summary": summary, "parameters": parameters, "responses": answers("Items") });
        }
    }
    for (form, inputs) in [(name.to_owned(), "raw values"), (format!("{name}_ids"), "encoded rows")] {
        let summary = format!("The model of {inputs}");
        let responses = answers("Inputs and outputs");
        paths[format!("/v2/models/{form}")] = json!({ "get": { "summary": summary, "responses": responses } });
        paths[format!("/v2/models/{form}/infer")] = json!({ "post": {
            "summary": format!("Predictions of {inputs}"),
            "requestBody": body(json!({ "type": "object", "required": ["inputs"] })),
            "responses": answers("Outputs"),
        } });
    }
    if needs_token {
        description["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
        description["security"] = json!([{ "token": [] }]);
    }
    description
}

fn row(model: &Model, has: impl Fn(&str) -> bool) -> Value {
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    let list = json!({ "oneOf": [value, { "type": "array", "items": value }] });
    let names = model.columns.names().iter().enumerate().filter(|(_, name)| has(name));
    let property = |(at, name): (usize, &String)| {
        (name.clone(), if model.columns.list(at).is_some() { list.clone() } else { value.clone() })
    };
    json!({ "type": "object", "properties": names.map(property).collect::<Map<_, _>>() })
}

/// The parameters of `GET /recommend`. A name that could also mean a column is left out.
fn parameters_of_recommend(model: &Model) -> Vec<Value> {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "default": ITEMS });
    let text = || json!({ "type": "string" });
    let mut parameters = vec![parameter("user", "The user's id", true, text())];
    for (name, what, schema) in
        [("k", "Number of items", number), ("exclude", "Ids of items to leave out, divided by commas", text())]
    {
        parameters.extend((!is_ambiguous(model, name)).then(|| parameter(name, what, false, schema)));
    }
    let is_own = |column: &str| model.user_column() != Some(column) && !model.is_of_item(column);
    let columns = model.columns.names().iter().filter(|column| is_own(column) && !is_ambiguous(model, column));
    parameters.extend(columns.map(|column| parameter(column, "A value of the user or the context", false, text())));
    parameters
}

/// The body of `POST /recommend`.
fn user_and_context(model: &Model) -> Value {
    let mut user = row(model, |column| !model.is_of_item(column));
    user["required"] = json!(model.user_column().into_iter().collect::<Vec<_>>());
    user["additionalProperties"] = json!(false);
    let id = json!({ "type": ["string", "number"] });
    json!({ "type": "object", "required": ["user"], "additionalProperties": false, "properties": {
        "user": user, "k": { "type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "default": ITEMS },
        "exclude": { "type": "array", "items": id },
    } })
}

fn parameter(name: &str, what: &str, is_required: bool, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": what, "required": is_required, "schema": schema })
}

fn body(schema: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn answers(what: &str) -> Value {
    json!({
        "200": { "description": what },
        "default": { "description": "One line that says what is wrong", "content": { "application/json": { "schema": {
            "type": "object", "properties": { "error": { "type": "string" } },
        } } } },
    })
}
