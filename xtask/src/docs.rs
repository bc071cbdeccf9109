//! `cargo xtask docs`: the configuration reference, from the JSON schema that the binary prints.

mod reference;

use std::fs;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use crate::tree;

const REFERENCE: &str = "docs/configuration.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing, fail when something would change
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted = reference::render(&schema()?)?;
    let path = tree::root().join(REFERENCE);
    // A missing file is as good as an old one.
    let present = fs::read_to_string(&path).unwrap_or_default();
    if present == wanted {
        println!("{REFERENCE}: up to date");
        return Ok(());
    }
    if args.check {
        bail!("{REFERENCE} is out of date: run `cargo xtask docs`");
    }
    fs::write(&path, wanted).context(REFERENCE)?;
    println!("{REFERENCE}: written");
    Ok(())
}

/// Fails when the reference is not the one that [`run`] would write.
pub(crate) fn check() -> Result<()> {
    run(&Args { check: true })
}

fn schema() -> Result<serde_json::Value> {
    let shell = Shell::new()?;
    shell.change_dir(tree::root());
    let package = "doorkeeper-io-tokio";
    let json = cmd!(
        shell,
        "cargo run --quiet --locked -p {package} --bin doorkeeper -- schema"
    )
    .quiet()
    .read()?;
    serde_json::from_str(&json).context("`doorkeeper schema` prints no JSON")
}
