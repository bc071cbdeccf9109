//! Child processes: their own process group, their output in a file, dead when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A child that runs beside the suite, such as a broker.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with both of its streams in `log`.
    pub(crate) fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = create_log(log)?;
        let errors = file.try_clone().context("cannot share a log")?;
        let child = isolate(command)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// An error with the end of its log when it is not running any more.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot look after a child")? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended ({status}): {}", self.name, ending(&self.log, 15))
            }
        }
    }

    /// SIGTERM, and SIGKILL when it is still there after `grace`: then there is no status.
    pub(crate) async fn stop(&mut self, grace: Duration) -> Result<Option<ExitStatus>> {
        if let Some(pid) = self.pid() {
            // It may have ended between the question and the signal.
            let _ = kill_process(pid, Signal::TERM);
        }
        match timeout(grace, self.child.wait()).await {
            Ok(status) => Ok(Some(status.context("cannot wait for a child")?)),
            Err(_elapsed) => {
                self.kill().await?;
                Ok(None)
            }
        }
    }

    /// SIGSTOP: it stands still, its connections stay open.
    pub(crate) fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT, after a pause.
    pub(crate) fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid();
        let pid = pid.with_context(|| format!("{} has ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// SIGKILL, and waits for the end of the process.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot end {}", self.name))
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.child.id()?;
        Pid::from_raw(i32::try_from(id).ok()?)
    }
}

/// Ctrl-C in a terminal reaches the suite only, which then ends its children in order.
pub(crate) fn isolate(command: &mut Command) -> &mut Command {
    command.process_group(0).kill_on_drop(true)
}

pub(crate) fn create_log(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs a short command to its end; its output is the error when it fails.
pub(crate) async fn run(command: &mut Command) -> Result<String> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = isolate(command)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed ({}):\n{text}{errors}", output.status);
    }
    Ok(text)
}

/// The last lines of a log.
pub(crate) fn ending(log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let last = all
        .iter()
        .skip(all.len().saturating_sub(lines))
        .map(|it| format!("    {it}\n"));
    format!("{}\n{}", log.display(), last.collect::<String>())
}
