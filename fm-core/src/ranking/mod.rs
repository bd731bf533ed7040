//! Ranking: which items come first for a user. A model is trained on positive rows alone, each compared with items that the
//! user is not known to have chosen, and judged by where it ranks what users chose later among all items.
//!
//! | file | holds |
//! |---|---|
//! | [`ItemSlots`] | what each item of the catalogue fills into a row |
//! | [`Interactions`], [`ItemSets`] | who had to do with what |
//! | [`Sampler`] | draws negatives |
//! | [`bpr`], [`sampled_softmax`] | the losses |
//! | [`Objective`] | what is trained on |
//! | [`Queries`] | what is looked for, and among which items |
//! | [`evaluate`], [`evaluate_logits`] | rankings of the whole catalogue |

mod config;
mod evaluation;
mod interactions;
mod items;
mod loss;
mod objective;
mod sampler;

pub use config::{RankingConfig, RankingLoss, SamplerKind};
pub use evaluation::{Queries, Query, evaluate, evaluate_logits, score_items};
pub use interactions::{Interactions, ItemSets, NONE};
pub use items::ItemSlots;
pub use loss::{bpr, sampled_softmax};
pub use objective::Objective;
pub use sampler::Sampler;
