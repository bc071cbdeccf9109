//! What happened in a run, as a hash that two runs of one seed must agree on.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_model::watch::Violation;

use crate::kind::Kind;

/// So many events have one hash, so that the first difference of two runs can be found.
const EVENTS_PER_HASH: u64 = 1000;
/// So many lines are kept for people, unless they want all.
const LINES_KEPT: usize = 50;

/// FNV-1a, 64 bits.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The events of one run. Clones are the same trace.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    now: Duration,
    events: u64,
    hash: u64,
    /// The hash after each thousand events.
    hashes: Vec<u64>,
    last: VecDeque<String>,
    kept: usize,
    violations: Vec<(Kind, Violation)>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            now: Duration::ZERO,
            events: 0,
            hash: FNV_OFFSET,
            hashes: Vec::new(),
            last: VecDeque::new(),
            kept: LINES_KEPT,
            violations: Vec::new(),
        }
    }
}

/// The hash of some bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

impl Trace {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps every line from now on.
    pub fn keep_all(&self) {
        self.lines().kept = usize::MAX;
    }

    /// The time outside of all hosts, between two steps of the simulation.
    pub(super) fn set_now(&self, now: Duration) {
        self.lines().now = now;
    }

    /// The simulation's time, inside of a host and outside.
    #[must_use]
    pub fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_else(|| self.lines().now)
    }

    /// Something happened.
    pub fn event(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>10.3} {what}", self.now().as_secs_f64());
        let mut lines = self.lines();
        lines.hash = line.bytes().chain([b'\n']).fold(lines.hash, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        lines.events += 1;
        if lines.events.is_multiple_of(EVENTS_PER_HASH) {
            let hash = lines.hash;
            lines.hashes.push(hash);
        }
        if lines.last.len() >= lines.kept {
            lines.last.pop_front();
        }
        lines.last.push_back(line);
    }

    /// An invariant did not hold: its number in `docs/simulation.md`, and what was seen.
    pub fn violation(&self, invariant: u8, what: fmt::Arguments<'_>) {
        self.broken(Kind::Wrong, invariant, what);
    }

    /// Somebody panicked, which was caught.
    pub fn panicked(&self, what: fmt::Arguments<'_>) {
        self.broken(Kind::Crash, 10, what);
    }

    fn broken(&self, kind: Kind, invariant: u8, what: fmt::Arguments<'_>) {
        self.event(format_args!("VIOLATION of {invariant}: {what}"));
        let violation = Violation {
            invariant,
            stuck: false,
            what: what.to_string(),
        };
        self.lines().violations.push((kind, violation));
    }

    /// The first thing that happened and must not.
    #[must_use]
    pub fn first_violation(&self) -> Option<(Kind, Violation)> {
        self.lines().violations.first().cloned()
    }

    /// All that happened and must not.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let lines = self.lines();
        let all = lines.violations.iter();
        all.map(|(_, violation)| violation.clone()).collect()
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.lines().hash
    }

    /// The hash after each thousand events, and after the last.
    #[must_use]
    pub fn hashes(&self) -> Vec<u64> {
        let lines = self.lines();
        lines.hashes.iter().copied().chain([lines.hash]).collect()
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.lines().events
    }

    /// The last lines.
    #[must_use]
    pub fn last(&self) -> Vec<String> {
        self.lines().last.iter().cloned().collect()
    }
}
