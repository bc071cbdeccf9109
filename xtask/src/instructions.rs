//! `cargo xtask instructions`: how many instructions and allocations core takes for one exchange,
//! counted by valgrind and compared with a checked-in list.
//!
//! Counts do not depend on what else the machine does, so a regression shows without noise. They
//! depend a little on the C library and on what the processor can do, hence the tolerance.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{tools, tree};

/// The list, by exchange.
const LIST: &str = "xtask/bench/instructions.toml";
const HEAD: &str =
    "# What one exchange costs core: written by `cargo xtask instructions --write`.\n";

/// How many more instructions than in the list are allowed, in percent; and how many fewer, before
/// the list has to be written anew.
const MORE_PERCENT: u64 = 3;
const FEWER_PERCENT: u64 = 10;

/// A run has so many exchanges before what is counted begins,
const WARM: u64 = 100;
/// and counts so many.
const COUNTED: u64 = 500;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the list instead of comparing with it
    #[arg(long)]
    pub(crate) write: bool,
}

/// What one exchange costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    instructions: u64,
    allocations: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        is_there(),
        "valgrind is missing (Debian: apt-get install valgrind)"
    );
    let path = tree::root().join(LIST);
    let listed: BTreeMap<String, Cost> = toml::from_str(&fs::read_to_string(&path).context(LIST)?)?;
    let program = build()?;
    let mut counted = BTreeMap::new();
    let mut complaints = Vec::new();
    for (exchange, listed) in &listed {
        let cost = cost(&program, exchange)?;
        println!(
            "{exchange:<26} {:>8} instructions ({:+.1} %) {:>3} allocations ({:+})",
            cost.instructions,
            percent(*listed, cost),
            cost.allocations,
            cost.allocations.cast_signed() - listed.allocations.cast_signed(),
        );
        complaints.extend(complaint(*listed, cost).map(|it| format!("{exchange}: {it}")));
        counted.insert(exchange.clone(), cost);
    }
    if args.write {
        let text = HEAD.to_owned() + &toml::to_string(&counted)?;
        return fs::write(path, text).context(LIST);
    }
    if !complaints.is_empty() {
        bail!("{}", complaints.join("; "));
    }
    Ok(())
}

/// Whether valgrind can be called.
pub(crate) fn is_there() -> bool {
    tools::find("valgrind").is_some()
}

fn percent(listed: Cost, cost: Cost) -> f64 {
    (cost.instructions as f64 / listed.instructions as f64 - 1.0) * 100.0
}

/// What is wrong with a cost, if anything is.
fn complaint(listed: Cost, cost: Cost) -> Option<String> {
    if cost.instructions * 100 > listed.instructions * (100 + MORE_PERCENT) {
        let (now, before) = (cost.instructions, listed.instructions);
        return Some(format!("{now} instructions, {before} in {LIST}"));
    }
    if cost.allocations > listed.allocations {
        let (now, before) = (cost.allocations, listed.allocations);
        return Some(format!("{now} allocations, {before} in {LIST}"));
    }
    let is_cheaper = cost.instructions * 100 < listed.instructions * (100 - FEWER_PERCENT)
        || cost.allocations < listed.allocations;
    is_cheaper.then(|| "cheaper than listed: `cargo xtask instructions --write`".to_owned())
}

fn build() -> Result<std::path::PathBuf> {
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.args(["-p", "doorkeeper-bench", "--no-default-features"]);
    build.args(["--bin", "core-instructions"]);
    let built = build.current_dir(tree::root()).status();
    ensure!(
        built.context("cargo cannot be started")?.success(),
        "core-instructions cannot be built"
    );
    Ok(tree::target().join("release/core-instructions"))
}

fn cost(program: &Path, exchange: &str) -> Result<Cost> {
    let before = total(program, exchange, WARM)?;
    let after = total(program, exchange, WARM + COUNTED)?;
    let each = |after: u64, before: u64| (after.saturating_sub(before) + COUNTED / 2) / COUNTED;
    Ok(Cost {
        instructions: each(after.instructions, before.instructions),
        allocations: each(after.allocations, before.allocations),
    })
}

/// The cost of a whole run.
fn total(program: &Path, exchange: &str, count: u64) -> Result<Cost> {
    let file = tree::target().join("core-instructions.dhat");
    let mut valgrind = Command::new("valgrind");
    let mut to = std::ffi::OsString::from("--dhat-out-file=");
    to.push(&file);
    valgrind.arg("--tool=dhat").arg(to);
    valgrind.arg(program).arg(exchange).arg(count.to_string());
    let output = valgrind.stdin(Stdio::null()).output().context("valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{exchange} under valgrind: {said}");
    let profile: Profile = serde_json::from_str(&fs::read_to_string(&file)?)?;
    ensure!(profile.tu == "instrs", "valgrind counts {}", profile.tu);
    Ok(Cost {
        instructions: profile.te,
        allocations: profile.pps.iter().map(|point| point.tbk).sum(),
    })
}

/// What dhat writes, as far as it is of interest.
#[derive(Deserialize)]
struct Profile {
    /// The unit of time.
    tu: String,
    /// The time at the end.
    te: u64,
    /// By place in the program.
    pps: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    /// Blocks that were allocated.
    tbk: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: Cost = Cost {
        instructions: 1000,
        allocations: 2,
    };

    fn said(instructions: u64, allocations: u64) -> Option<String> {
        let cost = Cost {
            instructions,
            allocations,
        };
        complaint(LISTED, cost)
    }

    #[test]
    fn a_little_noise_is_let_pass() {
        assert_eq!(said(1030, 2), None);
        assert_eq!(said(900, 2), None);
    }

    #[test]
    fn what_costs_more_is_named_and_what_costs_less_is_to_be_listed() {
        assert!(
            said(1031, 2)
                .unwrap()
                .starts_with("1031 instructions, 1000")
        );
        assert!(said(1000, 3).unwrap().starts_with("3 allocations, 2"));
        assert!(said(899, 2).unwrap().starts_with("cheaper"));
        assert!(said(1000, 1).unwrap().starts_with("cheaper"));
    }
}
