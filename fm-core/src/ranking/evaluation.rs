//! Rankings of the whole catalogue for each user with relevant items.

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor, no_grad};

use super::interactions::{Interactions, ItemSets, NONE};
use crate::candidates::ItemSlots;
use crate::error::Result;
use crate::metric::Metrics;
use crate::metric::ranking::{coverage, hit_rate, mrr, ndcg, ranks, recall, top};
use crate::predict::{Score, evaluation_batch};
use crate::rows::Rows;
use crate::seed::{Stream, generator};

/// A user whose candidates are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The user.
    pub user: u32,
    /// The row with the user and the context: all its slots except the item's.
    pub row: usize,
}

/// The relevant items and the candidates of each user in a part of the rows.
///
/// The items of the user's positive rows in the part are relevant. The first of these rows gives the user and the
/// context. All items of the catalogue are candidates, except those of the user's rows in the `seen` parts, whatever
/// their labels. Users who have seen every relevant item are left out, and so are rows without a user.
#[derive(Clone, Debug)]
pub struct Queries {
    num_items: usize,
    queries: Vec<Query>,
    relevant: ItemSets,
    seen: ItemSets,
}

impl Queries {
    /// The queries of `part`. Its users have seen the items of other parts: the training rows for validation, training
    /// and validation rows for testing.
    ///
    /// # Panics
    /// If the parts have different catalogues.
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
        assert!(seen.iter().all(|rows| rows.num_items() == part.num_items()), "all parts must have the same catalogue");
        let seen = ItemSets::new(seen.iter().flat_map(|rows| rows.pairs()));
        let relevant = ItemSets::new(part.positive_pairs().filter(|&(user, item)| !seen.contains(user, item)));
        let mut has_row = vec![false; relevant.num_users()];
        let mut queries = vec![];
        for row in part.positives() {
            let (user, item) = (part.users()[row], part.items()[row]);
            if user != NONE && relevant.contains(user, item) && !std::mem::replace(&mut has_row[user as usize], true) {
                queries.push(Query { user, row });
            }
        }
        Queries { num_items: part.num_items(), queries, relevant, seen }
    }

    /// A random sample of at most `limit` queries, in their order; all queries if `limit` is 0.
    pub fn sample(mut self, limit: usize, seed: u64) -> Queries {
        if (1..self.queries.len()).contains(&limit) {
            self.queries.shuffle(&mut generator(seed, Stream::Users));
            self.queries.truncate(limit);
            self.queries.sort_unstable_by_key(|query| query.row);
        }
        self
    }

    /// The queries, in the order of their rows.
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The relevant items of a user, ascending.
    pub fn relevant(&self, user: u32) -> &[u32] {
        self.relevant.of(user)
    }

    /// The items that are not candidates for a user, ascending.
    pub fn seen(&self, user: u32) -> &[u32] {
        self.seen.of(user)
    }

    /// Calls `look` for each query with the items `[I]` that are not candidates, and returns the results.
    fn each<T>(&self, mut look: impl FnMut(Query, &[bool]) -> Result<T>) -> Result<Vec<T>> {
        let mut is_seen = vec![false; self.num_items];
        let look = |&query: &Query| {
            self.seen(query.user).iter().for_each(|&item| is_seen[item as usize] = true);
            let found = look(query, &is_seen);
            self.seen(query.user).iter().for_each(|&item| is_seen[item as usize] = false);
            found
        };
        self.queries.iter().map(look).collect()
    }
}

/// The cutoff that is always measured.
const USUAL_CUTOFF: usize = 10;

