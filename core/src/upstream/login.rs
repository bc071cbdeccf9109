//! A login of doorkeeper's own at a broker, request by request (KIP-43, KIP-152, KIP-368;
//! `SaslClientAuthenticator`). What a token is made of is known elsewhere ([`TokenRequest`]).

use std::time::Duration;

use bytes::Bytes;

use crate::id::{ApiKey, ApiVersion, CorrelationId};
use crate::sasl::broker::{TokenReply, TokenRequest};
use crate::sasl::failure::BrokerLoginFailure;
use crate::secret::Secret;
use crate::wire::codec;
use crate::wire::header::RequestHead;
use crate::wire::response_fields::response_fields;
use crate::wire::schema::{Role, Roles};
use crate::wire::walk::Value;

/// `Errors.UNSUPPORTED_SASL_MECHANISM`.
const UNSUPPORTED_SASL_MECHANISM: i64 = 33;

/// How many tokens of a broker one login takes at most: SCRAM has two, and a rejected bearer token
/// as many.
const TOKENS_MAX: usize = 4;

/// The longest response of a broker within a login. What Kafka's are: a token, or a text.
pub(crate) const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// How far a login has come.
#[derive(Debug)]
pub(crate) struct BrokerLogin {
    state: State,
    correlation_id: i32,
    /// How many tokens the broker has sent.
    tokens: usize,
}

#[derive(Debug)]
enum State {
    /// The first token has been asked for.
    NoToken,
    /// The broker has been told the mechanism, and gets this once it has agreed.
    Handshake(RequestHead, Secret),
    /// The broker has been sent a token.
    Token(RequestHead),
    /// The broker's token is being read. If it is the last one, the login holds for so long.
    Reading(Option<Duration>),
    /// Nothing follows.
    Ended,
}

/// What follows from a response or a token.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The broker is sent this request.
    Request(RequestHead, Bytes),
    /// A token is wanted.
    Token(TokenRequest),
    /// The login has succeeded, and holds for so long if the broker says so.
    Done(Option<Duration>),
}

impl BrokerLogin {
    /// A login that waits for its first token.
    pub(crate) const fn new() -> Self {
        Self {
            state: State::NoToken,
            correlation_id: 0,
            tokens: 0,
        }
    }

    /// Takes what a token was asked for with.
    pub(crate) fn reply(&mut self, reply: TokenReply) -> Result<Progress, BrokerLoginFailure> {
        match (std::mem::replace(&mut self.state, State::Ended), reply) {
            (_, TokenReply::Failure(why)) => Err(why),
            (State::NoToken, TokenReply::First { mechanism, token }) => {
                let id = self.next_id();
                let request = codec::sasl_handshake_request(mechanism.name(), id);
                let (head, frame) = request.map_err(|_| BrokerLoginFailure::Malformed)?;
                self.state = State::Handshake(head, token);
                Ok(Progress::Request(head, frame))
            }
            (State::Reading(_), TokenReply::Next(token)) => self.send(&token),
            (State::Reading(lifetime), TokenReply::Done) => Ok(Progress::Done(lifetime)),
            // A reply to another question is none.
            (
                State::NoToken
                | State::Handshake(..)
                | State::Token(_)
                | State::Reading(_)
                | State::Ended,
                TokenReply::First { .. } | TokenReply::Next(_) | TokenReply::Done,
            ) => Err(BrokerLoginFailure::Malformed),
        }
    }

    /// Takes a whole response of the broker, without its length.
    pub(crate) fn response(&mut self, frame: &[u8]) -> Result<Progress, BrokerLoginFailure> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Handshake(head, token) => {
                match read(head, frame)?.error_code {
                    0 => {}
                    UNSUPPORTED_SASL_MECHANISM => {
                        return Err(BrokerLoginFailure::MechanismNotEnabled);
                    }
                    _ => return Err(BrokerLoginFailure::Rejected),
                }
                self.send(&token)
            }
            State::Token(head) => {
                let response = read(head, frame)?;
                if response.error_code != 0 {
                    return Err(BrokerLoginFailure::Rejected);
                }
                self.tokens += 1;
                if self.tokens > TOKENS_MAX {
                    return Err(BrokerLoginFailure::Malformed);
                }
                let millis = u64::try_from(response.session_lifetime_ms).unwrap_or(0);
                let lifetime = (millis > 0).then(|| Duration::from_millis(millis));
                self.state = State::Reading(lifetime);
                let token = TokenRequest::Next(Secret::new(response.token));
                Ok(Progress::Token(token))
            }
            State::NoToken | State::Reading(_) | State::Ended => Err(BrokerLoginFailure::Malformed),
        }
    }

    fn send(&mut self, token: &Secret) -> Result<Progress, BrokerLoginFailure> {
        let request = codec::sasl_authenticate_request(token.expose(), self.next_id());
        let (head, frame) = request.map_err(|_| BrokerLoginFailure::Malformed)?;
        self.state = State::Token(head);
        Ok(Progress::Request(head, frame))
    }

    fn next_id(&mut self) -> CorrelationId {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        CorrelationId(self.correlation_id)
    }
}

/// A response to SaslHandshake or SaslAuthenticate.
#[derive(Debug, Default)]
struct Response<'a> {
    error_code: i64,
    token: &'a [u8],
    session_lifetime_ms: i64,
}

fn read(head: RequestHead, frame: &[u8]) -> Result<Response<'_>, BrokerLoginFailure> {
    const INTEREST: Roles = Roles::of(&[Role::ErrorCode, Role::AuthBytes, Role::SessionLifetime]);
    let RequestHead {
        api: ApiKey(api),
        version: ApiVersion(version),
        correlation_id: CorrelationId(expected),
    } = head;
    let (id, body) = frame
        .split_first_chunk()
        .ok_or(BrokerLoginFailure::Malformed)?;
    if i32::from_be_bytes(*id) != expected {
        return Err(BrokerLoginFailure::Malformed);
    }
    let mut response = Response::default();
    let read = response_fields(
        ApiKey(api),
        ApiVersion(version),
        body,
        INTEREST,
        &mut |found| match (found.role, found.value) {
            (Role::ErrorCode, Value::Int(code)) => response.error_code = code,
            (Role::SessionLifetime, Value::Int(millis)) => response.session_lifetime_ms = millis,
            (Role::AuthBytes, Value::Span) => {
                response.token = body.get(found.data..found.end).unwrap_or_default();
            }
            _ => {}
        },
    );
    read.map_err(|_| BrokerLoginFailure::Malformed)?;
    Ok(response)
}
