//! The files that a configuration names, read and held against each other: those of TLS, and those
//! of users (`sasl.rs`).

mod clients;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorkeeper_core::secret::Secret;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use super::super::load::Loaded;
use super::super::problem::{Problem, Problems, Severity};
use super::super::sources::Sources;
use super::super::tls::{ClusterTls, Identity, ListenerTls, SkipVerification, Version};
use super::super::tree::Path;
use super::Compiled;
use crate::tls::client::{ClientSettings, ServerTrust};
use crate::tls::parameters::{self, Parameters};
use crate::tls::server::{ServerSettings, ServerTls};
use crate::tls::upstream::UpstreamTls;
use crate::tls::{identity, identity::BadIdentity};

/// What expires sooner should have been renewed.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Longer than any certificate, key, CA bundle or revocation list that is not a mistake.
const FILE_BYTES_MAX: u64 = 16 << 20;

impl Compiled {
    /// Reads the certificates, keys, CAs and revocation lists of all listeners and clusters, and
    /// the users, and adds what TLS is spoken with and who may log in to the plan. The files are
    /// among the sources then.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn read_files(&mut self, loaded: &Loaded, sources: &mut Sources) -> Result<(), Problems> {
        let mut reader = Reader {
            loaded,
            sources,
            problems: Vec::new(),
        };
        let root = Path::default();
        for listener in &mut self.plan.listeners {
            let settings = loaded.config.listeners.get(listener.id.name());
            if let Some(tls) = settings.and_then(|it| it.tls.as_ref()) {
                let path = root.keys(&["listeners", listener.id.name(), "tls"]);
                listener.tls = reader.listener(&path, tls);
                reader.must_be_there(&path, listener.tls.is_some());
            }
            if let Some(sasl) = settings.and_then(|it| it.sasl.as_ref()) {
                let path = root.keys(&["listeners", listener.id.name(), "sasl"]);
                listener.logins = reader.logins(&path, sasl);
                reader.must_be_there(&path, listener.logins.is_some());
            }
        }
        for cluster in &mut self.plan.clusters {
            let settings = loaded.config.clusters.get(cluster.id.name());
            if let Some(tls) = settings.and_then(|it| it.tls.as_ref()) {
                let path = root.keys(&["clusters", cluster.id.name(), "tls"]);
                cluster.tls = reader.cluster(&path, tls);
                reader.must_be_there(&path, cluster.tls.is_some());
            }
            if let Some(identity) = settings.and_then(|it| it.identity.as_ref()) {
                let path = root.keys(&["clusters", cluster.id.name(), "identity"]);
                cluster.identities = reader.identities(&path, identity);
                reader.must_be_there(&path, cluster.identities.is_some());
            }
        }
        let problems = Problems::new(&loaded.file, reader.problems);
        if problems.has_errors() {
            return Err(problems);
        }
        self.warnings.problems.extend(problems.problems);
        Ok(())
    }
}

