//! Hit rate.

use super::{hits, mean};

/// HR@k: the share of users with a relevant item in the first k. `users` are the [`ranks`](super::ranks()) of each
/// user's relevant items. `None` if no user has a relevant item.
///
/// Source: Deshpande and Karypis, Item-based top-N recommendation algorithms, TOIS 2004,
/// <https://doi.org/10.1145/963770.963776>.
///
/// # Panics
/// If `k` is 0.
///
/// ```
/// use fm_core::metric::ranking::hit_rate;
///
/// assert_eq!(hit_rate(&[vec![0, 30], vec![9], vec![10], vec![]], 10), Some(2.0 / 3.0));
/// ```
pub fn hit_rate(users: &[Vec<u32>], k: usize) -> Option<f64> {
    mean(users, k, |ranks| f64::from(hits(ranks, k) > 0))
}
