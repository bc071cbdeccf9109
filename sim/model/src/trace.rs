//! What happened, as a rolling hash and its last lines.

use std::collections::VecDeque;
use std::fmt::Write as _;

use doorkeeper_core::Instant;

/// Lines that are kept.
const KEPT: usize = 50;

/// After so many events the hash is noted, so that the first difference of two runs can be found.
const EVENTS_PER_CHECKPOINT: u64 = 1000;

/// What happened.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    checkpoints: Vec<u64>,
    last: VecDeque<String>,
    keep_all: bool,
    spare: String,
}

impl Trace {
    /// Nothing so far.
    #[must_use]
    pub fn new(keep_all: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
            checkpoints: Vec::new(),
            last: VecDeque::new(),
            keep_all,
            spare: String::new(),
        }
    }

    /// Notes one thing.
    pub fn note(
        &mut self,
        at: Instant,
        who: &dyn std::fmt::Display,
        what: std::fmt::Arguments<'_>,
    ) {
        let mut line = std::mem::take(&mut self.spare);
        line.clear();
        let _ = write!(line, "{:>12} {who} {what}", at.as_nanos() / 1000);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.events += 1;
        if self.events.is_multiple_of(EVENTS_PER_CHECKPOINT) {
            self.checkpoints.push(self.hash);
        }
        self.last.push_back(line);
        if self.last.len() > KEPT && !self.keep_all {
            self.spare = self.last.pop_front().unwrap_or_default();
        }
    }

    /// The hash of everything so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many things happened.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The hash after each thousand events, and after the last.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<u64> {
        let mut all = self.checkpoints.clone();
        all.push(self.hash);
        all
    }

    /// The last lines: microseconds, who, what.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_runs_have_different_hashes_and_old_lines_are_dropped() {
        let run = |last: u64| {
            let mut trace = Trace::new(false);
            for n in 0..2500 {
                trace.note(Instant::from_nanos(n), &"c1", format_args!("{n}"));
            }
            trace.note(Instant::ZERO, &"c1", format_args!("{last}"));
            trace
        };
        assert_eq!(run(1).checkpoints(), run(1).checkpoints());
        assert_ne!(run(1).hash(), run(2).hash());
        assert_eq!(run(1).checkpoints().len(), 3);
        assert_eq!(run(1).lines().count(), KEPT);
        assert_eq!(run(1).events(), 2501);
    }
}
