//! Training with tables that are divided among processes, while rank 0 works alone.

use super::Trainer;
use super::checkpoint::Parameters;
use crate::error::{Error, Result};
use crate::shards::{FETCH, GIVE_ROWS, SharedModel, TAKE_ROWS};

impl<'a> Trainer<'a> {
    /// Lets the processes of a group understand each other's messages from now on: all call it once they have their
    /// trainers.
    pub fn begin(&self) {
        self.learner.join_group();
    }

    /// Whether tables are divided among processes, so that none of them can go on without the others.
    pub fn is_divided(&self) -> bool {
        self.shards.is_some()
    }

    /// The model as [`Trainer::fit`] measures it.
    pub fn score(&self) -> SharedModel<'a> {
        SharedModel { model: self.model, shards: self.shards }
    }

    /// The parameters, for a checkpoint.
    pub(super) fn parameters(&self) -> Parameters<'a> {
        Parameters { store: self.store, shards: self.shards }
    }

    /// Waits until rank 0 has succeeded with what it does alone, which ends with
    /// [`Group::all_succeed`](crate::group::Group::all_succeed). If tables are divided, gives it rows of them whenever
    /// it needs some.
    ///
    /// # Errors
    /// [`Error::PeerFailed`] if rank 0 has failed; [`Error::Group`] if a process is lost.
    pub fn serve(&self) -> Result<()> {
        let Some(group) = self.group else { return Ok(()) };
        let Some(shards) = self.shards else { return group.all_succeed(Ok(())) };
        loop {
            let all = group.begin_step(&[])?;
            let state = |has_state: i64| if has_state != 0 { self.learner.state() } else { vec![] };
            match all[0][..] {
                [FETCH, ..] => shards.answer(&all)?,
                [GIVE_ROWS, has_state, ..] => shards.give_all(&state(has_state))?,
                [TAKE_ROWS, has_state, ..] => shards.take_all(&state(has_state))?,
                _ => return Ok(()),
            }
        }
    }

    /// Ends what rank 0 does alone after [`Trainer::fit`], during which the others serve it if tables are divided.
    ///
    /// # Errors
    /// That of `result`; [`Error::PeerFailed`] if another process has failed.
    pub fn end<T, E: From<Error>>(&self, result: std::result::Result<T, E>) -> std::result::Result<T, E> {
        match self.group.filter(|_| self.is_divided()) {
            Some(group) => group.all_succeed(result),
            None => result,
        }
    }

    /// Lets the observer of rank 0 work, while the others serve it.
    pub(super) fn while_served<T>(&self, work: impl FnOnce(&Trainer<'a>) -> Result<T>) -> Result<T> {
        match (self.group, self.shards) {
            (Some(group), Some(_)) if group.is_first() => group.all_succeed(work(self)),
            (_, Some(_)) => {
                self.serve()?;
                work(self)
            }
            (_, None) => work(self),
        }
    }
}
