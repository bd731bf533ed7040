//! Interactions of users and items.

use crate::error::{Error, Result};

/// Stands for a missing user or item of a row.
pub const NONE: u32 = u32::MAX;

/// The user and the item of each of N rows, and whether the row is positive. Users are numbered from 0, items by their
/// positions in the catalogue; [`NONE`] stands for a missing user or item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interactions {
    num_items: usize,
    users: Vec<u32>,
    items: Vec<u32>,
    is_positive: Vec<bool>,
}

impl Interactions {
    /// Takes users, items of a catalogue of `num_items`, and targets `[N]`: 1 for a positive row, 0 for a negative one
    /// ([`Label::target`](crate::Label::target)).
    ///
    /// # Errors
    /// [`Error::Shape`] for slices of different lengths, or an item outside the catalogue.
    pub fn new(num_items: usize, users: Vec<u32>, items: Vec<u32>, targets: &[f32]) -> Result<Interactions> {
        if users.len() != items.len() || users.len() != targets.len() {
            let found = format!("{} users, {} items and {} targets", users.len(), items.len(), targets.len());
            return Err(Error::shape("interactions", "a user, an item and a target for each row", found));
        }
        if let Some(item) = items.iter().find(|&&item| item != NONE && item as usize >= num_items) {
            return Err(Error::shape("interactions", format!("items below {num_items}"), item.to_string()));
        }
        let is_positive = targets.iter().map(|&target| target > 0.5).collect();
        Ok(Interactions { num_items, users, items, is_positive })
    }

    /// I, the number of items in the catalogue.
    pub fn num_items(&self) -> usize {
        self.num_items
    }

    /// N, the number of rows.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The users of the rows.
    pub fn users(&self) -> &[u32] {
        &self.users
    }

    /// The items of the rows.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// The user and the item of each row that has both.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let pairs = self.users.iter().copied().zip(self.items.iter().copied());
        pairs.filter(|&(user, item)| user != NONE && item != NONE)
    }

    /// The numbers of the positive rows that have an item.
    pub fn positives(&self) -> impl Iterator<Item = usize> + '_ {
        let is_positive = |&row: &usize| self.is_positive[row] && self.items[row] != NONE;
        (0..self.len()).filter(is_positive)
    }

    /// The user and the item of each positive row that has both.
    pub fn positive_pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let pair = |row: usize| (self.users[row], self.items[row]);
        self.positives().map(pair).filter(|&(user, _)| user != NONE)
    }

    /// `[I]`: the number of positive rows of each item.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.num_items];
        for row in self.positives() {
            counts[self.items[row] as usize] += 1;
        }
        counts
    }
}

/// A set of items for each user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemSets {
    /// The position of each user's first item, and the end.
    starts: Vec<usize>,
    /// The items of all users, ascending for each user.
    items: Vec<u32>,
}

impl ItemSets {
    /// Collects pairs of a user and an item, without duplicates.
    ///
    /// ```
    /// use fm_core::ranking::ItemSets;
    ///
    /// let sets = ItemSets::new([(2, 7), (0, 5), (2, 1), (2, 7)]);
    /// assert_eq!((sets.of(0), sets.of(1), sets.of(2), sets.of(9)), (&[5][..], &[][..], &[1, 7][..], &[][..]));
    /// assert!(sets.contains(2, 7) && !sets.contains(0, 7));
    /// ```
    pub fn new(pairs: impl IntoIterator<Item = (u32, u32)>) -> ItemSets {
        let mut pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        pairs.dedup();
        let num_users = pairs.last().map_or(0, |&(user, _)| user as usize + 1);
        let mut starts = vec![0; num_users + 1];
        for &(user, _) in &pairs {
            starts[user as usize + 1] += 1;
        }
        for user in 0..num_users {
            starts[user + 1] += starts[user];
        }
        ItemSets { starts, items: pairs.into_iter().map(|(_, item)| item).collect() }
    }

    /// Number of users, up to the last one with an item.
    pub fn num_users(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// A user's items, ascending; none for an unknown user.
    pub fn of(&self, user: u32) -> &[u32] {
        match self.starts.get(user as usize..=user as usize + 1) {
            Some(&[start, end]) => &self.items[start..end],
            _ => &[],
        }
    }

    /// Whether a user has an item.
    pub fn contains(&self, user: u32, item: u32) -> bool {
        self.of(user).binary_search(&item).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_user_or_an_item_and_negative_rows_are_left_out() {
        let rows = Interactions::new(5, vec![0, NONE, 1, 1], vec![4, 4, NONE, 2], &[1.0, 1.0, 1.0, 0.0]).unwrap();
        assert_eq!(rows.positives().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(rows.positive_pairs().collect::<Vec<_>>(), [(0, 4)]);
        assert_eq!(rows.pairs().collect::<Vec<_>>(), [(0, 4), (1, 2)]);
        assert_eq!(rows.counts(), [0, 0, 0, 0, 2]);
        assert!(Interactions::new(5, vec![0], vec![], &[1.0]).is_err());
        let error = Interactions::new(5, vec![0], vec![5], &[1.0]).unwrap_err().to_string();
        assert_eq!(error, "interactions: expected items below 5, found 5");
    }

    #[test]
    fn an_unknown_user_has_no_items() {
        let none = ItemSets::new([]);
        assert_eq!((none.num_users(), none.of(0), none.of(NONE)), (0, &[][..], &[][..]));
    }
}
