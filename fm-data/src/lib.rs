//! From tables to training data: reads and splits the rows, fits vocabularies to the training rows, and encodes all
//! rows into a memory-mapped file.
//!
//! ```text
//! DataConfig -> source (rows and their declaration) -> Split::parts -> derived fields
//!            -> fit(training rows) -> encode -> Prepared (encoded rows, in the cache)
//! ```
//!
//! [`DataConfig::prepare`] does all of it. [`RawData`] has the rows as text, and its [`Catalogue`] the users and items.
//!
//! A small table whose first two rows are training rows:
//!
//! ```
//! use fm_core::{Rows, Side, Task};
//! use fm_data::FieldSpecKind::{Categorical, Numeric};
//! use fm_data::{FieldSpec, Labels, TableSpec, encode_labelled, fit};
//! use polars::prelude::df;
//!
//! let table = df!("user" => ["ann", "bob", "carl"], "price" => ["1.5", "2.5", "free"]).expect("columns of one length");
//! let clicked = [1.0, 0.0, 1.0];
//! let user = FieldSpec::new("user", Categorical, Side::User);
//! let price = FieldSpec::new("price", Numeric, Side::Context);
//! let spec = TableSpec { user: Some("user".into()), ..TableSpec::new("clicked", vec![user, price]) };
//! let schema = fit(&table, &spec, &clicked, &[0, 1], Task::Binary { threshold: 1.0 })?;
//! assert_eq!(schema.fields()[0].vocabulary, ["ann", "bob"]);
//!
//! let labels = Labels { labels: &clicked, weights: None };
//! let rows = encode_labelled(&table, &schema, labels, &[0, 1, 2])?;
//! // user: 0 is unknown, like carl; price: 3 is missing, like text that is not a number.
//! assert!(rows.ids_of(0).eq([1, 2, 0]) && rows.ids_of(1).eq([4, 4, 3]));
//! assert_eq!(rows.labels(), clicked);
//! # Ok::<(), fm_data::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod buckets;
pub mod cache;
pub mod catalogue;
pub mod config;
pub mod declare;
mod derived;
pub mod download;
pub mod encode;
mod encoded;
pub mod error;
pub mod fit;
mod format;
mod history;
pub mod infer;
pub mod inspect;
pub mod kept;
pub mod movielens;
mod pipeline;
pub mod presets;
pub mod ranking;
pub mod raw_data;
pub mod source;
mod sparse_rows;
pub mod spec;
pub mod split;
mod statistics;
pub mod synth;
pub mod table;
pub mod threads;
mod timelines;
pub mod unpack;

pub use cache::{CacheKey, Prepared};
pub use catalogue::Catalogue;
pub use config::{DataConfig, HistoryForm, Moved, TaskName};
pub use declare::{Declared, declare};
pub use encode::{Labels, MissingColumns, encode, encode_labelled};
pub use error::{Error, Result};
pub use fit::fit;
pub use format::OnBadRow;
pub use infer::{InferOptions, Inferred, infer};
pub use inspect::{Inspection, inspect};
pub use pipeline::Earlier;
pub use ranking::RankingData;
pub use raw_data::RawData;
pub use sparse_rows::SparseRows;
pub use spec::{FieldSpec, FieldSpecKind, TableSpec, TransformSpec};
pub use split::{Parts, Split, SplitColumns};
pub use table::{ChunkSize, CompactTable, ReadOptions, TableReader, TableWriter, read_table, write_table};
