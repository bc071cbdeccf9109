//! The simulator's commands: run, twice, replay, shrink, script and show.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks through its standard streams"
)]

mod commands;
mod recording;
mod tier;
mod twice;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Deterministic simulation of doorkeeper
#[derive(Parser)]
#[command(name = "doorkeeper-sim")]
struct Cli {
    /// What is simulated, for the first line of the output
    #[arg(long, default_value = "unknown", global = true)]
    commit: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the scripts of many seeds
    Run(commands::Run),
    /// Run seeds in two processes and compare what happened
    Twice(twice::Args),
    /// Print the hashes of seeds, a line each
    #[command(hide = true)]
    Hashes(twice::Hashes),
    /// Run one seed of tier 1, and print the sums
    #[command(hide = true)]
    Seed(commands::server::Seed),
    /// Run one seed, one script or one recorded session again, and print everything
    Replay(commands::Replay),
    /// Print the script of a seed
    Script(commands::Text),
    /// Draw a run, of a seed or of a script, as a page of HTML
    Show(commands::show::Show),
    /// Make the script of a failing seed, or a failing script, small
    Shrink(commands::Shrink),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let commit = &cli.commit;
    let result = match cli.command {
        Command::Run(args) => commands::run(&args, commit),
        Command::Twice(args) => twice::run(&args, commit),
        Command::Hashes(args) => Ok(twice::hashes(&args)),
        Command::Seed(args) => Ok(commands::server::seed(&args)),
        Command::Replay(args) => commands::replay(&args, commit),
        Command::Script(args) => Ok(commands::script(&args)),
        Command::Show(args) => commands::show::run(&args, commit),
        Command::Shrink(args) => commands::shrink(&args, commit),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
