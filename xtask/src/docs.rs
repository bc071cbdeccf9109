//! `cargo xtask docs`: writes what is generated in `docs/`. Ordinary tests hold it up to date.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::tree;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(tree::root());
    // The test that compares the configuration reference with its types also writes it.
    cmd!(
        shell,
        "cargo test --quiet --locked -p doorkeeper-io-tokio --test config reference"
    )
    .env("DOORKEEPER_WRITE_DOCS", "1")
    .run()?;
    Ok(())
}
