//! Mean reciprocal rank.

use super::mean;

/// MRR@k: 1/(1 + r) for the rank r of the first relevant item, or 0 if it is not in the first k, averaged over users.
/// `users` are the [`ranks`](super::ranks()) of each user's relevant items. `None` if no user has a relevant item.
///
/// Source: Voorhees, The TREC-8 question answering track report, TREC 1999,
/// <https://trec.nist.gov/pubs/trec8/papers/qa_report.pdf>.
///
/// # Panics
/// If `k` is 0.
///
/// ```
/// use fm_core::metric::ranking::mrr;
///
/// assert_eq!(mrr(&[vec![0, 1], vec![3], vec![10], vec![]], 10), Some((1.0 + 0.25 + 0.0) / 3.0));
/// ```
pub fn mrr(users: &[Vec<u32>], k: usize) -> Option<f64> {
    let reciprocal = |rank: &u32| if (*rank as usize) < k { 1.0 / (1.0 + f64::from(*rank)) } else { 0.0 };
    mean(users, k, |ranks| ranks.iter().min().map_or(0.0, reciprocal))
}
