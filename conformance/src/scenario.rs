//! How one scenario runs: a client program from its start to the report that it prints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::catalog::Scenario;
use crate::clients::Client;
use crate::process;

/// How the clients reach the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Direct,
    Through,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Through => "through",
        }
    }
}

/// One scenario by one client on one way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) scenario: Scenario,
    pub(crate) client: Client,
    pub(crate) way: Way,
    /// Which time it is, with `--repeat`.
    pub(crate) turn: u32,
}

impl Job {
    /// Names everything that the program makes, its client ids too.
    pub(crate) fn prefix(&self) -> String {
        let turn = match self.turn {
            0 => String::new(),
            turn => format!("-{}", turn + 1),
        };
        format!(
            "{}-{}-{}{turn}",
            self.scenario.name,
            self.client.name(),
            self.way.name(),
        )
    }

    /// The same with other names, because those of a first try are taken.
    pub(crate) fn again(&self) -> Self {
        Self {
            turn: self.turn + AGAIN,
            ..*self
        }
    }
}

/// Above every turn of `--repeat`.
const AGAIN: u32 = 1000;

/// What a program prints at its end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientReport {
    /// Must be the same on every way.
    #[serde(default)]
    pub(crate) agree: serde_json::Value,
    /// The addresses that it has received, by broker id.
    #[serde(default)]
    pub(crate) nodes: BTreeMap<String, String>,
    /// Keys and values that it produced, in bytes.
    #[serde(default)]
    pub(crate) sent_bytes: u64,
    /// Keys and values that it consumed, in bytes.
    #[serde(default)]
    pub(crate) received_bytes: u64,
    error: Option<String>,
}

/// How long a program may work without a line to the suite. Programs bound each of their own
/// waits; this is for what hangs nevertheless. The bounds of fifteen command line tools in a row
/// are longer in sum, but a program that makes progress needs minutes only. Time that the suite
/// itself takes meanwhile does not count.
const WORK_LIMIT: Duration = Duration::from_secs(900);

/// How programs that want an event and the suite wait for each other.
pub(crate) struct Handover {
    /// Dropped when the program is ready, or has ended.
    pub(crate) ready: mpsc::Sender<()>,
    /// Becomes true when it has happened.
    pub(crate) done: watch::Receiver<bool>,
}

/// Runs the program to its end, or until it has worked for too long.
pub(crate) async fn run(
    job: &Job,
    mut command: Command,
    bootstrap: &str,
    log: PathBuf,
    handover: Option<Handover>,
) -> Result<ClientReport> {
    let errors = process::create_log(&log)?;
    let mut child = process::isolate(&mut command)
        .args([job.scenario.program, bootstrap, &job.prefix()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("cannot start the client")?;
    let talked = talk(&mut child, handover).await;
    // A program that is still running prints nothing more.
    let _ = child.kill().await;
    let said =
        talked.map_err(|error| error.context(format!("it said {}", process::ending(&log, 15))))?;
    let report: ClientReport = match said.as_deref().map(serde_json::from_str) {
        Some(Ok(report)) => report,
        Some(Err(error)) => bail!("no report ({error}); {}", process::ending(&log, 15)),
        None => bail!("no report; {}", process::ending(&log, 15)),
    };
    if let Some(error) = &report.error {
        bail!("{error}; {}", process::ending(&log, 15));
    }
    Ok(report)
}

/// Reads the program's lines to their end and returns the last one.
async fn talk(child: &mut Child, mut handover: Option<Handover>) -> Result<Option<String>> {
    let mut stdin = child.stdin.take().context("no standard input")?;
    let stdout = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut last = None;
    loop {
        let next = timeout(WORK_LIMIT, lines.next_line()).await;
        let next = next.with_context(|| format!("nothing was said within {WORK_LIMIT:?}"))?;
        let Some(line) = next.context("the client's output")? else {
            return Ok(last);
        };
        if line == "ready" {
            let Some(Handover { ready, mut done }) = handover.take() else {
                bail!("the program waits for an event");
            };
            drop(ready);
            done.wait_for(|done| *done)
                .await
                .context("the suite gave up")?;
            // One that has ended meanwhile does not read it, and has said why in its last line.
            let _ = stdin.write_all(b"go\n").await;
        } else {
            last = Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SCENARIOS;

    #[test]
    fn prefixes_are_unique_and_have_no_dot() {
        let mut all = std::collections::BTreeSet::new();
        for scenario in SCENARIOS {
            for &(client, _) in scenario.players {
                for (way, turn) in [(Way::Direct, 0), (Way::Through, 0), (Way::Through, 1)] {
                    let job = Job {
                        scenario: *scenario,
                        client,
                        way,
                        turn,
                    };
                    for prefix in [job.prefix(), job.again().prefix()] {
                        assert!(!prefix.contains('.'));
                        assert!(all.insert(prefix));
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn the_last_line_is_the_report_and_an_event_is_handed_over() {
        let job = Job {
            scenario: SCENARIOS[0],
            client: Client::Java,
            way: Way::Direct,
            turn: 0,
        };
        let mut command = Command::new("sh");
        let script = r#"echo ready; read go; echo "{\"sent_bytes\": ${#go}}""#;
        command.args(["-c", script]);
        let (ready, mut waiting) = mpsc::channel(1);
        let (restarted, done) = watch::channel(false);
        let log = std::env::temp_dir().join(format!("conformance-{}.log", std::process::id()));
        let handover = Handover { ready, done };
        let suite = async {
            assert_eq!(waiting.recv().await, None);
            restarted.send(true).unwrap();
        };
        let (report, ()) = tokio::join!(
            run(&job, command, "nowhere", log.clone(), Some(handover)),
            suite
        );
        assert_eq!(report.unwrap().sent_bytes, 2);
        std::fs::remove_file(log).unwrap();
    }
}
