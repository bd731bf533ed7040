//! Ids that connect an answer with its line in the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header, in requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum number of characters of an id that a client gives.
const LONGEST: usize = 64;

/// The id that the request gives, if it is short and plain, or else a new one.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |id: &&HeaderValue| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        !id.is_empty() && id.len() <= LONGEST && id.as_bytes().iter().all(is_plain)
    };
    headers.get(HEADER).filter(is_plain).cloned().unwrap_or_else(new)
}

/// An id that no other request has: a random number of this process, and a count.
fn new() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:012x}-{count:x}", *PROCESS >> 16);
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_kept_and_others_are_replaced() {
        let of_text = |text: &'static str| of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_static(text))]));
        assert_eq!(of_text("abc-1.2_3"), "abc-1.2_3");
        for odd in ["", "a b", "a\tb", &"x".repeat(65).leak()[..]] {
            assert_ne!(of_text(odd), odd);
        }
        assert_ne!(new(), new());
    }
}
