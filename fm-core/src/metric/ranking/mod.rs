//! Ranking over a full catalogue: how far up a user's relevant items come among all candidates.
//!
//! [`ranks`] counts, from the scores of all items for a user, where the relevant ones stand; each metric is then a mean
//! over users, cut off at the first k places. Users without a relevant item do not count, and without any other user there
//! is no value. Candidates are all items, not a sample of them, whose metrics order models otherwise than these do: Krichene
//! and Rendle, On sampled metrics for item recommendation, KDD 2020, <https://doi.org/10.1145/3394486.3403226>.
//!
//! **Ties** count against the model: an item comes after all others of the same score that are not relevant. So a model
//! that scores all items alike gets nothing, where an order that happens to have the relevant items first would give it
//! full marks. McSherry and Najork, Computing information retrieval performance measures efficiently in the presence of
//! tied scores, ECIR 2008, <https://doi.org/10.1007/978-3-540-78646-7_38>, average over all orders instead.
//!
//! ```
//! use fm_core::metric::ranking::{hit_rate, mrr, ndcg, ranks, recall};
//!
//! // Ann has seen item 0 and will like items 2 and 3; Bob has seen nothing and will like item 1.
//! let ann = ranks(&[0.9, 0.8, 0.7, 0.1], &[2, 3], &[true, false, false, false]);
//! let bob = ranks(&[0.9, 0.5, 0.4, 0.3], &[1], &[false; 4]);
//! let users = [ann, bob];
//! assert_eq!(users, [vec![1, 2], vec![1]]);
//! assert_eq!((hit_rate(&users, 1), hit_rate(&users, 2)), (Some(0.0), Some(1.0)));
//! assert_eq!((recall(&users, 2), mrr(&users, 2)), (Some(0.75), Some(0.5)));
//! assert!(ndcg(&users, 2) < Some(1.0));
//! ```

mod coverage;
mod hit_rate;
mod mrr;
mod ndcg;
mod ranks;
mod recall;

pub use coverage::coverage;
pub use hit_rate::hit_rate;
pub use mrr::mrr;
pub use ndcg::ndcg;
pub use ranks::{ranks, top};
pub use recall::recall;

/// The mean of `f` over the users who have a relevant item.
fn mean(users: &[Vec<u32>], k: usize, f: impl Fn(&[u32]) -> f64) -> Option<f64> {
    assert!(k > 0, "at least the first place");
    let relevant = users.iter().filter(|ranks| !ranks.is_empty());
    let (sum, count) = relevant.fold((0.0, 0usize), |(sum, count), ranks| (sum + f(ranks), count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// How many of these ranks are among the first k.
fn hits(ranks: &[u32], k: usize) -> usize {
    ranks.iter().filter(|&&rank| (rank as usize) < k).count()
}
