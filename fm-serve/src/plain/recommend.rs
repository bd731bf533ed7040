//! `GET /recommend`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;

use super::asked;
use crate::app::App;
use crate::http::number;
use crate::model::Model;
use crate::problem::{Problem, json};
use crate::work::{Answer, Task};

/// Number of items without `k`, and maximum number.
const ITEMS: usize = 10;
const MAX_ITEMS: usize = 1000;

#[derive(Serialize)]
struct Recommendations<'a> {
    model: &'a str,
    user: &'a str,
    /// Whether training knows the user; null for a hashed one.
    known_user: Option<bool>,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    item: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    score: f32,
}

pub(crate) async fn recommend(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let (mut query, slot) = asked(&app, &uri)?;
    let model = slot.model();
    if model.items == 0 {
        return Err(Problem::not_found(format!(
            "the file of model `{}` has no catalogue: export it again with --with-catalogue",
            slot.name
        )));
    }
    let Some(field) = model.user() else {
        return Err(Problem::not_found(format!("model `{}` has no user field", slot.name)));
    };
    let user = query.take("user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Problem::bad_request("`user` is missing: /recommend?user=ID"))?;
    let k = query.take("k").map_or(Ok(ITEMS), |k| number("k", &k, MAX_ITEMS))?;
    let exclude = query.take("exclude").unwrap_or_default();
    let exclude: Vec<String> = exclude.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
    let mut values = query.rest();
    check(&model, &values)?;
    values.insert(0, (model.schema().fields()[field].column().to_owned(), user.clone()));
    let task = Task::Recommend { user: values, k, exclude };
    let Answer::Items(best) = app.work(&slot, Arc::clone(&model), task).await? else {
        return Err(Problem::failed("the answer is of another request"));
    };
    let items = best
        .iter()
        .map(|(item, score)| Item { item, title: model.titles.get(item).map(String::as_str), score: *score })
        .collect();
    let known_user = model.knows(field, &user);
    Ok(json(StatusCode::OK, &Recommendations { model: &slot.name, user: &user, known_user, items }))
}

/// # Errors
/// 400 for a name that is no column of the user or the context, or that is given twice.
fn check(model: &Model, values: &[(String, String)]) -> Result<(), Problem> {
    let user = model.user().map(|field| model.schema().fields()[field].column());
    for (at, (name, _)) in values.iter().enumerate() {
        if model.columns.position(name).is_none() {
            let names = model.columns.names().join(", ");
            return Err(Problem::bad_request(format!("unknown parameter `{name}`; the columns are {names}")));
        }
        if model.is_of_item(name) {
            return Err(Problem::bad_request(format!(
                "`{name}` describes the item, and the file already has the items"
            )));
        }
        if user == Some(name) || values[..at].iter().any(|(other, _)| other == name) {
            return Err(Problem::bad_request(format!("`{name}` is given twice; `user` is the user's id")));
        }
    }
    Ok(())
}
