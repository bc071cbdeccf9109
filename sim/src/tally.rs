//! The sums of many runs.

use std::collections::BTreeMap;
use std::fmt;

use doorkeeper_model::direct::Outcome;
use doorkeeper_model::mark::Mark;

use crate::pool::Sums;

/// Sums over runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many scripts were run.
    pub scripts: u64,
    /// How many sessions they had.
    pub sessions: u64,
    /// How many things happened.
    pub events: u64,
    marks: BTreeMap<Mark, u64>,
}

impl Tally {
    /// Adds one run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.scripts += 1;
        self.sessions += outcome.sessions;
        self.events += outcome.trace.events();
        for (mark, count) in &outcome.marks {
            *self.marks.entry(*mark).or_default() += count;
        }
    }

    /// The marks that no session has reached.
    #[must_use]
    pub fn missing(&self) -> Vec<Mark> {
        let reached = |mark: &&Mark| self.marks.get(mark).is_some_and(|count| *count > 0);
        Mark::ALL
            .iter()
            .filter(|mark| !reached(mark))
            .copied()
            .collect()
    }
}

impl Sums for Tally {
    fn merge(&mut self, other: Self) {
        self.scripts += other.scripts;
        self.sessions += other.sessions;
        self.events += other.events;
        for (mark, count) in other.marks {
            *self.marks.entry(mark).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  sessions that reached", "marks")?;
        for mark in Mark::ALL {
            let count = self.marks.get(mark).copied().unwrap_or(0);
            writeln!(f, "{count:>10}  {}", mark.name())?;
        }
        write!(
            f,
            "{} scripts, {} sessions, {} events",
            self.scripts, self.sessions, self.events
        )
    }
}
