//! Ranking: which items come first for a user. A model is trained on positive rows alone, each compared with items that the
//! user is not known to have chosen, and judged by where it ranks what users chose later among all items.
//!
//! | file | holds |
//! |---|---|
//! | [`ItemSlots`], [`Candidates`] | what each item of the catalogue fills into a row, and rows with several items each |
//! | [`Interactions`], [`ItemSets`] | who had to do with what |
//! | [`Sampler`] | draws negatives |
//! | [`bpr`], [`sampled_softmax`] | the losses |
//! | [`Objective`] | what is trained on |
//! | [`Queries`] | what is looked for, and among which items |
//! | [`evaluate`], [`evaluate_logits`] | rankings of the whole catalogue |
//! | [`ranks_of_relevant`], [`metrics_of_users`] | the same, for some of the users |
//!
//! Without the program, where users and items are numbers:
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use fm_core::ranking::{Candidates, Interactions, ItemSlots, Objective, Queries, RankingConfig, evaluate_logits};
//! use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
//! use fm_core::train::{TrainConfig, Trainer};
//! use fm_core::{Features, Field, FieldKind::Categorical, Label, Padded, Schema, Side, Task, TensorRows};
//!
//! // Twenty users choose among eight items: even users even items, odd users odd ones. Of a user's four items, all but one train.
//! let name = |number: u32| number.to_string();
//! let user = Field::new("user", Categorical, Side::User, (0..20).map(name).collect());
//! let item = Field::new("item", Categorical, Side::Item, (0..8).map(name).collect());
//! let label = Label::fit("chosen", Task::Ranking { threshold: None }, [1.0]);
//! let schema = Schema::new(label, vec![user, item])?;
//! let chosen = |user: u32| (0..4).map(move |at| (user, user % 2 + 2 * at));
//! let is_last = |&(user, item): &(u32, u32)| user / 2 % 4 == item / 2;
//! let (valid, train): (Vec<_>, Vec<_>) = (0..20).flat_map(chosen).partition(is_last);
//!
//! // As features: the first id of each field stands for what is unknown.
//! let features = |pairs: &[(u32, u32)]| {
//!     let ids: Vec<i64> = pairs.iter().flat_map(|&(user, item)| [1 + i64::from(user), 22 + i64::from(item)]).collect();
//!     let ids = Tensor::from_slice(&ids).view([-1, 2]);
//!     let ones = Tensor::ones(ids.size(), (Kind::Float, Device::Cpu));
//!     Features::new(&schema, ids, ones)
//! };
//! let rows = |pairs: &[(u32, u32)]| {
//!     let Padded { ids, values, .. } = features(pairs)?.padded()?;
//!     TensorRows::new(&schema, ids, values, Tensor::ones([pairs.len() as i64], (Kind::Float, Device::Cpu)))
//! };
//! let interactions = |pairs: &[(u32, u32)]| {
//!     let (users, items) = pairs.iter().copied().unzip();
//!     Interactions::new(8, users, items, &vec![1.0; pairs.len()])
//! };
//!
//! // What each item fills into a row: the users of these rows do not matter.
//! let items = || ItemSlots::new(&schema, &features(&(0..8).map(|item| (0, item)).collect::<Vec<_>>())?);
//! let queries = Queries::new(&interactions(&valid)?, &[&interactions(&train)?]);
//! let objective = Objective::new(&RankingConfig::default(), items()?, interactions(&train)?, queries.clone())?;
//! fm_core::seed::seed_torch(1, fm_core::seed::Stream::Parameters);
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
//! let config = TrainConfig { epochs: 20, batch_size: 8, lr: 0.02, patience: 0, ..TrainConfig::default() };
//! let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?.with_ranking(&objective);
//! trainer.fit(&rows(&train)?, &rows(&valid)?, &mut (), &AtomicBool::new(false))?;
//!
//! // What was left out comes first, of the five items that a user has not chosen before.
//! let logits = |candidates: &Candidates| model.candidate_logits(candidates, false);
//! let metrics = evaluate_logits(&queries, &[1], logits, &rows(&valid)?, &items()?)?;
//! assert!(metrics["hr@1"] > 0.8, "{metrics:?}");
//! # Ok::<(), fm_core::Error>(())
//! ```

mod config;
mod evaluation;
mod interactions;
mod items;
mod loss;
mod objective;
mod sampler;

pub use config::{RankingConfig, RankingLoss, SamplerKind};
pub use evaluation::{Queries, Query, evaluate, evaluate_logits, metrics_of_users, ranks_of_relevant, score_items};
pub use interactions::{Interactions, ItemSets, NONE};
pub use items::{Candidates, ItemSlots};
pub use loss::{bpr, sampled_softmax};
pub use objective::Objective;
pub use sampler::Sampler;
