//! The only scripts of the project: `cargo xtask COMMAND`.
//!
//! One file a command. A new command is a module with `Args` and `run`, a variant of [`Command`]
//! and an arm in [`main`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks through its standard streams"
)]

mod bench;
mod binaries;
mod ci;
mod conformance;
mod coverage;
mod docs;
mod fuzz;
mod instructions;
mod schema;
mod sim;
mod tidy;
mod tools;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The only scripts of the project")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Kept sorted by name.
#[derive(Subcommand)]
enum Command {
    /// Measure what doorkeeper costs, beside a blind relay and beside haproxy
    Bench(bench::Args),
    /// Check and test what can be in five minutes, without Kafka
    Check(ci::CheckArgs),
    /// Check and test everything: what CI runs
    Ci(ci::Args),
    /// Run real Kafka clients against real Kafka, direct and through doorkeeper
    Conformance(conformance::Args),
    /// Count the lines of core that the simulation and the fuzzers' inputs reach
    Coverage(coverage::Args),
    /// Write the configuration reference from the configuration's types
    Docs(docs::Args),
    /// Look for input that breaks a target
    Fuzz(fuzz::Args),
    /// Count what one exchange costs core, and compare it with the list
    Instructions(instructions::Args),
    /// Generate the message tables of the core from Kafka's jars
    Schema(schema::Args),
    /// Simulate: run, twice, replay, shrink, show or mutants
    Sim(sim::Args),
    /// Check the house rules that a compiler does not check
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    if let Some(exit_code) = sim::compile() {
        return exit_code;
    }
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Check(args) => ci::check(&args),
        Command::Ci(args) => ci::run_all(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Tidy(args) => tidy::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
