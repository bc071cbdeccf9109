//! doorkeeper against real Apache Kafka with real clients: `cargo xtask conformance`.
//!
//! Brings Kafka from Maven Central, starts a cluster whose brokers advertise names that do not
//! resolve, puts doorkeeper in front of it, and runs scenarios with many clients, direct and
//! through doorkeeper. Both ways must agree, and no byte towards a client may hold a
//! name or an address of the cluster.

mod archive;
mod bad_brokers;
mod canary;
mod catalog;
mod certificates;
mod clients;
mod cluster;
mod compare;
mod differences;
mod docs;
mod doorkeeper;
mod event;
mod every_api;
mod folders;
mod go;
mod kafka;
mod kit;
mod leak;
mod metrics;
mod model;
mod ports;
mod process;
mod quickstart;
mod report;
mod rotation;
mod scenario;
mod security;
mod selection;
mod strict;
mod suite;
mod tap;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::report::say;

/// Runs real Kafka clients against real Kafka brokers, direct and through doorkeeper
#[derive(Parser)]
#[command(name = "cargo xtask conformance", version)]
struct Args {
    /// The version of the brokers and of the Java clients: one of versions.toml, or all
    #[arg(long, default_value = "all")]
    kafka: String,
    /// Only direct, without doorkeeper
    #[arg(long, conflicts_with = "through")]
    direct: bool,
    /// Only through doorkeeper, not direct as well
    #[arg(long)]
    through: bool,
    /// Everything: every scenario with every client on every version
    #[arg(long, conflicts_with = "only")]
    full: bool,
    /// Another part than that of this commit: which clients play a scenario goes round
    #[arg(long, value_name = "K", conflicts_with_all = ["full", "only"])]
    rotation: Option<u64>,
    /// Bring Kafka and the clients, and run nothing
    #[arg(long)]
    bring: bool,
    /// Only what matches one of these patterns (commas between, `*` for anything), matched against
    /// SCENARIO/CLIENT/KAFKA: `group`, `java/4`, `acks*kcat`; or `every_api` for every API at
    /// every version, and `every_api/Fetch` for one of them; or `quickstart`; or `model` for the
    /// model of a cluster against Kafka
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Run each scenario so often
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Leave the cluster and doorkeeper running and keep their data, until interrupted
    #[arg(long)]
    keep: bool,
    /// Write docs/conformance.md from what this run finds
    #[arg(long, conflicts_with_all = ["only", "direct", "through"])]
    write_docs: bool,
    /// How many scenarios run at a time on each release
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// The binary of doorkeeper; beside this program by default
    #[arg(long, value_name = "FILE")]
    doorkeeper: Option<PathBuf>,
}

/// Something that must be installed before the suite can run.
#[derive(Debug)]
struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

fn main() -> ExitCode {
    let args = Arc::new(Args::parse());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format!("error: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // The children die with the futures that own them: on a signal and on a panic as well.
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            signal = interrupted() => signal.map(|name| {
                say(format!("{name}: stopping"));
                ExitCode::from(130)
            }),
            outcome = suite::run(&args) => outcome,
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            say(format!("error: {error:#}"));
            if error.is::<Missing>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn interrupted() -> Result<&'static str> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    })
}
