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
use doorkeeper_core::sasl::server::{Found, Query, ServerExchange, Step};

use super::passwords::Check;
use super::{Logins, PasswordChecks};

/// The type of all principals that log in (`KafkaPrincipal.USER_TYPE`).
const USER: &str = "User:";

/// How much entropy a nonce of ours has: 18 bytes are 24 characters.
pub(super) const NONCE_BYTES: usize = 18;

/// The exchange of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientLogin {
    exchange: Option<Box<ServerExchange>>,
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
    Password(Check),
}

impl ClientLogin {
    /// Evaluates a token. `entropy` is drawn from when an exchange begins.
    pub(crate) fn evaluate(
        &mut self,
        token: &ClientToken,
        logins: Option<&Arc<Logins>>,
        passwords: &PasswordChecks,
        entropy: impl FnOnce() -> Seed,
    ) {
        if token.is_first {
            let Seed(seed) = entropy();
            let nonce = STANDARD_NO_PAD.encode(seed.get(..NONCE_BYTES).unwrap_or_default());
            self.exchange = Some(Box::new(ServerExchange::new(token.mechanism, nonce)));
        }
        self.due = match &mut self.exchange {
            Some(exchange) => {
                let step = exchange.token(token.token.expose());
                follow(exchange, step, logins, passwords)
            }
            None => Due::Evaluated(Evaluation::Failure(LoginFailure::VerifierUnavailable)),
        };
        self.forget_what_is_over();
    }

    /// What became of the token, once that is known.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Evaluation> {
        if let Due::Password(check) = &mut self.due {
            let decision = ready!(Pin::new(check).poll(cx));
            let step = match &mut self.exchange {
                Some(exchange) => exchange.found(Found::Password(decision)),
                None => Step::Failure(LoginFailure::VerifierUnavailable),
            };
            self.due = Due::Evaluated(evaluation(step));
            self.forget_what_is_over();
        }
        match std::mem::take(&mut self.due) {
            Due::Evaluated(evaluation) => Poll::Ready(evaluation),
            Due::Nothing | Due::Password(_) => Poll::Pending,
        }
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
    passwords: &PasswordChecks,
) -> Due {
    let Step::Look(query) = step else {
        return Due::Evaluated(evaluation(step));
    };
    let found = match (query, logins) {
        (Query::Keys { username, hash }, Some(logins)) => {
            let (credential, is_known) = logins.users.keys(&username, hash);
            Found::Keys {
                credential,
                is_known,
            }
        }
        (Query::Password { username, password }, Some(logins)) => {
            let (credential, is_known) = logins.users.keys_for_password(&username);
            let user = is_known.then_some(&*username);
            match passwords.check(user, credential, password) {
                Ok(decision) => Found::Password(decision),
                Err(check) => return Due::Password(check),
            }
        }
        (Query::Token { .. }, _) | (_, None) => Found::Nothing(LoginFailure::VerifierUnavailable),
    };
    Due::Evaluated(evaluation(exchange.found(found)))
}

fn evaluation(step: Step) -> Evaluation {
    match step {
        Step::Challenge(token) => Evaluation::Challenge(token),
        Step::Success(success) => Evaluation::Success {
            token: success.token,
            principal: Principal::new(&[USER, &success.name].concat()),
            lifetime: None,
        },
        Step::Failure(why) => Evaluation::Failure(why),
        // No exchange asks twice.
        Step::Look(_) => Evaluation::Failure(LoginFailure::VerifierUnavailable),
    }
}