pub(super) struct Reader<'a> {
    loaded: &'a Loaded,
    sources: &'a mut Sources,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// A leg that is to have TLS never speaks plaintext, and nobody is let in without a login that
    /// is to have one, whatever went wrong and was not said.
    fn must_be_there(&mut self, path: &Path, is_there: bool) {
        let is_said = self
            .problems
            .iter()
            .any(|it| it.severity == Severity::Error);
        if !is_there && !is_said {
            self.error(path, "cannot be used");
        }
    }

    fn listener(&mut self, path: &Path, tls: &ListenerTls) -> Option<ServerTls> {
        let parameters = Parameters {
            min_version: version(tls.min_version),
            cipher_suites: tls.cipher_suites.clone(),
            groups: tls.groups.clone(),
            classical_groups_only: !tls.post_quantum,
        };
        let provider = self.made(path, parameters.provider())?;
        let identities = tls.certificates.iter().enumerate().map(|(i, it)| {
            let path = path.key("certificates").index(i);
            self.identity(&path, it, &provider)
        });
        let identities: Vec<Option<Arc<CertifiedKey>>> = identities.collect();
        let client_auth = self.client_auth(path, tls);
        let settings = ServerSettings {
            parameters,
            identities: identities.into_iter().collect::<Option<_>>()?,
            client_auth: client_auth?,
        };
        self.made(path, ServerTls::new(settings))
    }

    fn cluster(&mut self, path: &Path, tls: &ClusterTls) -> Option<UpstreamTls> {
        let parameters = Parameters {
            min_version: version(tls.min_version),
            cipher_suites: tls.cipher_suites.clone(),
            groups: tls.groups.clone(),
            classical_groups_only: !tls.post_quantum,
        };
        let provider = self.made(path, parameters.provider())?;
        let ca = match &tls.ca_file {
            Some(file) => Some(self.file(&path.key("ca_file"), file)?),
            None => None,
        };
        let trust = match (tls.insecure_skip_verification, ca) {
            (None, None) => ServerTrust::System,
            (None, Some(ca)) => ServerTrust::Ca(ca),
            (Some(SkipVerification::ServerName), ca) => ServerTrust::InsecureAnyName(ca),
            (Some(SkipVerification::Certificate), None) => ServerTrust::InsecureAnyCertificate,
            (Some(SkipVerification::Certificate), Some(_)) => {
                let message = "is of no use where certificates are not verified";
                self.error(&path.key("ca_file"), message);
                return None;
            }
        };
        if tls.insecure_skip_verification.is_some() {
            let message = "whoever is in between can pass for a broker";
            self.warning(&path.key("insecure_skip_verification"), message);
        }
        let identity = match &tls.certificate {
            Some(it) => Some(self.identity(&path.key("certificate"), it, &provider)?),
            None => None,
        };
        let server_name = match &tls.server_name {
            Some(name) => Some(self.server_name(&path.key("server_name"), name)?),
            None => None,
        };
        let settings = ClientSettings {
            parameters,
            trust,
            identity,
        };
        self.made(path, UpstreamTls::new(settings, server_name))
    }

    fn server_name(&mut self, path: &Path, name: &str) -> Option<ServerName<'static>> {
        let parsed = ServerName::try_from(name.to_owned());
        if parsed.is_err() {
            self.error(path, format!("{name:?} is no host name and no address"));
        }
        parsed.ok()
    }

    fn identity(
        &mut self,
        path: &Path,
        it: &Identity,
        provider: &CryptoProvider,
    ) -> Option<Arc<CertifiedKey>> {
        let password = match &it.password_file {
            Some(file) => Some(self.password(&path.key("password_file"), file)?),
            None => None,
        };
        let made = match (&it.certificate_file, &it.key_file, &it.keystore_file) {
            (Some(chain), Some(key), None) => {
                let chain_path = path.key("certificate_file");
                let key_path = path.key("key_file");
                let chain = self.file(&chain_path, chain);
                let key = self.secret_file(&key_path, key);
                let made = identity::from_pem(provider, &chain?, &key?, password.as_ref());
                made.map_err(|error| match error {
                    BadIdentity::NoCertificate | BadIdentity::Certificate(_) => (chain_path, error),
                    BadIdentity::NoKey
                    | BadIdentity::OldEncryption
                    | BadIdentity::NoPassword
                    | BadIdentity::Password
                    | BadIdentity::Key(_)
                    | BadIdentity::Mismatch
                    | BadIdentity::KeyStore(_) => (key_path, error),
                })
            }
            (None, None, Some(store)) => {
                let path = path.key("keystore_file");
                let store = self.secret_file(&path, store)?;
                let Some(password) = password else {
                    self.error(&path, "needs password_file");
                    return None;
                };
                identity::from_pkcs12(provider, &store, &password).map_err(|error| (path, error))
            }
            _ => {
                let message = "needs certificate_file and key_file, or keystore_file alone";
                self.error(path, message);
                return None;
            }
        };
        let made = made.map_err(|(path, error)| self.error(&path, error.to_string()));
        made.ok().inspect(|key| self.warn_of_expiry(path, key))
    }

    /// Warns of a certificate that its peers will not accept, or not for long.
    fn warn_of_expiry(&mut self, path: &Path, key: &CertifiedKey) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().cast_signed());
        let Some(left) = identity::expiry(key).map(|at| at - now) else {
            return;
        };
        if left <= 0 {
            self.warning(
                path,
                "the certificate has expired: peers will not accept it",
            );
        } else if left < EXPIRES_SOON.as_secs().cast_signed() {
            let hours = left / 3600;
            let message = format!(
                "the certificate expires in {} days, {} hours: renew it",
                hours / 24,
                hours % 24
            );
            self.warning(path, message);
        }
    }

    pub(super) fn made<T, E: std::fmt::Display>(
        &mut self,
        path: &Path,
        made: Result<T, E>,
    ) -> Option<T> {
        made.map_err(|error| self.error(path, error.to_string()))
            .ok()
    }

    pub(super) fn password(&mut self, path: &Path, file: &str) -> Option<Secret> {
        let mut bytes = self.secret_file(path, file)?;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        Some(Secret::new(bytes))
    }

    /// A file that nobody else should be able to read.
    pub(super) fn secret_file(&mut self, path: &Path, file: &str) -> Option<Vec<u8>> {
        let others = fs::metadata(file).is_ok_and(|it| it.mode() & 0o007 != 0);
        if others {
            let message = format!("every user of this machine may read {file}: chmod o-rwx");
            let severity = if self.loaded.config.strict {
                Severity::Error
            } else {
                Severity::Warning
            };
            self.problem(severity, path, message);
        }
        self.file(path, file)
    }

    pub(super) fn file(&mut self, path: &Path, file: &str) -> Option<Vec<u8>> {
        match self.sources.read(file, FILE_BYTES_MAX) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.error(path, format!("cannot read {file}: {error}"));
                None
            }
        }
    }

    pub(super) fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.problem(Severity::Error, path, message.into());
    }

    pub(super) fn warning(&mut self, path: &Path, message: impl Into<String>) {
        self.problem(Severity::Warning, path, message.into());
    }

    fn problem(&mut self, severity: Severity, path: &Path, message: String) {
        self.problems.push(Problem {
            severity,
            at: self.loaded.tree.position_of(path),
            path: path.clone(),
            message,
        });
    }
}

const fn version(version: Version) -> parameters::Version {
    match version {
        Version::Tls12 => parameters::Version::Tls12,
        Version::Tls13 => parameters::Version::Tls13,
    }
}
