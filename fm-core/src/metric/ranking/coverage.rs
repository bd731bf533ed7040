//! Coverage of the catalogue.

/// Coverage@k: the share of the catalogue's `items` that are in any user's list. `lists` are the first k items of each
/// user, from [`top`](super::top()); items outside the catalogue are ignored. `None` for an empty catalogue or without
/// lists.
///
/// Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy: evaluating recommender systems by coverage and
/// serendipity, RecSys 2010, <https://doi.org/10.1145/1864708.1864761>.
///
/// ```
/// use fm_core::metric::ranking::coverage;
///
/// assert_eq!(coverage(&[vec![0, 1], vec![1, 0], vec![3, 1]], 4), Some(0.75));
/// ```
pub fn coverage(lists: &[Vec<u32>], items: usize) -> Option<f64> {
    let mut is_listed = vec![false; items];
    for &item in lists.iter().flatten() {
        if let Some(is_listed) = is_listed.get_mut(item as usize) {
            *is_listed = true;
        }
    }
    let listed = is_listed.iter().filter(|is_listed| **is_listed).count();
    (items > 0 && !lists.is_empty()).then(|| listed as f64 / items as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_undefined_without_lists_and_0_for_empty_ones() {
        assert_eq!(coverage(&[], 3), None);
        assert_eq!(coverage(&[vec![]], 0), None);
        assert_eq!(coverage(&[vec![], vec![7]], 3), Some(0.0));
    }
}
