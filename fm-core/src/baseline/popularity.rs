//! Popularity: the same ranking for all users.

use crate::ranking::Interactions;

/// The score of each item `[I]`: its number of positive training rows.
///
/// Source: Cremonesi, Koren and Turrin, Performance of recommender algorithms on top-N recommendation tasks, RecSys
/// 2010, section 3.1, <https://doi.org/10.1145/1864708.1864721>.
///
/// ```
/// use fm_core::baseline::popularity;
/// use fm_core::ranking::Interactions;
///
/// let train = Interactions::new(3, vec![0, 1, 1, 2], vec![1, 1, 0, 2], &[1.0, 1.0, 1.0, 0.0])?;
/// assert_eq!(popularity(&train), [1.0, 2.0, 0.0]);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn popularity(train: &Interactions) -> Vec<f32> {
    train.counts().into_iter().map(|count| count as f32).collect()
}
