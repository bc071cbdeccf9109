//! As whom doorkeeper logs in at the brokers of a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::oauthbearer::is_extension;
use doorkeeper_core::sasl::plain::PlainMessage;
use doorkeeper_core::sasl::scram::Hash;
use doorkeeper_core::secret::Secret;

use super::super::identity::{BrokerCredential, BrokerMechanism, ClusterIdentity};
use super::super::schema::Cluster;
use super::super::tree::Path;
use super::Compiler;
use super::tls::Reader;
use crate::login::identities::{CredentialKind, Identities, Others};

impl Compiler<'_> {
    /// What contradicts itself, or would tell secrets.
    pub(super) fn check_identity(&mut self, path: &Path, cluster: &Cluster) {
        let Some(identity) = &cluster.identity else {
            return;
        };
        let path = path.key("identity");
        let has_tls = cluster.tls.is_some();
        let allows = identity.insecure_plain_without_tls.is_some();
        let named = identity.by_principal.iter().map(|(principal, credential)| {
            let place = path.keys(&["by_principal", principal]);
            (place, credential)
        });
        let named: Vec<_> = named.collect();
        let all = [(path.key("default"), &identity.default)];
        for (path, credential) in all.into_iter().chain(named) {
            self.check_credential(&path, credential, has_tls || allows);
        }
        if allows && !has_tls {
            let message = "passwords and tokens cross the network to the brokers as they are";
            self.warning(&path.key("insecure_plain_without_tls"), message);
        }
        for principal in identity.by_principal.keys() {
            if !principal.contains(':') {
                let message = format!("a principal has a type: User:{principal}, say");
                self.error(&path.keys(&["by_principal", principal]), message);
            }
        }
    }

    fn check_credential(&mut self, path: &Path, credential: &BrokerCredential, may_send: bool) {
        let mechanism = credential.mechanism.mechanism();
        let name = mechanism.name();
        if mechanism.sends_secret() && !may_send {
            let message = format!(
                "{name} without TLS would tell the secret to whoever can read the network: give \
                 the cluster tls, or say identity.insecure_plain_without_tls: allow"
            );
            self.error(&path.key("mechanism"), message);
        }
        let BrokerCredential {
            mechanism,
            username,
            password_file,
            token_file,
            extensions,
        } = credential;
        let wants_token = *mechanism == BrokerMechanism::OAuthBearer;
        let given = [
            ("username", username.is_some(), !wants_token),
            ("password_file", password_file.is_some(), !wants_token),
            ("token_file", token_file.is_some(), wants_token),
        ];
        for (key, is_there, is_wanted) in given {
            if is_wanted && !is_there {
                self.error(path, format!("{name} needs {key}"));
            } else if is_there && !is_wanted {
                self.error(&path.key(key), format!("is of no use for {name}"));
            }
        }
        for (key, value) in extensions {
            let path = path.keys(&["extensions", key]);
            if !wants_token {
                self.error(&path, format!("is of no use for {name}"));
            } else if !is_extension(key, value) {
                let message = "a name has letters, a value printable characters (KIP-342)";
                self.error(&path, message);
            }
        }
    }
}

impl Reader<'_> {
    /// As whom doorkeeper logs in, with what the files say.
    pub(super) fn identities(
        &mut self,
        path: &Path,
        identity: &ClusterIdentity,
    ) -> Option<Arc<Identities>> {
        let service = self.credential(&path.key("default"), &identity.default);
        let named = identity.by_principal.iter().map(|(principal, it)| {
            let credential = self.credential(&path.keys(&["by_principal", principal]), it)?;
            Some((Principal::new(principal), credential))
        });
        let named: Option<Vec<_>> = named.collect();
        let others = match identity.other_principals {
            Some(_) => Others::Refused,
            None => Others::Service,
        };
        Some(Arc::new(Identities::new(service?, named?, others)))
    }

    fn credential(&mut self, path: &Path, it: &BrokerCredential) -> Option<CredentialKind> {
        let hash = match it.mechanism {
            BrokerMechanism::OAuthBearer => return self.token_file(path, it),
            BrokerMechanism::Plain => None,
            BrokerMechanism::ScramSha256 => Some(Hash::Sha256),
            BrokerMechanism::ScramSha512 => Some(Hash::Sha512),
        };
        let username = it.username.clone()?;
        let file = it.password_file.as_ref()?;
        let place = path.key("password_file");
        let password = self.password(&place, file)?;
        if password.expose().is_empty() || str::from_utf8(password.expose()).is_err() {
            self.error(&place, format!("{file} has no password in it"));
            return None;
        }
        let Some(hash) = hash else {
            if PlainMessage::token(&username, &password).is_none() {
                self.error(path, "PLAIN has no way to say this user name and password");
                return None;
            }
            return Some(CredentialKind::Plain { username, password });
        };
        Some(CredentialKind::Scram {
            hash,
            username,
            password,
        })
    }

    fn token_file(&mut self, path: &Path, it: &BrokerCredential) -> Option<CredentialKind> {
        let file = it.token_file.as_ref()?;
        // It is read for each login; that it can be read is known now.
        let _: Secret = self.password(&path.key("token_file"), file)?;
        Some(CredentialKind::TokenFile {
            file: PathBuf::from(file),
            extensions: it.extensions.clone().into_iter().collect(),
        })
    }
}
