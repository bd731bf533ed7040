//! Gradients of lookup tables, as sums over the rows that a batch looks up.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::Tensor;

/// The gradient of a table `[rows, width]`: the distinct rows that were looked up, the number of lookups of each, and
/// the sum of their gradients. All other rows have the gradient 0. Clearing it keeps its memory.
///
/// ```
/// use fm_core::optim::RowGradient;
///
/// let mut gradient = RowGradient::new(1000, 2);
/// for (row, g) in [(7, [1.0, 2.0]), (3, [0.5, 0.5]), (7, [10.0, 20.0])] {
///     gradient.add(row).iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
/// }
/// assert_eq!((gradient.rows(), gradient.counts()), (&[7, 3][..], &[2, 1][..]));
/// assert_eq!(gradient.sums(), [11.0, 22.0, 0.5, 0.5]);
/// ```
#[derive(Clone, Debug)]
pub struct RowGradient {
    width: usize,
    /// For each row of the table, its position in `rows` plus 1, or 0.
    positions: Vec<u32>,
    rows: Vec<u32>,
    counts: Vec<u32>,
    sums: Vec<f32>,
}

impl RowGradient {
    /// The gradient of a table before any lookup.
    ///
    /// # Panics
    /// If the table has 2^32 rows or more.
    pub fn new(table_rows: usize, width: usize) -> RowGradient {
        assert!(u32::try_from(table_rows).is_ok(), "a table has fewer than 2^32 rows, not {table_rows}");
        RowGradient { width, positions: vec![0; table_rows], rows: vec![], counts: vec![], sums: vec![] }
    }

    /// Counts one lookup of `row` and returns the row's sum `[width]`, to which the caller adds the lookup's gradient.
    /// Leave out lookups whose gradient is exactly 0: a row that is not added stays unchanged.
    ///
    /// # Panics
    /// If the table has no such row.
    #[inline]
    pub fn add(&mut self, row: u32) -> &mut [f32] {
        self.add_times(row, 1)
    }

    /// As [`RowGradient::add`], for several lookups of one row, the sum of whose gradients the caller adds.
    #[inline]
    pub(super) fn add_times(&mut self, row: u32, times: u32) -> &mut [f32] {
        let position = &mut self.positions[row as usize];
        if *position == 0 {
            self.rows.push(row);
            self.counts.push(0);
            self.sums.resize(self.sums.len() + self.width, 0.0);
            *position = self.rows.len() as u32;
        }
        let at = *position as usize - 1;
        self.counts[at] += times;
        &mut self.sums[at * self.width..][..self.width]
    }

    /// The number of lookups of a row, and the sum of their gradients; `None` if it was not looked up.
    pub(super) fn of_row(&self, row: u32) -> Option<(u32, &[f32])> {
        let at = self.positions[row as usize].checked_sub(1)? as usize;
        Some((self.counts[at], &self.sums[at * self.width..][..self.width]))
    }

    /// The distinct rows `[R]`, in the order of their first lookup.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The number of lookups of each of [`rows`](RowGradient::rows) `[R]`.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The summed gradient of each of [`rows`](RowGradient::rows) `[R · width]`.
    pub fn sums(&self) -> &[f32] {
        &self.sums
    }

    /// Same as [`sums`](RowGradient::sums), mutable.
    pub(super) fn sums_mut(&mut self) -> &mut [f32] {
        &mut self.sums
    }

    /// Calls `change(row, count, sum)` for each of the distinct rows.
    pub(super) fn for_each(&mut self, mut change: impl FnMut(u32, u32, &mut [f32])) {
        let sums = self.sums.chunks_exact_mut(self.width);
        for ((&row, &count), sum) in self.rows.iter().zip(&self.counts).zip(sums) {
            change(row, count, sum);
        }
    }

    /// The runs of rows that were not looked up, ascending.
    pub(super) fn other_rows(&self) -> Vec<Range<u32>> {
        let (mut runs, mut start) = (vec![], 0);
        while start < self.positions.len() {
            let rest = &self.positions[start..];
            let len = rest.iter().position(|&position| position != 0).unwrap_or(rest.len());
            if len > 0 {
                runs.push(start as u32..(start + len) as u32);
            }
            start += len + 1;
        }
        runs
    }

    /// Number of rows of the table.
    pub fn table_rows(&self) -> usize {
        self.positions.len()
    }

    /// Number of elements in a row of the table.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Clears all lookups.
    pub fn clear(&mut self) {
        for &row in &self.rows {
            self.positions[row as usize] = 0;
        }
        self.rows.clear();
        self.counts.clear();
        self.sums.clear();
    }
}

