//! The same conversation on a simulated network and on this machine's: the same transcript.

use doorkeeper_sim::choppy::Habits;
use doorkeeper_sim::parity::{on_loopback, on_turmoil};

#[test]
fn sessions_carry_the_same_on_every_network() -> Result<(), String> {
    let simulated = on_turmoil(1, Habits::default())?;
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../testdata/transcripts");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("conversation", &simulated));
    let loopback = on_loopback()?;
    same(&simulated, &loopback)
}

#[test]
fn pieces_of_any_size_change_nothing() -> Result<(), String> {
    let whole = on_turmoil(1, Habits::default())?;
    let one_byte = Habits {
        one_byte_permille: 1000,
        ..Habits::choppy()
    };
    for seed in 2..=4 {
        for habits in [one_byte, Habits::choppy()] {
            same(&whole, &on_turmoil(seed, habits)?)?;
        }
    }
    Ok(())
}

/// The first line in which two transcripts differ.
fn same(one: &str, other: &str) -> Result<(), String> {
    let pairs = one.lines().zip(other.lines()).enumerate();
    for (number, (one, other)) in pairs {
        if one != other {
            return Err(format!("line {number}:\n{one}\n{other}"));
        }
    }
    assert_eq!(one, other);
    Ok(())
}