/// The metrics of rankings: `coverage@k`, `hr@k`, `ndcg@k` and `recall@k` for each k of `cutoffs` and for 10, and `mrr`
/// over the whole catalogue. Empty without queries.
///
/// `scores` returns the scores `[I]` of all items for a query. Candidates are ranked by them; ties count against the
/// relevant items ([`metric::ranking`](crate::metric::ranking)). If a score is NaN, all metrics are.
///
/// # Errors
/// Errors of `scores`.
///
/// # Panics
/// If the number of scores is not the number of items, or a cutoff is 0.
///
/// ```
/// use fm_core::ranking::{Interactions, Queries, evaluate};
///
/// let train = Interactions::new(3, vec![0, 1], vec![2, 2], &[1.0, 1.0])?;
/// let test = Interactions::new(3, vec![0, 1], vec![0, 1], &[1.0, 1.0])?;
/// // Item 2 has the highest score, but both users have seen it. Item 1 follows, but is not relevant for user 0.
/// let metrics = evaluate(&Queries::new(&test, &[&train]), &[1], |_| Ok(vec![0.1, 0.2, 0.9]))?;
/// assert_eq!((metrics["hr@1"], metrics["hr@10"], metrics["mrr"]), (0.5, 1.0, 0.75));
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn evaluate(
    queries: &Queries,
    cutoffs: &[usize],
    mut scores: impl FnMut(Query) -> Result<Vec<f32>>,
) -> Result<Metrics> {
    let measured = measured(cutoffs);
    let longest = measured.last().copied().unwrap_or_default();
    let mut has_nan = false;
    let look = |query: Query, is_seen: &[bool]| {
        let scores = scores(query)?;
        has_nan |= scores.iter().any(|score| score.is_nan());
        Ok((ranks(&scores, queries.relevant(query.user), is_seen), top(&scores, longest, is_seen)))
    };
    let (ranks, mut lists): (Vec<_>, Vec<_>) = queries.each(look)?.into_iter().unzip();
    let mut metrics = metrics_of_users(&ranks, cutoffs);
    // Start with the longest list: each is cut to the next cutoff.
    for &k in measured.iter().rev() {
        lists.iter_mut().for_each(|list| list.truncate(k));
        metrics.extend(coverage(&lists, queries.num_items).map(|value| (format!("coverage@{k}"), value)));
    }
    if has_nan {
        metrics.values_mut().for_each(|value| *value = f64::NAN);
    }
    Ok(metrics)
}

/// The [`ranks`] of the relevant items of each query, by scores as in [`evaluate`], for [`metrics_of_users`]. Their
/// size does not depend on the catalogue.
///
/// # Errors
/// Errors of `scores`.
///
/// # Panics
/// If the number of scores is not the number of items.
pub fn ranks_of_relevant(
    queries: &Queries,
    mut scores: impl FnMut(Query) -> Result<Vec<f32>>,
) -> Result<Vec<Vec<u32>>> {
    queries.each(|query, is_seen| Ok(ranks(&scores(query)?, queries.relevant(query.user), is_seen)))
}

