//! Tables to training data: read, split, fit vocabularies on the training rows, encode, keep the result in a
//! memory-mapped file.
//!
//! ```text
//! table::read_table or movielens::read -> Split::parts -> fit::fit(train) -> Dataset::encode (fm_core::Rows)
//! ```
//!
//! [`source::DataConfig::prepare`] does all of it; [`source::Source`] keeps the rows as text beside it.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod cache;
pub mod dataset;
pub mod download;
pub mod error;
pub mod fit;
pub mod history;
pub mod inspect;
pub mod movielens;
pub mod source;
pub mod spec;
pub mod split;
pub mod table;
pub mod unpack;

pub use cache::{CacheKey, Prepared};
pub use dataset::Dataset;
pub use error::{Error, Result};
pub use fit::{Encoded, MissingColumns, encode, fit};
pub use inspect::{Inspection, inspect};
pub use spec::{FieldSpec, FieldSpecKind, TableSpec};
pub use split::{Parts, Split, SplitColumns};
pub use table::{read_table, write_table};
