//! Answers to requests for inference.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{OUTPUT, VERSION};
use crate::problem;

/// Where the JSON of a body with binary tensors ends.
pub(super) const HEAD_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What an answer repeats of its request.
pub(super) struct Form {
    pub id: Option<String>,
    pub is_flat: bool,
    pub is_binary: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    model_name: &'a str,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: [Output<'a>; 1],
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

/// The answer with these predictions.
pub(super) fn answer(model: &str, form: &Form, predictions: &[f32]) -> Response {
    let shape = if form.is_flat { vec![predictions.len()] } else { vec![predictions.len(), 1] };
    let (parameters, data) = match form.is_binary {
        true => (Map::from_iter([("binary_data_size".to_owned(), json!(4 * predictions.len()))]), None),
        false => (Map::new(), Some(predictions)),
    };
    let output = Output { name: OUTPUT, datatype: "FP32", shape, parameters, data };
    let body = Body { model_name: model, model_version: VERSION, id: form.id.as_deref(), outputs: [output] };
    if !form.is_binary {
        return problem::json(StatusCode::OK, &body);
    }
    let Ok(mut bytes) = serde_json::to_vec(&body) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let head = HeaderValue::from(bytes.len());
    bytes.extend(predictions.iter().flat_map(|prediction| prediction.to_le_bytes()));
    let kind = HeaderValue::from_static("application/octet-stream");
    ([(HEAD_LENGTH, head), (header::CONTENT_TYPE, kind)], bytes).into_response()
}
