//! The keys of one endpoint, fetched again and again; the last good ones hold until there are
//! others.

use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::sasl::failure::LoginFailure;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::JwksEndpoint;
use super::jwks::{InvalidJwks, Jwks};
use crate::Net;
use crate::https::{HttpsClient, HttpsFailure, HttpsRequest};

/// Longer than any set of keys that is no mistake.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// Between two attempts, however many tokens name keys that nobody knows: anybody can send one.
pub(super) const REST: Duration = Duration::from_secs(10);

/// What there is of the keys of an endpoint.
#[derive(Default)]
pub(super) struct FetchedKeys {
    state: watch::Sender<State>,
    /// Somebody has a token with a key that is not known.
    wanted: Notify,
}

#[derive(Clone, Default)]
struct State {
    /// The last good ones.
    keys: Option<Arc<Jwks>>,
    stage: Stage,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    /// An attempt is under way.
    #[default]
    Fetching,
    /// The last attempt was a moment ago.
    Resting { has_failed: bool },
    /// There may be an attempt at any time.
    Due,
}

/// Why there are no new keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchFailure {
    #[error(transparent)]
    Https(#[from] HttpsFailure),
    #[error(transparent)]
    Keys(#[from] InvalidJwks),
}

impl FetchedKeys {
    /// The last good keys; where there are none yet, the result of an attempt.
    pub(super) async fn known(&self) -> Result<Arc<Jwks>, LoginFailure> {
        let known = self.state.borrow().keys.clone();
        match known {
            Some(keys) => Ok(keys),
            None => self.newer().await,
        }
    }

    /// The keys of an attempt that is under way, or was a moment ago, or begins now.
    pub(super) async fn newer(&self) -> Result<Arc<Jwks>, LoginFailure> {
        let unavailable = LoginFailure::TokenKeysUnavailable;
        let mut state = self.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            match now.stage {
                Stage::Fetching => {}
                Stage::Due => self.wanted.notify_one(),
                Stage::Resting { has_failed } => {
                    // For whoever tries again.
                    self.wanted.notify_one();
                    let keys = now.keys.filter(|_| !has_failed);
                    return keys.ok_or(unavailable);
                }
            }
            state.changed().await.map_err(|_| unavailable)?;
        }
    }

    /// Fetches keys for ever.
    pub(super) async fn fetch<N: Net>(
        self: Arc<Self>,
        client: HttpsClient<N>,
        endpoint: JwksEndpoint,
    ) {
        loop {
            self.state.send_modify(|it| it.stage = Stage::Fetching);
            let fetched = fetch_once(&client, &endpoint).await;
            let has_failed = fetched.is_err();
            self.state.send_modify(|it| {
                if let Ok(keys) = fetched {
                    it.keys = Some(Arc::new(keys));
                }
                it.stage = Stage::Resting { has_failed };
            });
            sleep(REST).await;
            if !has_failed {
                self.state.send_modify(|it| it.stage = Stage::Due);
                let rest = endpoint.refresh_interval.saturating_sub(REST);
                let _ = timeout(rest, self.wanted.notified()).await;
            }
        }
    }
}

async fn fetch_once<N: Net>(
    client: &HttpsClient<N>,
    endpoint: &JwksEndpoint,
) -> Result<Jwks, FetchFailure> {
    let response = client.exchange(HttpsRequest {
        url: &endpoint.url,
        trust: &endpoint.trust,
        authorization: None,
        body: None,
        within: endpoint.timeout,
        response_bytes_max: RESPONSE_BYTES_MAX,
    });
    let body = response.await?.ok()?;
    Ok(Jwks::read(&body)?)
}
