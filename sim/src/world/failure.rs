//! Why a run failed.

use std::fmt;
use std::time::Duration;

use doorkeeper_model::watch::Violation;

use super::trace::Trace;
use crate::kind::Kind;

/// Why a run failed, with what led to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub kind: Kind,
    /// When, since the world began.
    pub at: Duration,
    /// What did not hold.
    pub violation: Violation,
    /// The last things that happened, or all.
    pub lines: Vec<String>,
}

impl Failure {
    pub(crate) fn new(trace: &Trace, kind: Kind, invariant: u8, what: impl Into<String>) -> Self {
        Self {
            kind,
            at: trace.now(),
            violation: Violation {
                invariant,
                stuck: kind == Kind::Stuck,
                what: what.into(),
            },
            lines: trace.last(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "{} at {:?}: {}", self.kind, self.at, self.violation)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // For people: a test that fails shows it.
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

/// Of something that the run itself could not do.
impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::new(&Trace::default(), Kind::Wrong, 0, why)
    }
}
