//! Where a moment is on the page.
//!
//! Most happens within milliseconds, and then nothing for a minute. So every moment at which
//! anything happens has some room of its own, and idle time a little more by its length.

use doorkeeper_core::Instant;

/// The room between two moments.
const STEP: u64 = 24;

/// How much more for each doubling of the milliseconds between them, and at most.
const PER_DOUBLING: u64 = 4;
const MORE_MAX: u64 = 60;

/// What is left free at both ends.
const MARGIN: u64 = 16;

/// Where each moment is.
pub(super) struct Scale {
    /// Microseconds since the first one.
    moments: Vec<u64>,
    /// Pixels.
    places: Vec<u64>,
    begin: Instant,
    last: Instant,
}

impl Scale {
    pub(super) fn of(moments: impl Iterator<Item = Instant>) -> Self {
        let mut all: Vec<Instant> = moments.collect();
        all.sort();
        let begin = all.first().copied().unwrap_or(Instant::ZERO);
        let last = all.last().copied().unwrap_or(begin);
        let mut moments: Vec<u64> = all.into_iter().map(|at| micros(begin, at)).collect();
        moments.dedup();
        let mut place = MARGIN;
        let mut before = 0;
        let places = moments.iter().map(|at| {
            let gap = at - before;
            if gap > 0 {
                let doublings = u64::from((gap / 1000).max(1).ilog2());
                place += STEP + (PER_DOUBLING * doublings).min(MORE_MAX);
            }
            before = *at;
            place
        });
        Self {
            places: places.collect(),
            moments,
            begin,
            last,
        }
    }

    pub(super) fn micros(&self, at: Instant) -> u64 {
        micros(self.begin, at)
    }

    pub(super) const fn last(&self) -> Instant {
        self.last
    }

    /// Where a moment is; one between two others at the earlier one.
    pub(super) fn place(&self, at: Instant) -> u64 {
        let at = self.micros(at);
        let index = self.moments.partition_point(|moment| *moment <= at);
        let place = self.places.get(index.saturating_sub(1));
        place.copied().unwrap_or(MARGIN)
    }

    /// How wide everything is.
    pub(super) fn width(&self) -> u64 {
        // A label may follow the last moment.
        self.places.last().copied().unwrap_or(0) + 12 * MARGIN
    }

    /// As people read it, since the beginning.
    pub(super) fn seconds(&self, at: Instant) -> String {
        let micros = self.micros(at);
        let (whole, part) = (micros / 1_000_000, micros % 1_000_000 / 100);
        format!("{whole}.{part:04} s")
    }

    /// Moments and their places, for the page's script.
    pub(super) fn knots(&self) -> (String, String) {
        let join = |all: &[u64]| {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.join(",")
        };
        (join(&self.moments), join(&self.places))
    }

    /// Each moment with its place.
    pub(super) fn moments(&self) -> impl Iterator<Item = (Instant, u64)> {
        let moments = self.moments.iter().zip(&self.places);
        moments.map(|(micros, place)| {
            let since = std::time::Duration::from_micros(*micros);
            (self.begin.after(since), *place)
        })
    }
}

fn micros(begin: Instant, at: Instant) -> u64 {
    at.as_nanos().saturating_sub(begin.as_nanos()) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_order_and_idle_time_is_short() {
        let at = |ms: u64| Instant::from_nanos(1_000_000_000 + ms * 1_000_000);
        let scale = Scale::of([0, 5, 1, 60_000, 5].into_iter().map(at));
        let places: Vec<u64> = [0, 1, 5, 60_000].map(|ms| scale.place(at(ms))).to_vec();
        assert!(places.is_sorted_by(|one, next| one + STEP <= *next));
        assert!(
            places.last().is_some_and(|place| *place < 200),
            "{places:?}"
        );
        assert_eq!(scale.place(at(3)), scale.place(at(1)));
        assert_eq!(scale.seconds(at(60_000)), "60.0000 s");
    }
}
