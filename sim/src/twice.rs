//! The same seeds in two processes: what happened must be the same to the last event.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use doorkeeper_model::direct;
use doorkeeper_sim::kind::Kind;
use doorkeeper_sim::pool::{self, Budget, Sums};
use doorkeeper_sim::seeds::try_script;
use doorkeeper_sim::swarm::Swarm;

use crate::commands::{self, exit};
use crate::tier::{Choice, Tier};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Choice,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
}

#[derive(clap::Args)]
pub(crate) struct Hashes {
    #[command(flatten)]
    of: Choice,
    from: u64,
    seeds: u64,
}

/// A line a seed, in their order.
#[derive(Default)]
struct Lines(BTreeMap<u64, String>);

impl Sums for Lines {
    fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

/// One line a seed: its hashes after each thousand events, and after the last.
pub(crate) fn hashes(args: &Hashes) -> ExitCode {
    let budget = Budget {
        from: args.from,
        seeds: args.seeds,
        within: Duration::MAX,
    };
    let add = |seed, lines: &mut Lines| {
        lines.0.insert(seed, hashes_of(args.of.tier, seed));
        true
    };
    let report = pool::run(budget, add, |_, _| {});
    for (seed, hashes) in report.sums.0 {
        println!("{seed} {hashes}");
    }
    ExitCode::SUCCESS
}

fn hashes_of(tier: Tier, seed: u64) -> String {
    match tier {
        Tier::Sessions => {
            let options = direct::Options::default();
            let (_, outcome) = try_script(&Swarm::draw(seed).script(), options);
            let hashes = outcome.map_or_else(Vec::new, |outcome| outcome.trace.checkpoints());
            let hashes: Vec<String> = hashes.iter().map(|hash| format!("{hash:016x}")).collect();
            hashes.join(" ")
        }
        Tier::Server => commands::server::hashes(seed),
    }
}

pub(crate) fn run(args: &Args, commit: &str) -> Result<ExitCode> {
    let (tier, last) = (args.of.tier, args.from + args.seeds - 1);
    println!(
        "seeds {} to {last} of tier {tier} twice, commit {commit}",
        args.from
    );
    let (one, two) = in_two_processes(&[
        "hashes",
        "--tier",
        &tier.to_string(),
        &args.from.to_string(),
        &args.seeds.to_string(),
    ])?;
    ensure!(
        one.lines().count() as u64 == args.seeds,
        "not every seed has a line"
    );
    let Some((first, second)) = first_difference(&one, &two) else {
        println!("{} seeds are the same", args.seeds);
        return Ok(ExitCode::SUCCESS);
    };
    let seed = first.split(' ').next().unwrap_or_default();
    let hashes = first.split(' ').zip(second.split(' '));
    let same = hashes.take_while(|(one, two)| one == two).count();
    println!(
        "seed {seed} differs after {} thousand events",
        same.saturating_sub(1)
    );
    tell_event(tier, seed)?;
    Ok(exit(Kind::Differs))
}

/// What two processes of this program say.
fn in_two_processes(args: &[&str]) -> Result<(String, String)> {
    let own = std::env::current_exe().context("where is this program?")?;
    let start = || {
        let mut command = Command::new(&own);
        command.args(args).stdout(Stdio::piped()).spawn()
    };
    let (one, two) = (start()?, start()?);
    // Both are read at once: neither waits for the other to be read.
    let (one, two) = std::thread::scope(|scope| {
        let two = scope.spawn(|| two.wait_with_output());
        (one.wait_with_output(), two.join())
    });
    let two = two.map_err(|_| anyhow::anyhow!("nobody has read the second process"))?;
    Ok((
        String::from_utf8(one?.stdout)?,
        String::from_utf8(two?.stdout)?,
    ))
}

/// Says what happened first that did not happen twice.
fn tell_event(tier: Tier, seed: &str) -> Result<()> {
    let (one, two) = in_two_processes(&["replay", "--tier", &tier.to_string(), seed])?;
    match first_difference(&one, &two) {
        Some((one, two)) => println!("once:  {one}\ntwice: {two}"),
        None => println!("and did not when it was run two times more"),
    }
    Ok(())
}

/// The first lines that differ, if any do.
fn first_difference<'a>(one: &'a str, two: &'a str) -> Option<(&'a str, &'a str)> {
    let ends = [one, two].map(|text| text.lines().map(Some).chain(std::iter::repeat(None)));
    let [one, two] = ends;
    let pairs = one.zip(two).take_while(|pair| *pair != (None, None));
    let mut differ = pairs.filter(|(one, two)| one != two);
    differ
        .next()
        .map(|(one, two)| (one.unwrap_or("the end"), two.unwrap_or("the end")))
}
