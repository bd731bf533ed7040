//! TorchScript archives of a model: from raw values to scores, with libtorch only.
//!
//! The graph of `forward` is traced from the model's own `logits`, and parameters keep their names. Methods in
//! TorchScript source (`methods.py`) encode values, score rows and recommend items.
//!
//! | method | input → output |
//! |---|---|
//! | `forward(ids, values)` | `[B, S]` int64 and float32 → logits `[B]` |
//! | `predict(ids, values)` | the same → probabilities, or labels within the range of the training rows, `[B]` |
//! | `encode(rows: List[Dict[str, str]])` | text by column name → ids and values `[B, S]`, on the CPU |
//! | `encode_lists(rows: List[Dict[str, List[str]]])` | the same with lists, for multi-valued fields and sequences |
//! | `encode_columns(columns: Dict[str, List[str]])` | the same, with a list per column |
//! | `score`, `score_lists`, `score_columns` | the same as `encode`... → predictions `[B]` |
//! | `recommend(user: Dict[str, str], k: int, exclude: Optional[List[str]])` | → ids of the best k items of the catalogue, and their scores: predictions that are not limited to the range of labels |
//! | `user_vectors(rows: List[Dict[str, str]])`, `item_vectors(rows)` | → vectors `[B, d]`, whose inner product is the logit up to a constant for each user; only for a model with an [inner product](crate::Model::inner_product) |
//! | `check(rows: List[Dict[str, str]])` | → for each field the number of values that are unknown, missing and malformed, and the names that no field reads |
//! | `schema()` | → the schema as JSON |
//!
//! All methods but `forward` run without gradients. Empty text is a missing value. Missing and unknown values use the field's out-of-vocabulary row.
//!
//! For servers that only call `forward`, [`Bundle::served_columns`] and [`Bundle::served_ids`] wrap such a module into
//! one whose `forward` returns predictions.
//!
//! ```
//! # use fm_core::{Encoder, Field, FieldKind, Label, Schema, Side, Task, tch::{Device, nn::VarStore}};
//! # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! # let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
//! # let label = Label::fit("rating", Task::Regression, [5.0, 1.0]);
//! # let schema = Schema::new(label, vec![user, item])?.with_roles(Some("user".into()), Some("item".into()))?;
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("model.pt");
//! use fm_core::script::{Bundle, BundleOptions, Catalogue, Scorer};
//!
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
//! let items = Encoder::new(&schema).features(&[[None, Some("a")], [None, Some("b")]])?;
//! let catalogue = Catalogue { items: vec!["a".into(), "b".into()], features: items };
//! let options = BundleOptions { catalogue: Some(&catalogue), ..Default::default() };
//! Bundle::new(model.as_ref(), &store, &schema, &options)?.save(&file, &[("note.txt", "not trained")])?;
//!
//! // In another program, from the file alone.
//! let scorer = Scorer::load(&file, Device::Cpu)?;
//! let scores = scorer.score([[("user", "ann"), ("item", "b")], [("user", "carl"), ("item", "")]])?;
//! assert!(scores.iter().all(|score| (1.0..=5.0).contains(score)));
//! assert_eq!(scorer.recommend([("user", "ann")], 1, &["a"])?[0].0, "b");
//! assert_eq!(scorer.extra_file("note.txt")?, "not trained");
//! # Ok::<(), fm_core::Error>(())
//! ```

mod archive;
mod attributes;
mod bundle;
mod origin;
mod pickle;
mod precision;
mod scorer;
mod served;
#[cfg(test)]
mod tests;
mod trace;

pub use bundle::{Bundle, BundleOptions, Catalogue};
pub use origin::{Origin, Verified, verify};
pub use precision::Precision;
pub use scorer::Scorer;
pub use served::Served;

pub(crate) use trace::trace_forward;
use trace::unknown_rows;

use crate::schema::Schema;

/// The newest file format that this library supports, as returned by the method `_format`.
const FORMAT: i64 = 2;

/// The name of the schema in the archive's extra files.
const SCHEMA_FILE: &str = Schema::FILE;

/// The name of a run's settings in the archive's extra files.
pub const SETTINGS_FILE: &str = "settings.toml";
