//! Runs seeds of tier 1, one line each: `tier1 FIRST COUNT [all]`. With `all`, every line of the
//! trace of a seed that fails.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use doorkeeper_sim::tier1::{Options, run};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |or| args.next().and_then(|it| it.parse().ok()).unwrap_or(or);
    let (first, count): (u64, u64) = (number(1), number(60));
    let options = Options {
        whole_trace: args.next().is_some(),
        ..Options::default()
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first + count {
        match run(seed, &options) {
            Ok(outcome) => {
                let report = outcome.report;
                let (hash, elapsed) = (report.hash, report.elapsed);
                println!("{seed} {hash:016x} {elapsed:?} {} events", report.events);
                for (what, count) in outcome.counts {
                    *counts.entry(what).or_default() += count;
                }
            }
            Err(failure) => {
                println!("{failure}");
                return ExitCode::from(13);
            }
        }
    }
    for (what, count) in counts {
        println!("{what}: {count}");
    }
    ExitCode::SUCCESS
}
