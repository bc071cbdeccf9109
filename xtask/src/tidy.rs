//! `cargo xtask tidy`: the house rules that no compiler checks.

mod apis;
mod cycles;
mod functions;
mod limits;
mod modules;
mod packages;
mod sleeps;
mod text;
mod tokens;
mod words;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt, fs, thread};

use anyhow::{Context as _, Result, anyhow, bail};
use proc_macro2::TokenStream;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::functions::Function;
use self::tokens::Token;
use crate::tree::{self, File};

const ALLOW_FILE: &str = "xtask/tidy.toml";
const LAYERING_FILE: &str = "xtask/layering.toml";

#[derive(clap::Args)]
pub(crate) struct Args {}

/// Exceptions from the rules, each with its reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    long_functions: Vec<functions::LongFunction>,
    may_sleep: Vec<sleeps::MaySleep>,
    may_name_apis: Vec<apis::MayNameApis>,
}

/// Who may depend on whom, between packages and inside core.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layering {
    core: modules::Core,
    cycles: cycles::Cycles,
    binary_only: packages::BinaryOnly,
    packages: BTreeMap<String, packages::May>,
}

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    let allowed: Exceptions = read_toml(ALLOW_FILE)?;
    let layering: Layering = read_toml(LAYERING_FILE)?;
    let FileResults {
        mut findings,
        tokens,
        long,
    } = look_at(files)?;
    functions::check(&long, &allowed.long_functions, ALLOW_FILE, &mut findings);
    for (path, tokens) in &tokens {
        sleeps::check(path, tokens, &allowed.may_sleep, &mut findings);
        modules::check(path, tokens, &layering.core, LAYERING_FILE, &mut findings);
    }
    apis::check(&tokens, &allowed.may_name_apis, ALLOW_FILE, &mut findings);
    cycles::check(&tokens, &layering.cycles, &mut findings);
    packages::check_binary_only(&tokens, &layering.binary_only, &mut findings);
    packages::check(&layering.packages, LAYERING_FILE, &mut findings)?;
    findings.sort();
    Ok(findings)
}

/// The results of files, each checked by itself.
#[derive(Default)]
struct FileResults<'a> {
    findings: Vec<Finding>,
    /// By path, of what is Rust.
    tokens: BTreeMap<&'a str, Vec<Token>>,
    /// Functions that are too long, with their paths.
    long: Vec<(&'a str, Function)>,
}

/// On all processors, each file parsed once: unoptimised, parsing takes nearly all of the time.
fn look_at(files: &[File]) -> Result<FileResults<'_>> {
    let checkout = tree::root().to_string_lossy();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut seen = FileResults::default();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            seen.look_at(file, &checkout);
        }
        seen
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = FileResults::default();
        for part in parts {
            let part = part.join().map_err(|_| anyhow!("a rule panicked"))?;
            all.findings.extend(part.findings);
            all.tokens.extend(part.tokens);
            all.long.extend(part.long);
        }
        Ok(all)
    })
}

impl<'a> FileResults<'a> {
    fn look_at(&mut self, file: &'a File, checkout: &str) {
        text::check(file, &mut self.findings);
        words::check(file, checkout, &mut self.findings);
        let Some(text) = file.rust() else { return };
        if let Err(error) = self.parse(file, text) {
            self.findings
                .push(Finding::whole(&file.path, error.to_string()));
        }
    }

    fn parse(&mut self, file: &'a File, text: &str) -> syn::Result<()> {
        let stream: TokenStream = text.parse()?;
        self.tokens
            .insert(&file.path, tokens::flatten(stream.clone()));
        // Long tables, which a compiler has parsed when they were written.
        let is_generated = file.is_generated();
        if is_generated && !text.contains(limits::STRUCT) {
            return Ok(());
        }
        let parsed = syn::parse2(stream)?;
        limits::check(&file.path, &parsed, &mut self.findings);
        if !is_generated {
            let long = functions::long(&parsed);
            self.long.extend(long.map(|it| (file.path.as_str(), it)));
        }
        Ok(())
    }
}

fn read_toml<T: DeserializeOwned>(path: &'static str) -> Result<T> {
    let text = fs::read_to_string(tree::root().join(path)).context(path)?;
    toml::from_str(&text).context(path)
}
