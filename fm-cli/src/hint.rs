//! What to do about errors of the libraries, which know no flags.

use fm_core::Error;

/// A hint for the library's error behind `error`, if there is one.
pub fn of(error: &anyhow::Error) -> Option<&'static str> {
    match error.chain().find_map(|cause| cause.downcast_ref::<Error>())? {
        Error::RunExists { .. } => Some("choose another `--run`, go on with `--resume`, or replace it with `--force`"),
        Error::NotResumable { .. } => Some("start it anew, with `--force`"),
        Error::Device(_) => Some("use `--device cpu`, or see `fm doctor`"),
        Error::NoCatalogue { .. } => Some("`fm export --with-catalogue` keeps one"),
        _ => None,
    }
}
