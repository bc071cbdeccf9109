//! How often a choppy network does what.

use std::time::Duration;

use crate::splitmix64::SplitMix64;

/// How often, in a thousand connections or calls, what happens. All zeros is a good network.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultRates {
    /// Connections that begin with pieces of one byte.
    pub one_byte_permille: u16,
    /// The largest piece of the other connections; 0 leaves all reads and writes whole.
    pub piece_bytes_max: u64,
    /// Reads and writes that find nothing to do although there is something, and say so again.
    pub not_yet_permille: u16,
    /// Connections whose runtime once learns late that there is something to be read.
    pub delayed_wakeup_permille: u16,
    /// How late at most, unless the network itself is asked.
    pub delayed_wakeup_max: Duration,
    /// Directions of connections that stall once.
    pub stall_permille: u16,
    /// How long at most.
    pub stall_max: Duration,
    /// Directions of connections that end in a reset.
    pub reset_permille: u16,
    /// Connections whose writing half ends early, while the other half goes on.
    pub finish_permille: u16,
    /// Stalls and ends come within so many bytes, earlier ones more often.
    pub fault_bytes_max: u64,
    /// Dials that are refused.
    pub dial_refused_permille: u16,
    /// Dials that neither succeed nor fail.
    pub dial_timeout_permille: u16,
    /// How much longer than otherwise a dial takes at most.
    pub dial_delay_max: Duration,
    /// Accepts that fail for want of a descriptor.
    pub accept_fails_permille: u16,
}

impl FaultRates {
    /// Partial reads and writes of all kinds, and nothing that breaks.
    #[must_use]
    pub const fn choppy() -> Self {
        Self {
            one_byte_permille: 150,
            piece_bytes_max: 32 << 10,
            not_yet_permille: 50,
            delayed_wakeup_permille: 0,
            delayed_wakeup_max: Duration::ZERO,
            stall_permille: 0,
            stall_max: Duration::ZERO,
            reset_permille: 0,
            finish_permille: 0,
            fault_bytes_max: 0,
            dial_refused_permille: 0,
            dial_timeout_permille: 0,
            dial_delay_max: Duration::ZERO,
            accept_fails_permille: 0,
        }
    }

    /// Choppy, with some kinds of faults: about half of them exist in any one run.
    #[must_use]
    pub fn drawn(rng: &mut SplitMix64) -> Self {
        // Every draw is made whether or not it is used, so that kinds do not reshuffle each other.
        let mut on = |most: u64| {
            let (exists, drawn) = (rng.chance(500), rng.below(most));
            if exists { drawn } else { 0 }
        };
        let mut permille = |most: u64| u16::try_from(on(most)).unwrap_or(0);
        let (one_byte, not_yet, stall) = (permille(300), permille(200), permille(200));
        let (reset, finish) = (permille(150), permille(100));
        let (refused, timeout, accept) = (permille(100), permille(50), permille(100));
        let (piece_bits, stall_ms, delay_ms) = (on(17), on(20_000), on(300));
        let fault_bits = 8 + rng.below(10);
        Self {
            one_byte_permille: one_byte,
            piece_bytes_max: if piece_bits == 0 { 0 } else { 1 << piece_bits },
            not_yet_permille: not_yet,
            delayed_wakeup_permille: 0,
            delayed_wakeup_max: Duration::ZERO,
            stall_permille: stall,
            stall_max: Duration::from_millis(stall_ms),
            reset_permille: reset,
            finish_permille: finish,
            fault_bytes_max: 1 << fault_bits,
            dial_refused_permille: refused,
            dial_timeout_permille: timeout,
            dial_delay_max: Duration::from_millis(delay_ms),
            accept_fails_permille: accept,
        }
    }

    /// The same with a runtime that is late to learn what has come, in half of the runs: only that
    /// of doorkeeper asks the network itself before a deadline decides.
    #[must_use]
    pub fn with_late_runtime(self, rng: &mut SplitMix64) -> Self {
        let (exists, permille) = (rng.chance(500), rng.below(300));
        let delayed_wakeup_max = rng.duration(Duration::from_secs(20));
        Self {
            delayed_wakeup_permille: if exists {
                u16::try_from(permille).unwrap_or(0)
            } else {
                0
            },
            delayed_wakeup_max,
            ..self
        }
    }

    /// The same without anything that breaks or holds up.
    #[must_use]
    pub const fn healed(self) -> Self {
        Self {
            delayed_wakeup_permille: 0,
            stall_permille: 0,
            reset_permille: 0,
            finish_permille: 0,
            dial_refused_permille: 0,
            dial_timeout_permille: 0,
            accept_fails_permille: 0,
            ..self
        }
    }
}
