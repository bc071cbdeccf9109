//! Seeded randomness of the simulator: small, and the same everywhere.

use std::time::Duration;

/// A stream of numbers that follows from its seed alone (splitmix64).
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A stream of its own for each pair, so that one more draw here moves nothing there.
    #[must_use]
    pub const fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xa076_1d64_78bd_642f));
        rng.0 = rng.next();
        rng
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound; 0 for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let drawn = self.next();
        if bound == 0 { 0 } else { drawn % bound }
    }

    /// True so many times in a thousand.
    pub const fn chance(&mut self, permille: u16) -> bool {
        self.below(1000) < permille as u64
    }

    /// From 1 to the bound, each order of magnitude as likely as the next.
    pub fn size(&mut self, max: u64) -> u64 {
        let bits = self.below(max.max(1).ilog2() as u64 + 1);
        let drawn = (1 << bits) + self.below(1 << bits);
        if drawn > max { max } else { drawn }
    }

    /// Up to the bound, in whole milliseconds, as simulated clocks count.
    pub fn duration(&mut self, max: Duration) -> Duration {
        let ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(ms.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut rng = SplitMix64::new(1, 2);
        for max in [1, 2, 3, 64, 1000, 1 << 40] {
            for _ in 0..1000 {
                assert!((1..=max).contains(&rng.size(max)));
                assert!(rng.below(max) < max);
            }
        }
        assert_eq!(rng.below(0), 0);
        let heads = (0..10_000).filter(|_| rng.chance(250)).count();
        assert!((2300..2700).contains(&heads), "{heads}");
    }

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |seed, stream| SplitMix64::new(seed, stream).next();
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }
}
