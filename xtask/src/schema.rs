//! `cargo xtask schema`: the core's message tables from Kafka's own message definitions.

mod definition;
mod editions;
mod emit;
mod frames;
mod jar;
mod roles;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use xshell::Shell;

use jar::Jar;

/// Where the tables stand.
const TABLES: &str = "core/src/wire/schema";

/// Generate the message tables of the core from Kafka's jars
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A kafka-clients jar; newest first. Without: the releases in use, from Maven Central
    #[arg(long = "jar")]
    jars: Vec<PathBuf>,
    /// Change nothing, and fail when the tables on disk are not what the jars give
    #[arg(long)]
    check: bool,
    /// Also write the frames that the walker is tested with; needs a JDK
    #[arg(long, conflicts_with = "check")]
    frames: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let sh = Shell::new()?;
    let root = root()?;
    let cache = root.join(".cache");
    let mut paths = args.jars.clone();
    if paths.is_empty() {
        for release in jar::RELEASES {
            paths.push(jar::bring(
                &sh,
                &cache,
                ["org.apache.kafka", "kafka-clients", release],
            )?);
        }
    }
    let jars = paths.iter().map(|path| Jar::open(&sh, path, &cache));
    let jars = jars.collect::<Result<Vec<_>>>()?;
    let rules = roles::Rules::load()?;
    let apis = editions::plan(&jars)?;
    let files = emit::emit(&apis, &rules)?;
    rules.check_all_used()?;
    write(&root.join(TABLES), &files, args.check)?;
    if args.frames {
        frames::write(&sh, &root, &cache, &jars, &apis)?;
    }
    Ok(())
}

fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(here
        .parent()
        .context("xtask has no folder above it")?
        .to_owned())
}

fn write(tables: &std::path::Path, files: &[emit::File], check: bool) -> Result<()> {
    let mut stale = Vec::new();
    if let Ok(entries) = fs::read_dir(tables.join("tables")) {
        for entry in entries {
            let name = format!("tables/{}", entry?.file_name().to_string_lossy());
            if !files.iter().any(|(file, _)| *file == name) {
                stale.push(name);
            }
        }
    }
    if check {
        let differs = files.iter().filter(|(name, text)| {
            fs::read_to_string(tables.join(name)).ok().as_deref() != Some(text)
        });
        stale.extend(differs.map(|(name, _)| name.clone()));
        if !stale.is_empty() {
            bail!(
                "not what the jars give, run `cargo xtask schema`: {}",
                stale.join(", ")
            );
        }
        return Ok(());
    }
    fs::create_dir_all(tables.join("tables"))?;
    for name in stale {
        fs::remove_file(tables.join(name))?;
    }
    for (name, text) in files {
        fs::write(tables.join(name), text)?;
    }
    Ok(())
}
