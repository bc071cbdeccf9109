//! `cargo xtask ci`: everything that must hold before a change lands, in one command. And
//! `cargo xtask check`: what of it a contributor runs in five minutes.

mod beside;
mod cost;
mod run;
mod steps;

use std::env;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use self::beside::Beside;
use self::cost::Cost;
use self::steps::{CHECK, CI, Outcome, Step, Work};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this step, by its number or its name, and what it requires; may be given again
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// All but this step and what nothing else requires; may be given again; not in CI
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    skip: Vec<String>,
    /// Tell the steps and how long they take, and do none
    #[arg(long)]
    list: bool,
}

#[derive(clap::Args)]
pub(crate) struct CheckArgs {
    /// Tell the steps and how long they take, and do none
    #[arg(long)]
    list: bool,
}

/// What is shown again at the end.
#[derive(Default)]
struct Report {
    /// The closing lines of the test runner.
    closing: Vec<String>,
}

pub(crate) fn run_all(args: &Args) -> Result<()> {
    ensure!(
        !is_ci() || (args.only.is_empty() && args.skip.is_empty()),
        "nothing is left out in CI: no --only and no --skip"
    );
    let chosen = select(CI, &args.only, &args.skip)?;
    if args.list {
        list(&chosen);
        return Ok(());
    }
    let left_out: Vec<&str> = CI
        .iter()
        .filter(|step| !chosen.iter().any(|it| it.step.name == step.name))
        .map(|step| step.name)
        .collect();
    run_steps(&chosen, &left_out)
}

pub(crate) fn check(args: &CheckArgs) -> Result<()> {
    let chosen = select(CHECK, &[], &[])?;
    if args.list {
        list(&chosen);
        return Ok(());
    }
    run_steps(&chosen, &[])
}

/// A step that was asked for, with its number in the list of all.
#[derive(Clone, Copy)]
struct Chosen {
    number: usize,
    step: &'static Step,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>2}. {}", self.number, self.step.name)
    }
}

/// Those that are asked for, with what they require, in the order of the list. What brings
/// something that no step left requires is left out as well.
fn select(all: &'static [Step], only: &[String], skip: &[String]) -> Result<Vec<Chosen>> {
    let numbered = || (1..).zip(all).map(|(number, step)| Chosen { number, step });
    let find = |wanted: &String| {
        numbered()
            .find(|it| it.step.name == wanted || it.number.to_string() == *wanted)
            .map(|it| it.step)
            .with_context(|| format!("there is no step {wanted}: `--list` tells which there are"))
    };
    let only = only.iter().map(find).collect::<Result<Vec<_>>>()?;
    let skip = skip.iter().map(find).collect::<Result<Vec<_>>>()?;
    let is_asked_for = |step: &Step| {
        let is_named = |others: &[&Step]| others.iter().any(|it| it.name == step.name);
        !is_named(&skip) && (only.is_empty() || is_named(&only))
    };
    let is_wanted = |it: &Chosen| {
        let name = it.step.name;
        let is_skipped = skip.iter().any(|it| it.name == name);
        let is_named = only.iter().any(|it| it.name == name);
        let mut users = all
            .iter()
            .filter(|it| it.requires.contains(&name))
            .peekable();
        let is_of_use = match users.peek() {
            Some(_) => is_named || users.any(is_asked_for),
            None => is_asked_for(it.step),
        };
        is_of_use && !is_skipped
    };
    Ok(numbered().filter(is_wanted).collect())
}

/// The times are those of a quiet machine of two cores that has to build everything.
fn list(chosen: &[Chosen]) {
    let mut in_all = Duration::ZERO;
    for it in chosen {
        let beside = match it.step.work {
            Work::Alone(_) => {
                in_all += it.step.takes;
                ""
            }
            Work::Beside(_) => ", beside those that follow",
        };
        println!(
            "{it:<20} {}{beside}: {}",
            Seconds(it.step.takes),
            it.step.about
        );
    }
    println!("{:<20} {}", "in all", Seconds(in_all));
}

/// What a step came to.
struct Row {
    chosen: Chosen,
    took: Duration,
    cost: Cost,
    said: String,
    has_failed: bool,
}

impl Row {
    fn new(chosen: Chosen, took: Duration, cost: Cost, outcome: Result<Outcome>) -> Self {
        let (said, has_failed) = match outcome {
            Ok(Outcome::Passed) => ("ok".to_owned(), false),
            Ok(Outcome::Skipped(why)) => (format!("skipped: {why}"), false),
            Err(error) => (format!("FAILED: {error:#}"), true),
        };
        let row = Self {
            chosen,
            took,
            cost,
            said,
            has_failed,
        };
        println!("<== {}: {} ({})", row.chosen, row.said, Seconds(row.took));
        row
    }

    fn line(&self) -> String {
        format!(
            "{:>12}{:>14}{:>14}  {}: {}",
            Seconds(self.took).to_string(),
            self.cost.to_string(),
            Seconds(self.chosen.step.takes).to_string(),
            self.chosen,
            self.said
        )
    }
}

