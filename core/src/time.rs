//! Core's own time: nanoseconds since an origin that the driver chooses.

use std::fmt;
use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time that the driver hands in; core never asks a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The driver's origin.
    pub const ZERO: Self = Self(0);

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This much later; the end of time (584 years) absorbs.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        // Not `as_nanos`: sums of 128 bits are felt where every deadline is one.
        let whole = by.as_secs().saturating_mul(NANOS_PER_SECOND);
        let nanos = whole.saturating_add(u64::from(by.subsec_nanos()));
        Self(self.0.saturating_add(nanos))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_at_both_ends() {
        let t = Instant::from_nanos(5);
        assert_eq!(t.after(Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(t.since(Instant::from_nanos(9)), Duration::ZERO);
        assert_eq!(
            t.after(Duration::from_nanos(7)).since(t),
            Duration::from_nanos(7)
        );
    }
}
