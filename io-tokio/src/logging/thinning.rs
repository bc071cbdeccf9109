//! Lines that would be written over and over: written at first, and then at each power of two.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What has not happened for so long is new when it happens again.
const NEW_AFTER: Duration = Duration::from_secs(600);

/// How many different things are counted each for itself. Peers can make up kinds.
const KINDS_MAX: usize = 1024;

/// Counts what happens, by place and kind: kinds that come by turns do not make each other new.
#[derive(Debug)]
pub(super) struct Thinning<P>(Mutex<Table<P>>);

#[derive(Debug)]
struct Table<P> {
    counts: BTreeMap<(P, String), Count>,
    /// All that there was no room for.
    others: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    times: u64,
    last: Option<Instant>,
}

impl Count {
    fn is_old(&self, now: Instant) -> bool {
        let age = self.last.map(|last| now.saturating_duration_since(last));
        age.is_some_and(|age| age > NEW_AFTER)
    }

    fn add(&mut self, now: Instant) -> u64 {
        if self.is_old(now) {
            self.times = 0;
        }
        self.times += 1;
        self.last = Some(now);
        self.times
    }
}

impl<P> Default for Thinning<P> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            counts: BTreeMap::new(),
            others: Count::default(),
        }))
    }
}

impl<P: Ord> Thinning<P> {
    /// Counts one more; how often it has happened by now, if there is to be a line about it.
    pub(super) fn count(&self, place: P, kind: impl Into<String>) -> Option<u64> {
        self.at(Instant::now(), place, kind.into())
    }

    fn at(&self, now: Instant, place: P, kind: String) -> Option<u64> {
        let mut table = self.table();
        let key = (place, kind);
        if table.counts.len() >= KINDS_MAX && !table.counts.contains_key(&key) {
            table.counts.retain(|_, count| !count.is_old(now));
        }
        let has_room = table.counts.len() < KINDS_MAX || table.counts.contains_key(&key);
        let count = if has_room {
            table.counts.entry(key).or_default()
        } else {
            &mut table.others
        };
        let times = count.add(now);
        times.is_power_of_two().then_some(times)
    }

    fn table(&self) -> MutexGuard<'_, Table<P>> {
        // Counts may be wrong after a panic, and nothing worse.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_come_by_turns_are_counted_each_for_itself() {
        let (thinning, now) = (Thinning::default(), Instant::now());
        let mut lines = 0;
        for _ in 0..1000 {
            for kind in ["refused", "timed_out"] {
                lines += usize::from(thinning.at(now, "main", kind.to_owned()).is_some());
            }
        }
        // 1, 2, 4 ... 512.
        assert_eq!(lines, 20);
        assert_eq!(thinning.at(now, "other", "refused".to_owned()), Some(1));
    }

    #[test]
    fn what_has_not_happened_for_long_is_new() {
        let (thinning, start) = (Thinning::default(), Instant::now());
        for _ in 0..3 {
            thinning.at(start, (), "a".to_owned());
        }
        let soon = start + NEW_AFTER;
        assert_eq!(thinning.at(soon, (), "a".to_owned()), Some(4));
        assert_eq!(thinning.at(soon, (), "a".to_owned()), None);
        let late = soon + NEW_AFTER + Duration::from_secs(1);
        assert_eq!(thinning.at(late, (), "a".to_owned()), Some(1));
    }

    #[test]
    fn kinds_that_a_peer_makes_up_are_bounded_in_memory_and_in_lines() {
        let (thinning, now) = (Thinning::default(), Instant::now());
        let mut lines = 0;
        for kind in 0..100_000 {
            lines += usize::from(thinning.at(now, (), kind.to_string()).is_some());
        }
        assert_eq!(thinning.table().counts.len(), KINDS_MAX);
        assert_eq!(lines, KINDS_MAX + 17);
        let late = now + NEW_AFTER + Duration::from_secs(1);
        assert_eq!(thinning.at(late, (), "new".to_owned()), Some(1));
        assert_eq!(thinning.table().counts.len(), 1);
    }
}
