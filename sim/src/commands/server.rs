//! Run and replay seeds of tier 1.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use doorkeeper_sim::kind::Kind;
use doorkeeper_sim::pool::{self, Budget, Sums as _};
use doorkeeper_sim::tier1::{Options, Outcome, Scenario, Tally, try_seed};
use doorkeeper_sim::world::Failure;

use super::exit;

/// Runs one seed in this process, for another one to read.
#[derive(clap::Args)]
pub(crate) struct Seed {
    seed: u64,
}

/// One line a fact.
pub(crate) fn seed(args: &Seed) -> ExitCode {
    let (ran, trace) = try_seed(args.seed, &Options::default());
    let hashes: Vec<String> = trace
        .hashes()
        .iter()
        .map(|it| format!("{it:016x}"))
        .collect();
    println!("hashes {}", hashes.join(" "));
    match ran {
        Ok(Outcome { report, counts }) => {
            println!("lasted {}", report.elapsed.as_micros());
            println!("events {}", report.events);
            for (what, count) in counts {
                println!("{count} {what}");
            }
            ExitCode::SUCCESS
        }
        Err(failure) => exit(failure.kind),
    }
}

/// What a process of its own says of a seed: tasks of runs that share a process are counted
/// together, and the order in which a crashed host's tasks end follows from the count.
fn run_apart(seed: u64) -> Result<(bool, String)> {
    let own = std::env::current_exe().context("where is this program?")?;
    let output = Command::new(own)
        .args(["seed", &seed.to_string()])
        .stderr(Stdio::null())
        .output()?;
    Ok((output.status.success(), String::from_utf8(output.stdout)?))
}

/// The hashes of a seed, as they are compared.
pub(crate) fn hashes(seed: u64) -> String {
    let said = run_apart(seed).map(|(_, said)| said);
    let said = said.unwrap_or_else(|error| format!("hashes none: {error:#}"));
    let first = said.lines().next().unwrap_or_default();
    first.strip_prefix("hashes ").unwrap_or_default().to_owned()
}

fn add(said: &str, took: Duration, tally: &mut Tally) {
    tally.runs += 1;
    tally.took += took;
    for line in said.lines() {
        match line.split_once(' ') {
            Some(("hashes", _)) | None => {}
            Some(("lasted", micros)) => {
                tally.lasted += Duration::from_micros(micros.parse().unwrap_or(0));
            }
            Some(("events", events)) => tally.events += events.parse().unwrap_or(0),
            Some((count, what)) => tally.count(what, count.parse().unwrap_or(0)),
        }
    }
}

/// How many times the budget may be used up before what has not happened is missed: what a seed
/// draws is rare at times, and any seeds may be asked for.
const BUDGETS: u64 = 5;

/// Runs seeds on all processors until one fails: as many as the budget says, and more as long as
/// something that runs claim to try has not happened.
pub(super) fn run(budget: Budget, kinds_may_miss: bool, commit: &str) -> ExitCode {
    let last = budget.from + budget.seeds - 1;
    println!("seeds {} to {last} of tier 1, commit {commit}", budget.from);
    let holds = |seed, tally: &mut Tally| {
        let begun = Instant::now();
        match run_apart(seed) {
            Ok((true, said)) => {
                add(&said, begun.elapsed(), tally);
                true
            }
            Ok((false, _)) | Err(_) => false,
        }
    };
    let progress = |tally: &Tally, took| println!("{}", speed(tally, took));
    let mut report = pool::run(budget, holds, progress);
    for more in 1..BUDGETS {
        let missing: Vec<String> = report.sums.missing().collect();
        let is_over = report.failed.is_some() || report.took > budget.within;
        if kinds_may_miss || missing.is_empty() || is_over {
            break;
        }
        println!(
            "more seeds, for what has not happened yet: {}",
            missing.join(", ")
        );
        let from = budget.from + more * budget.seeds;
        let next = pool::run(Budget { from, ..budget }, holds, progress);
        report.sums.merge(next.sums);
        report.took += next.took;
        report.failed = next.failed;
    }
    println!("{}", report.sums);
    println!("{}", speed(&report.sums, report.took));
    if let Some(seed) = report.failed {
        return print(seed, &Options::default(), commit);
    }
    let missing: Vec<String> = report.sums.missing().collect();
    if missing.is_empty() || kinds_may_miss {
        return ExitCode::SUCCESS;
    }
    println!("never happened: {}", missing.join(", "));
    exit(Kind::Wrong)
}

fn speed(tally: &Tally, took: Duration) -> String {
    let rate = |of: f64, took: Duration| of / took.as_secs_f64().max(0.001);
    let lasted = tally.lasted.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let seeds = rate(tally.runs as f64, took);
    format!(
        "{} seeds in {:.1} s, {seeds:.1} seeds/s, {:.0} virtual seconds a second, {:.0} in a run",
        tally.runs,
        took.as_secs_f64(),
        rate(lasted, took),
        rate(lasted, tally.took),
    )
}

/// Runs a seed once more and says everything about it.
pub(super) fn replay(what: &str, brief: bool, commit: &str) -> Result<ExitCode> {
    let seed = what
        .parse()
        .with_context(|| format!("tier 1 runs seeds, and {what:?} is none"))?;
    let options = Options {
        whole_trace: !brief,
        ..Options::default()
    };
    Ok(print(seed, &options, commit))
}

fn print(seed: u64, options: &Options, commit: &str) -> ExitCode {
    println!("\ncommit {commit}\n{}", Scenario::new(seed, options));
    let (ran, trace) = try_seed(seed, options);
    for line in trace.last() {
        println!("{line}");
    }
    println!("hash {:016x}, {} events", trace.hash(), trace.events());
    match ran {
        Ok(Outcome { report, .. }) => {
            println!("everything held, {:?} virtual", report.elapsed);
            ExitCode::SUCCESS
        }
        Err(Failure {
            kind,
            at,
            violation,
            ..
        }) => {
            println!("{kind} at {at:?}: {violation}");
            println!("replay: cargo xtask sim replay --tier 1 {seed}");
            exit(kind)
        }
    }
}
