//! `doorkeeper check`: the errors of a configuration, or the configuration with all defaults.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;

use doorkeeper_io_tokio::config::{self, Compiled, Loaded, Problems, RouteTarget, Sources};

use crate::cli::ConfigArg;
use crate::descriptors;
use crate::failure::Failure;

/// Reads and compiles the file, saying which one it is if none was named. All files that were read
/// are among the sources then.
pub(crate) fn compiled(
    arg: &ConfigArg,
    sources: &mut Sources,
) -> Result<(Loaded, Compiled), Failure> {
    let (file, is_named) = arg.file();
    if !is_named && !Path::new(file).exists() {
        let message = format!("there is no {file} here: create it, or give --config FILE");
        return Err(Failure::Usage(message));
    }
    if !is_named {
        let _ = writeln!(io::stderr(), "no --config given: reading {file}");
    }
    Ok(read(file, sources)?)
}

/// Reads and compiles a file that may have been read before.
pub(crate) fn read(file: &str, sources: &mut Sources) -> Result<(Loaded, Compiled), Problems> {
    let loaded = config::load(file, config::environment(), sources)?;
    let mut compiled = config::compile(&loaded)?;
    compiled.read_files(&loaded, sources)?;
    if let Some(most) = descriptors::most() {
        compiled.warn_of_descriptors(&loaded, most);
    }
    let localhost = if compiled.advertises_localhost() {
        localhost()
    } else {
        Vec::new()
    };
    compiled.warn_of_localhost(&loaded, &localhost);
    Ok((loaded, compiled))
}

/// Logs what is probably not meant.
pub(crate) fn log_warnings(compiled: &Compiled) {
    let Problems { file, problems } = &compiled.warnings;
    for problem in problems {
        tracing::warn!(file, line = problem.at.line, path = %problem.path, "{}", problem.message);
    }
}

/// The addresses of `localhost` on this machine, none if it has none.
fn localhost() -> Vec<IpAddr> {
    let found = ("localhost", 0).to_socket_addrs();
    found.map_or_else(|_| Vec::new(), |all| all.map(|at| at.ip()).collect())
}

/// Prints all problems of the file, or the configuration with its defaults.
pub(crate) fn check(arg: &ConfigArg) -> Result<(), Failure> {
    let (loaded, compiled) = compiled(arg, &mut Sources::default())?;
    if !compiled.warnings.problems.is_empty() {
        let _ = writeln!(io::stderr(), "{}", compiled.warnings);
    }
    print(&summary(&loaded, &compiled))
}

/// Prints to standard output. A reader that has closed it has read enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The configuration with its defaults, as YAML that could be used instead; the addresses as
/// comments.
fn summary(loaded: &Loaded, compiled: &Compiled) -> String {
    let mut out = format!("# {} is right. With all defaults it says:\n", loaded.file);
    out.push_str(&config::written_out(&loaded.config));
    out.push_str("\n# Where clients reach the brokers:\n");
    for (listener, addresses) in compiled.plan.listeners.iter().zip(&compiled.reach) {
        let (listener, cluster) = (&listener.id, &listener.cluster);
        let _ = writeln!(out, "#   listener {listener}, cluster {cluster}");
        for reach in addresses {
            let target = match reach.target {
                RouteTarget::Bootstrap => "bootstrap".to_owned(),
                RouteTarget::Broker(id) => format!("broker {id}"),
            };
            let _ = write!(out, "#     {target:<12} {}", reach.advertised);
            if reach.advertised.to_string() != reach.bind.to_string() {
                let _ = write!(out, " (listens at {})", reach.bind);
            }
            out.push('\n');
        }
    }
    out
}
