//! What the suite says: progress while it runs, and a table at the end.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::scenario::Job;

/// One line on standard output. That nobody listens is no reason to fail.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// One verdict.
#[derive(Debug)]
pub(crate) struct Row {
    version: String,
    name: String,
    client: &'static str,
    way: &'static str,
    took: Duration,
    /// Why it failed.
    failure: Option<String>,
}

/// All verdicts of a run.
#[derive(Debug)]
pub(crate) struct Report {
    begun: Instant,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn job(&mut self, version: &str, job: &Job, took: Duration, fail: Option<String>) {
        self.add(Row {
            version: version.to_owned(),
            name: job.scenario.name.to_owned(),
            client: job.client.name(),
            way: job.way.name(),
            took,
            failure: fail,
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
            failure: fail,
        });
    }

    fn add(&mut self, row: Row) {
        let verdict = match &row.failure {
            None => "ok".to_owned(),
            Some(why) => format!("FAILED: {why}"),
        };
        let at = self.begun.elapsed().as_secs_f64();
        say(format!(
            "[{at:6.1} s] {} {} {} {}: {verdict} ({:.1} s)",
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

    /// The table and the closing line.
    pub(crate) fn print(&mut self) {
        self.rows.sort_by(|a, b| {
            let key = |row: &Row| (row.version.clone(), row.name.clone(), row.client, row.way);
            key(a).cmp(&key(b))
        });
        say("");
        for row in &self.rows {
            let verdict = if row.failure.is_none() {
                "ok"
            } else {
                "FAILED"
            };
            say(format!(
                "{:<8}{:<46}{:<12}{:<9}{:>6.1} s  {verdict}",
                row.version,
                row.name,
                row.client,
                row.way,
                row.took.as_secs_f64(),
            ));
        }
        let failed = self.failed();
        let passed = self.rows.len() - failed;
        let seconds = self.begun.elapsed().as_secs_f64();
        say(format!(
            "conformance: {passed} passed, {failed} failed in {seconds:.1} s"
        ));
    }
}
