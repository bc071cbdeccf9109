//! What happens at a certain byte of one direction of a connection.

use std::time::Duration;

use super::Habits;
use crate::dice::Dice;

/// One thing that happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing moves for so long.
    Stall(Duration),
    /// The runtime learns so late of what is read next.
    Unnoticed(Duration),
    /// The connection is cut.
    Reset,
    /// The writing half ends; what is written later goes nowhere.
    Finish,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

/// What will happen, by the byte before which it happens, the nearest first.
pub(super) fn drawn(dice: &mut Dice, habits: &Habits, way: Way) -> Vec<(u64, Fault)> {
    let mut faults = Vec::new();
    let mut at = |happens: bool, fault| {
        let byte = dice.size(habits.fault_bytes_max.max(1)) - 1;
        if happens {
            faults.push((byte, fault));
        }
        dice.next()
    };
    // The draws of one fault decide whether the next one happens.
    let happens = |drawn: u64, permille: u16| drawn % 1000 < u64::from(permille);
    let first = at(false, Fault::Reset);
    let ms = u64::try_from(habits.stall_max.as_millis()).unwrap_or(u64::MAX);
    let stall = Duration::from_millis((first >> 16) % ms.saturating_add(1));
    let second = at(happens(first, habits.stall_permille), Fault::Stall(stall));
    let third = at(happens(second, habits.reset_permille), Fault::Reset);
    let finishes = way == Way::Write && happens(third, habits.finish_permille);
    at(finishes, Fault::Finish);
    // Without it no other draw may change.
    if way == Way::Read && habits.unnoticed_permille > 0 {
        let happens = dice.chance(habits.unnoticed_permille);
        let for_so_long = dice.duration(habits.unnoticed_max);
        let byte = dice.size(habits.fault_bytes_max.max(1)) - 1;
        faults.extend(happens.then_some((byte, Fault::Unnoticed(for_so_long))));
    }
    // Popped from the end.
    faults.sort_by_key(|(byte, _)| std::cmp::Reverse(*byte));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_always_happens_happens_once_in_the_order_of_its_bytes() {
        let habits = Habits {
            stall_permille: 1000,
            stall_max: Duration::from_secs(9),
            reset_permille: 1000,
            finish_permille: 1000,
            unnoticed_permille: 1000,
            fault_bytes_max: 1 << 12,
            ..Habits::default()
        };
        for seed in 0..100 {
            let mut dice = Dice::new(seed, 0);
            let written = drawn(&mut dice, &habits, Way::Write);
            assert_eq!(written.len(), 3);
            assert!(written.iter().all(|(byte, _)| *byte < 1 << 12));
            assert!(written.is_sorted_by(|one, next| one.0 >= next.0));
            assert_eq!(drawn(&mut dice, &habits, Way::Read).len(), 3);
            let none = drawn(&mut dice, &Habits::choppy(), Way::Write);
            assert_eq!(none, []);
        }
    }
}
