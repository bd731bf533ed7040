//! Whole tables in a file, of which no process has more than a piece in memory.

use std::collections::BTreeMap;
use std::ops::Range;

use tch::Tensor;

use super::{Shard, Shards};
use crate::bridge::{floats, floats_mut};
use crate::error::Result;

/// The most numbers in a piece. Tests have small tables.
const PIECE: usize = if cfg!(test) { 8 } else { 1 << 20 };

impl Shards<'_> {
    /// Calls `write` on rank 0 with the numbers of a whole table, or of a state of it, piece by piece. All processes
    /// call this at the same time; `own` has the own rows.
    ///
    /// # Errors
    /// [`Error::Group`](crate::Error::Group) if a process is lost.
    pub(crate) fn give(&self, shard: &Shard, own: &Tensor, mut write: impl FnMut(&[f32])) -> Result<()> {
        let (group, width) = (self.group, shard.width);
        let mut whole = vec![];
        for ids in shard.ids.pieces(piece_rows(width)) {
            let given = part(own, &shard.ids.own(&ids))?;
            let (sent, received) = self.counts(shard, &ids);
            let found = group.exchange(&given, &sent, &received)?;
            if group.is_first() {
                let found = floats(&found)?;
                whole.resize(found.len(), 0.0);
                interleave(&ids, &received, width, |row, from| {
                    whole[row * width..][..width].copy_from_slice(&found[from..][..width]);
                });
                write(&whole);
            }
        }
        Ok(())
    }

    /// Sets the own rows of a table, or of a state of it, to those of a whole one, whose little-endian float32 numbers
    /// rank 0 has. All processes call this at the same time.
    ///
    /// # Errors
    /// [`Error::Group`](crate::Error::Group) if a process is lost.
    pub(crate) fn take(&self, shard: &Shard, own: &Tensor, whole: &[u8]) -> Result<()> {
        let (group, width) = (self.group, shard.width);
        let mut rest = whole;
        for ids in shard.ids.pieces(piece_rows(width)) {
            let (received, sent) = self.counts(shard, &ids);
            let mut given = vec![0.0; sent.iter().sum()];
            if group.is_first() {
                let (piece, others) = rest.split_at(4 * width * (ids.end - ids.start) as usize);
                rest = others;
                interleave(&ids, &sent, width, |row, to| {
                    let numbers = piece[4 * row * width..].as_chunks().0.iter();
                    let numbers = numbers.map(|bytes| f32::from_le_bytes(*bytes));
                    given[to..][..width].iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
                });
            }
            let found = group.exchange(&Tensor::from_slice(&given), &sent, &received)?;
            let places = shard.ids.own(&ids);
            let mut part = part(own, &places)?;
            floats_mut(&mut part)?.copy_from_slice(floats(&found)?);
        }
        Ok(())
    }

    /// [`Shards::give`] of all states and tables, in the order of a checkpoint, for a process that writes none.
    pub(crate) fn give_all(&self, states: &[(String, Tensor)]) -> Result<()> {
        self.in_order(states).into_iter().try_for_each(|(shard, own)| self.give(shard, own, |_| ()))
    }

    /// [`Shards::take`] of all states and tables, in the order of a checkpoint, for a process that has none.
    pub(crate) fn take_all(&self, states: &[(String, Tensor)]) -> Result<()> {
        self.in_order(states).into_iter().try_for_each(|(shard, own)| self.take(shard, own, &[]))
    }

    fn in_order<'s>(&'s self, states: &'s [(String, Tensor)]) -> Vec<(&'s Shard, &'s Tensor)> {
        let states: BTreeMap<&String, &Tensor> = states.iter().map(|(name, state)| (name, state)).collect();
        let states = states.into_iter().filter_map(|(name, state)| Some((self.of_state(name)?, state)));
        states.chain(self.tables().iter().map(|shard| (shard, &shard.own))).collect()
    }

    /// The numbers of a piece that this process sends to each process and receives from each when rank 0 gathers it.
    fn counts(&self, shard: &Shard, ids: &Range<i64>) -> (Vec<usize>, Vec<usize>) {
        let counts: Vec<usize> = shard.ids.counts(ids).iter().map(|count| count * shard.width).collect();
        let mut sent = vec![0; counts.len()];
        sent[0] = counts[self.group.rank()];
        let received = if self.group.is_first() { counts } else { vec![0; sent.len()] };
        (sent, received)
    }
}

fn piece_rows(width: usize) -> i64 {
    (PIECE / width).max(1) as i64
}

/// A part of the own rows, flat, which shares their memory.
fn part(own: &Tensor, places: &Range<usize>) -> Result<Tensor> {
    Ok(own.detach().f_narrow(0, places.start as i64, places.len() as i64)?.f_view([-1])?)
}

/// Calls `each(row, at)` for each row of a piece of these ids, with its place among the numbers that are sorted by
/// process.
fn interleave(ids: &Range<i64>, counts: &[usize], width: usize, mut each: impl FnMut(usize, usize)) {
    let mut next: Vec<usize> =
        counts.iter().scan(0, |before, count| Some(std::mem::replace(before, *before + count))).collect();
    for (row, id) in ids.clone().enumerate() {
        let at = &mut next[id as usize % counts.len()];
        each(row, *at);
        *at += width;
    }
}
