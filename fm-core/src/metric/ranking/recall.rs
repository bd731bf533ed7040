//! Recall.

use super::{hits, mean};

/// Recall@k: the part of a user's relevant items that are among the first k, averaged over users. Who has more than k
/// relevant items cannot reach 1. `users` are the [`ranks`](super::ranks()) of each one's relevant items. None without a
/// user who has one.
///
/// # Panics
/// If `k` is 0.
///
/// ```
/// use fm_core::metric::ranking::recall;
///
/// assert_eq!(recall(&[vec![0, 30], vec![9], vec![10], vec![]], 10), Some((0.5 + 1.0 + 0.0) / 3.0));
/// ```
pub fn recall(users: &[Vec<u32>], k: usize) -> Option<f64> {
    mean(users, k, |ranks| hits(ranks, k) as f64 / ranks.len() as f64)
}
