//! Stage 2 of a step for tables that are divided among processes: sends the gradients of rows to their owners.
//!
//! The message to an owner has, for each row that was fetched from it, in the order of the fetch: the number of its
//! lookups, seven bits a byte, and the sum of their gradients if there was one. The owner knows the rows and their
//! widths.

use tch::Tensor;

use super::gradient::Gradient;
use super::parameter::Parameter;
use super::row_gradient::{RowGradients, lock};
use crate::bridge::bytes;
use crate::error::{Error, Result};
use crate::shards::{Shard, Shards};

/// The gradients of the rows that this process has fetched.
pub(super) struct ToOwners<'a> {
    shards: &'a Shards<'a>,
    parameters: &'a [Parameter],
    gradients: &'a [Option<Gradient>],
}

impl<'a> ToOwners<'a> {
    pub fn new(shards: &'a Shards<'a>, parameters: &'a [Parameter], gradients: &'a [Option<Gradient>]) -> ToOwners<'a> {
        ToOwners { shards, parameters, gradients }
    }

    /// Calls `each(owner, gradient)` for each row of the messages, with its number of lookups and the sum of their
    /// gradients.
    fn each(&self, mut each: impl FnMut(usize, Option<(u32, &[f32])>)) {
        self.shards.each_asked(|owner, shard, rows| match self.gradient(shard) {
            Some(Gradient::Rows(gradient)) => {
                let gradient = lock(gradient);
                rows.for_each(|row| each(owner, gradient.of_row(row)));
            }
            _ => rows.for_each(|_| each(owner, None)),
        });
    }

    fn gradient(&self, shard: &Shard) -> Option<&Gradient> {
        let at = self.parameters.iter().position(|parameter| parameter.name == shard.name)?;
        self.gradients[at].as_ref()
    }

    /// The number of bytes for each owner.
    pub fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.shards.group().size()];
        self.each(|owner, gradient| {
            let (count, width) = gradient.map_or((0, 0), |(count, sum)| (count, sum.len()));
            lengths[owner] += length_of(count) + 4 * width;
        });
        lengths
    }

    /// Sends the gradients, times `scale`, and adds those of all processes, in the order of ranks, to `collected`: for
    /// each table, the gradient of the own rows. `expected` has the number of bytes from each process.
    ///
    /// # Errors
    /// [`Error::Group`] if a process is lost, or has another version of the program.
    pub fn exchange(&self, collected: &RowGradients, scale: f64, expected: &[usize]) -> Result<()> {
        let mut messages: Vec<Vec<u8>> = self.lengths().into_iter().map(Vec::with_capacity).collect();
        self.each(|owner, gradient| {
            let (count, sum) = gradient.unwrap_or((0, &[]));
            let message = &mut messages[owner];
            put_count(count, message);
            message.extend(sum.iter().flat_map(|&g| ((f64::from(g) * scale) as f32).to_le_bytes()));
        });
        let lengths: Vec<usize> = messages.iter().map(Vec::len).collect();
        let found = self.shards.group().exchange(&Tensor::from_slice(&messages.concat()), &lengths, expected)?;
        let mut rest = bytes(&found)?;
        for shard in self.shards.tables() {
            let gradient = collected.of(&shard.own);
            lock(&gradient).clear();
        }
        self.shards
            .each_given(|shard, places| {
                let gradient = collected.of(&shard.own);
                let mut gradient = lock(&gradient);
                for place in places {
                    let count = take_count(&mut rest)?;
                    if count > 0 {
                        let (sum, others) = rest.split_at_checked(4 * gradient.width())?;
                        rest = others;
                        let sum = sum.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                        gradient.add_times(place as u32, count).iter_mut().zip(sum).for_each(|(all, g)| *all += g);
                    }
                }
                Some(())
            })
            .ok_or_else(|| {
                Error::Group("a process has sent too few gradients: start the same program everywhere".into())
            })
    }
}

/// The number of bytes of a count.
fn length_of(count: u32) -> usize {
    (32 - count.leading_zeros()).div_ceil(7).max(1) as usize
}

/// Appends a count, seven bits a byte, from the lowest on; all but the last byte have the highest bit.
fn put_count(mut count: u32, to: &mut Vec<u8>) {
    while count >= 0x80 {
        to.push(count as u8 | 0x80);
        count >>= 7;
    }
    to.push(count as u8);
}

/// Takes a count from the start of bytes; `None` if they end within it.
fn take_count(from: &mut &[u8]) -> Option<u32> {
    let mut count = 0;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        count |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(count);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_in_as_many_bytes_as_announced() {
        let counts = [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 21, u32::MAX];
        let mut bytes = vec![];
        for count in counts {
            let before = bytes.len();
            put_count(count, &mut bytes);
            assert_eq!(bytes.len() - before, length_of(count), "{count}");
        }
        let mut rest = &bytes[..];
        let found: Vec<u32> = counts.iter().map(|_| take_count(&mut rest).unwrap()).collect();
        assert_eq!((found, take_count(&mut rest)), (counts.to_vec(), None));
    }
}
