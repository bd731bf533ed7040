//! Hints: which flag or command helps with an error of a library, which states facts and knows no flags.

use fm_core::Error;

/// The text of an error, with a hint where there is one.
pub fn with_hint(error: &anyhow::Error) -> String {
    match error.chain().find_map(|cause| cause.downcast_ref::<Error>()).and_then(of_core) {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    }
}

/// What to do about an error of fm-core.
fn of_core(error: &Error) -> Option<String> {
    Some(match error {
        Error::RunExists { .. } => {
            "choose another `--run`, resume it with `--resume`, or replace it with `--force`".into()
        }
        Error::NotResumable { .. } => "start again with `--force`".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_is_followed_by_the_flag_that_helps_even_behind_a_context() {
        let error = || anyhow::Error::from(Error::RunExists { path: "runs/fm-1".into() });
        let hint = "choose another `--run`, resume it with `--resume`, or replace it with `--force`";
        assert_eq!(with_hint(&error()), format!("runs/fm-1 exists already: {hint}"));
        let behind = Err::<(), _>(error()).context("cannot train").unwrap_err();
        assert_eq!(with_hint(&behind), format!("cannot train: {hint}"));
    }

    #[test]
    fn an_error_without_a_hint_is_left_as_it_is() {
        assert_eq!(with_hint(&Error::Torch("odd".into()).into()), "libtorch: odd");
        assert_eq!(with_hint(&anyhow::anyhow!("odd")), "odd");
    }
}
