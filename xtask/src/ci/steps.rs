//! The steps, in their order, and what each does.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::beside::Output;
use super::run::{closing_lines, run, run_and_keep};
use super::{Report, missing};
use crate::{instructions, sim, tidy, tools, tree};

/// One thing that must hold.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// On a quiet machine of two cores that has to build everything.
    pub(super) takes: Duration,
    /// The steps that bring what it uses. They are done only for those that require them, and are
    /// over before it begins.
    pub(super) requires: &'static [&'static str],
    /// The steps that are over before it begins, if they are done at all: both would want all
    /// processors.
    pub(super) after: &'static [&'static str],
    pub(super) work: Work,
}

#[derive(Clone, Copy)]
pub(super) enum Work {
    /// Nothing else of the list begins before it has ended.
    Alone(fn(&mut Report) -> Result<Outcome>),
    /// Runs beside the steps that follow, to the one that waits for it or to the end.
    Beside(fn(&mut Output) -> Result<Outcome>),
}

use Work::{Alone, Beside};

pub(super) enum Outcome {
    Passed,
    /// Could not be done here, and why. A failure in CI, unless it is about an optional target.
    Skipped(String),
}

const fn step(name: &'static str, about: &'static str, seconds: u64, work: Work) -> Step {
    Step {
        name,
        about,
        takes: Duration::from_secs(seconds),
        requires: &[],
        after: &[],
        work,
    }
}

impl Step {
    const fn requires(mut self, requires: &'static [&'static str]) -> Self {
        self.requires = requires;
        self
    }

    const fn after(mut self, after: &'static [&'static str]) -> Self {
        self.after = after;
        self
    }
}

const TOOLS: Step = step("tools", "brings cargo's own tools", 15, Beside(bring_tools));
const RUSTFMT: Step = step("rustfmt", "the format of all code", 3, Alone(rustfmt));
const TIDY: Step = step(
    "tidy",
    "the house rules that no compiler checks",
    2,
    Alone(house_rules),
);
const CLIPPY: Step = step("clippy", "lints, of tests as well", 90, Alone(clippy));

/// `cargo xtask ci`.
pub(super) const CI: &[Step] = &[
    TOOLS,
    RUSTFMT,
    TIDY,
    step(
        "clients",
        "builds the conformance suite, brings Kafka and its clients",
        150,
        Beside(bring_clients),
    ),
    CLIPPY,
    step("licences", "of all dependencies", 2, Alone(licences)).requires(&["tools"]),
    step(
        "wasm",
        "core and what it depends on, for a target without an operating system",
        20,
        Alone(core_alone),
    ),
    step("fuzz", "fuzz targets compile", 30, Alone(fuzz_targets)),
    step(
        "instructions",
        "what an exchange costs core, against a list",
        60,
        Beside(count_instructions),
    ),
    step(
        "docs",
        "documentation without a warning",
        40,
        Alone(documentation),
    ),
    step(
        "tests",
        "all tests but those in documentation",
        160,
        Alone(tests),
    )
    .requires(&["tools"]),
    step(
        "doctests",
        "examples in documentation",
        10,
        Alone(documentation_tests),
    ),
    step(
        "simulation",
        "sessions of core from seeds, and some of them twice",
        35,
        Alone(simulation),
    )
    .after(&["instructions"]),
    step(
        "server-simulation",
        "the real server on a simulated network, and some seeds twice",
        85,
        Alone(server_simulation),
    ),
    step(
        "mutants",
        "planted bugs, each of which the simulation must find",
        70,
        Beside(planted_bugs),
    ),
    step(
        "conformance",
        "real clients and real Kafka: the part of this commit",
        460,
        Alone(conformance),
    )
    .requires(&["clients"]),
];

/// `cargo xtask check`: nothing that is slow, nothing that needs Kafka.
pub(super) const CHECK: &[Step] = &[
    TOOLS,
    RUSTFMT,
    TIDY,
    CLIPPY,
    step(
        "quick-tests",
        "all tests but the slow ones",
        120,
        Alone(quick_tests),
    )
    .requires(&["tools"]),
    step(
        "short-simulation",
        "sessions of core from a few seeds",
        70,
        Alone(short_simulation),
    ),
];

