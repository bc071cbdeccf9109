//! `cargo xtask sim`: the simulator, with every assertion on.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{binaries, tree};

const SIMULATOR: &str = "doorkeeper-sim";
const PLANTED_BUGS: &str = "doorkeeper-planted-bugs";

/// Set when cargo calls this program instead of the compiler, for the packages of the workspace.
const PLANTED: &str = "DOORKEEPER_XTASK_PLANTED_BUGS";

/// Compiles the planted bugs in.
const PLANTED_FLAGS: &[&str] = &["--cfg", "doorkeeper_mutants", "-Cdebuginfo=0"];

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// run, twice, replay, shrink, script, show or mutants, with their own options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    args: Vec<String>,
}

/// Runs the simulator. Its exit code says how it failed: 11 for a panic, 12 for something that
/// waits for ever, 13 for something wrong, 14 for runs that differ.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = match args.args.split_first() {
        Some((first, rest)) if first == "mutants" => planted_bugs(rest)?,
        _ => optimised(&args.args)?,
    };
    match command.status().context("cannot start it")?.code() {
        Some(0) => Ok(()),
        code => std::process::exit(code.unwrap_or(1)),
    }
}

/// The simulator for many seeds: its build takes minutes, which pays when it runs for long.
fn optimised(args: &[String]) -> Result<Command> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--locked", "--profile", "sim"]);
    command.args(["--package", SIMULATOR, "--bin", SIMULATOR]);
    command.args(["--", "--commit", &commit()?]);
    command.args(args).current_dir(tree::root());
    Ok(command)
}

/// The simulator of the same build as the tests, which are there already where both are run.
pub(crate) fn of_the_tests(args: &[&str]) -> Result<Command> {
    binaries::build(&[SIMULATOR])?;
    program(SIMULATOR, args)
}

/// The program with the planted bugs, after it has been built if need be: without the server,
/// which none of them is in.
pub(crate) fn planted_bugs(args: &[String]) -> Result<Command> {
    let mut build = binaries::command(&[PLANTED_BUGS]);
    build.arg("--no-default-features");
    // Flags for all crates would build all dependencies once more.
    let own = std::env::current_exe().context("where is this program?")?;
    build.env("RUSTC_WORKSPACE_WRAPPER", own).env(PLANTED, "1");
    binaries::run(&mut build)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    program(PLANTED_BUGS, &args)
}

fn program(name: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(binaries::path(name));
    command.args(["--commit", &commit()?]);
    command.args(args).current_dir(tree::root());
    Ok(command)
}

/// What cargo wants of its `RUSTC_WORKSPACE_WRAPPER`, if it is who calls: runs the compiler, with
/// some more flags.
pub(crate) fn compile() -> Option<ExitCode> {
    std::env::var_os(PLANTED)?;
    let mut args = std::env::args_os().skip(1);
    let mut compiler = Command::new(args.next()?);
    let status = compiler.args(args).args(PLANTED_FLAGS).status();
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
