//! Coverage of the catalogue.

/// Coverage@k: the share of a catalogue's `items` that are in anyone's list. `lists` are the first k items of each user,
/// as [`top`](super::top()) gives them; items that are none of the catalogue's do not count. None of an empty catalogue or
/// without a list.
///
/// Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy: evaluating recommender systems by coverage and serendipity,
/// RecSys 2010, <https://doi.org/10.1145/1864708.1864761>.
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
    fn nobodys_lists_have_none_and_empty_ones_cover_nothing() {
        assert_eq!(coverage(&[], 3), None);
        assert_eq!(coverage(&[vec![]], 0), None);
        assert_eq!(coverage(&[vec![], vec![7]], 3), Some(0.0));
    }
}
