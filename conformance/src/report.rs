//! What the suite says: progress while it runs, and a table at the end.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::scenario::{Job, Way};

/// One line on standard output. That nobody listens is no reason to fail.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// One verdict.
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
    fn verdict(&self) -> String {
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

/// All verdicts of a run.
#[derive(Debug)]
pub(crate) struct Report {
    begun: Instant,
    /// How many jobs there will be, as far as is known.
    expected: usize,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            expected: 0,
            rows: Vec::new(),
        }
    }

    /// More jobs are to come.
    pub(crate) fn expect(&mut self, jobs: usize) {
        self.expected += jobs;
    }

    pub(crate) fn job(
        &mut self,
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
    pub(crate) fn comparison(&mut self, version: &str, job: &Job, failure: String) {
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

    /// A verdict that belongs to no client.
    pub(crate) fn check(
        &mut self,
        version: &str,
        name: &str,
        took: Duration,
        fail: Option<String>,
    ) {
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

    fn add(&mut self, row: Row) {
        let verdict = row.verdict();
        let at = self.begun.elapsed().as_secs_f64();
        let done = self.rows.iter().filter(|it| it.client != "-").count();
        let done = done + usize::from(row.client != "-");
        say(format!(
            "[{at:6.1} s, {done}/{}] {} {} {} {}: {verdict} ({:.1} s)",
            self.expected,
            row.version,
            row.name,
            row.client,
            row.way,
            row.took.as_secs_f64(),
        ));
        self.rows.push(row);
    }

    pub(crate) fn failed(&self) -> usize {
        self.rows.iter().filter(|it| it.failure.is_some()).count()
    }

    /// Whether it failed direct, and the same passed through doorkeeper.
    fn is_direct_alone(&self, row: &Row) -> bool {
        let is_twin = |it: &&Row| {
            it.way == Way::Through.name()
                && (&it.version, &it.name, it.client) == (&row.version, &row.name, row.client)
        };
        let mut twins = self.rows.iter().filter(is_twin).peekable();
        row.way == Way::Direct.name()
            && row.failure.is_some()
            && twins.peek().is_some()
            && twins.all(|it| it.failure.is_none())
    }

    /// The table, what failed once more, and the closing line.
    pub(crate) fn print(&mut self) {
        self.rows.sort_by(|a, b| {
            let key = |row: &Row| (row.version.clone(), row.name.clone(), row.client, row.way);
            key(a).cmp(&key(b))
        });
        say("");
        for row in &self.rows {
            let verdict = match (&row.failure, &row.first_failure) {
                (Some(_), None) => "FAILED",
                (Some(_), Some(_)) => "FAILED, played again",
                (None, Some(_)) => "ok, played again",
                (None, None) => "ok",
            };
            say(format!(
                "{:<8}{:<46}{:<14}{:<9}{:>6.1} s  {verdict}",
                row.version,
                row.name,
                row.client,
                row.way,
                row.took.as_secs_f64(),
            ));
        }
        for row in self.rows.iter() {
            if let Some(why) = &row.failure {
                let alone = if self.is_direct_alone(row) {
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
        let failed = self.failed();
        let passed = self.rows.len() - failed;
        let seconds = self.begun.elapsed().as_secs_f64();
        say(format!(
            "conformance: {passed} passed, {failed} failed in {seconds:.1} s"
        ));
    }
}
