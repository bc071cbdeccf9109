//! Runs the scripts of seeds (tier 0).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use doorkeeper_model::direct::{self, Failure, Options};
use doorkeeper_model::script::Script;

use crate::kind::text_of;
use crate::pool;
use crate::swarm::Swarm;
use crate::tally::Tally;

pub use crate::kind::Kind;
pub use crate::pool::Budget;

/// What became of one script.
#[derive(Debug)]
pub enum SeedResult {
    /// Everything held.
    Held,
    /// Something did not.
    Failed(Failure),
    /// It panicked.
    Crashed(String),
}

impl SeedResult {
    /// How it failed.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Held => None,
            Self::Failed(failure) if failure.violation.stuck => Some(Kind::Stuck),
            Self::Failed(_) => Some(Kind::Wrong),
            Self::Crashed(_) => Some(Kind::Crash),
        }
    }

    /// What is compared while a script is made smaller.
    #[must_use]
    pub fn invariant(&self) -> Option<u8> {
        match self {
            Self::Held => None,
            Self::Failed(failure) => Some(failure.violation.invariant),
            Self::Crashed(_) => Some(u8::MAX),
        }
    }
}

impl fmt::Display for SeedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("everything held"),
            Self::Failed(failure) => failure.violation.fmt(f),
            Self::Crashed(text) => write!(f, "panicked: {text}"),
        }
    }
}

/// Runs one script; a panic is a result like any other.
#[must_use]
pub fn try_script(script: &Script, options: Options) -> (SeedResult, Option<direct::Outcome>) {
    match catch_unwind(AssertUnwindSafe(|| direct::run(script, options))) {
        Ok(mut outcome) => match outcome.failure.take() {
            Some(failure) => (SeedResult::Failed(failure), Some(outcome)),
            None => (SeedResult::Held, Some(outcome)),
        },
        Err(panic) => (SeedResult::Crashed(text_of(&*panic)), None),
    }
}

/// The sums of many seeds.
pub type Report = pool::Report<Tally>;

/// Runs seeds until the budget is used up or one of them fails. `progress` is called now and then
/// with the sums so far.
pub fn run(budget: Budget, options: Options, progress: impl Fn(&Tally, Duration) + Sync) -> Report {
    let holds = |seed, tally: &mut Tally| {
        let (result, outcome) = try_script(&Swarm::draw(seed).script(), options);
        if let Some(outcome) = outcome {
            tally.add(&outcome);
        }
        result.kind().is_none()
    };
    pool::run(budget, holds, progress)
}
