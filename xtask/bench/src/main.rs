//! What doorkeeper costs, beside a relay that understands nothing and beside haproxy.
//!
//! `cargo xtask bench` builds and runs it. One process is load generator and sink, the proxies
//! are processes of their own, and rounds over them are interleaved, so that whatever else the
//! machine does falls on all of them alike.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks through its standard streams"
)]

mod client;
mod proxy;
mod relay;
mod report;
mod scenario;
mod sink;
mod tls;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use doorkeeper_bench::frames::BROKERS;
use serde_json::{Value, json};

use self::proxy::{Kind, Programs, Proxy, Setup};
use self::report::{Line, Rounds};
use self::scenario::{Amount, Bench, Scenario};
use self::sink::{Sink, consecutive};
use self::tls::Tls;

#[derive(Parser)]
#[command(name = "doorkeeper-bench", about = "What doorkeeper costs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure doorkeeper, the relay and haproxy, round by round
    Run(RunArgs),
    /// The baseline: a relay that understands nothing
    Relay(relay::Args),
}

#[derive(clap::Args)]
struct RunArgs {
    /// The binary of doorkeeper
    #[arg(long)]
    doorkeeper: PathBuf,
    /// The binary of haproxy
    #[arg(long)]
    haproxy: PathBuf,
    /// Where configurations, logs and the result go
    #[arg(long)]
    folder: PathBuf,
    /// Less of everything: two minutes
    #[arg(long)]
    quick: bool,
    /// Over TLS, beside haproxy alone
    #[arg(long)]
    tls: bool,
    /// Only scenarios whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Rounds over all proxies, instead of the usual number
    #[arg(long)]
    rounds: Option<usize>,
    /// What doorkeeper logs
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Fail when a bar is missed
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run(args),
        Command::Relay(args) => relay::run(&args).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: RunArgs) -> Result<bool> {
    let begun = Instant::now();
    fs::create_dir_all(&args.folder)?;
    let name = if args.tls {
        "bench-tls.json"
    } else {
        "bench.json"
    };
    let result = args.folder.join(name);
    let tls = Tls::make(&args.folder)?;
    let programs = Programs {
        doorkeeper: args.doorkeeper,
        haproxy: args.haproxy,
        own: std::env::current_exe().context("where is this program?")?,
        folder: args.folder,
        log_level: args.log_level,
        tls,
    };
    let mut amount = if args.quick {
        Amount::QUICK
    } else {
        Amount::FULL
    };
    if let Some(rounds) = args.rounds {
        (amount.rounds, amount.memory_rounds) = (rounds, rounds);
    }
    let bench = Bench {
        sink: Sink::start(consecutive(2 * BROKERS)?, &programs.tls.server)?,
        programs,
        amount,
    };
    let wanted = |scenario: &Scenario| {
        let only = args.only.as_ref();
        only.is_none_or(|only| scenario.name.contains(only.as_str()))
    };
    let mut lines = Vec::new();
    let mut standing = BTreeMap::new();
    let all = if args.tls {
        scenario::over_tls()
    } else {
        scenario::all()
    };
    for scenario in all.into_iter().filter(wanted) {
        eprintln!("{:>4} s  {}", begun.elapsed().as_secs(), scenario.name);
        lines.extend(measure(&bench, scenario, &mut standing)?);
    }
    drop(standing);
    println!("{}", report::table(&lines));
    let json = report::json_of(&lines, &machine(&bench.amount));
    fs::write(&result, serde_json::to_string_pretty(&json)?)?;
    let missed = lines.iter().filter(|line| line.holds() == Some(false));
    println!(
        "{} bars missed, {} s, figures in {}",
        missed.clone().count(),
        begun.elapsed().as_secs(),
        result.display()
    );
    Ok(!args.strict || missed.count() == 0)
}

/// Runs one scenario for each of its proxies in turn, in an order that shifts with every round.
fn measure(
    bench: &Bench,
    scenario: Scenario,
    standing: &mut BTreeMap<(Kind, Setup), Proxy>,
) -> Result<Vec<Line>> {
    let rounds = if scenario.fresh {
        bench.amount.memory_rounds
    } else {
        bench.amount.rounds
    };
    let mut values: BTreeMap<&'static str, Rounds> = BTreeMap::new();
    for round in 0..rounds {
        let mut kinds = scenario.kinds.to_vec();
        let shift = round % kinds.len();
        kinds.rotate_left(shift);
        for kind in kinds {
            let setup = scenario.setup;
            let start = || Proxy::start(kind, setup, &bench.programs, &bench.sink);
            let fresh = if scenario.fresh { Some(start()?) } else { None };
            let proxy = match (&fresh, standing.get(&(kind, setup))) {
                (Some(proxy), _) | (None, Some(proxy)) => proxy,
                (None, None) => standing.entry((kind, setup)).or_insert(start()?),
            };
            let got = (scenario.run)(bench, proxy)
                .with_context(|| format!("{} through {}", scenario.name, kind.name()))?;
            for (name, value) in got {
                let rounds = values.entry(name).or_default();
                rounds.entry(kind).or_default().push(value);
            }
        }
    }
    let line = |figure: report::Figure| {
        let rounds = values.remove(figure.name).unwrap_or_default();
        Line::new(&scenario.name, figure, rounds)
    };
    Ok(scenario.figures.into_iter().map(line).collect())
}

fn machine(amount: &Amount) -> Value {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |it| it.trim_start_matches([' ', '\t', ':']));
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").trim(),
        "rounds": amount.rounds,
    })
}
