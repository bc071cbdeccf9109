//! As whom doorkeeper logs in at the brokers of a cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::failure::BrokerLoginFailure;
use doorkeeper_core::sasl::scram::Hash;
use doorkeeper_core::sasl::scram::client::{Challenged, ClientKeys};
use doorkeeper_core::secret::Secret;
use tokio::sync::{Mutex, Semaphore};

/// How many keys are derived at a time for one cluster: the rest of the processors moves bytes.
const DERIVATIONS_AT_ONCE: usize = 1;

/// Whose credentials a connection to a broker has.
#[derive(Debug)]
pub struct Identities {
    /// Those of doorkeeper itself, which discovery has as well.
    service: Arc<Credential>,
    /// Those of some clients.
    by_principal: BTreeMap<Principal, Arc<Credential>>,
    /// What clients have that are not among these.
    others: Others,
    derivations: Arc<Semaphore>,
}

/// What clients have for whom no credentials are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Those of doorkeeper.
    Service,
    /// None: their requests reach no broker.
    Refused,
}

/// By what one identity is shown.
pub struct Credential {
    pub(super) kind: CredentialKind,
    /// The keys of the last login: brokers keep their salts.
    keys: Mutex<Option<DerivedKeys>>,
}

/// How an identity is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A password that is sent.
    Plain {
        /// The user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A password that is proved.
    Scram {
        /// Of which mechanism.
        hash: Hash,
        /// The user.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A token that somebody else keeps fresh in a file.
    TokenFile {
        /// The file, read for each login.
        file: PathBuf,
        /// What else is said (KIP-342).
        extensions: Vec<(String, String)>,
    },
}

/// Keys, and what they were derived from besides the password.
struct DerivedKeys {
    salt: Vec<u8>,
    iterations: u32,
    keys: ClientKeys,
}

impl Identities {
    /// doorkeeper has these credentials, and so have its clients, but for some.
    #[must_use]
    pub fn new(
        service: CredentialKind,
        by_principal: impl IntoIterator<Item = (Principal, CredentialKind)>,
        others: Others,
    ) -> Self {
        let by_principal = by_principal.into_iter();
        Self {
            service: Arc::new(Credential::new(service)),
            by_principal: by_principal
                .map(|(principal, kind)| (principal, Arc::new(Credential::new(kind))))
                .collect(),
            others,
            derivations: Arc::new(Semaphore::new(DERIVATIONS_AT_ONCE)),
        }
    }

    /// The credentials for a connection that this client, or nobody, has.
    pub(super) fn of(&self, client: Option<&Principal>) -> Option<&Arc<Credential>> {
        let Some(client) = client else {
            return Some(&self.service);
        };
        match (self.by_principal.get(client), self.others) {
            (Some(own), _) => Some(own),
            (None, Others::Service) => Some(&self.service),
            (None, Others::Refused) => None,
        }
    }

    pub(super) fn derivations(&self) -> &Arc<Semaphore> {
        &self.derivations
    }
}

/// Keys that have been derived are nobody's settings.
impl PartialEq for Identities {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            service,
            by_principal,
            others,
            derivations: _,
        } = self;
        (service, by_principal, others) == (&other.service, &other.by_principal, &other.others)
    }
}

impl Eq for Identities {}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Credential {}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Credential {
    fn new(kind: CredentialKind) -> Self {
        Self {
            kind,
            keys: Mutex::new(None),
        }
    }

    /// The keys that a broker asks for. Of many logins at once, one derives them.
    pub(super) async fn keys(
        self: Arc<Self>,
        challenged: Challenged,
        password: Secret,
        derivations: Arc<Semaphore>,
    ) -> Result<ClientKeys, BrokerLoginFailure> {
        let unavailable = BrokerLoginFailure::CredentialsUnavailable;
        let mut kept = self.keys.lock().await;
        let (salt, iterations) = (challenged.salt().to_vec(), challenged.iterations());
        if let Some(kept) = &*kept
            && (&kept.salt, kept.iterations) == (&salt, iterations)
        {
            return Ok(kept.keys.clone());
        }
        let permit = derivations.acquire_owned().await.map_err(|_| unavailable)?;
        let derive = move || {
            let keys = challenged.derive(&password);
            drop(permit);
            keys
        };
        let keys = tokio::task::spawn_blocking(derive).await;
        let keys = keys.map_err(|_| unavailable)?;
        *kept = Some(DerivedKeys {
            salt,
            iterations,
            keys: keys.clone(),
        });
        Ok(keys)
    }
}
