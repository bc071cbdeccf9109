//! The login of one client, as far as it needs more than its tokens.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use doorkeeper_core::id::Seed;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::login::{ClientToken, Evaluation};
use doorkeeper_core::sasl::server::{Found, Query, ServerExchange, Step, TokenHolder};

use super::check::Check;
use super::{Logins, Verifiers};

/// The type of all principals that log in (`KafkaPrincipal.USER_TYPE`).
pub(super) const USER: &str = "User:";

/// How much entropy a nonce of ours has: 18 bytes are 24 characters.
pub(super) const NONCE_BYTES: usize = 18;

/// The exchange of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientLogin {
    exchange: Option<Box<ServerExchange>>,
    /// What was in force when the exchange began.
    begun_with: Option<Arc<Logins>>,
    due: Due,
}

/// What the session waits for.
#[derive(Debug, Default)]
enum Due {
    #[default]
    Nothing,
    /// It is there.
    Evaluated(Evaluation),
    /// A password is being verified.
    Password(Check<()>),
    /// A bearer token is.
    Token(Check<TokenHolder>),
}

impl ClientLogin {
    /// Evaluates a token. `entropy` is drawn from when an exchange begins.
    pub(crate) fn evaluate(
        &mut self,
        token: &ClientToken,
        logins: Option<&Arc<Logins>>,
        verifiers: &Verifiers,
        entropy: impl FnOnce() -> Seed,
    ) {
        if token.is_first {
            let Seed(seed) = entropy();
            let nonce = STANDARD_NO_PAD.encode(seed.get(..NONCE_BYTES).unwrap_or_default());
            self.exchange = Some(Box::new(ServerExchange::new(token.mechanism, nonce)));
            self.begun_with = logins.cloned();
        }
        self.due = match &mut self.exchange {
            Some(exchange) => {
                let step = exchange.token(token.token.expose());
                follow(exchange, step, logins, verifiers)
            }
            None => Due::Evaluated(Evaluation::Failure(LoginFailure::VerifierUnavailable)),
        };
        self.forget_what_is_over();
    }

    /// What became of the token, once that is known.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Evaluation> {
        let found = match &mut self.due {
            Due::Password(check) => Some(Found::Password(ready!(Pin::new(check).poll(cx)))),
            Due::Token(check) => Some(Found::Token(ready!(Pin::new(check).poll(cx)))),
            Due::Nothing | Due::Evaluated(_) => None,
        };
        if let Some(found) = found {
            let step = match &mut self.exchange {
                Some(exchange) => exchange.found(found),
                None => Step::Failure(LoginFailure::VerifierUnavailable),
            };
            self.due = Due::Evaluated(evaluation(step));
            self.forget_what_is_over();
        }
        match std::mem::take(&mut self.due) {
            Due::Evaluated(evaluation) => Poll::Ready(evaluation),
            Due::Nothing | Due::Password(_) | Due::Token(_) => Poll::Pending,
        }
    }

    /// What the client has logged in with: what is in force now may be something else.
    pub(crate) fn take_begun_with(&mut self) -> Option<Arc<Logins>> {
        self.begun_with.take()
    }

    /// An exchange with a decision is no use to anybody, and has keys in it.
    fn forget_what_is_over(&mut self) {
        if let Due::Evaluated(Evaluation::Success { .. } | Evaluation::Failure(_)) = &self.due {
            self.exchange = None;
        }
    }
}

/// Finds out what an exchange has to know.
fn follow(
    exchange: &mut ServerExchange,
    step: Step,
    logins: Option<&Arc<Logins>>,
    verifiers: &Verifiers,
) -> Due {
    let Step::Look(query) = step else {
        return Due::Evaluated(evaluation(step));
    };
    let users = logins.and_then(|it| it.users.as_ref());
    let tokens = logins.and_then(|it| it.tokens.as_ref());
    let found = match query {
        Query::Keys { username, hash } => users.map(|users| {
            let (credential, is_known) = users.keys(&username, hash);
            Found::Keys {
                credential,
                is_known,
            }
        }),
        Query::Password { username, password } => match users {
            None => None,
            Some(users) => {
                let (credential, is_known) = users.keys_for_password(&username);
                let user = is_known.then_some(&*username);
                match verifiers.passwords.check(user, credential, password) {
                    Ok(decision) => Some(Found::Password(decision)),
                    Err(check) => return Due::Password(check),
                }
            }
        },
        // Extensions are for whoever knows them; nobody does here, as with Kafka's own validator.
        Query::Token { token, .. } => match tokens {
            None => None,
            Some(tokens) => return Due::Token(verifiers.tokens.check(tokens, token)),
        },
    };
    let found = found.unwrap_or(Found::Nothing(LoginFailure::VerifierUnavailable));
    Due::Evaluated(evaluation(exchange.found(found)))
}

fn evaluation(step: Step) -> Evaluation {
    match step {
        Step::Challenge(token) => Evaluation::Challenge(token),
        Step::Success(success) => Evaluation::Success {
            token: success.token,
            principal: Principal::new(&[USER, &success.name].concat()),
            lifetime: success.lifetime,
        },
        Step::Failure(why) => Evaluation::Failure(why),
        // No exchange asks twice.
        Step::Look(_) => Evaluation::Failure(LoginFailure::VerifierUnavailable),
    }
}
