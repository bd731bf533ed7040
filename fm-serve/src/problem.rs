//! What is wrong with a request.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Maximum number of characters of a message: a value of the request can be in it.
const LONGEST: usize = 500;

/// An answer of status 4xx or 5xx, with one line that says what is wrong, where, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    message: String,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, message: impl AsRef<str>) -> Problem {
        let line = fm_core::terminal::line(message.as_ref());
        let mut message: String = line.chars().take(LONGEST).collect();
        if message.len() < line.len() {
            message.push('…');
        }
        Problem { status, message }
    }

    /// 400: the request contradicts its form or the model's schema.
    pub fn bad_request(message: impl AsRef<str>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such model, version or path.
    pub fn not_found(message: impl AsRef<str>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, message)
    }

    /// 413: the request has more bytes or rows than the server takes.
    pub fn too_large(message: impl AsRef<str>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 503: the server has more work than it can do.
    pub fn overloaded(message: impl AsRef<str>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 500: the model failed.
    pub fn failed(message: impl AsRef<str>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The line.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
        }
        let mut response = json(self.status, &Body { error: &self.message });
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let problem = Problem::bad_request(format!("a\nb\u{1b}[2J {}", "é".repeat(10_000)));
        assert!(problem.message().starts_with("a b\u{fffd}[2J é") && problem.message().ends_with("é…"));
        assert_eq!((problem.message().chars().count(), problem.status()), (LONGEST + 1, 400));
    }

    #[test]
    fn an_overloaded_server_says_when_to_try_again() {
        let response = Problem::overloaded("the queue is full").into_response();
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
        assert!(!Problem::bad_request("x").into_response().headers().contains_key("retry-after"));
    }
}
