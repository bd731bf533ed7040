//! Bodies of requests.

use std::ops::Deref;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::problem::Problem;

/// Bodies from this size are parsed on a thread of their own, so that others do not wait.
const LARGE: usize = 64 << 10;

/// A body in memory. It counts against the limit of all bodies until it is dropped.
pub(crate) struct Body {
    bytes: BytesMut,
    /// Held until the request is answered.
    _room: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// 413 if it is too long, 408 if it takes too long, 415 if it is compressed, 503 if the bodies of other requests
    /// leave no room, and 400 if the connection fails.
    pub async fn read(app: &App, request: Request) -> Result<(HeaderMap, Body), Problem> {
        let (head, body) = request.into_parts();
        let encoding = head.headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.as_bytes());
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
            let what = "the body is compressed, which this server does not read: send it as it is";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
        }
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > app.options.max_body as u64) {
            return Err(too_long(app));
        }
        match tokio::time::timeout(app.options.timeout, collect(app, body)).await {
            Ok(body) => Ok((head.headers, body?)),
            Err(_) => {
                let seconds = app.options.timeout.as_secs_f32();
                let what = format!("the body did not arrive within {seconds} s");
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, what))
            }
        }
    }
}

/// Memory is taken as bytes arrive, not as they are announced.
async fn collect(app: &App, mut body: axum::body::Body) -> Result<Body, Problem> {
    let mut all = Body { bytes: BytesMut::new(), _room: None };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if all.bytes.len() + data.len() > app.options.max_body {
            return Err(too_long(app));
        }
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Ok(room) = app.bodies.clone().try_acquire_many_owned(bytes) else {
            return Err(Problem::overloaded("the bodies of other requests take all memory for them: try again later"));
        };
        match &mut all._room {
            Some(all) => all.merge(room),
            none => *none = Some(room),
        }
        all.bytes.extend_from_slice(&data);
    }
    Ok(all)
}

fn too_long(app: &App) -> Problem {
    let most = app.options.max_body;
    Problem::too_large(format!("the body is longer than {most} bytes: send fewer rows at a time"))
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Parses a body: on a thread of its own if it is large.
///
/// # Errors
/// Those of `parse`.
pub(crate) async fn in_background<T: Send + 'static>(
    body: Body,
    parse: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
) -> Result<(T, Body), Problem> {
    if body.len() < LARGE {
        return Ok((parse(&body)?, body));
    }
    let parsed = tokio::task::spawn_blocking(move || Ok((parse(&body)?, body))).await;
    parsed.unwrap_or_else(|_| Err(Problem::failed("the body cannot be parsed: see the server's log")))
}
