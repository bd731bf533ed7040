//! The order of the rows in an epoch.

use std::ops::Range;

use rand::seq::SliceRandom;

use crate::seed::{Stream, derive, generator, permutation};

/// The largest block whose rows are shuffled together: their numbers within the block take 4 bytes each.
const BLOCK: usize = 1 << 31;

/// A random order of `n` rows, the same for the same seed and epoch.
///
/// The rows are split into blocks of at most 2³¹ consecutive rows. The blocks are shuffled, and so are the rows in each
/// block. Only one block's order is in memory at a time.
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
    /// The blocks in their order, each with the position of its first row in the order.
    blocks: Vec<(usize, usize)>,
    /// The position in `blocks` of the block whose order is in memory, and this order.
    current: (usize, Vec<u32>),
}

impl Order {
    /// The order of an epoch, counted from 1.
    pub fn new(seed: u64, epoch: usize, rows: usize) -> Order {
        Order::with_block(seed, epoch, rows, BLOCK)
    }

    fn with_block(seed: u64, epoch: usize, rows: usize, block: usize) -> Order {
        let mut numbers: Vec<usize> = (0..rows.div_ceil(block)).collect();
        numbers.shuffle(&mut generator(seed, Stream::Blocks(epoch)));
        let mut end = 0;
        let start = |number: usize| {
            let start = end;
            end += block.min(rows - number * block);
            (number, start)
        };
        let blocks = numbers.into_iter().map(start).collect();
        Order { seed, epoch, rows, block, blocks, current: (usize::MAX, vec![]) }
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
            let place = self.blocks.partition_point(|&(_, start)| start <= at) - 1;
            let (number, start) = self.blocks[place];
            if self.current.0 != place {
                self.current = (place, self.rows_of(number));
            }
            let end = positions.end.min(start + self.current.1.len());
            rows.extend(self.current.1[at - start..end - start].iter().map(|&row| number * self.block + row as usize));
            at = end;
        }
        rows
    }

    /// The order of a block's rows, counted from the block's first row.
    fn rows_of(&self, number: usize) -> Vec<u32> {
        // The first block has the order that a set of one block has.
        let seed = if number == 0 { self.seed } else { derive(self.seed, Stream::Block(number)) };
        permutation(seed, self.epoch, self.block.min(self.rows - number * self.block))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_block_has_the_order_of_a_permutation() {
        let mut order = Order::new(3, 2, 1000);
        assert!(order.get(0..1000).into_iter().eq(permutation(3, 2, 1000).into_iter().map(|row| row as usize)));
    }

    #[test]
    fn blocks_and_the_rows_in_them_are_shuffled() {
        let mut order = Order::with_block(1, 1, 1000, 100);
        let rows = order.get(0..1000);
        let blocks: Vec<usize> = rows.chunks(100).map(|rows| rows[0] / 100).collect();
        assert!(rows.chunks(100).zip(&blocks).all(|(rows, block)| rows.iter().all(|row| row / 100 == *block)));
        assert!(!blocks.is_sorted());
        let within =
            |block: usize| rows.chunks(100).nth(block).unwrap().iter().map(|row| row % 100).collect::<Vec<_>>();
        assert!(!within(0).is_sorted());
        assert_ne!(within(0), within(1));
    }

    proptest! {
        #[test]
        fn every_row_occurs_once_wherever_the_order_is_cut(
            n in 0usize..60, block in 1usize..20, seed: u64, epoch in 1usize..4, size in 1usize..25,
        ) {
            let all = Order::with_block(seed, epoch, n, block).get(0..n);
            let mut order = Order::with_block(seed, epoch, n, block);
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
