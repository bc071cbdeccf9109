//! The server's side of any exchange, token by token.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::failure::LoginFailure;
use super::oauthbearer::{self, BearerMessage};
use super::plain::PlainMessage;
use super::scram::credential::ScramCredential;
use super::scram::server::{Challenged, ScramServer};
use super::{Mechanism, scram::Hash};
use crate::secret::Secret;

/// An exchange with one client, from its first token to a decision.
#[derive(Debug)]
pub struct ServerExchange {
    mechanism: Mechanism,
    /// What the server adds to a client's nonce.
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The first token has not come.
    First,
    /// The driver looks up whether the password is right.
    Password {
        username: String,
        authorization_id: String,
    },
    /// The driver looks up the keys of the user.
    Keys(Box<ScramServer>),
    /// The client has been challenged to prove that it knows the password.
    Proof {
        challenged: Box<Challenged>,
        /// Whether the user exists.
        is_known: bool,
    },
    /// The driver looks up whether the token holds.
    Token { authorization_id: String },
    /// The client has been told that its token does not hold, and must give up.
    TokenRejected(LoginFailure),
    /// A decision has been made.
    Ended,
}

/// What follows from a token, or from what was looked up.
pub enum Step {
    /// The client gets this and sends another token.
    Challenge(Bytes),
    /// The driver looks this up.
    Look(Query),
    /// The client is who it says.
    Success(Success),
    /// It is not.
    Failure(LoginFailure),
}

/// A login that succeeded.
#[derive(PartialEq, Eq)]
pub struct Success {
    /// The last token for the client, which may be empty.
    pub token: Bytes,
    /// The name of its principal, whose type is `User`.
    pub name: String,
    /// For how long its credentials hold, if they say so.
    pub lifetime: Option<Duration>,
}

/// Whose a bearer token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHolder {
    /// The name.
    pub name: String,
    /// For how long the token holds from now on, if it says so.
    pub lifetime: Option<Duration>,
}

/// What an exchange has to know.
pub enum Query {
    /// Is that the password of that user?
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// The user's keys for this hash.
    Keys {
        /// The user.
        username: String,
        /// The hash.
        hash: Hash,
    },
    /// Does that bearer token hold, and whose is it?
    Token {
        /// The token.
        token: Secret,
        /// What else the client said.
        extensions: Vec<(String, String)>,
    },
}

/// What was found out.
#[derive(Debug)]
pub enum Found {
    /// Of a password: it is right, or why not.
    Password(Result<(), LoginFailure>),
    /// Of keys: those of the user, or a stand-in for one that does not exist
    /// ([`ScramCredential::stand_in`]).
    Keys {
        /// The keys.
        credential: ScramCredential,
        /// Whether they are the user's.
        is_known: bool,
    },
    /// Of a token: whose it is, or why it does not hold.
    Token(Result<TokenHolder, LoginFailure>),
    /// Nothing could be found out.
    Nothing(LoginFailure),
}

impl ServerExchange {
    /// An exchange by that mechanism. The nonce must be one that nobody could guess, of printable
    /// ASCII without commas.
    #[must_use]
    pub const fn new(mechanism: Mechanism, nonce: String) -> Self {
        Self {
            mechanism,
            nonce,
            state: State::First,
        }
    }

    /// The mechanism that it began with.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Reads the client's next token.
    pub fn token(&mut self, token: &[u8]) -> Step {
        let step = match std::mem::replace(&mut self.state, State::Ended) {
            State::First => self.first(token),
            State::Proof {
                challenged,
                is_known,
            } => proof(*challenged, is_known, token),
            // A client that tries another token instead of giving up would guess without end.
            State::TokenRejected(why) if token == oauthbearer::CLIENT_ABORTS => Err(why),
            State::TokenRejected(_)
            | State::Password { .. }
            | State::Keys(_)
            | State::Token { .. }
            | State::Ended => Err(LoginFailure::MalformedToken),
        };
        step.unwrap_or_else(Step::Failure)
    }

