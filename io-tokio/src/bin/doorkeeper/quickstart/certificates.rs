//! The certificates that quickstart serves TLS with.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::certs::{Authority, NewFiles};
use crate::failure::Failure;

/// The client that a certificate is made for.
const CLIENT: &str = "alice";

/// A folder with the certificates of server and client, and the properties of a client in Java.
pub(super) struct Certificates {
    dir: PathBuf,
    asks_clients: bool,
    is_temporary: bool,
}

impl Drop for Certificates {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Certificates {
    /// Makes them in this folder, if they are not there from the last time, or in one of their own.
    pub(super) fn make(dir: Option<&Path>, asks_clients: bool) -> Result<Self, Failure> {
        let certificates = Self {
            dir: match dir {
                Some(dir) => dir.to_owned(),
                None => temporary()?,
            },
            asks_clients,
            is_temporary: dir.is_none(),
        };
        if !certificates.dir.join("ca.pem").exists() {
            certificates.write()?;
        }
        Ok(certificates)
    }

    fn write(&self) -> anyhow::Result<()> {
        let (authority, ca) = Authority::generate("doorkeeper quickstart CA", 3650)?;
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let server = authority.server(&names, 365)?;
        let client = authority.client(CLIENT, 365)?;
        let mut files = NewFiles::new(&self.dir);
        files.public("ca.pem", ca.certificate);
        files.secret("ca.key", ca.key);
        files.public("server.pem", server.certificate);
        files.secret("server.key", server.key);
        let keystore = format!("{}{}", client.key, client.certificate);
        files.secret(&format!("{CLIENT}.keystore.pem"), keystore);
        files.public(&format!("{CLIENT}.pem"), client.certificate);
        files.secret(&format!("{CLIENT}.key"), client.key);
        files.write()
    }

    /// The lines of the listener.
    pub(super) fn listener_tls(&self) -> String {
        let quoted = |name: &str| format!("{:?}", self.path(name));
        let (certificate, key) = (quoted("server.pem"), quoted("server.key"));
        let mut tls = format!(
            "    tls:\n      certificates: [{{ certificate_file: {certificate}, \
             key_file: {key} }}]\n"
        );
        if self.asks_clients {
            let ca = quoted("ca.pem");
            tls.push_str(&format!(
                "      client_auth: required\n      client_ca_file: {ca}\n"
            ));
        }
        tls
    }

    /// The path of the CA's certificate.
    pub(super) fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// The paths of the client's certificate, its key, and both in one file; nothing where clients
    /// are not asked for them.
    pub(super) fn client(&self) -> Option<[String; 3]> {
        let names = ["pem", "key", "keystore.pem"];
        let paths = names.map(|it| self.path(&format!("{CLIENT}.{it}")));
        self.asks_clients.then_some(paths)
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// A new folder that nobody else can read.
fn temporary() -> anyhow::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let name = format!("doorkeeper-quickstart-{:016x}", u64::from_be_bytes(random));
    let dir = std::env::temp_dir().join(name);
    let made = DirBuilder::new().mode(0o700).create(&dir);
    made.with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}
