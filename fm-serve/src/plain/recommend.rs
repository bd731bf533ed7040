//! `GET /recommend` and `POST /recommend`

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;

use super::asked;
use super::parse_recommendation::{ITEMS, MAX_ITEMS, ParsedRecommendation, parse_recommendation};
use crate::app::App;
use crate::http::{Body, Query, in_background, number};
use crate::model::Model;
use crate::models::Slot;
use crate::problem::{Problem, json};
use crate::work::{Answer, Task};

/// Parameters of `GET /recommend` that are no columns.
const PARAMETERS: [&str; 4] = ["model", "user", "k", "exclude"];

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

/// The user and the context as parameters of the path.
pub(crate) async fn recommend(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::parse(uri.query().unwrap_or_default())?;
    let slot = app.models.find(query.get("model")).or_else(|unknown| {
        // It may be a value of the first model's column.
        app.models.find(None).ok().filter(|slot| is_ambiguous(&slot.model(), "model")).ok_or(unknown)
    })?;
    let model = slot.model();
    let column = user_column(slot, &model)?;
    if let Some(name) = PARAMETERS.iter().find(|name| query.get(name).is_some() && is_ambiguous(&model, name)) {
        return Err(Problem::bad_request(format!(
            "`{name}` is a parameter and also a column of model `{}`: use POST /recommend with a JSON object, which \
             divides them",
            slot.name
        )));
    }
    query.take("model");
    let user = query.take("user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Problem::bad_request("`user` is missing: /recommend?user=ID"))?;
    let k = query.take("k").map_or(Ok(ITEMS), |k| number("k", &k, MAX_ITEMS))?;
    let exclude = query.take("exclude").unwrap_or_default();
    let exclude = exclude.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
    let mut values = query.rest();
    for (at, (name, _)) in values.iter().enumerate() {
        if model.columns.position(name).is_none() {
            let names = model.columns.names().join(", ");
            return Err(Problem::bad_request(format!("unknown parameter `{name}`; the columns are {names}")));
        }
        if column == *name || values[..at].iter().any(|(other, _)| other == name) {
            return Err(Problem::bad_request(format!("`{name}` is given twice; `user` is the user's id")));
        }
    }
    values.insert(0, (column, user));
    answer(&app, slot, model, ParsedRecommendation { user: values, k, exclude }).await
}

/// The user and the context as a JSON object, whose columns may have any name.
pub(crate) async fn recommend_by_json(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (query, slot) = asked(&app, request.uri())?;
    query.expect_empty()?;
    let model = slot.model();
    user_column(&slot, &model)?;
    let (_, body) = Body::read(&app, request).await?;
    let parse = {
        let model = Arc::clone(&model);
        move |body: &[u8]| parse_recommendation(body, &model.columns)
    };
    let (parsed, _body) = in_background(body, parse).await?;
    answer(&app, &slot, model, parsed).await
}

/// Whether a parameter of `GET /recommend` could also mean a column.
pub(super) fn is_ambiguous(model: &Model, parameter: &str) -> bool {
    let is_column = model.columns.position(parameter).is_some() && !model.is_of_item(parameter);
    PARAMETERS.contains(&parameter) && is_column && !(parameter == "user" && model.user_column() == Some(parameter))
}

/// The column of the user's id.
///
/// # Errors
/// 404 if the model cannot recommend.
fn user_column(slot: &Slot, model: &Model) -> Result<String, Problem> {
    if model.items == 0 {
        return Err(Problem::not_found(format!(
            "the file of model `{}` has no catalogue: export it again with --with-catalogue",
            slot.name
        )));
    }
    let column = model.user_column().map(str::to_owned);
    column.ok_or_else(|| Problem::not_found(format!("model `{}` has no user field", slot.name)))
}

async fn answer(
    app: &App,
    slot: &Arc<Slot>,
    model: Arc<Model>,
    asked: ParsedRecommendation,
) -> Result<Response, Problem> {
    if let Some((name, _)) = asked.user.iter().find(|(name, _)| model.is_of_item(name)) {
        let what = format!("`{name}` describes the item, and the file already has the items");
        return Err(Problem::bad_request(what));
    }
    let column = user_column(slot, &model)?;
    let user = asked.user.iter().find(|(name, _)| *name == column).map(|(_, user)| user.clone());
    let user = user.ok_or_else(|| Problem::bad_request(format!("`user` has no `{column}`, the user's id")))?;
    let task = Task::Recommend { user: asked.user, k: asked.k, exclude: asked.exclude };
    let Answer::Items(best) = app.work(slot, Arc::clone(&model), task).await? else {
        return Err(Problem::failed("the answer is of another request"));
    };
    let items = best
        .iter()
        .map(|(item, score)| Item { item, title: model.titles.get(item).map(String::as_str), score: *score })
        .collect();
    let known_user = model.user().and_then(|field| model.knows(field, &user));
    Ok(json(StatusCode::OK, &Recommendations { model: &slot.name, user: &user, known_user, items }))
}
