//! `cargo xtask conformance`: real Kafka clients against real Kafka, direct and through doorkeeper.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{binaries, tree};

const SUITE: &str = "doorkeeper-conformance";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of the suite itself: `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds doorkeeper and the suite, and runs the suite.
pub(crate) fn run(args: &Args) -> Result<()> {
    binaries::build(&["doorkeeper", SUITE])?;
    let mut suite = Command::new(binaries::path(SUITE));
    let status = suite
        .args(&args.rest)
        .current_dir(tree::root())
        .status()
        .context("the suite cannot be started")?;
    match status.code() {
        Some(0) => Ok(()),
        // The suite has said why. Its exit code is 2 if a tool is missing, and 1 if a test failed.
        code => std::process::exit(code.unwrap_or(1)),
    }
}
