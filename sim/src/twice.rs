//! The same seeds in two processes: what happened must be the same to the last event.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use doorkeeper_model::direct::Options;
use doorkeeper_sim::seeds::{Kind, try_script};
use doorkeeper_sim::swarm::Swarm;

use crate::commands::exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
}

#[derive(clap::Args)]
pub(crate) struct Hashes {
    from: u64,
    seeds: u64,
}

/// One line a seed: its hashes after each thousand events.
pub(crate) fn hashes(args: &Hashes) -> Result<ExitCode> {
    for seed in args.from..args.from + args.seeds {
        let (_, outcome) = try_script(&Swarm::draw(seed).script(), Options::default());
        let hashes = outcome
            .map(|outcome| outcome.trace.checkpoints())
            .unwrap_or_default();
        let hashes: Vec<String> = hashes.iter().map(|hash| format!("{hash:016x}")).collect();
        println!("{seed} {}", hashes.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(args: &Args, commit: &str) -> Result<ExitCode> {
    println!(
        "seeds {} to {} twice, commit {commit}",
        args.from,
        args.from + args.seeds - 1
    );
    let own = std::env::current_exe().context("where is this program?")?;
    let start = || {
        let mut command = Command::new(&own);
        command.args(["hashes", &args.from.to_string(), &args.seeds.to_string()]);
        command.stdout(std::process::Stdio::piped()).spawn()
    };
    let (one, two) = (start()?, start()?);
    let (one, two) = (one.wait_with_output()?, two.wait_with_output()?);
    ensure!(
        one.status.success() && two.status.success(),
        "a process failed"
    );
    let (one, two) = (
        String::from_utf8(one.stdout)?,
        String::from_utf8(two.stdout)?,
    );
    ensure!(
        one.lines().count() as u64 == args.seeds,
        "not every seed has a line"
    );
    for (first, second) in one.lines().zip(two.lines()) {
        if first != second {
            let seed = first.split(' ').next().unwrap_or_default();
            let same = first
                .split(' ')
                .zip(second.split(' '))
                .take_while(|(a, b)| a == b);
            let thousands = same.count().saturating_sub(1);
            println!("seed {seed} differs after {thousands} thousand events");
            return Ok(exit(Kind::Differs));
        }
    }
    println!("{} seeds are the same", args.seeds);
    Ok(ExitCode::SUCCESS)
}
