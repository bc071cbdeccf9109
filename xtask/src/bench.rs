//! `cargo xtask bench`: what doorkeeper costs, beside a blind relay and beside haproxy.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{tools, tree};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Less of everything: two minutes
    #[arg(long)]
    quick: bool,
    /// Over TLS, beside haproxy
    #[arg(long)]
    tls: bool,
    /// Arguments of the bench itself: `-- --help` lists them
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Builds both binaries for release, and runs the bench.
pub(crate) fn run(args: &Args) -> Result<()> {
    let missing = "haproxy is missing (Debian: apt-get install haproxy)";
    let haproxy = tools::find("haproxy")
        .or_else(|| Some("/usr/sbin/haproxy".into()).filter(|it: &std::path::PathBuf| it.is_file()))
        .context(missing)?;
    let root = tree::root();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.args(["-p", "doorkeeper-io-tokio", "-p", "doorkeeper-bench"]);
    let built = build.current_dir(root).status();
    ensure!(
        built.context("cargo cannot be started")?.success(),
        "the binaries cannot be built"
    );
    let target = tree::target();
    let release = target.join("release");
    let mut bench = Command::new(release.join("doorkeeper-bench"));
    bench.arg("run");
    bench.arg("--doorkeeper").arg(release.join("doorkeeper"));
    bench.arg("--haproxy").arg(haproxy);
    bench.arg("--folder").arg(target.join("bench"));
    if args.quick {
        bench.arg("--quick");
    }
    if args.tls {
        bench.arg("--tls");
    }
    let status = bench.args(&args.rest).current_dir(root).status();
    ensure!(
        status.context("the bench cannot be started")?.success(),
        "the bench failed"
    );
    Ok(())
}
