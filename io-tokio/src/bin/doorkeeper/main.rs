//! The binary `doorkeeper`.

mod certs;
mod check;
mod cli;
mod descriptors;
mod failure;
#[cfg(feature = "quickstart")]
mod quickstart;
mod reload;
mod run;
mod user;

use std::process::ExitCode;

use clap::Parser as _;
use doorkeeper_io_tokio::{config, logging};

use self::cli::{CertsCommand, Cli, Command};
use self::failure::Failure;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args.config).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "quickstart")]
        Command::Quickstart(args) => quickstart::quickstart(&args),
        Command::Certs {
            command: CertsCommand::Generate(args),
        } => certs::generate(&args).map(|()| ExitCode::SUCCESS),
        Command::Certs {
            command: CertsCommand::Fetch(args),
        } => certs::fetch(&args),
        Command::User { command } => user::user(&command).map(|()| ExitCode::SUCCESS),
        Command::Schema => schema().map(|()| ExitCode::SUCCESS),
    };
    let code = result.unwrap_or_else(Failure::report);
    logging::flush();
    code
}

fn schema() -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&config::json_schema())?;
    check::print(&format!("{schema}\n"))
}