fn cargo(args: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(args.split_whitespace())
        .current_dir(tree::root());
    command
}

/// Another command of this program.
fn xtask(args: &[&str]) -> Result<Command> {
    let own = env::current_exe().context("where is this program?")?;
    let mut command = Command::new(own);
    command.args(args).current_dir(tree::root());
    Ok(command)
}

fn bring_tools(_: &mut Output) -> Result<Outcome> {
    match tools::install() {
        Ok(()) => Ok(Outcome::Passed),
        Err(error) => missing(format!("{error:#}")),
    }
}

/// What the suite would bring itself, while others compile. What is wrong with it is told by the
/// suite: it tries again.
fn bring_clients(output: &mut Output) -> Result<Outcome> {
    output.run(&mut xtask(&["conformance", "--bring"])?)?;
    Ok(Outcome::Passed)
}

fn rustfmt(_: &mut Report) -> Result<Outcome> {
    run(&mut cargo("fmt --all --check"))?;
    run(&mut cargo("fmt --manifest-path fuzz/Cargo.toml --check"))?;
    Ok(Outcome::Passed)
}

fn house_rules(_: &mut Report) -> Result<Outcome> {
    tidy::run(&tidy::Args {}).map(|()| Outcome::Passed)
}

fn clippy(_: &mut Report) -> Result<Outcome> {
    let args = "clippy --locked --workspace --all-targets --quiet -- -D warnings";
    run(&mut cargo(args)).map(|()| Outcome::Passed)
}

/// Without `advisories`: that list is fetched from the network and changes from day to day, so the
/// same tree could pass today and fail tomorrow. `cargo deny check advisories` asks for it.
fn licences(_: &mut Report) -> Result<Outcome> {
    let Some(deny) = tools::find("cargo-deny") else {
        return missing(
            "cargo-deny is missing: `cargo xtask ci --only tools` brings it".to_owned(),
        );
    };
    let mut command = Command::new(deny);
    let args = "--log-level warn --workspace check bans licenses sources";
    command.args(args.split(' '));
    run(command.current_dir(tree::root())).map(|()| Outcome::Passed)
}

/// A target without an operating system: no crate that core depends on needs one. The standard
/// library builds there whole, so this says nothing of it: `tidy` and clippy hold core to the parts
/// of it that do no I/O, whether the target is here or not.
fn core_alone(_: &mut Report) -> Result<Outcome> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(tree::root())
        .output()
        .context("rustc is missing")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    if !Path::new(folder.trim()).is_dir() {
        return Ok(Outcome::Skipped(format!(
            "core's dependencies want `rustup target add {TARGET}`; its code was checked"
        )));
    }
    let args = format!("check --locked --quiet --package doorkeeper-core --target {TARGET}");
    run(&mut cargo(&args)).map(|()| Outcome::Passed)
}

/// A workspace of its own, with the same profile in the same folder: what both depend on is built
/// once.
fn fuzz_targets(_: &mut Report) -> Result<Outcome> {
    let mut command = cargo("check --locked --quiet --manifest-path fuzz/Cargo.toml");
    command.env("CARGO_TARGET_DIR", tree::target());
    run(&mut command).map(|()| Outcome::Passed)
}

fn documentation(_: &mut Report) -> Result<Outcome> {
    let mut command = cargo("doc --locked --quiet --workspace --no-deps");
    run(command.env("RUSTDOCFLAGS", "-D warnings")).map(|()| Outcome::Passed)
}

fn tests(report: &mut Report) -> Result<Outcome> {
    run_tests(report, None)
}

/// Without the binaries whose tests run programs or simulate whole servers.
fn quick_tests(report: &mut Report) -> Result<Outcome> {
    const SLOW: &str = "not binary(/^(cli|descriptors|memory|parity|serve_on_turmoil|tier1)$/)";
    run_tests(report, Some(SLOW))
}

