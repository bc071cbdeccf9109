//! An archive of classes that the JVMs of clients begin with (class-data sharing): most of them
//! live for a second, and read the same classes for a third of it.
//!
//! It is made once, and only saves time: a JVM that finds none, or one of another JVM, reads its
//! classes itself and says nothing of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::process;
use crate::report::say;

/// Uses what most programs use.
const TRAINER: &str = "Warm";
/// Where nobody answers it: the port is that of the discard protocol.
const NOBODY: &str = "127.0.0.1:9";
const EXTENSION: &str = "jsa";

/// The options of a JVM that begins with an archive. What it says of itself would be in the middle
/// of a program's answer.
pub(crate) fn options(archive: &Path) -> [String; 3] {
    [
        "-Xlog:disable".to_owned(),
        "-Xlog:all=error:stderr".to_owned(),
        format!("-XX:SharedArchiveFile={}", archive.display()),
    ]
}

/// Makes the archive of the programs in a jar unless it is there; `java` starts a JVM with them.
/// Without one all goes on as well.
pub(crate) async fn bring(jar: &Path, java: &[String]) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    process::run(Command::new("java").arg("--version"))
        .await?
        .hash(&mut hasher);
    let archive = jar.with_extension(format!("{:016x}.{EXTENSION}", hasher.finish()));
    if !archive.is_file() {
        remove_others(jar)?;
        if let Err(error) = make(&archive, java).await {
            say(format!("no archive of classes: {error:#}"));
        }
    }
    Ok(archive)
}

async fn make(archive: &Path, java: &[String]) -> Result<()> {
    let unfinished = archive.with_extension("unfinished");
    let (program, args) = java.split_first().context("no JVM")?;
    let mut train = Command::new(program);
    train
        .arg("-Xlog:disable")
        .arg(format!("-XX:ArchiveClassesAtExit={}", unfinished.display()))
        .args(args)
        .args([TRAINER, NOBODY]);
    process::run(&mut train).await?;
    std::fs::rename(&unfinished, archive).context("cannot name it")
}

/// Those of older programs beside a jar: each is some 30 MB.
fn remove_others(jar: &Path) -> Result<()> {
    let folder = jar.parent().context("no folder")?;
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.context("cannot list a folder")?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) {
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}
