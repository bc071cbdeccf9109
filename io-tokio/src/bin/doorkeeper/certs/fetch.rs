//! `doorkeeper certs fetch`: what a server shows, and who trusts it.

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use doorkeeper_core::id::HostPort;
use doorkeeper_io_tokio::tls::client::ServerTrust;
use doorkeeper_io_tokio::tls::inspect::{self, Shown};

use super::NewFiles;
use crate::check;
use crate::cli::FetchArgs;
use crate::failure::Failure;
use crate::run;

/// The exit code of a chain that was fetched and is not trusted.
const NOT_TRUSTED: u8 = 3;

/// Prints what the server shows, and saves it if asked to.
pub(crate) fn fetch(args: &FetchArgs) -> Result<ExitCode, Failure> {
    let at: HostPort = args
        .at
        .parse()
        .map_err(|why| Failure::Usage(format!("{:?} is no host and port: {why}", args.at)))?;
    let (trust, trusting) = match &args.ca {
        Some(file) => {
            let pem = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            (ServerTrust::Ca(pem), file.display().to_string())
        }
        None => (ServerTrust::System, "the system".to_owned()),
    };
    let name = args.server_name.as_deref().unwrap_or_else(|| at.host());
    let timeout = args.timeout.into();
    let asked = inspect::fetch(&at, name, trust, timeout);
    let asked = async { asked.await.with_context(|| at.to_string()) };
    let shown = run::block_on(async { Ok(asked.await?) })?;
    if let Some(out) = &args.out {
        let dir = out.parent().unwrap_or(out);
        let file = out.file_name().and_then(|it| it.to_str());
        let file = file.context("--out names no file")?;
        let mut files = NewFiles::new(dir);
        files.public(file, shown.pem());
        files.write()?;
    }
    check::print(&report(&shown))?;
    Ok(match shown.verdict {
        Ok(()) => {
            check::print(&format!("trusted by {trusting}, for the name {name}\n"))?;
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(
                io::stderr(),
                "doorkeeper: not trusted by {trusting}, for the name {name}: {why}"
            );
            ExitCode::from(NOT_TRUSTED)
        }
    })
}

fn report(shown: &Shown) -> String {
    let each = shown.chain.iter().enumerate();
    let each = each.map(|(number, it)| {
        let signer = if it.issuer == it.subject {
            "itself".to_owned()
        } else {
            let signer = shown
                .chain
                .iter()
                .position(|other| other.subject == it.issuer);
            let named = signer.map(|at| format!("certificate {at}"));
            named.unwrap_or_else(|| "one that is not shown".to_owned())
        };
        format!(
            "certificate {number}\n  subject:     {}\n  names:       {}\n  issuer:      {} \
             ({signer})\n  valid:       {} to {}\n  SHA-256:     {}\n",
            printable(&it.subject),
            printable(&it.names.join(", ")),
            printable(&it.issuer),
            it.not_before,
            it.not_after,
            it.sha256,
        )
    });
    each.collect()
}

/// Nothing that a terminal takes for a command.
fn printable(text: &str) -> String {
    let each = text.chars().map(|it| {
        if it.is_control() {
            it.escape_default().to_string()
        } else {
            it.to_string()
        }
    });
    each.collect()
}
