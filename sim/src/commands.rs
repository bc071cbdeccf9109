//! Run, replay, show and shrink.

pub(crate) mod server;
pub(crate) mod show;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use doorkeeper_model::direct::{Options, Outcome};
use doorkeeper_model::script::Script;
use doorkeeper_sim::seeds::{self, Budget, Kind, SeedResult, try_script};
use doorkeeper_sim::swarm::Swarm;
use doorkeeper_sim::tally::Tally;

use crate::recording;
use crate::tier::{Choice, Tier};

#[derive(clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    of: Choice,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// How many minutes at most
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Marks may be missing, or kinds of faults: the budget is too small to reach all
    #[arg(long)]
    marks_may_miss: bool,
}

#[derive(clap::Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    of: Choice,
    /// A seed, or, of tier 0, the path of a script or of a recorded session
    what: String,
    /// Print only the last lines of what happened
    #[arg(long)]
    brief: bool,
}

#[derive(clap::Args)]
pub(crate) struct Text {
    /// The seed
    seed: u64,
}

#[derive(clap::Args)]
pub(crate) struct Shrink {
    /// A seed, or the path of a script
    what: String,
}

pub(crate) fn exit(kind: Kind) -> ExitCode {
    ExitCode::from(kind as u8)
}

pub(crate) fn run(args: &Run, commit: &str) -> Result<ExitCode> {
    let budget = Budget {
        from: args.from,
        seeds: args.seeds,
        within: Duration::from_secs_f64(args.minutes * 60.0),
    };
    if args.of.tier == Tier::Server {
        return Ok(server::run(budget, args.marks_may_miss, commit));
    }
    println!(
        "seeds {} to {}, commit {commit}",
        args.from,
        args.from + args.seeds - 1
    );
    let report = seeds::run(budget, Options::default(), |tally, took| {
        let missing = tally.missing().len();
        println!("{}, marks still missing: {missing}", speed(tally, took));
    });
    println!("{}", report.sums);
    println!("{}", speed(&report.sums, report.took));
    if let Some(seed) = report.failed {
        return Ok(tell_failure(&Swarm::draw(seed), commit));
    }
    let missing = report.sums.missing();
    if missing.is_empty() || args.marks_may_miss {
        return Ok(ExitCode::SUCCESS);
    }
    for mark in missing {
        println!("never reached: {}", mark.name());
    }
    Ok(exit(Kind::Wrong))
}

fn speed(tally: &Tally, took: Duration) -> String {
    let seconds = took.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = |count: u64| count as f64 / seconds;
    format!(
        "{} seeds in {seconds:.1} s, {:.0} seeds/s, {:.0} sessions/s",
        tally.scripts,
        rate(tally.scripts),
        rate(tally.sessions)
    )
}

/// Runs a failing seed once more and says everything about it.
fn tell_failure(swarm: &Swarm, commit: &str) -> ExitCode {
    println!("\ncommit {commit}\n{swarm}");
    let (result, outcome) = try_script(&swarm.script(), Options::default());
    print(&result, outcome.as_ref());
    println!("replay: cargo xtask sim replay {}", swarm.seed);
    println!("make small: cargo xtask sim shrink {}", swarm.seed);
    exit(result.kind().unwrap_or(Kind::Differs))
}

fn print(result: &SeedResult, outcome: Option<&Outcome>) {
    for line in outcome.iter().flat_map(|outcome| outcome.trace.lines()) {
        println!("{line}");
    }
    match result {
        SeedResult::Held => println!("everything held"),
        SeedResult::Crashed(text) => println!("panicked: {text}"),
        SeedResult::Failed(failure) => {
            println!(
                "at {} in step {}: {}",
                failure.at, failure.step, failure.violation
            );
        }
    }
}

fn script_of(what: &str) -> Result<Script> {
    if let Ok(seed) = what.parse() {
        return Ok(Swarm::draw(seed).script());
    }
    let text = std::fs::read_to_string(Path::new(what)).with_context(|| what.to_owned())?;
    text.parse().with_context(|| what.to_owned())
}

pub(crate) fn replay(args: &Replay, commit: &str) -> Result<ExitCode> {
    if args.of.tier == Tier::Server {
        return server::replay(&args.what, args.brief, commit);
    }
    println!("commit {commit}");
    if let Ok(seed) = args.what.parse() {
        println!("{}", Swarm::draw(seed));
    }
    if let Some(recorded) = recording::read(&args.what)? {
        return recording::replay(&recorded, args.brief);
    }
    let script = script_of(&args.what)?;
    println!("{script}");
    let options = Options::default().keeping_trace(!args.brief);
    let (result, outcome) = try_script(&script, options);
    print(&result, outcome.as_ref());
    if let Some(outcome) = outcome {
        println!(
            "hash {:016x}, {} virtual",
            outcome.trace.hash(),
            outcome.lasted
        );
    }
    Ok(result.kind().map_or(ExitCode::SUCCESS, exit))
}

pub(crate) fn script(args: &Text) -> ExitCode {
    print!("{}", Swarm::draw(args.seed).script());
    ExitCode::SUCCESS
}

pub(crate) fn shrink(args: &Shrink, commit: &str) -> Result<ExitCode> {
    let script = script_of(&args.what)?;
    let (small, tries) = doorkeeper_sim::shrink::shrink(&script, Options::default());
    let (result, _) = try_script(&small, Options::default());
    println!("# commit {commit}, {}, {tries} tries", args.what);
    if let SeedResult::Failed(failure) = &result {
        println!("# {}", failure.violation);
    }
    print!("{small}");
    Ok(result.kind().map_or(ExitCode::SUCCESS, exit))
}
