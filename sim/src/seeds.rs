//! Runs the scripts of many seeds on all processors, until one fails.

use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use doorkeeper_model::direct::{self, Failure, Options};
use doorkeeper_model::script::Script;

use crate::swarm::Swarm;
use crate::tally::Tally;

/// How a run failed, in the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It panicked.
    Crash = 11,
    /// Something waits for ever.
    Stuck = 12,
    /// Something is not as it must be.
    Wrong = 13,
    /// Two runs of one seed differ.
    Differs = 14,
}

/// What became of one script.
#[derive(Debug)]
pub enum Verdict {
    /// Everything held.
    Held,
    /// Something did not.
    Failed(Failure),
    /// It panicked.
    Crashed(String),
}

impl Verdict {
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

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("everything held"),
            Self::Failed(failure) => failure.violation.fmt(f),
            Self::Crashed(text) => write!(f, "panicked: {text}"),
        }
    }
}

/// Runs one script; a panic is a verdict like any other.
#[must_use]
pub fn try_script(script: &Script, options: Options) -> (Verdict, Option<direct::Outcome>) {
    match catch_unwind(AssertUnwindSafe(|| direct::run(script, options))) {
        Ok(mut outcome) => match outcome.failure.take() {
            Some(failure) => (Verdict::Failed(failure), Some(outcome)),
            None => (Verdict::Held, Some(outcome)),
        },
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            (Verdict::Crashed(text.unwrap_or_default()), None)
        }
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How long at most.
    pub within: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The sums.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
    /// The lowest seed that was seen to fail.
    pub failed: Option<u64>,
}

/// Runs seeds until the budget is used up or one of them fails. `progress` is called now and then
/// with the sums so far.
pub fn run(budget: Budget, options: Options, progress: impl Fn(&Tally, Duration) + Sync) -> Report {
    let begun = Instant::now();
    let next = AtomicU64::new(budget.from);
    let stop = AtomicBool::new(false);
    let shared = Mutex::new((Tally::default(), None::<u64>, begun));
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Tally::default();
                while !stop.load(Ordering::Relaxed) && begun.elapsed() < budget.within {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - budget.from >= budget.seeds {
                        break;
                    }
                    let (verdict, outcome) = try_script(&Swarm::draw(seed).script(), options);
                    if let Some(outcome) = outcome {
                        mine.add(&outcome);
                    }
                    let failed = verdict.kind().is_some();
                    if failed || mine.scripts >= 200 {
                        let mut sums = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        sums.0.merge(&std::mem::take(&mut mine));
                        if failed {
                            stop.store(true, Ordering::Relaxed);
                            sums.1 = Some(sums.1.map_or(seed, |other| other.min(seed)));
                        }
                        if sums.2.elapsed() >= Duration::from_secs(5) {
                            sums.2 = Instant::now();
                            progress(&sums.0, begun.elapsed());
                        }
                    }
                }
                let mut sums = shared.lock().unwrap_or_else(PoisonError::into_inner);
                sums.0.merge(&mine);
            });
        }
    });
    let (tally, failed, _) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    Report {
        tally,
        took: begun.elapsed(),
        failed,
    }
}
