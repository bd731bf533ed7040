//! Fingerprints of rows, which find equal rows in other sets.

use xxhash_rust::xxh3::Xxh3;

use super::Records;
use super::file::for_bytes;

impl Records {
    /// `[N]`: a hash of each row's ids, values and target. Rows that a model cannot tell apart, with the same target,
    /// have the same one, whatever their weights and groups. Comparable between sets of one schema.
    ///
    /// ```
    /// use fm_core::{Field, Label, Records, Schema, Side, Task};
    ///
    /// let fields = vec![Field::categorical("user", Side::User, 9), Field::categorical("film", Side::Item, 9)];
    /// let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 2.0]), fields)?;
    /// let rows = Records::from_indices(&schema, &[[0, 7], [0, 7], [0, 7], [7, 0]], &[5.0, 5.0, 2.0, 5.0])?;
    /// let [a, b, c, d] = rows.fingerprints().collect::<Vec<u64>>()[..] else { unreachable!() };
    /// assert!(a == b && a != c && a != d && c != d);
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn fingerprints(&self) -> impl Iterator<Item = u64> + '_ {
        let mut hash = Xxh3::new();
        self.rows().map(move |row| {
            hash.reset();
            hash.update(&row.record.label.to_bits().to_le_bytes());
            for words in [row.record.ids, row.record.given] {
                for_bytes(words, u32::to_le_bytes, |bytes| hash.update(bytes));
            }
            hash.digest()
        })
    }
}
