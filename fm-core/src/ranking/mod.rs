//! Ranks the items of a catalogue for each user. Training uses only positive rows, and compares each with items that
//! the user is not known to have chosen ([`objective::Ranking`](crate::objective::Ranking)). Evaluation uses the ranks,
//! among all items, of the items that users chose later.
//!
//! | item | purpose |
//! |---|---|
//! | [`ItemSlots`], [`Candidates`] | the slots of each item of the catalogue, and rows with several candidate items each |
//! | [`Interactions`], [`ItemSets`] | which user interacted with which items |
//! | [`NegativeSampler`] | draws negatives |
//! | [`bpr`], [`sampled_softmax`], [`warp`] | losses |
//! | [`Queries`] | the relevant items and the candidates of each user |
//! | [`evaluate`], [`evaluate_model`] | metrics over the whole catalogue |
//! | [`ranks_of_relevant`], [`metrics_of_users`] | the same for a subset of the users |
//!
//! A ranking in memory, where users and items are numbers:
//!
//! ```
//! use fm_core::objective::Ranking;
//! use fm_core::ranking::{Interactions, ItemSlots, Queries, RankingConfig, evaluate_model};
//! use fm_core::tch::{Device, nn::VarStore};
//! use fm_core::train::{TrainConfig, Trainer};
//! use fm_core::{Field, Label, Records, Rows, Schema, Side, Task};
//!
//! // Twenty users choose among eight items: even users choose even items, odd users odd ones.
//! // All but one of a user's four items train.
//! let fields = vec![Field::categorical("user", Side::User, 20), Field::categorical("item", Side::Item, 8)];
//! let schema = Schema::new(Label::fit("chosen", Task::Ranking { threshold: None }, [1.0]), fields)?;
//! let chosen = |user: usize| (0..4).map(move |at| [user, user % 2 + 2 * at]);
//! let is_last = |&[user, item]: &[usize; 2]| user / 2 % 4 == item / 2;
//! let (valid, train): (Vec<_>, Vec<_>) = (0..20).flat_map(chosen).partition(is_last);
//!
//! let rows = |pairs: &[[usize; 2]]| Records::from_indices(&schema, pairs, &vec![1.0; pairs.len()]);
//! let interactions = |pairs: &[[usize; 2]]| {
//!     let (users, items) = pairs.iter().map(|&[user, item]| (user as u32, item as u32)).unzip();
//!     Interactions::new(8, users, items, &vec![1.0; pairs.len()])
//! };
//!
//! // The slots of each item; the users of these rows do not matter.
//! let all_items: [[usize; 2]; 8] = std::array::from_fn(|item| [0, item]);
//! let all_items = rows(&all_items)?.batch(&[0, 1, 2, 3, 4, 5, 6, 7], Device::Cpu)?.features;
//! let items = || ItemSlots::new(&schema, &all_items);
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
pub use loss::{bpr, sampled_softmax, warp};
pub use negatives::NegativeSampler;
