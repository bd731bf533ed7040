//! Panics of other libraries become errors, without a message of their own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Calls `read`; `None` if it panics. The panic is not reported, if the hook for panics is not replaced later.
///
/// Values that `read` changes may be inconsistent after a panic and must not be used again.
pub(super) fn without_panics<T>(read: impl FnOnce() -> T) -> Option<T> {
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
