//! Runs seeds on all processors, until one fails or the budget is used up.
//!
//! One run has one thread: whatever tier it is of, it is a world of its own.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the sums of the threads are brought together.
const MERGED_EVERY: Duration = Duration::from_millis(500);

/// How often the progress is printed.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How long at most.
    pub within: Duration,
}

/// What runs come to, all together.
pub trait Sums: Default + Send {
    /// Adds other sums.
    fn merge(&mut self, other: Self);
}

/// What came of it.
#[derive(Debug)]
pub struct Report<S> {
    /// The sums.
    pub sums: S,
    /// How long it took.
    pub took: Duration,
    /// The lowest seed that was seen to fail.
    pub failed: Option<u64>,
}

/// What the threads share.
struct PoolState<S> {
    sums: S,
    failed: Option<u64>,
    reported_at: Instant,
}

/// Runs seeds: `holds` adds one to the sums, and says whether everything held. `progress` is
/// called now and then with the sums so far.
pub fn run<S: Sums>(
    budget: Budget,
    holds: impl Fn(u64, &mut S) -> bool + Sync,
    progress: impl Fn(&S, Duration) + Sync,
) -> Report<S> {
    let begun = Instant::now();
    let next = AtomicU64::new(budget.from);
    let stop = AtomicBool::new(false);
    let common = Mutex::new(PoolState {
        sums: S::default(),
        failed: None,
        reported_at: begun,
    });
    let merge = |mine: &mut S, failed: Option<u64>| {
        let mut common = common.lock().unwrap_or_else(PoisonError::into_inner);
        common.sums.merge(std::mem::take(mine));
        common.failed = common.failed.into_iter().chain(failed).min();
        if common.reported_at.elapsed() >= REPORT_EVERY {
            common.reported_at = Instant::now();
            progress(&common.sums, begun.elapsed());
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut mine, mut merged) = (S::default(), begun);
                while !stop.load(Ordering::Relaxed) && begun.elapsed() < budget.within {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - budget.from >= budget.seeds {
                        break;
                    }
                    if !holds(seed, &mut mine) {
                        stop.store(true, Ordering::Relaxed);
                        merge(&mut mine, Some(seed));
                    } else if merged.elapsed() >= MERGED_EVERY {
                        merged = Instant::now();
                        merge(&mut mine, None);
                    }
                }
                merge(&mut mine, None);
            });
        }
    });
    let common = common.into_inner().unwrap_or_else(PoisonError::into_inner);
    Report {
        sums: common.sums,
        took: begun.elapsed(),
        failed: common.failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    impl Sums for BTreeSet<u64> {
        fn merge(&mut self, mut other: Self) {
            self.append(&mut other);
        }
    }

    fn seeds(within: Duration, wrong: &[u64]) -> Report<BTreeSet<u64>> {
        let budget = Budget {
            from: 5,
            seeds: 40,
            within,
        };
        let one = |seed, sums: &mut BTreeSet<u64>| {
            sums.insert(seed);
            !wrong.contains(&seed)
        };
        run(budget, one, |_, _| {})
    }

    #[test]
    fn every_seed_is_run_once_unless_one_fails_or_time_is_up() {
        let report = seeds(Duration::MAX, &[]);
        assert!(report.sums.into_iter().eq(5..45));
        assert_eq!(report.failed, None);
        assert_eq!(seeds(Duration::MAX, &[7, 8]).failed, Some(7));
        assert!(seeds(Duration::ZERO, &[]).sums.is_empty());
    }
}
