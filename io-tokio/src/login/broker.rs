//! A login of doorkeeper's own at one broker, as far as it needs more than the broker's tokens.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::Read as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use doorkeeper_core::id::Seed;
use doorkeeper_core::sasl::broker::{TokenReply, TokenRequest};
use doorkeeper_core::sasl::client::{ClientExchange, Step};
use doorkeeper_core::sasl::failure::BrokerLoginFailure;
use doorkeeper_core::sasl::scram::client::ClientKeys;
use doorkeeper_core::secret::Secret;

use super::client::NONCE_BYTES;
use super::identities::{Credential, CredentialKind, Identities};

/// The longest bearer token: no broker takes a longer one (`sasl.server.max.receive.size`).
const TOKEN_BYTES_MAX: u64 = 512 * 1024;

const UNAVAILABLE: BrokerLoginFailure = BrokerLoginFailure::CredentialsUnavailable;

type Work<T> = Pin<Box<dyn Future<Output = Result<T, BrokerLoginFailure>> + Send>>;

/// The exchange with one broker.
#[derive(Default)]
pub(crate) struct BrokerLogin {
    under_way: Option<UnderWay>,
    due: Due,
}

struct UnderWay {
    exchange: Box<ClientExchange>,
    credential: Arc<Credential>,
    identities: Arc<Identities>,
}

/// What the session, or discovery, waits for.
#[derive(Default)]
enum Due {
    #[default]
    Nothing,
    /// It is there.
    Reply(TokenReply),
    /// Keys are being derived.
    Keys(Work<ClientKeys>),
    /// A bearer token is being read.
    Bearer(Work<Secret>),
}

impl fmt::Debug for BrokerLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerLogin(..)")
    }
}

impl BrokerLogin {
    /// Takes a request for a token. `entropy` is drawn from when an exchange begins.
    pub(crate) fn request(
        &mut self,
        request: TokenRequest,
        identities: Option<Arc<Identities>>,
        entropy: impl FnOnce() -> Seed,
    ) {
        self.due = match request {
            TokenRequest::First { client } => {
                self.under_way = None;
                let chosen = identities.and_then(|identities| {
                    let credential = Arc::clone(identities.of(client.as_ref())?);
                    Some((identities, credential))
                });
                match chosen {
                    Some((identities, credential)) => self.begin(identities, credential, entropy),
                    None => failure(BrokerLoginFailure::NoCredentials),
                }
            }
            TokenRequest::Next(token) => match &mut self.under_way {
                Some(under_way) => {
                    let step = under_way.exchange.token(token.expose());
                    under_way.follow(step)
                }
                None => failure(BrokerLoginFailure::Malformed),
            },
        };
        self.forget_what_is_over();
    }

    fn begin(
        &mut self,
        identities: Arc<Identities>,
        credential: Arc<Credential>,
        entropy: impl FnOnce() -> Seed,
    ) -> Due {
        let begun = match &credential.kind {
            CredentialKind::Plain { username, password } => {
                ClientExchange::plain(username, password)
            }
            CredentialKind::Scram { hash, username, .. } => {
                let Seed(seed) = entropy();
                let nonce = STANDARD_NO_PAD.encode(seed.get(..NONCE_BYTES).unwrap_or_default());
                Some(ClientExchange::scram(*hash, username, &nonce))
            }
            CredentialKind::TokenFile { file, .. } => {
                let file = file.clone();
                let read = tokio::task::spawn_blocking(move || read_token(&file));
                let work = async move { read.await.map_err(|_| UNAVAILABLE)? };
                // Its exchange begins with the token.
                self.under_way =
                    ClientExchange::bearer(&Secret::new(*b"none"), &[]).map(|(exchange, _)| {
                        UnderWay {
                            exchange: Box::new(exchange),
                            credential,
                            identities,
                        }
                    });
                return Due::Bearer(Box::pin(work));
            }
        };
        let Some((exchange, token)) = begun else {
            return failure(UNAVAILABLE);
        };
        let mechanism = exchange.mechanism();
        self.under_way = Some(UnderWay {
            exchange: Box::new(exchange),
            credential,
            identities,
        });
        Due::Reply(TokenReply::First { mechanism, token })
    }

    /// What became of the request, once that is known.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TokenReply> {
        let due = match &mut self.due {
            Due::Keys(work) => {
                let keys = ready!(work.as_mut().poll(cx));
                match (keys, &mut self.under_way) {
                    (Ok(keys), Some(under_way)) => {
                        let step = under_way.exchange.keys(&keys);
                        under_way.follow(step)
                    }
                    (Err(why), _) => failure(why),
                    (Ok(_), None) => failure(UNAVAILABLE),
                }
            }
            Due::Bearer(work) => {
                let token = ready!(work.as_mut().poll(cx));
                match (token, &mut self.under_way) {
                    (Ok(token), Some(under_way)) => under_way.bearer(&token),
                    (Err(why), _) => failure(why),
                    (Ok(_), None) => failure(UNAVAILABLE),
                }
            }
            Due::Nothing | Due::Reply(_) => std::mem::take(&mut self.due),
        };
        self.due = due;
        self.forget_what_is_over();
        match std::mem::take(&mut self.due) {
            Due::Reply(reply) => Poll::Ready(reply),
            due @ (Due::Nothing | Due::Keys(_) | Due::Bearer(_)) => {
                self.due = due;
                Poll::Pending
            }
        }
    }

    /// An exchange that has ended is no use to anybody, and has keys in it.
    fn forget_what_is_over(&mut self) {
        if let Due::Reply(TokenReply::Done | TokenReply::Failure(_)) = &self.due {
            self.under_way = None;
        }
    }
}

impl UnderWay {
    fn bearer(&mut self, token: &Secret) -> Due {
        let CredentialKind::TokenFile { extensions, .. } = &self.credential.kind else {
            return failure(UNAVAILABLE);
        };
        let Some((exchange, token)) = ClientExchange::bearer(token, extensions) else {
            return failure(UNAVAILABLE);
        };
        let mechanism = exchange.mechanism();
        *self.exchange = exchange;
        Due::Reply(TokenReply::First { mechanism, token })
    }

    fn follow(&self, step: Step) -> Due {
        match step {
            Step::Token(token) => Due::Reply(TokenReply::Next(token)),
            Step::Done => Due::Reply(TokenReply::Done),
            Step::Failure(why) => failure(why),
            Step::Keys => match (self.exchange.challenge(), &self.credential.kind) {
                (Some(challenged), CredentialKind::Scram { password, .. }) => {
                    let credential = Arc::clone(&self.credential);
                    let derivations = Arc::clone(self.identities.derivations());
                    let keys = credential.keys(challenged.clone(), password.clone(), derivations);
                    Due::Keys(Box::pin(keys))
                }
                _ => failure(UNAVAILABLE),
            },
        }
    }
}

const fn failure(why: BrokerLoginFailure) -> Due {
    Due::Reply(TokenReply::Failure(why))
}

/// The token in a file, without the line end behind it.
fn read_token(file: &Path) -> Result<Secret, BrokerLoginFailure> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|_| UNAVAILABLE)?;
    let read = opened.take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes);
    let len = read.map_err(|_| UNAVAILABLE)?;
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() || len as u64 > TOKEN_BYTES_MAX {
        return Err(UNAVAILABLE);
    }
    Ok(Secret::new(bytes))
}
