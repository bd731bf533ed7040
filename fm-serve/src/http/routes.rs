//! Which path is answered where, and what happens around every request.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::request_id;
use crate::app::App;
use crate::metrics;
use crate::problem::Problem;
use crate::{page, plain, v2};

/// Paths that need no token: probes have none, and the page asks for it.
const OPEN: [&str; 3] = ["/", "/v2/health/live", "/v2/health/ready"];

/// All paths.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/score", post(plain::score))
        .route("/recommend", get(plain::recommend).post(plain::recommend_by_json))
        .route("/explain", post(plain::explain))
        .route("/schema", get(plain::schema))
        .route("/openapi.json", get(plain::openapi))
        .route("/metrics", get(prometheus))
        .route("/v2", get(v2::server))
        .route("/v2/health/live", get(v2::live))
        .route("/v2/health/ready", get(v2::ready))
        .route("/v2/repository/index", post(v2::index))
        .route("/v2/models/{model}", get(v2::metadata))
        .route("/v2/models/{model}/ready", get(v2::model_ready))
        .route("/v2/models/{model}/infer", post(v2::infer))
        .route("/v2/models/{model}/versions/{version}", get(v2::metadata))
        .route("/v2/models/{model}/versions/{version}/ready", get(v2::model_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(v2::infer))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(Arc::clone(&app), around))
        .with_state(app)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}; /openapi.json lists the paths", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

async fn prometheus(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::page(&app)).into_response()
}

/// Checks the token, gives the request an id, and logs and counts it.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request_id::of(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let needs_token = app.token.as_ref().filter(|_| !OPEN.contains(&uri.path()));
    let mut response = match needs_token {
        Some(token) if !token.is_in(request.headers()) => {
            let what = "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`";
            Problem::new(StatusCode::UNAUTHORIZED, what).into_response()
        }
        _ => next.run(request).await,
    };
    let (status, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
    app.metrics.count_request(endpoint(matched.as_ref()), status, seconds);
    log(&id, &method, &uri, status, seconds);
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The label of a path: there are as many as there are routes, whatever clients ask for.
fn endpoint(path: Option<&MatchedPath>) -> &'static str {
    match path.map_or("", MatchedPath::as_str) {
        "/" => "page",
        "/score" => "score",
        "/recommend" => "recommend",
        "/explain" => "explain",
        "/schema" => "schema",
        "/openapi.json" => "openapi",
        "/metrics" => "metrics",
        path if path.starts_with("/v2") && path.ends_with("/infer") => "infer",
        path if path.starts_with("/v2") && path.ends_with("/ready") || path.ends_with("/live") => "health",
        path if path.starts_with("/v2") => "metadata",
        _ => "other",
    }
}

fn log(id: &HeaderValue, method: &Method, uri: &Uri, status: u16, seconds: f64) {
    // The query is left out: it names users.
    let (path, id, milliseconds) = (uri.path(), id.to_str().unwrap_or_default(), (seconds * 1e6).round() / 1e3);
    if status >= 500 {
        tracing::warn!(id, %method, path, status, milliseconds, "request");
    } else {
        tracing::debug!(id, %method, path, status, milliseconds, "request");
    }
}
