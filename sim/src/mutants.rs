//! Every planted bug must be found: else the simulator is weak, not the code strong.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool speaks through its standard streams"
)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use doorkeeper_model::direct::{Mutant, Options};
use doorkeeper_sim::seeds::{self, Budget, Kind, try_script};
use doorkeeper_sim::swarm::Swarm;

/// Find every planted bug
#[derive(Parser)]
#[command(name = "cargo xtask sim mutants")]
struct Args {
    /// What is simulated, for the first line of the output
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// How many seeds may be needed
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Only this one
    #[arg(long)]
    only: Option<String>,
}

pub(super) fn run() -> ExitCode {
    let args = Args::parse();
    println!(
        "{} planted bugs, commit {}",
        Mutant::all().count(),
        args.commit
    );
    let mut missed = 0;
    for mutant in Mutant::all() {
        if args.only.as_ref().is_some_and(|only| only != mutant.name()) {
            continue;
        }
        let options = Options {
            mutant: Some(mutant),
            ..Options::default()
        };
        let budget = Budget {
            from: 1,
            seeds: args.seeds,
            within: Duration::from_secs(600),
        };
        let report = seeds::run(budget, options, |_, _| {});
        let Some(seed) = report.failed else {
            missed += 1;
            println!("{:>6}  {}: NOT FOUND", args.seeds, mutant.name());
            continue;
        };
        let script = Swarm::draw(seed).script();
        let (result, _) = try_script(&script, options);
        // What fails without the bug has not found the bug.
        let (without, _) = try_script(&script, Options::default());
        if without.kind().is_some() {
            missed += 1;
            println!("{seed:>6}  {}: fails without it: {without}", mutant.name());
            continue;
        }
        println!("{seed:>6}  {}: {result}", mutant.name());
    }
    if missed > 0 {
        println!("{missed} planted bugs were not found");
        return ExitCode::from(Kind::Wrong as u8);
    }
    ExitCode::SUCCESS
}
