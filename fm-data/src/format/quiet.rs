//! Panics of other libraries become errors, without a message of their own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use polars::prelude::PolarsResult;

use crate::error::{Error, Result, first_line};

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Calls `read`; `None` if it panics. The panic is not reported, if the hook for panics is not replaced later.
///
/// Values that `read` changes may be inconsistent after a panic and must not be used again.
fn without_panics<T>(read: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                report(panic);
            }
        }));
    });
    let was_quiet = IS_QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    IS_QUIET.set(was_quiet);
    result.ok()
}

/// Calls `read`, which reads a file of some kind. An error or a panic in it means that the file is damaged.
pub(super) fn sound<T>(path: &Path, kind: &str, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    let what = match without_panics(read) {
        Some(Ok(value)) => return Ok(value),
        Some(Err(error)) => first_line(&error),
        None => "its content contradicts itself".into(),
    };
    Err(damaged(path, kind, &what))
}

/// The error about a damaged file.
pub(super) fn damaged(path: &Path, kind: &str, what: &str) -> Error {
    Error::data(path, None, format!("not a readable {kind} file: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_others_are_still_reported() {
        assert_eq!(without_panics(|| 1), Some(1));
        assert_eq!(without_panics(|| without_panics(|| panic!("inner")).map_or(2, |()| 3)), Some(2));
        assert_eq!(without_panics(|| panic!("outer")).map_or(4, |()| 5), 4);
        assert!(!IS_QUIET.get());
    }
}
