//! Bearer tokens of clients: whose they are, by the keys of whoever has issued them.

pub mod algorithm;
mod fetched;
pub mod jwks;
mod jwt;
pub mod rules;
mod strict_json;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::server::TokenHolder;
use doorkeeper_core::secret::Secret;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use self::fetched::FetchedKeys;
use self::jwks::Jwks;
use self::rules::TokenRules;
use super::check::Check;
use crate::Net;
use crate::https::{HttpsClient, HttpsTrust, HttpsUrl};

/// How many tokens are verified at a time: each takes some tenths of a millisecond of a processor.
const AT_ONCE: usize = 1;

/// What tokens are verified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// What they must say.
    pub rules: TokenRules,
    /// The keys of whoever issues them.
    pub keys: KeySource,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file that has been read.
    File(Arc<Jwks>),
    /// They are fetched.
    Endpoint(Arc<JwksEndpoint>),
}

/// Where keys are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksEndpoint {
    /// The address.
    pub url: HttpsUrl,
    /// Whose certificates hold there.
    pub trust: HttpsTrust,
    /// How often they are fetched anyway.
    pub refresh_interval: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
}

/// Verifies tokens, on a thread that moves no bytes, few at a time.
///
/// How many wait is bounded by how many connections there may be that have not logged in.
#[derive(Clone)]
pub(crate) struct TokenChecks(Arc<Shared>);

struct Shared {
    permits: Arc<Semaphore>,
    endpoints: Mutex<Vec<ServedEndpoint>>,
}

/// An endpoint, and the task that fetches its keys.
struct ServedEndpoint {
    endpoint: JwksEndpoint,
    keys: Arc<FetchedKeys>,
    task: JoinHandle<()>,
}

impl Drop for ServedEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for TokenChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenChecks(..)")
    }
}

impl TokenChecks {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            endpoints: Mutex::default(),
        }))
    }

    /// Fetches the keys of these endpoints from now on. Those that are fetched already stay as they
    /// are.
    pub(crate) fn fetch<'a, N: Net>(
        &self,
        client: &HttpsClient<N>,
        wanted: impl Iterator<Item = &'a Tokens>,
    ) {
        let mut endpoints = self.0.endpoints();
        for wanted in wanted.filter_map(Tokens::endpoint) {
            if endpoints.iter().any(|it| it.endpoint == *wanted) {
                continue;
            }
            let keys = Arc::new(FetchedKeys::default());
            let fetching = Arc::clone(&keys).fetch(client.clone(), wanted.clone());
            endpoints.push(ServedEndpoint {
                endpoint: wanted.clone(),
                keys,
                task: tokio::spawn(fetching),
            });
        }
    }

    /// Forgets the keys of all other endpoints.
    pub(crate) fn fetch_no_others<'a>(&self, wanted: impl Iterator<Item = &'a Tokens>) {
        let wanted: Vec<&JwksEndpoint> = wanted.filter_map(Tokens::endpoint).collect();
        let mut endpoints = self.0.endpoints();
        endpoints.retain(|it| wanted.contains(&&it.endpoint));
    }

    /// Whose the token is.
    pub(super) fn check(&self, tokens: &Arc<Tokens>, token: Secret) -> Check<TokenHolder> {
        let (shared, tokens) = (Arc::clone(&self.0), Arc::clone(tokens));
        Check::spawn(async move {
            let endpoint = match &tokens.keys {
                KeySource::File(keys) => {
                    return shared.verify(&tokens, Arc::clone(keys), &token).await;
                }
                KeySource::Endpoint(endpoint) => endpoint,
            };
            let keys = shared.keys_of(endpoint);
            let keys = keys.ok_or(LoginFailure::TokenKeysUnavailable)?;
            let known = keys.known().await?;
            let verified = shared.verify(&tokens, known, &token).await;
            if verified != Err(LoginFailure::TokenUnknownKey) {
                return verified;
            }
            // Whoever issues tokens may have a new key.
            let newer = keys.newer().await?;
            shared.verify(&tokens, newer, &token).await
        })
    }
}

impl Tokens {
    fn endpoint(&self) -> Option<&JwksEndpoint> {
        match &self.keys {
            KeySource::File(_) => None,
            KeySource::Endpoint(endpoint) => Some(endpoint),
        }
    }
}

impl Shared {
    async fn verify(
        &self,
        tokens: &Arc<Tokens>,
        keys: Arc<Jwks>,
        token: &Secret,
    ) -> Result<TokenHolder, LoginFailure> {
        let unavailable = LoginFailure::VerifierUnavailable;
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| unavailable)?;
        let (tokens, token) = (Arc::clone(tokens), token.clone());
        let verified = tokio::task::spawn_blocking(move || {
            let verified = tokens
                .rules
                .holder(&keys, token.expose(), SystemTime::now());
            drop(permit);
            verified
        });
        verified.await.unwrap_or(Err(unavailable))
    }

    fn keys_of(&self, endpoint: &JwksEndpoint) -> Option<Arc<FetchedKeys>> {
        let endpoints = self.endpoints();
        let served = endpoints.iter().find(|it| it.endpoint == *endpoint);
        served.map(|it| Arc::clone(&it.keys))
    }

    fn endpoints(&self) -> MutexGuard<'_, Vec<ServedEndpoint>> {
        // Nothing that a panic could leave half done is behind this lock.
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
