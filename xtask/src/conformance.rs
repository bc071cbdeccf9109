//! `cargo xtask conformance`: real Kafka clients against real Kafka, direct and through doorkeeper.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::tree;

/// Two programs, with the features that their dependencies have in the tests, so that nothing is
/// built once for those and once for these: cargo takes the features that the chosen packages want,
/// and those that tests want only where it builds tests or an example.
const BUILT: &[&str] = &[
    "--workspace",
    "--bin=doorkeeper",
    "--bin=doorkeeper-conformance",
    "--example=seeds",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of the suite itself: `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds doorkeeper and the suite, and runs the suite.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = tree::root();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked"]).args(BUILT);
    let built = build
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "the binaries cannot be built");
    let mut suite = Command::new(tree::target().join("debug/doorkeeper-conformance"));
    let status = suite
        .args(&args.rest)
        .current_dir(root)
        .status()
        .context("the suite cannot be started")?;
    match status.code() {
        Some(0) => Ok(()),
        // The suite has said why. Its exit code is 2 if a tool is missing, and 1 if a test failed.
        code => std::process::exit(code.unwrap_or(1)),
    }
}
