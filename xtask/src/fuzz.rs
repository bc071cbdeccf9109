//! `cargo xtask fuzz TARGET`: one fuzz target for some minutes, from its seeds in `corpus/`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{tools, tree};

/// The targets that need more than the model, which takes minutes to build.
const OF_THE_ADAPTER: [&str; 2] = ["config", "token"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file of `fuzz/fuzz_targets`, without its extension
    target: String,

    /// How long to look
    ///
    /// With 0 it only tries what is there, and keeps of it what `--keep` says.
    #[arg(long, default_value_t = 2)]
    minutes: u64,

    /// How many processes look at once; all processors if not said
    #[arg(long)]
    jobs: Option<usize>,

    /// `address` where a nightly compiler works and `none` elsewhere, if not said
    #[arg(long)]
    sanitizer: Option<Sanitizer>,

    /// Add the inputs that reached new code to `corpus/`
    #[arg(long)]
    keep: bool,

    /// Begin with seeds made of what is recorded in `testdata`, too
    #[arg(long)]
    seed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sanitizer {
    Address,
    None,
}

impl Sanitizer {
    /// AddressSanitizer is an unstable option of the compiler.
    fn best() -> Self {
        let version = Command::new("rustup")
            .args(["run", "nightly", "cargo", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if version.is_ok_and(|it| it.success()) {
            Self::Address
        } else {
            Self::None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::None => "none",
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let target = &args.target;
    if !tree::root()
        .join("fuzz/fuzz_targets")
        .join(target)
        .with_extension("rs")
        .exists()
    {
        bail!("there is no fuzz target {target}: see fuzz/fuzz_targets");
    }
    tools::install()?;
    let sanitizer = args.sanitizer.unwrap_or_else(Sanitizer::best);
    let seeds = tree::root().join("corpus").join(target);
    let grown = tree::root().join("fuzz/corpus").join(target);
    for folder in [&seeds, &grown] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    if args.seed {
        write_seeds()?;
    }
    let seconds = args.minutes * 60;
    let jobs = args
        .jobs
        .or_else(|| thread::available_parallelism().ok().map(Into::into));
    println!(
        "{target}: {} min, sanitizer {}",
        args.minutes,
        sanitizer.name()
    );
    // What is found grows in the first folder; the seeds are only read.
    let mut fuzz = cargo_fuzz(sanitizer, target)?;
    fuzz.args([&grown, &seeds]).args([
        "--",
        "-timeout=10",
        "-rss_limit_mb=2048",
        // What overcommitment hides: no target has a bound that is larger.
        "-malloc_limit_mb=256",
        "-print_final_stats=1",
    ]);
    if seconds == 0 {
        fuzz.arg("-runs=0");
    } else {
        fuzz.arg(format!("-max_total_time={seconds}"))
            .arg(format!("-fork={}", jobs.unwrap_or(1)));
    }
    finish(&mut fuzz).context("a find, or no build: see fuzz/artifacts")?;
    if args.keep {
        let mut merge = cargo_fuzz(sanitizer, target)?;
        // What is there stays, under its name; of what is new the smallest that reach the same.
        merge.args([&seeds, &grown]).args(["--", "-merge=1"]);
        finish(&mut merge)?;
    }
    Ok(())
}

/// Seeds for all targets, into `fuzz/corpus`.
fn write_seeds() -> Result<()> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "doorkeeper-model",
    ]);
    command
        .args(["--example", "seeds"])
        .current_dir(tree::root());
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "seeds cannot be made");
    Ok(())
}

/// `cargo fuzz run` up to the folders of the corpus.
fn cargo_fuzz(sanitizer: Sanitizer, target: &str) -> Result<Command> {
    let tool: PathBuf = tools::find("cargo-fuzz").context("cargo-fuzz is missing")?;
    let mut command = match sanitizer {
        Sanitizer::Address => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly"]).arg(tool);
            command
        }
        Sanitizer::None => Command::new(tool),
    };
    command.args(["fuzz", "run", "--sanitizer", sanitizer.name()]);
    if !OF_THE_ADAPTER.contains(&target) {
        command.arg("--no-default-features");
    }
    command.arg(target);
    // Cargo names itself and its toolchain to what it starts; the fuzzer picks its own.
    command.env_remove("CARGO").current_dir(tree::root());
    if sanitizer == Sanitizer::Address {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    Ok(command)
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo-fuzz")?;
    if !status.success() {
        bail!("cargo fuzz ended with {status}");
    }
    Ok(())
}
