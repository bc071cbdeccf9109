//! Brings the clients: class paths, compiled programs, Python and Node packages.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::clients::{Kit, Programs};
use crate::kafka::{ClassPath, Kafka};
use crate::report::say;
use crate::versions::{Packages, Release, Versions};
use crate::{Missing, archive, clients, folders, go, process};

/// What the suite needs from the system; all that is missing, in one line.
pub(crate) async fn check_installed() -> Result<()> {
    let mut missing = Vec::new();
    for (tool, args, package) in [
        (
            "java",
            "--version",
            "a JDK, 17 or newer: default-jdk-headless",
        ),
        (
            "javac",
            "--version",
            "a JDK, 17 or newer: default-jdk-headless",
        ),
        (
            "jar",
            "--version",
            "a JDK, 17 or newer: default-jdk-headless",
        ),
        ("mvn", "--version", "maven"),
        ("kcat", "-V", "kcat"),
        ("node", "--version", "nodejs"),
        ("npm", "--version", "npm"),
    ] {
        if !is_runnable(tool, &[args]).await {
            missing.push(format!("{tool} ({package})"));
        }
    }
    if !is_runnable("python3", &["-c", "import venv, ensurepip"]).await {
        missing.push("python3 with venv (python3-venv)".to_owned());
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Missing(format!("conformance needs {}", missing.join(", "))).into())
}

async fn is_runnable(tool: &str, args: &[&str]) -> bool {
    process::run(Command::new(tool).args(args)).await.is_ok()
}

/// One kit for each release.
pub(crate) async fn prepare(versions: &Versions, releases: &[Release]) -> Result<Vec<Kit>> {
    let (python, node, kits) = tokio::try_join!(
        python(&versions.python),
        node(&versions.node),
        java(versions, releases)
    )?;
    // Go comes as a package of Python's.
    let franz_go = go::build(&python.with_file_name("go")).await?;
    let kit = |it: JavaKit| Kit {
        kafka: it.kafka,
        java: it.java,
        old_java: it.old_java,
        tools: it.tools,
        python: python.clone(),
        node: node.clone(),
        franz_go: franz_go.clone(),
    };
    Ok(kits.into_iter().map(kit).collect())
}

/// What of a kit comes from Maven.
struct JavaKit {
    kafka: Kafka,
    java: Programs,
    old_java: Option<Programs>,
    tools: Programs,
}

async fn java(versions: &Versions, releases: &[Release]) -> Result<Vec<JavaKit>> {
    let mut kits = Vec::new();
    for release in releases {
        // One after the other: Maven's local repository is not made for two at a time.
        let kafka = Kafka::bring(release, &versions.maven).await?;
        let java = own(release, kafka.class_path.clone()).await?;
        let old_java = match &release.old_clients {
            None => None,
            Some(version) => {
                let old = versions.release(version)?;
                let brought = Kafka::bring(old, &versions.maven).await?;
                Some(own(old, brought.class_path).await?)
            }
        };
        let tools = Kafka::bring_tools(release, &versions.maven).await?;
        let (version, sources) = (&release.tools.version, &release.tools.java_sources);
        kits.push(JavaKit {
            kafka,
            java,
            old_java,
            tools: compile(version, tools, sources).await?,
        });
    }
    Ok(kits)
}

/// The programs that are compiled against the brokers' own jars.
async fn own(release: &Release, class_path: ClassPath) -> Result<Programs> {
    compile(&release.version, class_path, &release.java_sources).await
}

/// An environment with the packages in it; returns the path of its Python.
async fn python(wanted: &Packages) -> Result<PathBuf> {
    let folder = folders::cache("python")?;
    let python = folder.join("bin/python");
    if is_installed(&folder, wanted) {
        return Ok(python);
    }
    say(format!("installing {}", wanted.packages.join(", ")));
    let mut venv = Command::new("python3");
    process::run(venv.args(["-m", "venv", "--clear"]).arg(&folder)).await?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check");
    process::run(pip.args(&wanted.packages)).await?;
    installed(&folder, wanted)?;
    Ok(python)
}

/// A folder with the packages in its `node_modules`.
async fn node(wanted: &Packages) -> Result<PathBuf> {
    let folder = folders::cache("node")?;
    if is_installed(&folder, wanted) {
        return Ok(folder);
    }
    say(format!("installing {}", wanted.packages.join(", ")));
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund"])
        .arg("--silent")
        .arg("--prefix")
        .arg(&folder);
    process::run(npm.args(&wanted.packages)).await?;
    installed(&folder, wanted)?;
    Ok(folder)
}

fn is_installed(folder: &Path, wanted: &Packages) -> bool {
    let stamp = std::fs::read_to_string(folder.join("installed"));
    stamp.is_ok_and(|it| it == wanted.packages.join("\n"))
}

fn installed(folder: &Path, wanted: &Packages) -> Result<()> {
    folders::write(&folder.join("installed"), &wanted.packages.join("\n"))
}

/// A jar of the programs, made anew when a source or the class path has changed.
async fn compile(version: &str, class_path: ClassPath, folders: &[String]) -> Result<Programs> {
    let sources = sources(folders)?;
    let mut hasher = DefaultHasher::new();
    class_path.jars.hash(&mut hasher);
    for source in &sources {
        let text = std::fs::read(source).with_context(|| source.display().to_string())?;
        text.hash(&mut hasher);
    }
    let folder = &class_path.folder;
    let jar = folder.join(format!("clients-{:016x}.jar", hasher.finish()));
    if !jar.is_file() {
        let classes = folder.join("classes");
        let _ = std::fs::remove_dir_all(&classes);
        let mut javac = Command::new("javac");
        // Class files of others may want annotations that are not on the class path.
        javac
            .args(["-Werror", "-Xlint:all,-processing,-classfile,-path", "-d"])
            .arg(&classes);
        process::run(javac.args(["-cp", &class_path.jars]).args(&sources)).await?;
        let unfinished = folder.join("clients.jar");
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
    }
    let archive = archive::bring(&jar, &clients::jvm(&class_path, &jar)).await?;
    Ok(Programs {
        version: version.to_owned(),
        class_path,
        jar,
        archive,
    })
}

fn sources(names: &[String]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in names {
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
        bail!("versions.toml: no Java sources in {}", names.join(", "));
    }
    found.sort();
    Ok(found)
}
