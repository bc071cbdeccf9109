//! A login at a broker as a session, or discovery, sees it: which tokens are wanted of whoever has
//! the credentials, and what it gives.

use std::fmt;

use super::Mechanism;
use super::failure::BrokerLoginFailure;
use crate::policy::Principal;
use crate::secret::Secret;

/// What a broker is to get next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// The first token of an exchange.
    First {
        /// The client that the connection is for, who may have credentials of its own at the
        /// brokers; nobody where doorkeeper connects for itself.
        client: Option<Principal>,
    },
    /// The token that follows on this one of the broker.
    Next(Secret),
}

/// What a [`TokenRequest`] led to.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenReply {
    /// An exchange begins.
    First {
        /// By this mechanism.
        mechanism: Mechanism,
        /// With this token.
        token: Secret,
    },
    /// It goes on with this token.
    Next(Secret),
    /// The broker has shown all that it had to.
    Done,
    /// There is no login.
    Failure(BrokerLoginFailure),
}

/// No byte of a token is shown.
impl fmt::Display for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First { client: None } => f.write_str("first"),
            Self::First {
                client: Some(client),
            } => write!(f, "first for {}", client.as_str()),
            Self::Next(token) => write!(f, "next {} bytes", token.expose().len()),
        }
    }
}

/// As text.
impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First { mechanism, token } => {
                let (name, len) = (mechanism.name(), token.expose().len());
                write!(f, "first {name} {len} bytes")
            }
            Self::Next(token) => write!(f, "next {} bytes", token.expose().len()),
            Self::Done => f.write_str("done"),
            Self::Failure(why) => write!(f, "failure {why}"),
        }
    }
}
