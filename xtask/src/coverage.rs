//! `cargo xtask coverage`: which lines of core are reached by simulation from seeds, by the scripts
//! and by the corpus of the fuzz targets; its own tests do not count.
//!
//! A line that none of them reaches is one that the simulator does not know how to get to, or one
//! that nobody needs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{tools, tree};

/// What of core must be reached, in percent of its lines.
const PERCENT_MIN: usize = 90;

/// Where the files lie that are counted.
const COUNTED: &str = "core/src/";

/// What of them is not: tables, and the functions that only the compiler calls to make them.
const NOT_COUNTED: &[&str] = &[
    "core/src/wire/schema/build.rs",
    "core/src/wire/schema/tables.rs",
    "core/src/wire/schema/tables/",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds are simulated
    #[arg(long, default_value_t = 1000)]
    seeds: u64,

    /// Print the lines that were not reached as well
    #[arg(long)]
    missing: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::install()?;
    let llvm = Llvm::find()?;
    llvm.cov(&["clean", "--workspace"])?;
    let replay = [
        "test",
        "--no-report",
        "--locked",
        "--package",
        "doorkeeper-model",
        "--test",
        "corpus",
        "--test",
        "scripts",
    ];
    llvm.cov(&replay)?;
    let seeds = args.seeds.to_string();
    let simulate = [
        "run",
        "--no-report",
        "--locked",
        "--package",
        "doorkeeper-sim",
        "--bin",
        "doorkeeper-sim",
        "--",
        "--commit",
        "coverage",
        "run",
        "--marks-may-miss",
        "--seeds",
        &seeds,
    ];
    llvm.cov(&simulate)?;
    let file = tree::target().join("coverage.lcov");
    let path = file.to_str().context("a path that is not UTF-8")?;
    llvm.cov(&["report", "--lcov", "--output-path", path])?;
    let report = std::fs::read_to_string(&file).context("no report")?;
    check(&covered(&report, tree::root()), args.missing)
}

fn check(files: &BTreeMap<String, Lines>, missing: bool) -> Result<()> {
    ensure!(!files.is_empty(), "nothing of {COUNTED} was counted");
    let mut total = Lines::default();
    for (path, lines) in files {
        println!("{lines}  {path}");
        if missing && !lines.missed.is_empty() {
            println!("{:>16} {}", "", ranges(&lines.missed));
        }
        total.reached += lines.reached;
        total.missed.extend(&lines.missed);
    }
    println!("{total}  in all");
    if total.reached * 100 < total.count() * PERCENT_MIN {
        bail!("less than {PERCENT_MIN} % of core is reached");
    }
    Ok(())
}

/// The coverage tool, and the tools of LLVM that can read what this compiler writes.
struct Llvm {
    tool: std::path::PathBuf,
    /// Debian's, where the toolchain has none of its own.
    cov: Option<std::path::PathBuf>,
    profdata: Option<std::path::PathBuf>,
}

impl Llvm {
    fn find() -> Result<Self> {
        let output = Command::new("rustc")
            .arg("-vV")
            .current_dir(tree::root())
            .output()
            .context("rustc is missing")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))
            .context("rustc does not say its LLVM's version")?;
        let major = version.split('.').next().unwrap_or_default();
        // Those of the component `llvm-tools` are found by the tool itself.
        let installed = |name: &str| tools::find(&format!("{name}-{major}"));
        Ok(Self {
            tool: tools::find("cargo-llvm-cov").context("cargo-llvm-cov is missing")?,
            cov: installed("llvm-cov"),
            profdata: installed("llvm-profdata"),
        })
    }

    fn cov(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.tool);
        command.arg("llvm-cov").args(args);
        if let (Some(cov), Some(profdata)) = (&self.cov, &self.profdata) {
            command.env("LLVM_COV", cov).env("LLVM_PROFDATA", profdata);
        }
        let status = command
            .current_dir(tree::root())
            .stdin(Stdio::null())
            .status()
            .context("cannot start cargo-llvm-cov")?;
        let what = args.first().copied().unwrap_or_default();
        ensure!(
            status.success(),
            "cargo llvm-cov {what} ended with {status} (Debian: apt-get install llvm, or \
             rustup component add llvm-tools)"
        );
        Ok(())
    }
}

/// The lines of a file that can be reached.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lines {
    reached: usize,
    missed: Vec<u32>,
}

impl Lines {
    fn count(&self) -> usize {
        self.reached + self.missed.len()
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.reached * 1000).checked_div(self.count());
        let tenths = tenths.unwrap_or(1000);
        let (whole, tenth) = (tenths / 10, tenths % 10);
        let (reached, count) = (self.reached, self.count());
        write!(f, "{reached:>5} of {count:>5} {whole:>4}.{tenth} %")
    }
}

/// The files of core in a report in lcov's form, by their paths from the root.
fn covered(report: &str, root: &Path) -> BTreeMap<String, Lines> {
    let root = format!("{}/", root.display());
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = path.strip_prefix(&root).unwrap_or(path);
            let is_counted =
                path.starts_with(COUNTED) && !NOT_COUNTED.iter().any(|it| path.starts_with(it));
            current = is_counted.then(|| path.to_owned());
        } else if let (Some(path), Some(data)) = (&current, line.strip_prefix("DA:")) {
            let mut numbers = data.split(',');
            let number = numbers.next().and_then(|it| it.parse().ok());
            let (Some(number), Some(times)) = (number, numbers.next()) else {
                continue;
            };
            let lines = files.entry(path.clone()).or_default();
            if times == "0" {
                lines.missed.push(number);
            } else {
                lines.reached += 1;
            }
        }
    }
    files
}

/// Numbers that follow each other as one: `3-5, 9`.
fn ranges(lines: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let text = ranges.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
SF:/project/core/src/a.rs
DA:1,7
DA:2,0
DA:3,0
DA:9,0
LF:4
end_of_record
SF:/project/sim/src/b.rs
DA:1,0
end_of_record
";

    #[test]
    fn lines_of_core_are_counted() {
        let files = covered(REPORT, Path::new("/project"));
        let lines = Lines {
            reached: 1,
            missed: vec![2, 3, 9],
        };
        assert_eq!(lines.to_string(), "    1 of     4   25.0 %");
        assert_eq!(ranges(&lines.missed), "2-3, 9");
        assert_eq!(files, [("core/src/a.rs".to_owned(), lines)].into());
    }

    #[test]
    fn too_little_fails() {
        let files = covered(REPORT, Path::new("/project"));
        assert!(check(&files, true).is_err());
        assert!(check(&BTreeMap::new(), false).is_err());
        let all = REPORT.replace(",0", ",1");
        assert!(check(&covered(&all, Path::new("/project")), true).is_ok());
    }
}
