//! Time in which this process did not run: stopped by a signal, frozen with its control group, or
//! without a processor. Peers could not be read and written meanwhile, so no deadline counts it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a task notes that the process runs.
pub(super) const BEAT_EVERY: Duration = Duration::from_millis(500);

/// No beat for so long means that the process did not run; what is longer is not counted.
const GAP_MAX: Duration = Duration::from_secs(1);

/// How much time is left out, as beats that did not come show.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// When the last beat was, in nanoseconds of real time; 0 before the first.
    last_beat: AtomicU64,
    /// How many nanoseconds of real time do not count.
    left_out: AtomicU64,
    /// Locked by the task that notes a gap.
    noting: Mutex<()>,
}

impl Pauses {
    /// The process runs now.
    pub(super) fn beat(&self, real: impl Fn() -> Duration) {
        let (now, _) = self.read(real);
        self.last_beat.fetch_max(now, Ordering::Release);
    }

    /// The time that counts. It never goes back: a gap is left out down to its allowed length,
    /// which no reading before its end can have passed.
    pub(super) fn counted(&self, real: impl Fn() -> Duration) -> Duration {
        let (now, left_out) = self.read(real);
        Duration::from_nanos(now.saturating_sub(left_out))
    }

    /// Real time, and how much of it does not count, both in nanoseconds: a gap that is seen with
    /// this reading of the clock is noted.
    fn read(&self, real: impl Fn() -> Duration) -> (u64, u64) {
        loop {
            let last = self.last_beat.load(Ordering::Acquire);
            let left_out = self.left_out.load(Ordering::Acquire);
            // Read last: a pause before this line shows as a gap, and one behind it does no harm.
            let now = nanos(real());
            if last == 0 || now.saturating_sub(last) <= nanos(GAP_MAX) {
                return (now, left_out);
            }
            self.note_gap(last, now);
        }
    }

    /// How much of real time does not count so far.
    pub(super) fn left_out(&self) -> Duration {
        Duration::from_nanos(self.left_out.load(Ordering::Acquire))
    }

    fn note_gap(&self, last: u64, now: u64) {
        let noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.last_beat.load(Ordering::Acquire) == last {
            let gap = now.saturating_sub(last).saturating_sub(nanos(GAP_MAX));
            self.left_out.fetch_add(gap, Ordering::Release);
            self.last_beat.store(now, Ordering::Release);
        }
        drop(noting);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_gap_between_beats_does_not_count() {
        let pauses = Pauses::default();
        pauses.beat(|| seconds(10));
        let before = pauses.counted(|| seconds(11));
        assert_eq!(before, seconds(11));
        let after = pauses.counted(|| seconds(100));
        assert_eq!(after, seconds(11), "time stood still, and never goes back");
        assert_eq!(pauses.counted(|| seconds(101)), seconds(12));
        assert_eq!(pauses.left_out(), seconds(89));
    }

    #[test]
    fn a_beat_that_comes_first_after_a_gap_notes_it() {
        let pauses = Pauses::default();
        pauses.beat(|| seconds(10));
        pauses.beat(|| seconds(100));
        assert_eq!(pauses.counted(|| seconds(100)), seconds(11));
    }

    /// The process may stand still between any two readings of the clock.
    #[test]
    fn a_gap_within_a_beat_is_noted_by_what_comes_next() {
        let pauses = Pauses::default();
        pauses.beat(|| seconds(10));
        let readings = std::cell::Cell::new(0);
        pauses.beat(|| {
            readings.set(readings.get() + 1);
            seconds(if readings.get() == 1 { 10 } else { 100 })
        });
        assert_eq!(pauses.counted(|| seconds(100)), seconds(11));
    }

    #[test]
    fn all_time_counts_where_nothing_beats() {
        let pauses = Pauses::default();
        assert_eq!(pauses.counted(|| seconds(100)), seconds(100));
    }
}
