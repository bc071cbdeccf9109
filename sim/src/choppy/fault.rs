//! What happens at a certain byte of one direction of a connection.

use std::time::Duration;

use super::FaultRates;
use crate::splitmix64::SplitMix64;

/// One thing that happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing moves for so long.
    Stall(Duration),
    /// The runtime learns so late of what is read next.
    DelayedWakeup(Duration),
    /// The connection is cut.
    Reset,
    /// The writing half ends; what is written later goes nowhere.
    Finish,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// What will happen, by the byte before which it happens, the nearest first.
pub(super) fn drawn(
    rng: &mut SplitMix64,
    fault_rates: &FaultRates,
    way: Direction,
) -> Vec<(u64, Fault)> {
    let mut faults = Vec::new();
    let mut at = |happens: bool, fault| {
        let byte = rng.size(fault_rates.fault_bytes_max.max(1)) - 1;
        if happens {
            faults.push((byte, fault));
        }
        rng.next()
    };
    // The draws of one fault decide whether the next one happens.
    let happens = |drawn: u64, permille: u16| drawn % 1000 < u64::from(permille);
    let first = at(false, Fault::Reset);
    let ms = u64::try_from(fault_rates.stall_max.as_millis()).unwrap_or(u64::MAX);
    let stall = Duration::from_millis((first >> 16) % ms.saturating_add(1));
    let second = at(
        happens(first, fault_rates.stall_permille),
        Fault::Stall(stall),
    );
    let third = at(happens(second, fault_rates.reset_permille), Fault::Reset);
    let finishes = way == Direction::Write && happens(third, fault_rates.finish_permille);
    at(finishes, Fault::Finish);
    // Without it no other draw may change.
    if way == Direction::Read && fault_rates.delayed_wakeup_permille > 0 {
        let happens = rng.chance(fault_rates.delayed_wakeup_permille);
        let for_so_long = rng.duration(fault_rates.delayed_wakeup_max);
        let byte = rng.size(fault_rates.fault_bytes_max.max(1)) - 1;
        faults.extend(happens.then_some((byte, Fault::DelayedWakeup(for_so_long))));
    }
    // Popped from the end.
    faults.sort_by_key(|(byte, _)| std::cmp::Reverse(*byte));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_faults_happen_once_in_the_order_of_their_bytes() {
        let fault_rates = FaultRates {
            stall_permille: 1000,
            stall_max: Duration::from_secs(9),
            reset_permille: 1000,
            finish_permille: 1000,
            delayed_wakeup_permille: 1000,
            fault_bytes_max: 1 << 12,
            ..FaultRates::default()
        };
        for seed in 0..100 {
            let mut rng = SplitMix64::new(seed, 0);
            let written = drawn(&mut rng, &fault_rates, Direction::Write);
            assert_eq!(written.len(), 3);
            assert!(written.iter().all(|(byte, _)| *byte < 1 << 12));
            assert!(written.is_sorted_by(|one, next| one.0 >= next.0));
            assert_eq!(drawn(&mut rng, &fault_rates, Direction::Read).len(), 3);
            let none = drawn(&mut rng, &FaultRates::choppy(), Direction::Write);
            assert_eq!(none, []);
        }
    }
}
