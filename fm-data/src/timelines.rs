//! The rows of each user in order of time.

use crate::table::NO_CODE;

/// The rows of each user in the order of (timestamp, row number).
pub(crate) struct Timelines {
    rows: Vec<u32>,
    /// The start of each user within `rows`, then the start of the rows without a user, then the end.
    starts: Vec<usize>,
}

impl Timelines {
    pub(crate) fn new(users: &[u32], timestamps: &[i64]) -> Timelines {
        let num_users = users.iter().filter(|&&user| user != NO_CODE).max().map_or(0, |&last| last as usize + 1);
        // Rows without a user belong to an additional last user.
        let slot = |row: usize| (users[row] as usize).min(num_users);
        let mut starts = vec![0; num_users + 2];
        for row in 0..users.len() {
            starts[slot(row) + 1] += 1;
        }
        for user in 0..=num_users {
            starts[user + 1] += starts[user];
        }
        let (mut rows, mut next) = (vec![0; users.len()], starts.clone());
        for row in 0..users.len() {
            let next = &mut next[slot(row)];
            rows[*next] = row as u32;
            *next += 1;
        }
        for user in 0..num_users {
            rows[starts[user]..starts[user + 1]].sort_unstable_by_key(|&row| (timestamps[row as usize], row));
        }
        Timelines { rows, starts }
    }

    /// The rows of each user.
    pub(crate) fn users(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.starts.len() - 2).map(|user| &self.rows[self.starts[user]..self.starts[user + 1]])
    }

    /// The rows without a user.
    pub(crate) fn nobody(&self) -> &[u32] {
        &self.rows[self.starts[self.starts.len() - 2]..]
    }
}
