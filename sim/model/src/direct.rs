//! The first backend: sessions and discovery of core in a discrete-event loop.
//!
//! Everything is a value in one `World`: clients, doorkeeper with its sessions, brokers, and the
//! bytes between them. The clock stands still while anything can move and then jumps to whatever
//! comes next. doorkeeper is no copy of the adapter's loop: of all that a driver may do at a moment
//! it does one thing, drawn from the network's own stream of choices, so that every order which
//! the contract allows comes up.

mod brokers;
mod buffers;
mod channel;
mod clients;
mod director;
mod discovery;
mod driver;
#[cfg(doorkeeper_mutants)]
mod mutant;
mod net;
mod setup;

use std::sync::Arc;

use doorkeeper_core::{Instant, Snapshot};

use crate::mark::Mark;
use crate::script::Script;
use crate::timeline::Timeline;
use crate::trace::Trace;
use crate::watch::{Violation, Watch};
use doorkeeper_kafka_model::Rng;

use brokers::Brokers;
use buffers::Budgets;
use clients::Client;
use discovery::DiscoveryDriver;
use driver::ClientSession;
#[cfg(doorkeeper_mutants)]
pub use mutant::{Exchange, Mutant};
use net::Net;

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What did not hold, and when.
    pub failure: Option<Failure>,
    /// Which states were reached, each with the number of sessions that reached it.
    pub marks: Vec<(Mark, u64)>,
    /// How many sessions there were.
    pub sessions: u64,
    /// What happened: its number, its hash, and the last lines.
    pub trace: Trace,
    /// What each connection forwarded, without times.
    pub transcript: String,
    /// What happened, for people, if it was asked for.
    pub timeline: Option<Timeline>,
    /// How much virtual time passed.
    pub lasted: Instant,
}

/// What did not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// In virtual time.
    pub at: Instant,
    /// The step of the script that was under way, from 0.
    pub step: usize,
    /// What it is about.
    pub violation: Violation,
}

/// How a script is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep a transcript.
    pub transcript: bool,
    /// Keep every line of the trace, not just the last ones.
    pub whole_trace: bool,
    /// Keep a timeline.
    pub timeline: bool,
    /// The planted bug of every session.
    #[cfg(doorkeeper_mutants)]
    pub mutant: Option<Mutant>,
}

impl Options {
    /// The same, with every line of the trace or just the last ones.
    #[must_use]
    pub const fn keeping_trace(mut self, whole: bool) -> Self {
        self.whole_trace = whole;
        self
    }
}

/// Runs a script to its end, and everything after it until all is quiet again.
#[must_use]
pub fn run(script: &Script, options: Options) -> Outcome {
    let mut world = World::new(script, options);
    let result = world.play(&script.steps);
    let failure = result.err().map(|violation| Failure {
        at: world.now,
        step: world.step,
        violation,
    });
    Outcome {
        failure,
        marks: world.watch.marks(),
        sessions: world.sessions.len() as u64,
        transcript: world.watch.transcript(),
        timeline: world.watch.take_timeline(),
        trace: world.watch.into_trace(),
        lasted: world.now,
    }
}

/// Whether anything moved, or what did not hold.
type Progress = Result<bool, Violation>;

/// Everything there is.
#[derive(Debug)]
struct World {
    now: Instant,
    #[cfg(doorkeeper_mutants)]
    options: Options,
    step: usize,
    net: Net,
    /// The network's and the drivers' choices.
    rng: Rng,
    /// What the sessions' seeds grow from.
    seed: u64,
    clients: Vec<Client>,
    sessions: Vec<ClientSession>,
    /// Those that are open.
    open: Vec<usize>,
    asking: DiscoveryDriver,
    brokers: Brokers,
    /// What sessions together may buffer, where the script limits that.
    budgets: Option<Budgets>,
    /// The newest snapshot.
    snapshot: Arc<Snapshot>,
    /// All sessions must be gone by then.
    drain: Option<Instant>,
    watch: Watch,
}
