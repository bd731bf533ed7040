//! The distinct ids of a step, and their rows in the tables of that step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::{Kind, Tensor};

use crate::bridge::{int32s, integers};
use crate::error::{Error, Result};

/// Distinct ids, in the order in which they were noted.
#[derive(Debug, Default)]
pub(super) struct Places {
    ids: Vec<u32>,
    /// A table of hashes: for each id, its bits above those of its place plus 1. 0 is free.
    slots: Vec<u64>,
}

impl Places {
    /// The distinct ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn clear(&mut self) {
        self.ids.clear();
        self.slots.fill(0);
    }

    pub fn note(&mut self, id: u32) {
        if 2 * (self.ids.len() + 1) > self.slots.len() {
            self.slots = vec![0; (2 * self.slots.len()).max(1024)];
            for (place, &id) in self.ids.iter().enumerate() {
                let (Ok(slot) | Err(slot)) = find(&self.slots, id);
                self.slots[slot] = (u64::from(id) << 32) | (place as u64 + 1);
            }
        }
        if let Err(free) = find(&self.slots, id) {
            self.ids.push(id);
            self.slots[free] = (u64::from(id) << 32) | self.ids.len() as u64;
        }
    }

    pub fn of(&self, id: u32) -> Option<u32> {
        let slot = find(&self.slots, id).ok()?;
        Some(self.slots[slot] as u32 - 1)
    }
}

/// The slot of an id, or the free one where it belongs.
#[inline]
fn find(slots: &[u64], id: u32) -> std::result::Result<usize, usize> {
    let Some(mask) = slots.len().checked_sub(1) else { return Err(0) };
    // Fibonacci hashing: the upper bits depend on all bits of the id.
    let mut at = (u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
    loop {
        match slots[at] {
            0 => return Err(at),
            slot if slot >> 32 == u64::from(id) => return Ok(at),
            _ => at = (at + 1) & mask,
        }
    }
}

/// The rows of ids in the tables of a step, which have a row only for each id that the step looks up. Clones share it:
/// layers that are built within [`divide`](super::divide) keep one.
#[derive(Clone, Debug, Default)]
pub struct Renumbering(Arc<Mutex<Places>>);

impl Renumbering {
    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of ids, a tensor of int32 or int64 on the CPU, in its shape and kind.
    ///
    /// # Errors
    /// [`Error::Shape`] for another tensor, and for an id that the step has not fetched.
    pub fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        let (places, size, ids) = (self.places(), ids.size(), ids.contiguous());
        let missing = |id: i64| Error::shape("sharded table", "an id that was fetched", id.to_string());
        let of = |id: i64| u32::try_from(id).ok().and_then(|id| places.of(id)).ok_or_else(|| missing(id));
        let rows = match ids.kind() {
            Kind::Int => {
                let rows = int32s(&ids)?.iter().map(|&id| Ok(of(id.into())? as i32));
                Tensor::from_slice(&rows.collect::<Result<Vec<i32>>>()?)
            }
            _ => {
                let rows = integers(&ids)?.iter().map(|&id| Ok(of(id)?.into()));
                Tensor::from_slice(&rows.collect::<Result<Vec<i64>>>()?)
            }
        };
        Ok(rows.f_view(size.as_slice())?)
    }

    /// Notes ids that the step looks up.
    pub(super) fn note(&self, ids: &Tensor) -> Result<()> {
        let (mut places, ids) = (self.places(), ids.contiguous());
        match ids.kind() {
            Kind::Int => int32s(&ids)?.iter().for_each(|&id| places.note(id as u32)),
            _ => integers(&ids)?.iter().for_each(|&id| places.note(id as u32)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_rows_in_which_they_were_noted() {
        let renumbering = Renumbering::default();
        let all: Vec<i64> = (0..5000).map(|i| i * 7919 % 2003).collect();
        for ids in [&all[..], &all[1000..1010], &all[..3000]] {
            renumbering.places().clear();
            renumbering.note(&Tensor::from_slice(ids)).unwrap();
            let mut distinct: Vec<i64> = vec![];
            ids.iter().for_each(|id| {
                if !distinct.contains(id) {
                    distinct.push(*id)
                }
            });
            assert_eq!(renumbering.places().ids().len(), distinct.len());
            let rows = renumbering.rows(&Tensor::from_slice(&distinct).view([-1, 1])).unwrap();
            assert_eq!(rows.size(), [distinct.len() as i64, 1]);
            assert!(Vec::<i64>::try_from(rows.view([-1])).unwrap().into_iter().eq(0..distinct.len() as i64));
        }
        let rows = renumbering.rows(&Tensor::from_slice(&[all[2] as i32, all[0] as i32])).unwrap();
        assert_eq!(Vec::<i32>::try_from(rows).unwrap(), [2, 0]);
        for id in [2003, -1] {
            let error = renumbering.rows(&Tensor::from_slice(&[id])).unwrap_err().to_string();
            assert_eq!(error, format!("sharded table: expected an id that was fetched, found {id}"));
        }
    }
}
