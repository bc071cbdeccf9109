//! How fast bytes move that somebody waits for.

use std::time::Duration;

use crate::time::Instant;

/// The slowest transfer that is not taken for a stall.
const BYTES_PER_SECOND_MIN: u64 = 8 * 1024;

/// The time that the slowest transfer takes for so few bytes, in nanoseconds: a division less for
/// every chunk.
const NANOS_FOR_16_BYTES: u64 = 16 * 1_000_000_000 / BYTES_PER_SECOND_MIN;

/// A transfer that has begun: bytes that a peer has yet to take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: Instant,
    last: Instant,
    moved: u64,
}

/// The transfer of a frame that comes in, and may be kept in memory until it is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct FramePace {
    passing: Pace,
    /// How far it has fallen behind the slowest rate; whatever is faster than that makes up for
    /// it, and no more.
    behind_nanos: u64,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            last: now,
            moved: 0,
        }
    }

    pub(super) const fn moved(&mut self, now: Instant, bytes: usize) {
        self.last = now;
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    /// When it counts as stalled if only nothing at all is one: when nothing has moved for `stall`.
    pub(super) fn deadline_of_any(&self, stall: Duration) -> Instant {
        self.last.after(stall)
    }

    /// When it counts as stalled: when nothing has moved for `stall`, and also when so little
    /// has that somebody only keeps it alive. It may take the longer, the more it moves: a slow
    /// line is not a stalled one.
    pub(super) fn deadline(&self, stall: Duration) -> Instant {
        let earned = Duration::from_secs(self.moved / BYTES_PER_SECOND_MIN);
        let slow = self.since.after(stall.saturating_add(earned));
        slow.min(self.last.after(stall))
    }
}

impl FramePace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            passing: Pace::new(now),
            behind_nanos: 0,
        }
    }

    pub(super) fn moved(&mut self, now: Instant, bytes: usize) {
        let earned = (bytes as u64).saturating_mul(NANOS_FOR_16_BYTES) / 16;
        let passed = now.as_nanos().saturating_sub(self.passing.last.as_nanos());
        self.behind_nanos = self
            .behind_nanos
            .saturating_add(passed)
            .saturating_sub(earned);
        self.passing.moved(now, bytes);
    }

    /// When it counts as stalled if it passes.
    pub(super) fn deadline(&self, stall: Duration) -> Instant {
        self.passing.deadline(stall)
    }

    /// When a transfer that is kept in memory until it is whole counts as stalled. What came fast
    /// at first earns no time here, because all of it waits for the rest: it must not fall behind
    /// the slowest rate by more than `stall`.
    pub(super) fn deadline_of_buffered(&self, stall: Duration) -> Instant {
        let behind = Duration::from_nanos(self.behind_nanos);
        self.passing.last.after(stall.saturating_sub(behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_drip_is_a_stall() {
        let mut pace = Pace::new(at(0));
        for second in 1..29 {
            pace.moved(at(second), 1);
        }
        assert_eq!(pace.deadline(STALL), at(30));
    }

    #[test]
    fn what_was_fast_once_has_no_credit_for_a_pause() {
        let mut pace = Pace::new(at(0));
        pace.moved(at(1), 100 << 20);
        assert_eq!(pace.deadline(STALL), at(31));
    }

    #[test]
    fn a_slow_line_goes_on() {
        let mut pace = FramePace::new(at(0));
        for second in 1..1000 {
            pace.moved(at(second), 10_000);
            assert!(pace.deadline(STALL) > at(second + 1));
            assert!(pace.deadline_of_buffered(STALL) > at(second + 1));
        }
    }

    #[test]
    fn a_buffered_frame_earns_no_time_by_having_been_fast() {
        let mut pace = FramePace::new(at(0));
        pace.moved(at(1), 16 << 20);
        let mut second = 1;
        while pace.deadline_of_buffered(STALL) > at(second) {
            assert!(pace.deadline(STALL) > at(second), "what passes has");
            second += 1;
            pace.moved(at(second), 1000);
        }
        assert!((31..37).contains(&second), "{second}");
    }
}
