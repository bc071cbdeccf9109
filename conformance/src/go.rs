//! The program of franz-go, from `conformance/go`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::{folders, process};

const FRANZ_GO: &str = "github.com/twmb/franz-go ";

/// Builds the program, unless nothing has changed: Go finds that out by itself.
pub(crate) async fn build(go: &Path) -> Result<PathBuf> {
    let program = folders::cache("go")?.join("franz-go");
    let mut build = Command::new(go);
    build
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .env("GOTOOLCHAIN", "local")
        .current_dir(folders::source("go"));
    process::run(&mut build).await.context("Go")?;
    Ok(program)
}

/// The version of franz-go.
pub(crate) fn version() -> Result<String> {
    let text = std::fs::read_to_string(folders::source("go/go.mod"))?;
    let lines = text.lines().map(str::trim);
    let mut found = lines.filter_map(|line| line.strip_prefix(FRANZ_GO));
    let version = found.next().context("go.mod has no franz-go")?;
    Ok(version.trim_start_matches('v').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_module() {
        assert!(version().unwrap().split('.').count() == 3);
    }
}
