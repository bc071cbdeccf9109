//! The programs of the workspace as the tests use them, in the `dev` profile.
//!
//! They are built with the features that their dependencies have in the tests, so that nothing is
//! built once for those and once for these: cargo takes the features that the chosen packages want,
//! and those that tests want only where it builds tests or an example.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::tree;

/// Whatever asks for the features of the tests.
const EXAMPLE: &str = "--example=seeds";

/// Builds programs, unless they are there.
pub(crate) fn build(names: &[&str]) -> Result<()> {
    run(&mut command(names))
}

/// What builds them.
pub(crate) fn command(names: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--workspace", EXAMPLE]);
    build.args(names.iter().map(|name| format!("--bin={name}")));
    build.current_dir(tree::root());
    build
}

pub(crate) fn run(build: &mut Command) -> Result<()> {
    let built = build.status().context("cargo cannot be started")?;
    ensure!(built.success(), "the binaries cannot be built");
    Ok(())
}

/// Where one of them lies.
pub(crate) fn path(name: &str) -> PathBuf {
    tree::target().join("debug").join(name)
}
