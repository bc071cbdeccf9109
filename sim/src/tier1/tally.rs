//! The sums of many runs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::fault_schedule;
use crate::pool::Sums;
use crate::world::requests::TopicOutcome;

/// Sums over runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many runs there were.
    pub runs: u64,
    /// How many things happened.
    pub events: u64,
    /// How much virtual time passed.
    pub lasted: Duration,
    /// How long all runs together took.
    pub took: Duration,
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Something happened so often.
    pub fn count(&mut self, what: &str, times: u64) {
        *self.counts.entry(what.to_owned()).or_default() += times;
    }

    /// What runs claim to try, and no run has met.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        let kinds = fault_schedule::KINDS.iter().map(ToString::to_string);
        let outcomes = TopicOutcome::ALL
            .iter()
            .map(|outcome| outcome.name().to_owned());
        let met = |what: &String| self.counts.get(what).is_some_and(|count| *count > 0);
        kinds.chain(outcomes).filter(move |what| !met(what))
    }
}

impl Sums for Tally {
    fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.lasted += other.lasted;
        self.took += other.took;
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  what happened", "times")?;
        for (what, count) in &self.counts {
            writeln!(f, "{count:>10}  {what}")?;
        }
        let lasted = self.lasted.as_secs();
        write!(
            f,
            "{} runs of {lasted} virtual seconds, {} events",
            self.runs, self.events
        )
    }
}
