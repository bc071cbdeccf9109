//! `cargo xtask tidy`: the house rules that no compiler checks.

mod functions;
mod limits;
mod modules;
mod packages;
mod sleeps;
mod text;
mod tokens;
mod words;

use std::collections::BTreeMap;
use std::{fmt, fs};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::tree::{self, File};

const ALLOW_FILE: &str = "xtask/tidy.toml";
const LAYERING_FILE: &str = "xtask/layering.toml";

#[derive(clap::Args)]
pub(crate) struct Args {}

/// What is let pass, each with its reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    long_functions: Vec<functions::LongFunction>,
    may_sleep: Vec<sleeps::MaySleep>,
}

/// Who may depend on whom, between packages and inside core.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layering {
    core: modules::Core,
    binary_only: packages::BinaryOnly,
    packages: BTreeMap<String, packages::May>,
}

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// From 1; `None` when the rule is about the whole file.
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: Some(line),
            message: message.into(),
        }
    }

    fn whole(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

pub(crate) fn run(_args: &Args) -> Result<()> {
    let files = tree::files()?;
    let findings = check(&files)?;
    if findings.is_empty() {
        println!("tidy: ok, {} files", files.len());
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    bail!("tidy: {} findings", findings.len())
}

fn check(files: &[File]) -> Result<Vec<Finding>> {
    let allowed: Allowed = read_toml(ALLOW_FILE)?;
    let layering: Layering = read_toml(LAYERING_FILE)?;
    let checkout = tree::root().to_string_lossy();
    let mut findings = Vec::new();
    let mut tokens_of = BTreeMap::new();
    for file in files {
        text::check(file, &mut findings);
        words::check(file, &checkout, &mut findings);
        limits::check(file, &mut findings);
        // A file that does not parse is a finding of the rule about functions.
        if let Some(Ok(tokens)) = file.rust().map(tokens::flatten) {
            tokens_of.insert(file.path.as_str(), tokens);
        }
    }
    functions::check(files, &allowed.long_functions, ALLOW_FILE, &mut findings);
    for (path, tokens) in &tokens_of {
        sleeps::check(path, tokens, &allowed.may_sleep, &mut findings);
        modules::check(path, tokens, &layering.core, LAYERING_FILE, &mut findings);
    }
    packages::check_binary_only(&tokens_of, &layering.binary_only, &mut findings);
    packages::check(&layering.packages, LAYERING_FILE, &mut findings)?;
    Ok(findings)
}

fn read_toml<T: DeserializeOwned>(path: &'static str) -> Result<T> {
    let text = fs::read_to_string(tree::root().join(path)).context(path)?;
    toml::from_str(&text).context(path)
}
