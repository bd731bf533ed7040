//! The places of connections. When all are taken, the connection that has been idle for longest gives its place to a
//! new one, so that clients that say nothing cannot keep out those that ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a connection is idle before it can lose its place. A client that is told to try again does so after as
/// long.
const IDLE: Duration = Duration::from_secs(1);

/// A bounded number of places.
pub(crate) struct Places {
    most: usize,
    free: Arc<Semaphore>,
    /// The connections that are idle, in the order in which they became so.
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    next: u64,
    since: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

impl Places {
    /// This number of places, or the maximum that the system can count if that is less.
    pub fn new(most: usize) -> Places {
        let most = most.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Places { most, free: Arc::new(Semaphore::new(most)), idle: Mutex::default() }
    }

    /// The number of places that are taken.
    pub fn taken(&self) -> usize {
        self.most.saturating_sub(self.free.available_permits())
    }

    /// A free place, if there is one.
    pub fn try_take(self: &Arc<Places>) -> Option<Place> {
        Some(Place::new(self, Arc::clone(&self.free).try_acquire_owned().ok()?))
    }

    /// Waits for a place.
    pub async fn take(self: &Arc<Places>) -> Option<Place> {
        Some(Place::new(self, Arc::clone(&self.free).acquire_owned().await.ok()?))
    }

    /// Takes its place from the connection that has been idle for longest; false if none has been for long enough.
    pub fn make_room(&self) -> bool {
        let mut idle = self.idle();
        let Some(first) = idle.since.first_entry().filter(|first| first.get().0.elapsed() >= IDLE) else {
            return false;
        };
        first.remove().1.notify_one();
        true
    }

    /// Waits until all places are free.
    pub async fn all_free(&self) {
        // An error means that nobody can take a place any more.
        let _ = self.free.acquire_many(u32::try_from(self.most).unwrap_or(u32::MAX)).await;
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps a connection from being idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A request whose head has arrived, until there is an answer.
    Request,
    /// Bytes of an answer that the client has not taken yet.
    Answer,
}

/// The place of a connection, which is free again when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    lost: Arc<Notify>,
    state: Mutex<State>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    has_request: bool,
    has_answer: bool,
    /// The key in the list of idle connections.
    idle: Option<u64>,
}

impl Place {
    fn new(places: &Arc<Places>, permit: OwnedSemaphorePermit) -> Place {
        let places = Arc::clone(places);
        let place = Place { places, lost: Arc::default(), state: Mutex::default(), _permit: permit };
        place.settle(&mut place.state());
        place
    }

    /// Notes that some work begins or ends.
    pub fn note(&self, work: Work, is_going_on: bool) {
        let mut state = self.state();
        let noted = match work {
            Work::Request => &mut state.has_request,
            Work::Answer => &mut state.has_answer,
        };
        if *noted != is_going_on {
            *noted = is_going_on;
            self.settle(&mut state);
        }
    }

    /// Whether there is work.
    pub fn is_busy(&self) -> bool {
        let state = self.state();
        state.has_request || state.has_answer
    }

    /// Waits until another connection needs the place.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Enters the connection into the list of idle ones, or removes it.
    fn settle(&self, state: &mut State) {
        let mut idle = self.places.idle();
        if let Some(key) = state.idle.take() {
            idle.since.remove(&key);
        }
        if !state.has_request && !state.has_answer {
            let key = idle.next;
            idle.next += 1;
            idle.since.insert(key, (Instant::now(), Arc::clone(&self.lost)));
            state.idle = Some(key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = self.state().idle.take() {
            self.places.idle().since.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes all idle connections older.
    fn wait(places: &Places) {
        let mut idle = places.idle();
        idle.since.values_mut().for_each(|(since, _)| *since = since.checked_sub(IDLE).unwrap());
    }

    #[test]
    fn the_connection_that_is_idle_for_longest_loses_its_place() {
        let places = Arc::new(Places::new(3));
        let taken: Vec<Place> = (0..3).map(|_| places.try_take().unwrap()).collect();
        assert!(places.try_take().is_none() && !places.make_room(), "none has been idle for long");
        // The first one has asked since, and the second one is asking.
        taken[0].note(Work::Request, true);
        taken[0].note(Work::Request, false);
        taken[1].note(Work::Request, true);
        wait(&places);
        let next = |places: &Places| places.idle().since.values().next().map(|(_, lost)| Arc::clone(lost));
        assert!(Arc::ptr_eq(&next(&places).unwrap(), &taken[2].lost));
        assert!(places.make_room());
        assert!(Arc::ptr_eq(&next(&places).unwrap(), &taken[0].lost));
        assert!(places.make_room() && !places.make_room(), "a connection with a request keeps its place");
        assert!(taken[1].is_busy() && !taken[0].is_busy());
        drop(taken);
        assert_eq!((places.taken(), places.idle().since.len()), (0, 0));
    }

    #[test]
    fn a_connection_that_has_not_taken_its_answer_is_not_idle() {
        let places = Arc::new(Places::new(1));
        let place = places.try_take().unwrap();
        place.note(Work::Request, true);
        place.note(Work::Answer, true);
        place.note(Work::Request, false);
        wait(&places);
        assert!(place.is_busy() && !places.make_room());
        place.note(Work::Answer, false);
        wait(&places);
        assert!(places.make_room());
    }
}
