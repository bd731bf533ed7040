//! Recall.

use super::{hits, mean};

/// Recall@k: the share of a user's relevant items in the first k, averaged over users. It is below 1 for a user with
/// more than k relevant items. `users` are the [`ranks`](super::ranks()) of each user's relevant items. `None` if no
/// user has a relevant item.
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
