//! `cargo xtask sim`: the simulator, built fast and with every assertion on.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::tree;

/// Names the `--cfg` of the packages of the workspace, when cargo calls this program instead of the
/// compiler.
const PLANTED: &str = "DOORKEEPER_XTASK_RUSTC_CFG";

/// Compiles the planted bugs in.
const CANARY: &str = "doorkeeper_canary";

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// run, twice, replay, shrink, script, show or canary, with their own options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    args: Vec<String>,
}

/// Runs the simulator. Its exit code says how it failed: 11 for a panic, 12 for something that
/// waits for ever, 13 for something wrong, 14 for runs that differ.
pub(crate) fn run(args: &Args) -> Result<()> {
    let status = command(&args.args)?
        .status()
        .context("cannot start cargo")?;
    match status.code() {
        Some(0) => Ok(()),
        code => std::process::exit(code.unwrap_or(1)),
    }
}

/// The simulator as a command, built first if need be.
pub(crate) fn command(args: &[String]) -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--locked", "--profile", "sim"]);
    command.args(["--package", "doorkeeper-sim", "--", "--commit", &commit()?]);
    command.args(args).current_dir(tree::root());
    if args.first().is_some_and(|it| it == "canary") {
        // Flags for all crates would build all dependencies once more.
        let own = std::env::current_exe().context("where is this program?")?;
        command
            .env("RUSTC_WORKSPACE_WRAPPER", own)
            .env(PLANTED, CANARY);
    }
    Ok(command)
}

/// What cargo wants of its `RUSTC_WORKSPACE_WRAPPER`, if it is who calls: runs the compiler, with
/// one more `--cfg`.
pub(crate) fn compile() -> Option<ExitCode> {
    let planted = std::env::var_os(PLANTED)?;
    let mut args = std::env::args_os().skip(1);
    let mut compiler = Command::new(args.next()?);
    let status = compiler.args(args).arg("--cfg").arg(planted).status();
    let code = status.ok().and_then(|it| it.code());
    Some(
        code.and_then(|it| u8::try_from(it).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
    )
}

/// The commit of this checkout, marked if there is more in it.
fn commit() -> Result<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"]);
    let output = git
        .current_dir(tree::root())
        .output()
        .context("cannot start git")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
