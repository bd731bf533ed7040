//! The threads that read and encode tables.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The number of threads; 0 for as many as there are cores.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Sets the number of threads that read and encode tables in this process. By default, all cores do.
pub fn set_num_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

/// The number of threads that read and encode tables.
pub(crate) fn num_threads() -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    Some(THREADS.load(Ordering::Relaxed)).filter(|&threads| threads > 0).unwrap_or_else(cores)
}

/// Below this number of cells, starting threads takes longer than the work.
const MIN_CELLS: usize = 1 << 15;

/// The results for all items in their order, each computed by one of the [threads](num_threads). `cells` is about the
/// number of a table's cells that all of them read.
pub(crate) fn map<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    cells: usize,
    result: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let items: Vec<T> = items.into_iter().collect();
    let threads = num_threads().min(items.len());
    if threads <= 1 || cells < MIN_CELLS {
        return items.into_iter().map(result).collect();
    }
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let work = Mutex::new(items.into_iter().zip(&mut results));
    let take = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        while let Some((item, to)) = take() {
            *to = Some(result(item));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        run();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for n in [0, 1, 2, 1000] {
            for cells in [0, MIN_CELLS] {
                assert_eq!(map(0..n, cells, |item| 2 * item), (0..n).map(|item| 2 * item).collect::<Vec<usize>>());
            }
        }
    }
}
