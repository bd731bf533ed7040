//! Random numbers that depend only on the seed.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

/// The purpose of a stream of random numbers. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Initial parameters.
    Parameters,
    /// The order of the rows in an epoch, counted from 1.
    Epoch(usize),
    /// Dropout in a step, counted from 1 over all epochs.
    Step(u64),
    /// The dropout of one of several processes that train together.
    Rank(usize),
    /// The negatives of a batch, counted over all epochs.
    Negatives(u64),
    /// The sample of users whose rankings choose the best epoch.
    Users,
    /// The settings of a trial of a search, counted from 1.
    Trial(usize),
    /// The sweeps of a posterior sampler in an epoch, counted from 1.
    Sweeps(usize),
    /// The order of the blocks of rows in an epoch, counted from 1.
    Blocks(usize),
    /// The orders of the rows within a window of blocks.
    Window(usize),
    /// The parameters of a planted machine.
    Planted,
    /// A row of synthetic data, counted from 0.
    Row(u64),
    /// A row of the sample that standardises the logits of a planted machine, counted from 0.
    SampleRow(u64),
    /// The resamples of a bootstrap.
    Resamples,
}

/// A seed for one purpose, derived from the run's seed.
pub fn derive(seed: u64, stream: Stream) -> u64 {
    let (kind, number) = match stream {
        Stream::Parameters => (1, 0),
        Stream::Epoch(epoch) => (2, epoch as u64),
        Stream::Step(step) => (3, step),
        Stream::Negatives(step) => (4, step),
        Stream::Users => (5, 0),
        Stream::Trial(trial) => (6, trial as u64),
        Stream::Sweeps(epoch) => (7, epoch as u64),
        Stream::Blocks(epoch) => (8, epoch as u64),
        Stream::Window(number) => (9, number as u64),
        Stream::Planted => (10, 0),
        Stream::Row(row) => (11, row),
        Stream::SampleRow(row) => (12, row),
        Stream::Rank(rank) => (13, rank as u64),
        Stream::Resamples => (14, 0),
    };
    mix(mix(mix(seed) ^ kind) ^ number)
}

/// A generator for one purpose.
pub(crate) fn generator(seed: u64, stream: Stream) -> Pcg64 {
    Pcg64::seed_from_u64(derive(seed, stream))
}

/// The `n`-th number, counted from 0, of the generator SplitMix64 (Steele, Lea and Flood, 2014) with this seed: 64 random
/// bits. A loop over `n` draws a number in about a nanosecond.
#[inline]
pub fn split_mix(seed: u64, n: u64) -> u64 {
    mix(seed.wrapping_add(n.wrapping_mul(INCREMENT)))
}

const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A step of SplitMix64: nearby inputs give unrelated outputs.
#[inline]
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(INCREMENT);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The numbers below `n` in the order of an epoch, counted from 1.
///
/// ```
/// let mut order = fm_core::seed::permutation(7, 1, 5);
/// assert_eq!(order, fm_core::seed::permutation(7, 1, 5));
/// order.sort();
/// assert_eq!(order, [0, 1, 2, 3, 4]);
/// ```
pub fn permutation(seed: u64, epoch: usize, n: usize) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..n as u32).collect();
    rows.shuffle(&mut generator(seed, Stream::Epoch(epoch)));
    rows
}

/// Seeds libtorch's generators for one purpose. The whole process shares them: to reproduce a run, train one model at a
/// time.
pub fn seed_torch(seed: u64, stream: Stream) {
    tch::manual_seed(derive(seed, stream) as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_has_the_numbers_of_its_reference_implementation() {
        // The first outputs of splitmix64.c with the state 1234567.
        let numbers = [0, 1, 2].map(|n| split_mix(1_234_567, n));
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn an_order_depends_only_on_seed_and_epoch() {
        let order = permutation(7, 1, 100);
        assert_eq!(order, permutation(7, 1, 100));
        assert_ne!(order, permutation(7, 2, 100));
        assert_ne!(order, permutation(8, 1, 100));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }
}
