//! `GET /openapi.json`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::asked;
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
    let row = row(model);
    let rows = json!({ "oneOf": [
        { "type": "array", "items": { "$ref": "#/components/schemas/Row" } },
        { "type": "object", "required": ["rows"],
          "properties": { "rows": { "type": "array", "items": { "$ref": "#/components/schemas/Row" } } } },
    ] });
    let named = parameter("model", "The model; the first one by default", false, json!({ "type": "string" }));
    let mut recommend = vec![
        parameter("user", "The user's id", true, json!({ "type": "string" })),
        parameter(
            "k",
            "Number of items",
            false,
            json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 10 }),
        ),
        parameter("exclude", "Ids of items to leave out, divided by commas", false, json!({ "type": "string" })),
    ];
    let user = model.user().map(|field| model.schema().fields()[field].column());
    for column in model.columns.names().iter().filter(|column| user != Some(column) && !model.is_of_item(column)) {
        recommend.push(parameter(column, "A value of the user or the context", false, json!({ "type": "string" })));
    }
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
    if model.items > 0 && user.is_some() {
        recommend.push(named);
        paths["/recommend"] = json!({ "get": {
            "summary": "The best items for a user", "parameters": recommend, "responses": answers("Items"),
        } });
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

fn row(model: &Model) -> Value {
    let value = json!({ "type": ["string", "number", "boolean", "null"] });
    let list = json!({ "oneOf": [value, { "type": "array", "items": value }] });
    let names = model.columns.names().iter().enumerate();
    let property = |(at, name): (usize, &String)| {
        (name.clone(), if model.columns.list(at).is_some() { list.clone() } else { value.clone() })
    };
    json!({ "type": "object", "properties": names.map(property).collect::<Map<_, _>>() })
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