fn run_tests(report: &mut Report, filter: Option<&str>) -> Result<Outcome> {
    let mut command = match (tools::find("cargo-nextest"), filter) {
        (Some(nextest), filter) => {
            let mut command = Command::new(nextest);
            let args = "nextest run --locked --workspace --no-fail-fast \
                        --status-level slow --final-status-level fail";
            command.args(args.split_whitespace());
            command.args(filter.map(|it| ["--filterset", it]).into_iter().flatten());
            command.current_dir(tree::root());
            command
        }
        (None, None) => cargo("test --locked --workspace --all-targets --no-fail-fast"),
        (None, Some(_)) => cargo("test --locked --workspace --lib --bins --no-fail-fast"),
    };
    let (lines, result) = run_and_keep(&mut command)?;
    report.closing.extend(closing_lines(&lines));
    result.map(|()| Outcome::Passed)
}

fn documentation_tests(report: &mut Report) -> Result<Outcome> {
    let (lines, result) = run_and_keep(&mut cargo("test --locked --quiet --workspace --doc"))?;
    // Shown only where there is something to show: most packages have no such tests.
    let told = closing_lines(&lines)
        .into_iter()
        .filter(|it| !it.contains(" 0 passed; 0 failed"));
    report.closing.splice(0..0, told);
    result.map(|()| Outcome::Passed)
}

/// Its build keeps one processor busy for long, and so does valgrind.
fn count_instructions(output: &mut Output) -> Result<Outcome> {
    if !instructions::is_there() {
        return missing("valgrind is missing (Debian: apt-get install valgrind)".to_owned());
    }
    output.run(&mut xtask(&["instructions"])?)?;
    Ok(Outcome::Passed)
}

/// New seeds with every commit, and the same for the same commit. The scripts of
/// `testdata/scripts` are among the tests.
fn simulation(_: &mut Report) -> Result<Outcome> {
    let from = first_seed()?.to_string();
    simulate(&["run", "--from", &from, "--seeds", "20000", "--minutes", "1"])?;
    simulate(&["twice", "--from", &from, "--seeds", "100"])
}

fn server_simulation(_: &mut Report) -> Result<Outcome> {
    let from = first_seed()?.to_string();
    simulate(&["run", "--tier", "1", "--from", &from, "--seeds", "50"])?;
    simulate(&["twice", "--tier", "1", "--from", &from, "--seeds", "20"])
}

/// Beside the suite, which waits for much of its time. A bug has so many seeds, however long they
/// take.
fn planted_bugs(output: &mut Output) -> Result<Outcome> {
    output.run(&mut sim::planted_bugs(&[])?)?;
    Ok(Outcome::Passed)
}

fn short_simulation(_: &mut Report) -> Result<Outcome> {
    let from = first_seed()?.to_string();
    let run = [
        "run",
        "--from",
        &from,
        "--seeds",
        "2000",
        "--minutes",
        "0.5",
        "--marks-may-miss",
    ];
    simulate(&run)
}

fn simulate(args: &[&str]) -> Result<Outcome> {
    run(&mut sim::of_the_tests(args)?).map(|()| Outcome::Passed)
}

/// Far from that of other commits, so that each looks at seeds of its own.
fn first_seed() -> Result<u64> {
    const APART: u64 = 100_000;
    let mut git = Command::new("git");
    let output = git
        .args(["rev-parse", "--short=8", "HEAD"])
        .current_dir(tree::root())
        .output()
        .context("git is missing")?;
    let commit = String::from_utf8_lossy(&output.stdout);
    match u64::from_str_radix(commit.trim().get(..8).unwrap_or_default(), 16) {
        Ok(commit) => Ok(1 + commit * APART),
        // An unpacked archive has no commit.
        Err(_) if !tree::root().join(".git").exists() => Ok(1),
        Err(_) => bail!("git names no commit: {}", commit.trim()),
    }
}

fn conformance(_: &mut Report) -> Result<Outcome> {
    run(&mut xtask(&["conformance"])?).map(|()| Outcome::Passed)
}
