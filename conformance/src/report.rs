//! What the suite says: progress while it runs, and a table at the end.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::scenario::{Job, Way};

/// One line on standard output. A reader that has gone is no reason to fail.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The result of a scenario, a comparison or a check.
#[derive(Debug)]
pub(crate) struct Row {
    /// Of the brokers.
    pub(crate) version: String,
    pub(crate) name: String,
    pub(crate) client: &'static str,
    pub(crate) way: &'static str,
    took: Duration,
    /// Why its first try failed, if there was a second one.
    pub(crate) first_failure: Option<String>,
    /// Why it failed.
    pub(crate) failure: Option<String>,
}

impl Row {
    fn result(&self) -> String {
        match (&self.failure, &self.first_failure) {
            (Some(why), None) => format!("FAILED: {why}"),
            (Some(why), Some(first)) => {
                format!("FAILED, played again: {why}; the first time: {first}")
            }
            (None, None) => "ok".to_owned(),
            (None, Some(first)) => format!("ok, played again; the first time: {first}"),
        }
    }
}

/// All results of a run, whose releases are played side by side.
#[derive(Debug)]
pub(crate) struct Report {
    begun: Instant,
    /// How many jobs there will be.
    expected: usize,
    rows: Mutex<Vec<Row>>,
}

impl Report {
    pub(crate) fn new(jobs: usize) -> Self {
        Self {
            begun: Instant::now(),
            expected: jobs,
            rows: Mutex::default(),
        }
    }

    /// In the order in which they came.
    pub(crate) fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn job(
        &self,
        version: &str,
        job: &Job,
        took: Duration,
        [first_failure, failure]: [Option<String>; 2],
    ) {
        self.add(Row {
            version: version.to_owned(),
            name: job.scenario.name.to_owned(),
            client: job.client.name(),
            way: job.way.name(),
            took,
            first_failure,
            failure,
        });
    }

    /// What is the same on both ways, or is not.
    pub(crate) fn comparison(&self, version: &str, job: &Job, failure: String) {
        self.add(Row {
            version: version.to_owned(),
            name: job.scenario.name.to_owned(),
            client: job.client.name(),
            way: "differs",
            took: Duration::ZERO,
            first_failure: None,
            failure: Some(failure),
        });
    }

    /// A result that belongs to no client.
    pub(crate) fn check(&self, version: &str, name: &str, took: Duration, fail: Option<String>) {
        let version = version.to_owned();
        let name = name.to_owned();
        self.add(Row {
            version,
            name,
            client: "-",
            way: "-",
            took,
            first_failure: None,
            failure: fail,
        });
    }

    fn add(&self, row: Row) {
        let mut rows = self.rows();
        let result = row.result();
        let at = self.begun.elapsed().as_secs_f64();
        let done = rows.iter().filter(|it| it.client != "-").count();
        let done = done + usize::from(row.client != "-");
        say(format!(
            "[{at:6.1} s, {done}/{}] {} {} {} {}: {result} ({:.1} s)",
            self.expected,
            row.version,
            row.name,
            row.client,
            row.way,
            row.took.as_secs_f64(),
        ));
        rows.push(row);
    }

    pub(crate) fn failed(&self) -> usize {
        self.rows().iter().filter(|it| it.failure.is_some()).count()
    }

    /// The table, what failed once more, and the closing line.
    pub(crate) fn print(&self) {
        let mut rows = self.rows();
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.version.clone(), row.name.clone(), row.client, row.way);
            key(a).cmp(&key(b))
        });
        say("");
        for row in rows.iter() {
            let result = match (&row.failure, &row.first_failure) {
                (Some(_), None) => "FAILED",
                (Some(_), Some(_)) => "FAILED, played again",
                (None, Some(_)) => "ok, played again",
                (None, None) => "ok",
            };
            say(format!(
                "{:<8}{:<46}{:<14}{:<9}{:>6.1} s  {result}",
                row.version,
                row.name,
                row.client,
                row.way,
                row.took.as_secs_f64(),
            ));
        }
        for row in rows.iter() {
            if let Some(why) = &row.failure {
                let alone = if is_direct_alone(&rows, row) {
                    " (direct alone: a fault of the suite or of the cluster)"
                } else {
                    ""
                };
                say(format!(
                    "\nFAILED {} {} {} {}{alone}: {why}",
                    row.version, row.name, row.client, row.way
                ));
            }
        }
        let failed = rows.iter().filter(|it| it.failure.is_some()).count();
        let passed = rows.len() - failed;
        let seconds = self.begun.elapsed().as_secs_f64();
        say(format!(
            "conformance: {passed} passed, {failed} failed in {seconds:.1} s"
        ));
    }
}

/// Whether it failed direct, and the same passed through doorkeeper.
fn is_direct_alone(rows: &[Row], row: &Row) -> bool {
    let is_twin = |it: &&Row| {
        it.way == Way::Through.name()
            && (&it.version, &it.name, it.client) == (&row.version, &row.name, row.client)
    };
    let mut twins = rows.iter().filter(is_twin).peekable();
    row.way == Way::Direct.name()
        && row.failure.is_some()
        && twins.peek().is_some()
        && twins.all(|it| it.failure.is_none())
}
