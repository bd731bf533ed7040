//! Rankings of the whole catalogue, for every user with something to find.

use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor, no_grad};

use super::interactions::{Interactions, ItemSets, NONE};
use super::items::ItemSlots;
use crate::batch::Features;
use crate::error::Result;
use crate::seed::{Stream, generator};
use crate::train::evaluation_batch;

/// A user whose candidates are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The user.
    pub user: u32,
    /// The row whose slots, but for the item's, say what is known of the user and the moment.
    pub row: u32,
}

/// What is looked for in a part of the rows: for each user with a relevant item, these among all items of the catalogue that the
/// user has no earlier row with.
///
/// Relevant are the items of the user's positive rows in the part. User and moment are those of the first of these rows. An item
/// of which the user has a row in a part that was `seen` is no candidate, whatever that row's label. A user who has seen
/// every relevant item is left out, as are rows without a user.
#[derive(Clone, Debug)]
pub struct Queries {
    queries: Vec<Query>,
    relevant: ItemSets,
    seen: ItemSets,
}

impl Queries {
    /// The queries of `part`, whose users have seen the items of other parts: of the training rows for validation, of both for
    /// testing.
    ///
    /// ```
    /// use fm_core::ranking::{Interactions, Queries};
    ///
    /// let train = Interactions::new(7, vec![0, 1], vec![5, 6], &[1.0, 1.0])?;
    /// let test = Interactions::new(7, vec![0, 1, 0], vec![6, 6, 2], &[1.0, 1.0, 1.0])?;
    /// let queries = Queries::new(&test, &[&train]);
    /// assert_eq!(queries.queries().len(), 1); // user 1 has seen item 6
    /// assert_eq!((queries.relevant(0), queries.seen(0)), (&[2, 6][..], &[5][..]));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn new(part: &Interactions, seen: &[&Interactions]) -> Queries {
        let seen = ItemSets::new(seen.iter().flat_map(|rows| rows.pairs()));
        let relevant = ItemSets::new(part.positive_pairs().filter(|&(user, item)| !seen.contains(user, item)));
        let mut has_row = vec![false; relevant.num_users()];
        let mut queries = vec![];
        for row in part.positives() {
            let (user, item) = (part.users()[row as usize], part.items()[row as usize]);
            if user != NONE && relevant.contains(user, item) && !std::mem::replace(&mut has_row[user as usize], true) {
                queries.push(Query { user, row });
            }
        }
        Queries { queries, relevant, seen }
    }

    /// At most `limit` of the queries, drawn with a seed, in their order; all for a limit of 0.
    pub fn sample(mut self, limit: usize, seed: u64) -> Queries {
        if (1..self.queries.len()).contains(&limit) {
            self.queries.shuffle(&mut generator(seed, Stream::Users));
            self.queries.truncate(limit);
            self.queries.sort_unstable_by_key(|query| query.row);
        }
        self
    }

    /// The users, in the order of their rows.
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// What a user should find, ascending.
    pub fn relevant(&self, user: u32) -> &[u32] {
        self.relevant.of(user)
    }

    /// What is no candidate for a user, ascending.
    pub fn seen(&self, user: u32) -> &[u32] {
        self.seen.of(user)
    }
}

/// The scores `[I]` of all items for the user and the moment of one row, `[1, S]`, out of what gives logits.
///
/// # Errors
/// What `logits` returns.
pub fn score_items(
    logits: impl Fn(&Features) -> Result<Tensor>,
    row: &Features,
    items: &ItemSlots,
) -> Result<Vec<f32>> {
    let device = row.ids.device();
    // Chunks of one size: the last would else be small, and take nearly as long.
    let chunks = items.len().div_ceil(evaluation_batch(device));
    let size = items.len().div_ceil(chunks);
    let mut scores = Vec::with_capacity(items.len());
    for first in (0..items.len()).step_by(size) {
        let end = items.len().min(first + size);
        let places = Tensor::arange_start(first as i64, end as i64, (Kind::Int64, device)).unsqueeze(0);
        let candidates = items.candidates(row, &places)?;
        let logits = no_grad(|| logits(&candidates))?.to_kind(Kind::Float).to_device(Device::Cpu);
        scores.extend(Vec::<f32>::try_from(logits)?);
    }
    Ok(scores)
}
