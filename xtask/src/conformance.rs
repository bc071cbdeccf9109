//! `cargo xtask conformance`: real Kafka clients against real Kafka, direct and through doorkeeper.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::tree;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the suite itself takes: `--help` tells
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the binary and the suite, and runs the suite.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = tree::root();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build.args([
        "build",
        "-q",
        "--locked",
        "-p",
        "doorkeeper-io-tokio",
        "-p",
        "doorkeeper-conformance",
    ]);
    let built = build
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "the binaries cannot be built");
    let mut suite = Command::new(&cargo);
    suite
        .args([
            "run",
            "-q",
            "--locked",
            "-p",
            "doorkeeper-conformance",
            "--",
        ])
        .args(&args.rest);
    let status = suite
        .current_dir(root)
        .status()
        .context("the suite cannot be started")?;
    match status.code() {
        Some(0) => Ok(()),
        // The suite has said why; its exit code tells what is missing (2) from what failed (1).
        code => std::process::exit(code.unwrap_or(1)),
    }
}
