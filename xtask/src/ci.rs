//! `cargo xtask ci`: everything that must hold before a change lands, in one command.

mod run;

use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fmt};

use anyhow::{Context as _, Result, bail};

use self::run::{closing_lines, run, run_and_keep};
use crate::{instructions, sim, tidy, tools, tree};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the suite against real Kafka; not in CI
    #[arg(long)]
    fast: bool,
}

/// One thing that must hold.
struct Step {
    name: &'static str,
    body: fn(&mut Report) -> Result<Outcome>,
}

enum Outcome {
    Passed,
    /// Could not be done here, and why. A failure in CI, unless it is about an optional target.
    Skipped(String),
}

/// What is shown again at the end.
#[derive(Default)]
struct Report {
    /// The closing lines of the test runner.
    closing: Vec<String>,
    /// Whether cargo's tools could be installed; why not.
    tools: Option<String>,
}

const STEPS: &[Step] = &[
    Step {
        name: "tools",
        body: install_tools,
    },
    Step {
        name: "rustfmt",
        body: rustfmt,
    },
    Step {
        name: "tidy",
        body: tidy,
    },
    Step {
        name: "clippy",
        body: clippy,
    },
    Step {
        name: "licences",
        body: licences,
    },
    Step {
        name: "core without an operating system",
        body: core_alone,
    },
    Step {
        name: "fuzz targets build",
        body: fuzz_targets,
    },
    Step {
        name: "documentation",
        body: documentation,
    },
    Step {
        name: "tests",
        body: tests,
    },
    Step {
        name: "documentation tests",
        body: documentation_tests,
    },
    Step {
        name: "instructions",
        body: count_instructions,
    },
    Step {
        name: "simulation",
        body: simulation,
    },
];

const CONFORMANCE: Step = Step {
    name: "conformance",
    body: conformance,
};

