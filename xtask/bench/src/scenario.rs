//! What is measured: each scenario runs once for each proxy in every round, and gives figures.

mod bulk;
mod connections;
mod flat;
mod latency;
mod memory;
mod metadata;
mod starvation;
mod tls;
mod tls_storm;

use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};

use crate::client::Counts;
use crate::proxy::{Kind, Programs, Proxy, Setup};
use crate::report::{Bar, Figure};
use crate::sink::Sink;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Rounds over all proxies.
    pub(crate) rounds: usize,
    /// Bytes of one round of bulk: so many that on 64 connections, too, a round is not mostly its
    /// beginning and its end, when fewer requests are under way than later.
    pub(crate) bulk_bytes: u64,
    /// Round trips of one round.
    pub(crate) trips: usize,
    /// Connections opened and closed in one round.
    pub(crate) connects: usize,
    /// Rounds over fresh processes, for memory.
    pub(crate) memory_rounds: usize,
}

impl Amount {
    pub(crate) const FULL: Self = Self {
        rounds: 9,
        bulk_bytes: 2048 << 20,
        trips: 5000,
        connects: 2000,
        memory_rounds: 3,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        bulk_bytes: 384 << 20,
        trips: 2000,
        connects: 500,
        memory_rounds: 1,
    };
}

/// Everything that a scenario needs.
pub(crate) struct Bench {
    pub(crate) sink: Sink,
    pub(crate) programs: Programs,
    pub(crate) amount: Amount,
}

/// One figure of one round, by the name of the figure.
pub(crate) type Values = Vec<(&'static str, f64)>;

/// Measures one proxy once.
pub(crate) type Run = Box<dyn Fn(&Bench, &Proxy) -> Result<Values>>;

/// One thing to measure.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) figures: Vec<Figure>,
    pub(crate) run: Run,
    /// Whether proxies speak TLS.
    pub(crate) setup: Setup,
    /// Whether every run wants a process that has done nothing yet.
    pub(crate) fresh: bool,
    /// The proxies that it makes sense for.
    pub(crate) kinds: &'static [Kind],
}

/// All scenarios over TLS, in the order in which they run.
pub(crate) fn over_tls() -> Vec<Scenario> {
    tls::scenarios()
}

/// All scenarios in plaintext, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = bulk::scenarios();
    all.extend(latency::scenarios());
    all.push(metadata::scenario());
    all.push(connections::scenario());
    all.push(flat::scenario());
    all.extend(starvation::scenarios());
    all.extend(memory::scenarios());
    all
}

impl Bench {
    /// Runs `work` and compares what its clients counted with what the sink saw meanwhile.
    fn checked<T>(&self, work: impl FnOnce() -> Result<(Counts, T)>) -> Result<T> {
        let seen = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
        let of = &self.sink.seen;
        let before = [seen(&of.requests), seen(&of.request_bytes), seen(&of.ids)];
        let (counted, result) = work()?;
        let begun = std::time::Instant::now();
        let sent = [counted.requests, counted.request_bytes, counted.ids];
        loop {
            let after = [seen(&of.requests), seen(&of.request_bytes), seen(&of.ids)];
            let mut received = after;
            for (received, before) in received.iter_mut().zip(before) {
                *received -= before;
            }
            // The sink counts a response after it has been written, so it may be a step behind.
            if received == sent {
                return Ok(result);
            }
            ensure!(
                begun.elapsed().as_secs() < 5,
                "clients sent {sent:?} (requests, bytes, sum of ids), the sink saw {received:?}"
            );
            std::thread::yield_now();
        }
    }
}

/// A ratio that must not be above this.
const fn at_most(ratio: f64) -> Option<Bar> {
    Some(Bar::RatioAtMost(ratio))
}
