//! `doorkeeper certs generate`: a CA, and certificates that it signs.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::authority::{Authority, Pair};
use super::new_files::NewFiles;
use crate::check;
use crate::cli::GenerateArgs;
use crate::failure::Failure;

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca.key";

/// Writes all files, and says which.
pub(crate) fn generate(args: &GenerateArgs) -> Result<(), Failure> {
    if args.server.is_empty() && args.client.is_empty() && args.ca_dir.is_some() {
        let message =
            "nothing to do: --ca-dir has a CA, and neither --server nor --client is given";
        return Err(Failure::Usage(message.to_owned()));
    }
    let mut files = NewFiles::new(&args.out);
    let authority = match &args.ca_dir {
        Some(dir) => read(dir).with_context(|| format!("the CA in {}", dir.display()))?,
        None => {
            let (authority, pair) = Authority::generate("doorkeeper CA", args.ca_days)?;
            files.public(CA, pair.certificate);
            files.secret(CA_KEY, pair.key);
            authority
        }
    };
    if !args.server.is_empty() {
        let pair = authority.server(&args.server, args.days);
        let Pair { certificate, key } = pair.context("the certificate of the server")?;
        files.public("server.pem", certificate);
        files.secret("server.key", key);
    }
    for name in &args.client {
        let Pair { certificate, key } = authority.client(name, args.days)?;
        // Java clients want both in one file.
        files.secret(
            &format!("{name}.keystore.pem"),
            format!("{key}{certificate}"),
        );
        files.public(&format!("{name}.pem"), certificate);
        files.secret(&format!("{name}.key"), key);
    }
    files.write()?;
    let paths = files.paths().map(|it| format!("{}\n", it.display()));
    check::print(&paths.collect::<String>())
}

fn read(dir: &Path) -> anyhow::Result<Authority> {
    let text = |name: &str| fs::read_to_string(dir.join(name)).context(name.to_owned());
    Authority::of(&Pair {
        certificate: text(CA)?,
        key: text(CA_KEY)?,
    })
}

/// A name of a client that is also the name of its files.
pub(crate) fn client_name(text: &str) -> Result<String, String> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_.@".contains(it);
    let is_own = !["ca", "server"].contains(&text) && !text.starts_with('.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) || !is_own {
        return Err(
            "letters, digits and - _ . @ only, 64 at most, other than ca and server".into(),
        );
    }
    Ok(text.to_owned())
}