/// The metrics of [`evaluate`] that are means over users (all except coverage), for any subset of the queries: `ranks`
/// are the results of [`ranks_of_relevant`] for them. Empty without queries.
///
/// # Panics
/// If a cutoff is 0.
///
/// ```
/// use fm_core::ranking::{Interactions, Queries, metrics_of_users, ranks_of_relevant};
///
/// let train = Interactions::new(3, vec![0, 1], vec![2, 2], &[1.0, 1.0])?;
/// let test = Interactions::new(3, vec![0, 1], vec![0, 1], &[1.0, 1.0])?;
/// let ranks = ranks_of_relevant(&Queries::new(&test, &[&train]), |_| Ok(vec![0.1, 0.2, 0.9]))?;
/// assert_eq!(ranks, [[1], [0]]); // both have seen item 2
/// assert_eq!((metrics_of_users(&ranks, &[1])["hr@1"], metrics_of_users(&ranks[1..], &[1])["hr@1"]), (0.5, 1.0));
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn metrics_of_users(ranks: &[Vec<u32>], cutoffs: &[usize]) -> Metrics {
    let mut metrics = vec![("mrr".to_owned(), mrr(ranks, usize::MAX))];
    for k in measured(cutoffs) {
        metrics.extend([
            (format!("hr@{k}"), hit_rate(ranks, k)),
            (format!("ndcg@{k}"), ndcg(ranks, k)),
            (format!("recall@{k}"), recall(ranks, k)),
        ]);
    }
    metrics.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The cutoffs that are measured, ascending.
fn measured(cutoffs: &[usize]) -> BTreeSet<usize> {
    cutoffs.iter().copied().chain([USUAL_CUTOFF]).collect()
}

/// Like [`evaluate`], with the scores of a model for the user and the context of each query's row.
///
/// # Errors
/// Errors of `model` and `rows`.
pub fn evaluate_model(
    queries: &Queries,
    cutoffs: &[usize],
    model: &dyn Score,
    rows: &dyn Rows,
    items: &ItemSlots,
) -> Result<Metrics> {
    evaluate(queries, cutoffs, |query| score_items(query, model, rows, items))
}

/// The scores `[I]` of all items for the user and the context of a query's row.
///
/// # Errors
/// Errors of `model` and `rows`.
pub fn score_items(query: Query, model: &dyn Score, rows: &dyn Rows, items: &ItemSlots) -> Result<Vec<f32>> {
    let device = items.device();
    let row = rows.batch(&[query.row], device)?.features;
    // Use chunks of equal size: a small last chunk would take nearly as long as a full one.
    let chunks = items.len().div_ceil(evaluation_batch(device));
    let size = items.len().div_ceil(chunks);
    let mut scores = Vec::with_capacity(items.len());
    for first in (0..items.len()).step_by(size) {
        let end = items.len().min(first + size);
        let places = Tensor::arange_start(first as i64, end as i64, (Kind::Int64, device)).unsqueeze(0);
        let candidates = items.candidates(&row, &places)?;
        let logits = no_grad(|| model.score_candidates(&candidates))?.to_kind(Kind::Float).to_device(Device::Cpu);
        scores.extend(Vec::<f32>::try_from(logits.flatten(0, -1))?);
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ITEMS: usize = 7;

    /// The user and the item of each row, which may be missing, and whether the row is positive.
    type Row = (u32, u32, bool);

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let user = prop_oneof![5 => 0u32..4, 1 => Just(NONE)];
        let item = prop_oneof![9 => 0u32..ITEMS as u32, 1 => Just(NONE)];
        prop::collection::vec((user, item, any::<bool>()), 0..12)
    }

    fn interactions(rows: &[Row]) -> Interactions {
        let of = |column: fn(&Row) -> u32| rows.iter().map(column).collect();
        let targets: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
        Interactions::new(ITEMS, of(|row| row.0), of(|row| row.1), &targets).unwrap()
    }

    /// For each user with relevant items: the first row, the relevant items and the candidates, from their definitions.
    fn naive_queries(seen: &[Row], part: &[Row]) -> Vec<(Query, Vec<u32>, Vec<u32>)> {
        let mut queries: Vec<(Query, Vec<u32>, Vec<u32>)> = vec![];
        for (row, &(user, item, is_positive)) in (0..).zip(part) {
            let has_seen = |item: u32| seen.iter().any(|row| (row.0, row.1) == (user, item));
            if user == NONE || item == NONE || !is_positive || has_seen(item) {
                continue;
            }
            match queries.iter_mut().find(|query| query.0.user == user) {
                Some((_, relevant, _)) if relevant.contains(&item) => {}
                Some((_, relevant, _)) => relevant.push(item),
                None => {
                    let candidates = (0..ITEMS as u32).filter(|&item| !has_seen(item)).collect();
                    queries.push((Query { user, row }, vec![item], candidates));
                }
            }
        }
        queries
    }

    #[test]
    fn a_score_that_is_nan_makes_every_metric_nan() {
        let queries = Queries::new(&interactions(&[(0, 1, true), (1, 2, true)]), &[]);
        let measured = |score: f32| {
            let scores = |query: Query| {
                Ok((0..ITEMS).map(|item| if query.user == 1 && item == 5 { score } else { 0.5 }).collect())
            };
            evaluate(&queries, &[1], scores).unwrap()
        };
        assert!(measured(f32::INFINITY).values().all(|value| value.is_finite()));
        let found = measured(f32::NAN);
        assert!(found.len() > 4 && found.values().all(|value| value.is_nan()), "{found:?}");
    }

    proptest! {
        #[test]
        fn metrics_equal_those_of_a_full_sort_of_the_candidates(
            (train, valid, test) in (rows(), rows(), rows()),
            // Few scores, so that many are equal.
            scores in prop::collection::vec(prop::collection::vec(0u8..5, ITEMS), 4),
            k in 1usize..9,
        ) {
            let seen = [&train[..], &valid].concat();
            let queries = Queries::new(&interactions(&test), &[&interactions(&train), &interactions(&valid)]);
            let expected = naive_queries(&seen, &test);
            prop_assert_eq!(queries.queries(), expected.iter().map(|query| query.0).collect::<Vec<_>>());
            let score = |query: Query| scores[query.user as usize].iter().map(|&score| f32::from(score)).collect();
            let found = evaluate(&queries, &[k], |query| Ok(score(query))).unwrap();

            let (mut hits, mut gains, mut recalls, mut reciprocals) = (0.0, 0.0, 0.0, 0.0);
            let mut listed = BTreeSet::new();
            for (query, relevant, mut candidates) in expected.clone() {
                let score = |item: u32| scores[query.user as usize][item as usize];
                listed.extend({
                    let mut list = candidates.clone();
                    list.sort_by_key(|&item| std::cmp::Reverse(score(item)));
                    list.truncate(k);
                    list
                });
                // Among equal scores, relevant items come last.
                candidates.sort_by_key(|&item| (std::cmp::Reverse(score(item)), relevant.contains(&item)));
                let places: Vec<usize> = (0..candidates.len()).filter(|&at| relevant.contains(&candidates[at])).collect();
                let within = places.iter().filter(|&&place| place < k);
                let discount = |place: usize| 1.0 / (place as f64 + 2.0).log2();
                hits += f64::from(within.clone().count() > 0);
                recalls += within.clone().count() as f64 / relevant.len() as f64;
                gains += within.map(|&place| discount(place)).sum::<f64>()
                    / (0..relevant.len().min(k)).map(discount).sum::<f64>();
                reciprocals += 1.0 / (places[0] as f64 + 1.0);
            }
            if expected.is_empty() {
                prop_assert!(found.is_empty());
                return Ok(());
            }
            let n = expected.len() as f64;
            let all = [
                (format!("coverage@{k}"), listed.len() as f64 / ITEMS as f64),
                (format!("hr@{k}"), hits / n),
                (format!("ndcg@{k}"), gains / n),
                (format!("recall@{k}"), recalls / n),
                ("mrr".to_owned(), reciprocals / n),
            ];
            for (name, expected) in all {
                prop_assert!((found[&name] - expected).abs() < 1e-9, "{}: {} and {}", name, found[&name], expected);
            }
            prop_assert!(found.contains_key("ndcg@10"));
        }
    }

    #[test]
    fn a_sample_depends_on_the_seed_and_is_in_order() {
        let rows: Vec<Row> = (0..50).map(|user| (user, user % 7, true)).collect();
        let queries = Queries::new(&interactions(&rows), &[]);
        let sample = |limit, seed| queries.clone().sample(limit, seed).queries;
        assert_eq!(sample(10, 1).len(), 10);
        assert!(sample(10, 1).is_sorted_by_key(|query| query.row));
        assert_eq!(sample(10, 1), sample(10, 1));
        assert_ne!(sample(10, 1), sample(10, 2));
        assert_eq!((sample(0, 1), sample(50, 1), sample(99, 1)), (queries.queries.clone(), sample(0, 1), sample(0, 1)));
    }

    #[test]
    fn all_items_are_scored_in_their_order_in_chunks() {
        use crate::encoder::Encoder;
        use crate::features::{Features, Padded};
        use crate::rows::TensorRows;
        use crate::schema::{Field, FieldKind, Label, Schema, Side, Task};

        let vocabulary = (0..1000).map(|item: u32| item.to_string()).collect();
        let label = Label::fit("seen", Task::Ranking { threshold: None }, [1.0]);
        let item = Field::new("item", FieldKind::Categorical, Side::Item, vocabulary);
        let schema = Schema::new(label, vec![item]).unwrap();
        let texts: Vec<[Option<&str>; 1]> =
            schema.fields()[0].vocabulary.iter().map(|text| [Some(&text[..])]).collect();
        let features = Encoder::new(&schema).features(&texts).unwrap();
        let items = ItemSlots::new(&schema, &features).unwrap();
        let Padded { ids, values } = Encoder::new(&schema).features(&[[None]]).unwrap().padded().unwrap();
        let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&[1f32])).unwrap();
        /// Scores an item by its id.
        #[derive(Default)]
        struct ById(std::cell::RefCell<Vec<usize>>);
        impl Score for ById {
            fn score_rows(&self, features: &Features) -> Result<Tensor> {
                self.0.borrow_mut().push(features.len());
                Ok(features.padded()?.ids.select(1, 0))
            }
        }
        let by_id = ById::default();
        let scores = score_items(Query { user: 0, row: 0 }, &by_id, &rows, &items);
        assert_eq!(scores.unwrap(), (1..=1000).map(|id| id as f32).collect::<Vec<_>>());
        assert_eq!(by_id.0.into_inner(), [500, 500]);
    }
}
