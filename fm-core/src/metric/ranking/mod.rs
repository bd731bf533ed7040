//! Metrics of rankings over a full catalogue.
//!
//! [`ranks`] computes the ranks of a user's relevant items from the scores of all items. Each metric is then a mean
//! over users and considers the first k ranks. Users without a relevant item are ignored. All items are candidates:
//! metrics on a sample of items can order models differently, see Krichene and Rendle, On sampled metrics for item
//! recommendation, KDD 2020, <https://doi.org/10.1145/3394486.3403226>.
//!
//! **Ties** count against the model: a relevant item ranks after all other items with the same score. A model that
//! gives all items the same score therefore has the worst result, and the order of items does not matter. McSherry and
//! Najork, Computing information retrieval performance measures efficiently in the presence of tied scores, ECIR 2008,
//! <https://doi.org/10.1007/978-3-540-78646-7_38>, average over all orders instead.
//!
//! ```
//! use fm_core::metric::ranking::{hit_rate, mrr, ndcg, ranks, recall};
//!
//! // Ann has seen item 0, and items 2 and 3 are relevant. Bob has seen nothing, and item 1 is relevant.
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

/// The mean of `f` over the users with a relevant item.
fn mean(users: &[Vec<u32>], k: usize, f: impl Fn(&[u32]) -> f64) -> Option<f64> {
    assert!(k > 0, "at least the first place");
    let relevant = users.iter().filter(|ranks| !ranks.is_empty());
    let (sum, count) = relevant.fold((0.0, 0usize), |(sum, count), ranks| (sum + f(ranks), count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The number of ranks below k.
fn hits(ranks: &[u32], k: usize) -> usize {
    ranks.iter().filter(|&&rank| (rank as usize) < k).count()
}
