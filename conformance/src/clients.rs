//! The clients: a jar of small Java programs for each release, and librdkafka through Python.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::kafka::Kafka;
use crate::report::say;
use crate::versions::Python;
use crate::{Missing, folders, process};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    Java,
    Librdkafka,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Librdkafka => "librdkafka",
        }
    }
}

/// All that is needed to run clients against one release.
#[derive(Debug, Clone)]
pub(crate) struct Kit {
    pub(crate) kafka: Kafka,
    jar: PathBuf,
    python: PathBuf,
}

impl Kit {
    pub(crate) async fn prepare(kafka: Kafka, python: &Path) -> Result<Self> {
        let jar = compile(&kafka).await?;
        Ok(Self {
            kafka,
            jar,
            python: python.to_owned(),
        })
    }

    /// One of the Java programs.
    pub(crate) fn java(&self, main: &str) -> Command {
        let mut command = self.kafka.java(256, "WARN");
        let class_path = format!("{}:{}", self.jar.display(), self.kafka.class_path);
        command.args(["-cp", &class_path, main]);
        command
    }

    /// `program SCENARIO BOOTSTRAP PREFIX`, for either client.
    pub(crate) fn command(&self, client: Client) -> Command {
        match client {
            Client::Java => self.java("Main"),
            Client::Librdkafka => {
                let mut command = Command::new(&self.python);
                // Its compiled files would lie among the sources.
                command.arg("-B").arg(folders::source("python/main.py"));
                command
            }
        }
    }
}

/// What the suite needs from the system; all that is missing, in one line.
pub(crate) async fn check_installed() -> Result<()> {
    let mut missing = Vec::new();
    for tool in ["java", "javac", "jar"] {
        if !answers(tool, &["--version"]).await {
            missing.push(format!("{tool} (a JDK, 17 or newer: default-jdk-headless)"));
        }
    }
    if !answers("mvn", &["--version"]).await {
        missing.push("mvn (maven)".to_owned());
    }
    if !answers("python3", &["-c", "import venv, ensurepip"]).await {
        missing.push("python3 with venv (python3-venv)".to_owned());
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Missing(format!("conformance needs {}", missing.join(", "))).into())
}

async fn answers(tool: &str, args: &[&str]) -> bool {
    process::run(Command::new(tool).args(args)).await.is_ok()
}

/// An environment with librdkafka in it; answers its Python.
pub(crate) async fn python(wanted: &Python) -> Result<PathBuf> {
    let folder = folders::cache("python")?;
    let python = folder.join("bin/python");
    let stamp = folder.join("installed");
    let packages = wanted.packages.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|it| it == packages) {
        return Ok(python);
    }
    say(format!("installing {}", wanted.packages.join(", ")));
    process::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )
    .await?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    process::run(pip.args(&wanted.packages)).await?;
    folders::write(&stamp, &packages)?;
    Ok(python)
}

/// A jar of the programs, made anew when a source or the class path has changed.
async fn compile(kafka: &Kafka) -> Result<PathBuf> {
    let sources = sources(kafka)?;
    let mut hasher = DefaultHasher::new();
    kafka.class_path.hash(&mut hasher);
    for source in &sources {
        let text = std::fs::read(source).with_context(|| source.display().to_string())?;
        text.hash(&mut hasher);
    }
    let jar = kafka
        .folder
        .join(format!("clients-{:016x}.jar", hasher.finish()));
    if jar.is_file() {
        return Ok(jar);
    }
    let classes = kafka.folder.join("classes");
    let _ = std::fs::remove_dir_all(&classes);
    let mut javac = Command::new("javac");
    javac
        .args(["-Werror", "-Xlint:all,-processing", "-d"])
        .arg(&classes);
    process::run(javac.args(["-cp", &kafka.class_path]).args(&sources)).await?;
    let unfinished = kafka.folder.join("clients.jar");
    let mut archive = Command::new("jar");
    archive
        .arg("--create")
        .arg("--file")
        .arg(&unfinished)
        .arg("-C")
        .arg(&classes)
        .arg(".");
    process::run(&mut archive).await?;
    std::fs::rename(&unfinished, &jar).context("cannot name the jar")?;
    Ok(jar)
}

fn sources(kafka: &Kafka) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in &kafka.release.java_sources {
        let folder = folders::source("java").join(name);
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| folder.display().to_string())? {
            let path = entry.context("cannot list a folder")?.path();
            if path.extension().is_some_and(|it| it == "java") {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        bail!(
            "versions.toml: no Java sources for {}",
            kafka.release.version
        );
    }
    found.sort();
    Ok(found)
}
