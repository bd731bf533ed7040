//! TorchScript archives that serve a model: raw values in, scores out, with nothing but libtorch.
//!
//! The graph of `forward` is traced once from the model's own `logits`, with the parameters under their names. Methods from
//! TorchScript source (`methods.py`) do the rest: look values up, score rows, recommend.
//!
//! | method | takes → returns |
//! |---|---|
//! | `forward(ids, values)` | `[B, S]` int64 and float32 → logits `[B]` |
//! | `predict(ids, values)` | the same → probabilities, or labels within the range of the training rows, `[B]` |
//! | `encode(rows: List[Dict[str, str]])` | texts by the name of their field → ids and values `[B, S]`, on the CPU |
//! | `encode_lists(rows: List[Dict[str, List[str]]])` | the same with lists, for multi-valued fields |
//! | `encode_columns(columns: Dict[str, List[str]])` | the same, a list for each field |
//! | `score`, `score_lists`, `score_columns` | what `encode`... takes → predictions `[B]` |
//! | `recommend(user: Dict[str, str], k: int, exclude: Optional[List[str]])` | → ids of k items of the catalogue and their predictions |
//! | `schema()` | → the schema as JSON |
//!
//! A missing value and an empty text are the same; both fall on the field's out-of-vocabulary row, as do unknown values.
//!
//! For servers that call `forward` alone, [`Bundle::served_columns`] and [`Bundle::served_ids`] wrap such a module into one
//! whose `forward` gives predictions.
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
//! // Elsewhere: the file alone.
//! let scorer = Scorer::load(&file, Device::Cpu)?;
//! let scores = scorer.score([[("user", "ann"), ("item", "b")], [("user", "carl"), ("item", "")]])?;
//! assert!(scores.iter().all(|score| (1.0..=5.0).contains(score)));
//! assert_eq!(scorer.recommend([("user", "ann")], 1, &["a"])?[0].0, "b");
//! assert_eq!(scorer.extra_file("note.txt")?, "not trained");
//! # Ok::<(), fm_core::Error>(())
//! ```

mod attributes;
mod bundle;
mod precision;
mod scorer;
mod served;
#[cfg(test)]
mod tests;
mod trace;

pub use bundle::{Bundle, BundleOptions, Catalogue};
pub use precision::Precision;
pub use scorer::Scorer;
pub use served::Served;

pub(crate) use trace::trace_forward;
use trace::unknown_rows;

/// What `_format` of the methods returns: the newest that this library scores with.
const FORMAT: i64 = 1;

/// The name of the schema among the archive's extra files.
const SCHEMA_FILE: &str = "schema.json";