fn run_steps(chosen: &[Chosen], left_out: &[&str]) -> Result<()> {
    list(chosen);
    let begun = Instant::now();
    let mut report = Report::default();
    let mut rows = Vec::new();
    let mut running: Vec<(Chosen, Beside)> = Vec::new();
    for it in chosen {
        // Those that are over are told of at once, so that a failure does not wait for the end.
        let waited_for = running.extract_if(.., |(other, beside)| {
            let name = other.step.name;
            beside.has_ended() || it.step.requires.contains(&name) || it.step.after.contains(&name)
        });
        rows.extend(waited_for.map(|(other, beside)| join(other, beside)));
        println!("==> {it}");
        match it.step.work {
            Work::Beside(body) => running.push((*it, Beside::start(body))),
            Work::Alone(body) => {
                let step_begun = Instant::now();
                let cost = Cost::now();
                let outcome = body(&mut report);
                let cost = Cost::now() - cost;
                rows.push(Row::new(*it, step_begun.elapsed(), cost, outcome));
            }
        }
    }
    rows.extend(
        running
            .into_iter()
            .map(|(other, beside)| join(other, beside)),
    );
    rows.sort_by_key(|row| row.chosen.number);
    println!("\n{:>12}{:>14}{:>14}", "took", "processors", "quiet");
    for row in &rows {
        println!("{}", row.line());
    }
    let (all, cost) = (Seconds(begun.elapsed()), Cost::now());
    println!("{:>12}{:>14}  in all", all.to_string(), cost.to_string());
    if !left_out.is_empty() {
        println!("warning: left out: {}", left_out.join(", "));
    }
    // Printed last, so that whoever reads only the end reads how the tests ended.
    for line in &report.closing {
        println!("{line}");
    }
    let failed: Vec<&str> = rows
        .iter()
        .filter(|row| row.has_failed)
        .map(|row| row.chosen.step.name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Waits for a step that runs beside others, and shows what it said.
fn join(chosen: Chosen, beside: Beside) -> Row {
    let ended = beside.join();
    for line in &ended.lines {
        println!("{}: {line}", chosen.step.name);
    }
    // Its processor time is among that of the steps beside which it ran.
    Row::new(chosen, ended.took, Cost::default(), ended.outcome)
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

    fn names(only: &[&str], skip: &[&str]) -> Vec<&'static str> {
        let owned = |all: &[&str]| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
        let chosen = select(CI, &owned(only), &owned(skip)).unwrap();
        chosen.iter().map(|it| it.step.name).collect()
    }

    #[test]
    fn a_step_is_chosen_by_its_number_or_its_name_with_what_it_requires() {
        let all = names(&[], &[]);
        assert_eq!(all.len(), CI.len());
        assert_eq!(names(&["tidy"], &[]), ["tidy"]);
        assert_eq!(names(&["tests"], &[]), ["tools", "tests"]);
        assert_eq!(names(&["1", "tidy"], &[]), [all[0], "tidy"]);
        assert_eq!(names(&["clients"], &[]), ["clients"]);
        assert!(select(CI, &["no such".to_owned()], &[]).is_err());
        assert!(select(CI, &[], &["no such".to_owned()]).is_err());
    }

    #[test]
    fn what_only_skipped_steps_require_is_left_out() {
        let left_out = |skip: &[&str]| -> Vec<&str> {
            let left = names(&[], skip);
            let all = CI.iter().map(|it| it.name);
            all.filter(|it| !left.contains(it)).collect()
        };
        // It needs a JDK and Maven, and nothing but the suite has a use for what it brings.
        assert_eq!(left_out(&["conformance"]), ["clients", "conformance"]);
        assert_eq!(left_out(&["licences"]), ["licences"]);
        assert_eq!(
            left_out(&["licences", "tests"]),
            ["tools", "licences", "tests"]
        );
        // Whoever skips what brings the tools has them.
        assert_eq!(left_out(&["tools"]), ["tools"]);
        assert_eq!(left_out(&["simulation"]), ["simulation"]);
    }

    #[test]
    fn what_a_step_only_comes_after_is_not_chosen_with_it() {
        assert!(
            CI.iter()
                .any(|it| it.name == "simulation" && !it.after.is_empty())
        );
        assert_eq!(names(&["simulation"], &[]), ["simulation"]);
    }

    #[test]
    fn what_a_step_waits_for_is_before_it_and_no_name_is_used_twice() {
        for steps in [CI, CHECK] {
            let mut before: Vec<&str> = Vec::new();
            for step in steps {
                for earlier in step.requires.iter().chain(step.after) {
                    assert!(before.contains(earlier), "{}: {earlier}", step.name);
                }
                assert!(!before.contains(&step.name), "{} twice", step.name);
                before.push(step.name);
            }
        }
    }
}
