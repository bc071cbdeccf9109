//! A login as a session sees it: who may log in how, and what becomes of each token.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::Mechanism;
use super::failure::LoginFailure;
use crate::policy::Principal;
use crate::secret::Secret;

/// How clients of a listener log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSettings {
    /// What is offered, in the order in which clients see it (`sasl.enabled.mechanisms`).
    pub mechanisms: Vec<Mechanism>,
    /// The longest frame before the client has logged in (`sasl.server.max.receive.size`).
    pub frame_bytes_max: usize,
    /// How many frames one login may take. Kafka has no such limit.
    pub frames_max: usize,
    /// From accept until the client has logged in, whatever it sends meanwhile; and as long again
    /// for each further login of the same session.
    pub login_timeout: Duration,
    /// How long the response to a failed login, and the end of the connection, wait at least
    /// (`connection.failed.authentication.delay.ms`).
    pub failure_delay: Duration,
    /// How long a login lasts at most (`connections.max.reauth.ms`). Without it, as long as its
    /// credentials.
    pub session_lifetime_max: Option<Duration>,
}

/// A client's token, for whoever evaluates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientToken {
    /// The mechanism that the client has chosen.
    pub mechanism: Mechanism,
    /// Whether an exchange begins with it.
    pub is_first: bool,
    /// What it is, as it came.
    pub token: Secret,
}

/// What became of a client's token.
#[derive(Clone, PartialEq, Eq)]
pub enum Evaluation {
    /// The client gets this and sends another one.
    Challenge(Bytes),
    /// The client has logged in.
    Success {
        /// The last token for the client, which may be empty.
        token: Bytes,
        /// Who it is.
        principal: Principal,
        /// For how long its credentials hold, if they say so.
        lifetime: Option<Duration>,
    },
    /// The login has failed.
    Failure(LoginFailure),
}

/// No byte of a token is shown, and no fingerprint: from that a password could be guessed.
impl fmt::Display for ClientToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_first { "first" } else { "next" };
        let (mechanism, len) = (self.mechanism.name(), self.token.expose().len());
        write!(f, "{mechanism} {place} {len} bytes")
    }
}

/// As text: salts and proofs are for nobody.
impl fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenge(token) => write!(f, "challenge {} bytes", token.len()),
            Self::Success {
                token,
                principal,
                lifetime,
            } => {
                let principal = principal.as_str();
                write!(f, "success {principal} {} bytes", token.len())?;
                match lifetime {
                    Some(lifetime) => write!(f, " for {} ms", lifetime.as_millis()),
                    None => Ok(()),
                }
            }
            Self::Failure(why) => write!(f, "failure {why}"),
        }
    }
}

/// What a client is told of a failed login. Kafka says the same (`SaslServerAuthenticator`,
/// `PlainSaslServer`, `OAuthBearerSaslServer`), and nothing of it tells what was wrong; `again` is
/// for a client that had logged in before.
#[must_use]
pub fn failure_text(mechanism: Mechanism, again: bool) -> String {
    let during = if again {
        "re-authentication"
    } else {
        "authentication"
    };
    match mechanism {
        Mechanism::Plain => "Authentication failed: Invalid username or password".to_owned(),
        Mechanism::OAuthBearer => super::oauthbearer::invalid_token().to_owned(),
        Mechanism::ScramSha256 | Mechanism::ScramSha512 => format!(
            "Authentication failed during {during} due to invalid credentials with SASL \
             mechanism {}",
            mechanism.name()
        ),
    }
}
