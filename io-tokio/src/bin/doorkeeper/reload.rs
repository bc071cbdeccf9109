//! Reloads: the files are read again, and all of what they say is served, or nothing changes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorkeeper_io_tokio::config::schema::Config;
use doorkeeper_io_tokio::config::{Compiled, Loaded, Sources};
use doorkeeper_io_tokio::logging::LevelHandle;
use doorkeeper_io_tokio::metrics::{ReloadOutcome, Reloads};
use doorkeeper_io_tokio::serve::Reloader;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::check;

/// A file that has changed may not be written to its end yet, and the key of a new certificate
/// comes after it: they are read when nothing has changed for so long.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Files that change all the time, or one that does, are read in the end as they are.
const SETTLED_AFTER_MAX: Duration = Duration::from_secs(10);

/// Asks for reloads. Clones ask for the same; one that is asked for while another is due is the
/// same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trigger(Arc<Notify>);

impl Trigger {
    pub(crate) fn request(&self) {
        self.0.notify_one();
    }

    /// Waits until a reload is asked for.
    async fn requested(&self) {
        self.0.notified().await;
    }
}

/// The files of a process that serves them.
pub(crate) struct ConfigFiles {
    /// The configuration file.
    pub(crate) file: String,
    /// What it said when it was last taken.
    pub(crate) config: Config,
    /// All files, as they were when they were last read.
    pub(crate) sources: Sources,
    pub(crate) level: LevelHandle,
}

/// The time between a change of files and the moment when they are read.
#[derive(Debug, Default)]
struct Settling {
    since: Option<Instant>,
}

impl Settling {
    /// Whether files that have changed are to be read now, after another look at them.
    fn is_over(&mut self, is_as_before: bool, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        is_as_before || now.duration_since(since) >= SETTLED_AFTER_MAX
    }
}

/// Reloads the files of a process.
pub(crate) struct Reloading {
    pub(crate) files: ConfigFiles,
    pub(crate) reloader: Reloader,
    pub(crate) reloads: Reloads,
    /// How many file descriptors there may be, if there is a limit.
    pub(crate) descriptors: Option<usize>,
    pub(crate) trigger: Trigger,
}

impl Reloading {
    /// Reloads whenever that is asked for, and when files have changed.
    pub(crate) async fn run(mut self) -> Infallible {
        loop {
            let why = self.until_due().await;
            self.reload(why).await;
        }
    }

    /// Waits until a reload is due, and says why.
    async fn until_due(&self) -> &'static str {
        let mut seen = self.files.sources.clone();
        let mut settling = Settling::default();
        loop {
            let interval = self.files.config.reload.poll_interval.0;
            if interval.is_zero() {
                self.trigger.requested().await;
                return "requested";
            }
            let has_changed = seen != self.files.sources;
            let next_look = if has_changed {
                SETTLED_AFTER.min(interval)
            } else {
                interval
            };
            if timeout(next_look, self.trigger.requested()).await.is_ok() {
                return "requested";
            }
            let read = self.files.sources.clone();
            // A file system may hang, and the runtime does not.
            let Ok(now) = spawn_blocking(move || read.as_they_are()).await else {
                continue;
            };
            if has_changed && settling.is_over(now == seen, Instant::now()) {
                return "files changed";
            }
            seen = now;
        }
    }

    async fn reload(&mut self, why: &'static str) {
        let file = self.files.file.clone();
        let outcome = match self.attempt().await {
            Ok(changes) if changes.is_empty() => {
                tracing::info!(file, why, "reload: nothing has changed");
                ReloadOutcome::Unchanged
            }
            Ok(changes) => {
                tracing::info!(file, why, changes = changes.join("; "), "reloaded");
                ReloadOutcome::Changed
            }
            Err(problems) => {
                tracing::error!(
                    file,
                    why,
                    problems,
                    "reload failed: what was served before still is"
                );
                ReloadOutcome::Failed
            }
        };
        self.reloads.ended(outcome);
    }

    /// Serves what the files say now, and says what has changed; or what is wrong.
    async fn attempt(&mut self) -> Result<Vec<String>, String> {
        let (file, before) = (self.files.file.clone(), self.files.sources.clone());
        let read = spawn_blocking(move || {
            // Of a file that is not read now it counts how it is now.
            let (before, mut sources) = (before.as_they_are(), Sources::default());
            let read = check::read(&file, &mut sources);
            (
                if read.is_ok() {
                    sources
                } else {
                    before.and(sources)
                },
                read,
            )
        });
        let (sources, read) = read.await.map_err(|error| error.to_string())?;
        self.files.sources = sources;
        let (loaded, mut compiled) = read.map_err(|problems| problems.errors())?;
        if let Some(descriptors) = self.descriptors {
            compiled.plan.connections_max = compiled.plan.connections_within(descriptors);
        }
        let changes = self.reloader.reload(compiled.plan.clone()).await;
        let changes = changes.map_err(|error| error.to_string())?;
        self.reloads.serves(&compiled.plan);
        let mut changed = self.settle(loaded, &compiled);
        if !changes.is_empty() {
            changed.insert(0, changes.to_string());
        }
        Ok(changed)
    }

    /// Takes over what is not of the plan, and says what has changed of it. Warns of what needs a
    /// restart.
    fn settle(&mut self, loaded: Loaded, compiled: &Compiled) -> Vec<String> {
        let mut changed = Vec::new();
        let before = std::mem::replace(&mut self.files.config, loaded.config);
        let config = &mut self.files.config;
        check::log_warnings(compiled);
        if config.log.level != before.log.level && self.files.level.set(config.log.level) {
            changed.push(format!("log: level {}", config.log.level.name()));
        }
        if config.reload != before.reload {
            changed.push("reload: poll_interval".to_owned());
        }
        let bind = |config: &Config| config.admin.as_ref().map(|it| it.bind.0);
        for (key, waits) in [
            ("admin", bind(config) != bind(&before)),
            ("log.format", config.log.format != before.log.format),
            (
                "buffered_bytes_max",
                config.buffered_bytes_max != before.buffered_bytes_max,
            ),
        ] {
            if waits {
                tracing::warn!(key, "this has changed in the file, and waits for a restart");
            }
        }
        // As long as they wait, each reload says so.
        config.admin = before.admin;
        config.log.format = before.log.format;
        config.buffered_bytes_max = before.buffered_bytes_max;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_are_settled_or_have_changed_for_long() {
        let start = Instant::now();
        let mut settling = Settling::default();
        assert!(!settling.is_over(false, start));
        assert!(settling.is_over(true, start + SETTLED_AFTER));
        let mut settling = Settling::default();
        let looks = (0..20).map(|second| start + Duration::from_secs(second));
        let due = looks.take_while(|now| !settling.is_over(false, *now));
        assert_eq!(due.count(), 10);
    }
}
