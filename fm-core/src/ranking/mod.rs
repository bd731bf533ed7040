//! Ranking the items of a catalogue for each user. A model is trained on positive rows alone: each is compared with items that
//! the user is not known to have chosen ([`objective::Ranking`](crate::objective::Ranking)). It is evaluated by the ranks, among
//! all items, of those that users chose later.
//!
//! | item | purpose |
//! |---|---|
//! | [`ItemSlots`], [`Candidates`] | the slots of each item of the catalogue, and rows with several candidate items each |
//! | [`Interactions`], [`ItemSets`] | which user interacted with which items |
//! | [`NegativeSampler`] | draws negatives |
//! | [`bpr`], [`sampled_softmax`] | losses |
//! | [`Queries`] | the relevant items and the candidates of each user |
//! | [`evaluate`], [`evaluate_model`] | metrics over the whole catalogue |
//! | [`ranks_of_relevant`], [`metrics_of_users`] | the same for a subset of the users |
//!
//! A ranking in memory, where users and items are numbers:
//!
//! ```
//! use fm_core::objective::Ranking;
//! use fm_core::ranking::{Interactions, ItemSlots, Queries, RankingConfig, evaluate_model};
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
//! let objective = Ranking::new(&RankingConfig::default(), items()?, interactions(&train)?, queries.clone())?;
//! fm_core::seed::seed_torch(1, fm_core::seed::Stream::Parameters);
//! let store = VarStore::new(Device::Cpu);
//! let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
//! let config = TrainConfig { epochs: 20, batch_size: 8, lr: 0.02, patience: 0, ..TrainConfig::default() };
//! let mut trainer = Trainer::with_objective(model.as_ref(), &store, Box::new(objective), config)?;
//! trainer.fit(&rows(&train)?, &rows(&valid)?, &mut ())?;
//!
//! // Among the five items that a user has not chosen before, the held-out one comes first.
//! let metrics = evaluate_model(&queries, &[1], model.as_ref(), &rows(&valid)?, &items()?)?;
//! assert!(metrics["hr@1"] > 0.8, "{metrics:?}");
//! # Ok::<(), fm_core::Error>(())
//! ```

mod config;
mod evaluation;
mod interactions;
mod loss;
mod negatives;

pub use crate::candidates::{Candidates, ItemSlots};
pub use config::{RankingConfig, RankingLoss, SamplerKind};
pub use evaluation::{Queries, Query, evaluate, evaluate_model, metrics_of_users, ranks_of_relevant, score_items};
pub use interactions::{Interactions, ItemSets, NONE};
pub use loss::{bpr, sampled_softmax};
pub use negatives::NegativeSampler;