/// The row gradients of a step, by table. Clones share them: a batch in training has a clone that lookups add their
/// gradients to instead of passing them to autograd, and the optimiser reads them from its own clone.
///
/// The address of its data identifies a table, so all handles of a tensor are the same table.
#[derive(Clone, Debug, Default)]
pub struct RowGradients(Arc<Mutex<HashMap<usize, Entry>>>);

#[derive(Debug)]
struct Entry {
    gradient: Arc<Mutex<RowGradient>>,
    /// Whether the current step has looked up the table.
    is_used: bool,
}

impl RowGradients {
    /// The gradient of `table` `[rows, ...]`, for adding the lookups of this step. The table then counts as looked up
    /// in this step, even if no row is added.
    ///
    /// # Panics
    /// If the table is a scalar, or has 2^32 rows or more.
    pub fn of(&self, table: &Tensor) -> Arc<Mutex<RowGradient>> {
        let size = table.size();
        let (rows, width) = (size[0] as usize, size[1..].iter().product::<i64>() as usize);
        let new = || Arc::new(Mutex::new(RowGradient::new(rows, width)));
        let mut tables = lock(&self.0);
        let entry = tables.entry(key(table)).or_insert_with(|| Entry { gradient: new(), is_used: true });
        entry.is_used = true;
        // The memory of a dropped tensor may now belong to another one.
        let is_same = |gradient: &RowGradient| (gradient.table_rows(), gradient.width()) == (rows, width);
        if !is_same(&lock(&entry.gradient)) {
            entry.gradient = new();
        }
        Arc::clone(&entry.gradient)
    }

    /// The gradient of `table`, if this step has looked it up.
    pub fn get(&self, table: &Tensor) -> Option<Arc<Mutex<RowGradient>>> {
        let tables = lock(&self.0);
        tables.get(&key(table)).filter(|entry| entry.is_used).map(|entry| Arc::clone(&entry.gradient))
    }

    /// Clears the lookups of all tables.
    pub fn clear(&self) {
        for entry in lock(&self.0).values_mut().filter(|entry| entry.is_used) {
            entry.is_used = false;
            lock(&entry.gradient).clear();
        }
    }
}

fn key(table: &Tensor) -> usize {
    table.data_ptr() as usize
}

/// Ignores poisoning: after a panic, `clear` removes the partial sums.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn lookups_of_a_row_are_counted_and_summed() {
        let mut gradient = RowGradient::new(5, 1);
        for (row, g) in [(4, 1.0), (0, 2.0), (4, 3.0)] {
            gradient.add(row)[0] += g;
        }
        assert_eq!((gradient.rows(), gradient.counts(), gradient.sums()), (&[4, 0][..], &[2, 1][..], &[4.0, 2.0][..]));
        assert_eq!(gradient.other_rows(), vec![1..4]);
    }

    #[test]
    fn nothing_is_left_after_it_is_cleared() {
        let mut gradient = RowGradient::new(5, 2);
        gradient.add(3).fill(7.0);
        gradient.clear();
        assert!(gradient.rows().is_empty());
        assert_eq!(gradient.other_rows(), vec![0..5]);
        assert_eq!(gradient.add(3), [0.0, 0.0]);
        assert_eq!(gradient.counts(), [1]);
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn a_row_outside_the_table_is_not_added() {
        RowGradient::new(5, 2).add(5);
    }

    #[test]
    fn clones_share_the_gradients_of_a_table_for_any_handle() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let (gradients, table, other) = (RowGradients::default(), zeros(&[4, 2, 3]), zeros(&[4, 6]));
        let shared = gradients.clone();
        assert!(gradients.get(&table).is_none());
        shared.of(&table).lock().unwrap().add(1).fill(2.0);
        let found = gradients.get(&table.shallow_clone()).unwrap();
        assert_eq!(found.lock().unwrap().sums(), [2.0; 6]);
        assert!(gradients.get(&other).is_none());
    }

    #[test]
    fn a_table_counts_as_looked_up_until_the_step_is_over() {
        let table = Tensor::zeros([4, 2], (Kind::Float, Device::Cpu));
        let gradients = RowGradients::default();
        gradients.of(&table);
        assert!(gradients.get(&table).is_some_and(|gradient| gradient.lock().unwrap().rows().is_empty()));
        gradients.of(&table).lock().unwrap().add(0);
        gradients.clear();
        assert!(gradients.get(&table).is_none());
        assert!(gradients.of(&table).lock().unwrap().rows().is_empty());
    }
}
