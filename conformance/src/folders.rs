//! Where things lie: the sources of the suite, what is cached between runs, and one folder a run.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

/// Older runs than these are removed.
const RUNS_KEPT: usize = 10;

/// A file or folder of `conformance/`.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A folder of `.cache/conformance/`, which is made when it is not there.
pub(crate) fn cache(name: &str) -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = own
        .parent()
        .unwrap_or(own)
        .join(".cache/conformance")
        .join(name);
    create(&folder)?;
    Ok(folder)
}

/// A table of `conformance/`, in TOML.
pub(crate) fn table<T: DeserializeOwned>(name: &str) -> Result<T> {
    let path = source(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

pub(crate) fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Writes a text where a half-written one would do harm.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The logs of one run against one version, and for its duration the data of the brokers.
pub(crate) struct RunFolder {
    path: PathBuf,
    keep: bool,
}

impl RunFolder {
    pub(crate) fn create(version: &str, keep: bool) -> Result<Self> {
        let runs = cache("runs")?;
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        // Without colons: paths stand in class paths.
        let name = format!("{}-{}-{version}", now.replace(':', ""), std::process::id());
        let path = runs.join(name);
        create(&path.join("data"))?;
        Ok(Self { path, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.keep {
            // A broker that dies at this moment may still write; the next run prunes the rest.
            let _ = fs::remove_dir_all(self.data());
        }
    }
}

/// Removes the oldest runs. Called once, before those that are to come are made side by side.
pub(crate) fn prune() -> Result<()> {
    let listed = fs::read_dir(cache("runs")?).context("cannot list old runs")?;
    let mut all: Vec<PathBuf> = listed
        .map(|it| it.map(|it| it.path()))
        .collect::<io::Result<_>>()?;
    // The names begin with the time.
    all.sort();
    all.reverse();
    for old in all.iter().skip(RUNS_KEPT) {
        fs::remove_dir_all(old).context("cannot remove old runs")?;
    }
    Ok(())
}
