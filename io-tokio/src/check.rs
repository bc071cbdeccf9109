//! `doorkeeper check`: what a configuration comes to.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use doorkeeper_io_tokio::config::{self, Compiled, Door, Loaded};

use crate::cli::ConfigArg;
use crate::descriptors;
use crate::failure::Failure;

/// Reads and compiles the file, saying which one it is if none was named.
pub(crate) fn compiled(arg: &ConfigArg) -> Result<(Loaded, Compiled), Failure> {
    let (file, is_named) = arg.file();
    if !is_named {
        let _ = writeln!(io::stderr(), "no --config given: reading {file}");
    }
    let loaded = config::load(file, config::environment())?;
    let mut compiled = config::compile(&loaded)?;
    if let Some(most) = descriptors::most() {
        compiled.hold_against_descriptors(&loaded, most);
    }
    Ok((loaded, compiled))
}

/// Tells everything about the file.
pub(crate) fn check(arg: &ConfigArg) -> Result<(), Failure> {
    let (loaded, compiled) = compiled(arg)?;
    if !compiled.warnings.problems.is_empty() {
        writeln!(io::stderr(), "{}", compiled.warnings)?;
    }
    write!(io::stdout(), "{}", told(&loaded, &compiled))?;
    Ok(())
}

/// The configuration with its defaults, as YAML that could be used instead; the addresses as
/// comments.
fn told(loaded: &Loaded, compiled: &Compiled) -> String {
    let mut out = format!("# {} is right. With all defaults it says:\n", loaded.file);
    out.push_str(&config::to_yaml(&loaded.config).unwrap_or_default());
    out.push_str("\n# Where clients reach the brokers:\n");
    for (listener, doors) in compiled.plan.listeners.iter().zip(&compiled.reach) {
        let cluster = compiled.plan.clusters.get(listener.cluster);
        let cluster = cluster.map_or("", |cluster| &cluster.name);
        let _ = writeln!(out, "#   listener {}, cluster {cluster}", listener.name);
        for reach in doors {
            let door = match reach.door {
                Door::Bootstrap => "bootstrap".to_owned(),
                Door::Broker(id) => format!("broker {id}"),
            };
            let _ = write!(out, "#     {door:<12} {}", reach.advertised);
            if reach.advertised.to_string() != reach.bind.to_string() {
                let _ = write!(out, " (listens at {})", reach.bind);
            }
            out.push('\n');
        }
    }
    out
}