pub(crate) fn run_all(args: &Args) -> Result<()> {
    let begun = Instant::now();
    let strict = is_ci();
    let mut report = Report::default();
    let mut failed = Vec::new();
    let last = if args.fast && !strict {
        None
    } else {
        Some(&CONFORMANCE)
    };
    let mut table = Vec::new();
    for step in STEPS.iter().chain(last) {
        println!("==> {}", step.name);
        let step_begun = Instant::now();
        let outcome = (step.body)(&mut report);
        let took = Seconds(step_begun.elapsed());
        let said = match outcome {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
            Err(error) => {
                failed.push(step.name);
                format!("FAILED: {error:#}")
            }
        };
        println!("<== {}: {said} ({took})", step.name);
        table.push(format!("{took:>8}  {}: {said}", step.name));
    }
    println!("\n{}", table.join("\n"));
    println!("{:>8}  in all", Seconds(begun.elapsed()));
    if last.is_none() {
        println!("warning: conformance was left out by --fast");
    }
    // Printed last, so that whoever reads only the end reads how the tests ended.
    for line in &report.closing {
        println!("{line}");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// What cannot be checked fails in CI and is only said elsewhere.
fn missing(what: String) -> Result<Outcome> {
    if is_ci() {
        bail!("{what}");
    }
    Ok(Outcome::Skipped(what))
}

fn is_ci() -> bool {
    env::var("CI").is_ok_and(|it| !it.is_empty() && it != "false" && it != "0")
}

fn cargo(args: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(args.split_whitespace())
        .current_dir(tree::root());
    command
}

fn install_tools(report: &mut Report) -> Result<Outcome> {
    if let Err(error) = tools::install() {
        let why = format!("{error:#}");
        report.tools = Some(why.clone());
        return missing(why);
    }
    Ok(Outcome::Passed)
}

fn rustfmt(_: &mut Report) -> Result<Outcome> {
    run(&mut cargo("fmt --all --check"))?;
    if has_fuzz() {
        run(&mut cargo("fmt --manifest-path fuzz/Cargo.toml --check"))?;
    }
    Ok(Outcome::Passed)
}

fn tidy(_: &mut Report) -> Result<Outcome> {
    tidy::run(&tidy::Args {}).map(|()| Outcome::Passed)
}

fn clippy(_: &mut Report) -> Result<Outcome> {
    let args = "clippy --locked --workspace --all-targets --quiet -- -D warnings";
    run(&mut cargo(args)).map(|()| Outcome::Passed)
}

/// Without `advisories`: that list is fetched from the network and changes from day to day, so the
/// same tree could pass today and fail tomorrow. `cargo deny check advisories` asks for it.
fn licences(report: &mut Report) -> Result<Outcome> {
    let Some(deny) = tools::find("cargo-deny") else {
        let why = report
            .tools
            .clone()
            .unwrap_or_else(|| "not installed".to_owned());
        return missing(format!("cargo-deny is missing: {why}"));
    };
    let mut command = Command::new(deny);
    command.args([
        "--log-level",
        "warn",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
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
    if !std::path::Path::new(folder.trim()).is_dir() {
        return Ok(Outcome::Skipped(format!(
            "core's dependencies want `rustup target add {TARGET}`; its code was checked"
        )));
    }
    let args = format!("check --locked --quiet --package doorkeeper-core --target {TARGET}");
    run(&mut cargo(&args)).map(|()| Outcome::Passed)
}

fn fuzz_targets(_: &mut Report) -> Result<Outcome> {
    if !has_fuzz() {
        return Ok(Outcome::Skipped("there is no fuzz/Cargo.toml".to_owned()));
    }
    let args = "check --locked --quiet --manifest-path fuzz/Cargo.toml";
    run(&mut cargo(args)).map(|()| Outcome::Passed)
}

fn has_fuzz() -> bool {
    tree::root().join("fuzz/Cargo.toml").exists()
}

fn documentation(_: &mut Report) -> Result<Outcome> {
    let mut command = cargo("doc --locked --quiet --workspace --no-deps");
    run(command.env("RUSTDOCFLAGS", "-D warnings")).map(|()| Outcome::Passed)
}

fn tests(report: &mut Report) -> Result<Outcome> {
    let mut command = match tools::find("cargo-nextest") {
        Some(nextest) => {
            let mut command = Command::new(nextest);
            let args = [
                "nextest",
                "run",
                "--locked",
                "--workspace",
                "--no-fail-fast",
            ];
            command
                .args(args)
                .args(["--status-level", "slow", "--final-status-level", "fail"]);
            command.current_dir(tree::root());
            command
        }
        None => cargo("test --locked --workspace --all-targets --no-fail-fast"),
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

fn count_instructions(_: &mut Report) -> Result<Outcome> {
    if !instructions::is_there() {
        return missing("valgrind is missing (Debian: apt-get install valgrind)".to_owned());
    }
    instructions::run(&instructions::Args { write: false }).map(|()| Outcome::Passed)
}

/// Seeds of both tiers, the same seeds in two processes, and planted bugs that must be found. The
/// scripts of `testdata/scripts` are among the tests.
fn simulation(_: &mut Report) -> Result<Outcome> {
    let parts: [&[&str]; 5] = [
        &["run", "--seeds", "20000", "--minutes", "1"],
        &["twice", "--seeds", "100"],
        &["run", "--tier", "1", "--seeds", "60"],
        &["twice", "--tier", "1", "--seeds", "30"],
        &["canary"],
    ];
    for part in parts {
        let args: Vec<String> = part.iter().map(ToString::to_string).collect();
        run(&mut sim::command(&args)?)?;
    }
    Ok(Outcome::Passed)
}

fn conformance(_: &mut Report) -> Result<Outcome> {
    let own = env::current_exe().context("where is this program?")?;
    let mut command = Command::new(own);
    run(command.arg("conformance").current_dir(tree::root())).map(|()| Outcome::Passed)
}

/// A duration as a person reads it, to the tenth of a second.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let text = if seconds < 60.0 {
            format!("{seconds:.1} s")
        } else {
            format!(
                "{} min {:02} s",
                self.0.as_secs() / 60,
                self.0.as_secs() % 60
            )
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(Seconds(Duration::from_millis(1240)).to_string(), "1.2 s");
        assert_eq!(Seconds(Duration::from_secs(605)).to_string(), "10 min 05 s");
        assert_eq!(format!("{:>8}", Seconds(Duration::ZERO)), "   0.0 s");
    }
}
