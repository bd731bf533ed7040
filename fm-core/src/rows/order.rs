//! The order of the rows in an epoch.

use std::ops::Range;

use rand::seq::SliceRandom;

use crate::seed::{Stream, derive, generator, permutation};

/// The most rows that are shuffled together: their positions take 4 bytes each.
const WINDOW: usize = 1 << 31;

/// Number of consecutive rows that are read together if not all rows are shuffled together. A disk reads as many in one go.
const BLOCK: usize = 4096;

/// A random order of `n` rows, the same for the same seed and epoch.
///
/// All rows are shuffled together, up to 2³¹ of them. Of [windows](Order::in_windows), only one is in memory at a time.
///
/// ```
/// use fm_core::rows::Order;
///
/// let mut order = Order::new(7, 1, 5);
/// let first: Vec<usize> = order.get(0..2);
/// let mut all = [first, order.get(2..5)].concat();
/// all.sort();
/// assert_eq!(all, [0, 1, 2, 3, 4]);
/// ```
#[derive(Debug)]
pub struct Order {
    seed: u64,
    epoch: usize,
    rows: usize,
    block: usize,
    /// The blocks in their order.
    blocks: Vec<u32>,
    /// The number of blocks in a window.
    window: usize,
    /// The number of the window whose order is in memory, and the positions of its rows in its blocks.
    current: (usize, Vec<u32>),
}

impl Order {
    /// The order of an epoch, counted from 1.
    pub fn new(seed: u64, epoch: usize, rows: usize) -> Order {
        Order::with_block(seed, epoch, rows, BLOCK, WINDOW)
    }

    /// The same rows, shuffled in windows of about `window` rows: blocks of 4,096 consecutive rows are shuffled, and then the
    /// rows of as many blocks as a window has, together. A large file is thus read block by block, and a batch has rows of all
    /// of its parts. 0 stands for the largest window.
    #[must_use]
    pub fn in_windows(self, window: usize) -> Order {
        let window = if window == 0 { WINDOW } else { window };
        Order::with_block(self.seed, self.epoch, self.rows, BLOCK, window)
    }

    fn with_block(seed: u64, epoch: usize, rows: usize, block: usize, window: usize) -> Order {
        let window = window.clamp(block, WINDOW);
        // One window has one block.
        let (block, in_window) = if rows <= window { (rows.max(1), 1) } else { (block, window / block) };
        let mut blocks: Vec<u32> = (0..(rows / block) as u32).collect();
        blocks.shuffle(&mut generator(seed, Stream::Blocks(epoch)));
        // A shorter block comes last, so that all windows but the last have the same number of rows.
        if !rows.is_multiple_of(block) {
            blocks.push((rows / block) as u32);
        }
        Order { seed, epoch, rows, block, blocks, window: in_window, current: (usize::MAX, vec![]) }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows at these positions of the order. This is fast if positions ascend from call to call.
    ///
    /// # Panics
    /// If the end of the range is greater than [`Order::len`].
    pub fn get(&mut self, positions: Range<usize>) -> Vec<usize> {
        assert!(positions.end <= self.rows, "positions {positions:?} of an order of {} rows", self.rows);
        let mut rows = Vec::with_capacity(positions.len());
        let mut at = positions.start;
        while at < positions.end {
            let size = self.window * self.block;
            let (number, start) = (at / size, at / size * size);
            if self.current.0 != number {
                self.current = (number, self.shuffled(number, size.min(self.rows - start)));
            }
            let end = positions.end.min(start + self.current.1.len());
            let blocks = &self.blocks[number * self.window..];
            let row = |&position: &u32| {
                let position = position as usize;
                blocks[position / self.block] as usize * self.block + position % self.block
            };
            rows.extend(self.current.1[at - start..end - start].iter().map(row));
            at = end;
        }
        rows
    }

    /// The order of the `rows` rows of a window, counted from the start of its first block.
    fn shuffled(&self, window: usize, rows: usize) -> Vec<u32> {
        // The first window has the order of a set of one window.
        let seed = if window == 0 { self.seed } else { derive(self.seed, Stream::Window(window)) };
        permutation(seed, self.epoch, rows)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_window_has_the_order_of_a_permutation() {
        let expected: Vec<usize> = permutation(3, 2, 1000).into_iter().map(|row| row as usize).collect();
        assert_eq!(Order::new(3, 2, 1000).get(0..1000), expected);
        for window in [0, 1000, 5000] {
            assert_eq!(Order::new(3, 2, 1000).in_windows(window).get(0..1000), expected, "{window}");
        }
        let mut first = Order::new(3, 2, 3 * BLOCK).in_windows(10).get(0..BLOCK);
        first.sort_unstable();
        assert!(first.windows(2).all(|pair| pair[1] == pair[0] + 1) && first[0].is_multiple_of(BLOCK));
    }

    #[test]
    fn a_window_has_whole_blocks_from_anywhere_and_all_its_rows_are_mixed() {
        let rows = Order::with_block(1, 1, 1005, 10, 100).get(0..1005);
        assert!(rows[1000..].iter().all(|&row| row >= 1000));
        let blocks = |window: &[usize]| -> Vec<usize> {
            let mut blocks: Vec<usize> = window.iter().map(|row| row / 10).collect();
            blocks.sort_unstable();
            blocks.dedup();
            blocks
        };
        for window in rows.chunks(100) {
            assert_eq!(blocks(window).len(), window.len().div_ceil(10));
            assert!(
                window.len() < 100 || blocks(&window[..20]).len() > 5,
                "a batch has rows of many blocks: {window:?}"
            );
        }
        assert!(!blocks(&rows[..100]).windows(2).all(|pair| pair[1] == pair[0] + 1));
        let places =
            |window: usize| rows[100 * window..100 * window + 100].iter().map(|row| row % 10).collect::<Vec<_>>();
        assert_ne!(places(0), places(1));
    }

    proptest! {
        #[test]
        fn every_row_occurs_once_wherever_the_order_is_cut(
            n in 0usize..60, block in 1usize..20, window in 1usize..70, seed: u64, epoch in 1usize..4, size in 1usize..25,
        ) {
            let all = Order::with_block(seed, epoch, n, block, window).get(0..n);
            let mut order = Order::with_block(seed, epoch, n, block, window);
            let parts: Vec<usize> = (0..n).step_by(size).flat_map(|at| order.get(at..n.min(at + size))).collect();
            prop_assert_eq!(&parts, &all);
            // Resumed training can start anywhere.
            prop_assert_eq!(order.get(n / 2..n), &all[n / 2..]);
            let mut sorted = all;
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..n));
        }
    }
}
