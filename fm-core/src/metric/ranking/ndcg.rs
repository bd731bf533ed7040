//! Normalised discounted cumulative gain.

use super::mean;

/// NDCG@k = DCG / IDCG, averaged over users. DCG = Σ 1/log₂(r + 2) over the ranks r < k of a user's n relevant items,
/// and IDCG is the same sum over the first min(k, n) ranks, so that the best order has 1. Relevance is binary. `users`
/// are the [`ranks`](super::ranks()) of each user's relevant items. `None` if no user has a relevant item.
///
/// Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002,
/// <https://doi.org/10.1145/582415.582418>, with the now usual discount, which starts at the first rank.
///
/// # Panics
/// If `k` is 0.
///
/// ```
/// use fm_core::metric::ranking::ndcg;
///
/// assert_eq!(ndcg(&[vec![0, 1, 2], vec![2], vec![10], vec![]], 3), Some((1.0 + 0.5 + 0.0) / 3.0));
/// ```
pub fn ndcg(users: &[Vec<u32>], k: usize) -> Option<f64> {
    let gain = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
    mean(users, k, |ranks| {
        let gains: f64 = ranks.iter().map(|&rank| rank as usize).filter(|&rank| rank < k).map(gain).sum();
        let ideal: f64 = (0..ranks.len().min(k)).map(gain).sum();
        gains / ideal
    })
}
