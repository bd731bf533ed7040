//! The rows of each id, and its values there.

/// For each id, the rows (or parts) that contain it and its values x there: a sparse matrix in compressed column
/// format.
#[derive(Debug, Default)]
pub struct Columns {
    /// The offset of the entries of each id, and the end.
    starts: Vec<usize>,
    rows: Vec<u32>,
    values: Vec<f32>,
}

impl Columns {
    /// The columns of `num_ids` ids. `rows` calls its argument with the row, the id and the value of each entry, in the
    /// order of rows. It is called twice.
    ///
    /// # Errors
    /// Errors of `rows`.
    pub fn new<E>(
        num_ids: usize,
        mut rows: impl FnMut(&mut dyn FnMut(u32, u32, f32)) -> Result<(), E>,
    ) -> Result<Columns, E> {
        let mut starts = vec![0; num_ids + 1];
        rows(&mut |_, id, _| starts[id as usize + 1] += 1)?;
        for id in 1..starts.len() {
            starts[id] += starts[id - 1];
        }
        let entries = starts[num_ids];
        let (mut row_of, mut values) = (vec![0; entries], vec![0.0; entries]);
        let mut ends = starts.clone();
        rows(&mut |row, id, x| {
            let end = &mut ends[id as usize];
            (row_of[*end], values[*end]) = (row, x);
            *end += 1;
        })?;
        Ok(Columns { starts, rows: row_of, values })
    }

    /// The number of entries of all ids.
    pub fn num_entries(&self) -> usize {
        self.rows.len()
    }

    /// The number of entries of an id.
    pub fn len(&self, id: usize) -> usize {
        self.starts[id + 1] - self.starts[id]
    }

    /// The rows that contain an id, in ascending order, with its value x in each.
    pub fn entries(&self, id: usize) -> impl ExactSizeIterator<Item = (usize, f32)> + '_ {
        let range = self.starts[id]..self.starts[id + 1];
        self.rows[range.clone()].iter().map(|&row| row as usize).zip(self.values[range].iter().copied())
    }
}