    /// Takes what was found out. What answers another question is no answer.
    pub fn found(&mut self, found: Found) -> Step {
        let step = match (std::mem::replace(&mut self.state, State::Ended), found) {
            (_, Found::Nothing(why)) => Err(why),
            (
                State::Password {
                    username,
                    authorization_id,
                },
                Found::Password(decision),
            ) => decision.and_then(|()| acts_as(username, &authorization_id, None)),
            (
                State::Keys(server),
                Found::Keys {
                    credential,
                    is_known,
                },
            ) if Some(credential.hash()) == self.mechanism.scram_hash() => {
                let (challenged, text) = server.challenge(credential, &self.nonce);
                self.state = State::Proof {
                    challenged: Box::new(challenged),
                    is_known,
                };
                Ok(Step::Challenge(text.into()))
            }
            (State::Token { authorization_id }, Found::Token(Ok(holder))) => {
                acts_as(holder.name, &authorization_id, holder.lifetime)
            }
            // Whatever is wrong with a token, the client is told the same.
            (State::Token { .. }, Found::Token(Err(why))) => {
                self.state = State::TokenRejected(why);
                let text = oauthbearer::invalid_token();
                Ok(Step::Challenge(Bytes::from_static(text.as_bytes())))
            }
            (_, Found::Password(_) | Found::Keys { .. } | Found::Token(_)) => {
                Err(LoginFailure::VerifierUnavailable)
            }
        };
        step.unwrap_or_else(Step::Failure)
    }

    fn first(&mut self, token: &[u8]) -> Result<Step, LoginFailure> {
        let (state, query) = match self.mechanism {
            Mechanism::Plain => {
                let message = PlainMessage::read(token)?;
                let state = State::Password {
                    username: message.username.clone(),
                    authorization_id: message.authorization_id,
                };
                let query = Query::Password {
                    username: message.username,
                    password: message.password,
                };
                (state, query)
            }
            Mechanism::ScramSha256 => self.keys(token, Hash::Sha256)?,
            Mechanism::ScramSha512 => self.keys(token, Hash::Sha512)?,
            Mechanism::OAuthBearer => {
                let message = BearerMessage::read(token)?;
                let state = State::Token {
                    authorization_id: message.authorization_id,
                };
                let query = Query::Token {
                    token: message.token,
                    extensions: message.extensions,
                };
                (state, query)
            }
        };
        self.state = state;
        Ok(Step::Look(query))
    }

    fn keys(&self, token: &[u8], hash: Hash) -> Result<(State, Query), LoginFailure> {
        let server = ScramServer::begin(token)?;
        let username = server.username().to_owned();
        Ok((
            State::Keys(Box::new(server)),
            Query::Keys { username, hash },
        ))
    }
}

/// Verifies a proof. Who does not exist fails here as well, and not before.
fn proof(challenged: Challenged, is_known: bool, token: &[u8]) -> Result<Step, LoginFailure> {
    let name = challenged.username().to_owned();
    match challenged.finish(token) {
        Ok(text) if is_known => Ok(Step::Success(Success {
            token: text.into(),
            name,
            lifetime: None,
        })),
        Ok(_) | Err(LoginFailure::WrongPassword) if !is_known => Err(LoginFailure::UnknownUser),
        Ok(_) => Err(LoginFailure::VerifierUnavailable),
        Err(why) => Err(why),
    }
}

/// The login of a client that acts as itself, and as nobody else: Kafka says so after it has
/// verified the password (`PlainSaslServer.evaluateResponse`).
fn acts_as(
    name: String,
    authorization_id: &str,
    lifetime: Option<Duration>,
) -> Result<Step, LoginFailure> {
    if authorization_id.is_empty() || authorization_id == name {
        Ok(Step::Success(Success {
            token: Bytes::new(),
            name,
            lifetime,
        }))
    } else {
        Err(LoginFailure::AuthorizationId)
    }
}

/// Salts, proofs, and what a client says besides its token are for nobody.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenge(token) => write!(f, "Challenge({} bytes)", token.len()),
            Self::Look(query) => f.debug_tuple("Look").field(query).finish(),
            Self::Success(success) => f.debug_tuple("Success").field(success).finish(),
            Self::Failure(why) => f.debug_tuple("Failure").field(why).finish(),
        }
    }
}

impl fmt::Debug for Success {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Success")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, .. } => f
                .debug_struct("Password")
                .field("username", username)
                .finish_non_exhaustive(),
            Self::Keys { username, hash } => f
                .debug_struct("Keys")
                .field("username", username)
                .field("hash", hash)
                .finish(),
            Self::Token { .. } => f.debug_struct("Token").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod printed;
#[cfg(test)]
mod tests;
