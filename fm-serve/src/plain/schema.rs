//! `GET /schema`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fm_core::script::Origin;
use fm_core::{Field, FieldKind, Label};
use serde::Serialize;

use super::asked;
use crate::app::App;
use crate::model::Model;
use crate::problem::Problem;

/// Maximum number of values of a column.
const VALUES: usize = 1000;

#[derive(Serialize)]
struct Description<'a> {
    model: &'a str,
    /// All models of the server.
    models: Vec<&'a str>,
    label: &'a Label,
    user: Option<&'a str>,
    item: Option<&'a str>,
    /// Number of items that `/recommend` chooses from.
    items: usize,
    columns: Vec<Column<'a>>,
    origin: Option<&'a Origin>,
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    /// Whether it is left out of requests to `/recommend`.
    is_of_item: bool,
    /// What divides the values of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    separator: Option<&'a str>,
    fields: Vec<FieldOfColumn<'a>>,
    /// Number of values that training knows.
    known_values: usize,
    /// The first of them.
    values: Vec<Value<'a>>,
}

#[derive(Serialize)]
struct FieldOfColumn<'a> {
    name: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_buckets: Option<u32>,
}

#[derive(Serialize)]
struct Value<'a> {
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

pub(crate) async fn schema(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let (query, slot) = asked(&app, &uri)?;
    query.expect_empty()?;
    let model = slot.model();
    // It is long. Clients that read it slowly share one copy.
    let text = model.description.get_or_init(|| description(&app, &slot.name, &model));
    Ok(([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response())
}

fn description(app: &App, name: &str, model: &Model) -> Bytes {
    let schema = model.schema();
    let description = Description {
        model: name,
        models: app.models.slots().iter().map(|slot| slot.name.as_str()).collect(),
        label: schema.label(),
        user: schema.user(),
        item: schema.item(),
        items: model.items,
        columns: model.columns.names().iter().map(|name| column(model, name)).collect(),
        origin: model.origin.as_ref(),
    };
    // Texts and numbers have a JSON form, so this cannot fail.
    serde_json::to_vec(&description).unwrap_or_default().into()
}

fn column<'a>(model: &'a Model, name: &'a str) -> Column<'a> {
    let schema = model.schema();
    let fields: Vec<(usize, &Field)> =
        schema.fields().iter().enumerate().filter(|(_, field)| field.columns().any(|column| column == name)).collect();
    // A field of the column itself, rather than one that it is a part of.
    let own = fields.iter().find(|(_, field)| field.column() == name && !field.derived.is_derived());
    let vocabulary = own.map_or(&[][..], |(at, _)| schema.vocabulary(*at));
    let is_item = own.is_some_and(|(_, field)| schema.item() == Some(field.name.as_str()));
    let value = |value: &'a String| Value {
        value,
        title: if is_item { model.titles.get(value).map(String::as_str) } else { None },
    };
    let of_field = |&(at, field): &(usize, &'a Field)| FieldOfColumn {
        name: &field.name,
        kind: kind(field),
        hash_buckets: schema.hash_buckets(at),
    };
    Column {
        name,
        is_of_item: model.is_of_item(name),
        separator: own.and_then(|(_, field)| field.kind.list()).map(|list| list.separator.as_str()),
        fields: fields.iter().map(of_field).collect(),
        known_values: vocabulary.len(),
        values: vocabulary.iter().take(VALUES).map(value).collect(),
    }
}

fn kind(field: &Field) -> &'static str {
    match field.kind {
        FieldKind::Categorical => "categorical",
        FieldKind::MultiValued(_) => "multi-valued",
        FieldKind::Sequence(_) => "sequence",
        FieldKind::Numeric { .. } | FieldKind::Transformed(_) => "numeric",
    }
}
