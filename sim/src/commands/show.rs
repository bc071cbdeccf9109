//! Draw one run as a page of HTML.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use doorkeeper_model::direct::Options;
use doorkeeper_sim::page::Page;
use doorkeeper_sim::seeds::{SeedResult, try_script};
use doorkeeper_sim::swarm::Swarm;

use super::{exit, script_of};

/// Where pages go that nobody has said a place for.
const FOLDER: &str = "target/sim";

#[derive(clap::Args)]
pub(crate) struct Show {
    /// A seed, or the path of a script
    what: String,
    /// The file to write; target/sim/SEED.html if nothing is said
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Show, commit: &str) -> Result<ExitCode> {
    let script = script_of(&args.what)?;
    let options = Options {
        timeline: true,
        ..Options::default()
    };
    let (result, outcome) = try_script(&script, options);
    let timeline = outcome
        .as_ref()
        .and_then(|it| Some((it.timeline.as_ref()?, &it.trace)));
    let Some((timeline, trace)) = timeline else {
        bail!("{result}: nothing is left of a run that panicked, see `replay`");
    };
    let seed = args.what.parse().ok();
    let page = Page {
        title: &seed.map_or_else(|| args.what.clone(), |seed: u64| format!("seed {seed}")),
        commit,
        drawn: &seed.map_or_else(String::new, |seed| Swarm::draw(seed).to_string()),
        script: &script,
        timeline,
        failure: match &result {
            SeedResult::Failed(failure) => Some(failure),
            SeedResult::Held | SeedResult::Crashed(_) => None,
        },
        hash: trace.hash(),
    };
    let path = args.out.clone().unwrap_or_else(|| named(&args.what));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(&path, page.html()).with_context(|| path.display().to_string())?;
    println!("{}", path.display());
    Ok(result.kind().map_or(ExitCode::SUCCESS, exit))
}

fn named(what: &str) -> PathBuf {
    let name = Path::new(what).file_stem().unwrap_or_default();
    Path::new(FOLDER).join(name).with_extension("html")
}
