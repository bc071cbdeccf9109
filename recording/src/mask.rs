//! What of a connection's bytes may be written down.
//!
//! Bytes are taken as they come, in chunks of any size, and come back as [`Pieces`] of the same
//! length. What core looks at is kept as it is: lengths, heads, numbers, names. What belongs to
//! applications is masked, and so is what cannot be read by Kafka's schemas, because nobody knows
//! what is in it (`fields.rs` has the rule): the rest of a frame that breaks its schema, bytes
//! behind a body, unknown tagged fields, and everything behind the point from which on a connection
//! is not made of frames any more.

mod fields;
mod frame;
mod raw_tokens;
mod stream;

use std::collections::VecDeque;

use doorkeeper_core::limits::Limits;
use doorkeeper_core::sasl::login::Evaluation;
use doorkeeper_core::wire::header::RequestHead;

use crate::pieces::Pieces;
use stream::{Requests, Responses};

/// Makes the fingerprints of one process comparable with each other and with nothing else: without
/// the key, which nobody keeps, no guess at a short value can be tried.
#[derive(Clone, Copy)]
pub struct Key(pub [u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The requests and the responses of one connection: a response is read by the request that it
/// belongs to.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: Requests,
    responses: Responses,
    owed: VecDeque<RequestHead>,
}

impl Connection {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            requests: Requests::new(key),
            responses: Responses::new(key),
            owed: VecDeque::new(),
        }
    }

    /// Another connection has taken the place of this one.
    pub(crate) fn restart(&mut self) {
        self.requests.restart();
        self.responses.restart();
        self.owed.clear();
    }

    /// Longer frames are no frames.
    pub(crate) const fn limit(&mut self, limits: &Limits) {
        self.requests.limit(limits.frame_bytes_max);
        self.responses.limit(limits.response_bytes_max);
    }

    /// Whoever sends requests has to log in first.
    pub(crate) const fn expect_login(&mut self) {
        self.requests.expect_login();
    }

    /// A token has been evaluated.
    pub(crate) fn evaluated(&mut self, evaluation: &Evaluation) {
        match evaluation {
            Evaluation::Challenge(token) => {
                if self.requests.challenged() {
                    self.responses.raw_token(token.len());
                }
            }
            Evaluation::Success { token, .. } => {
                if self.requests.logged_in() {
                    self.responses.raw_token(token.len());
                }
            }
            Evaluation::Failure(_) => {}
        }
    }

    /// The next bytes from the peer that sends requests.
    pub(crate) fn requests(&mut self, bytes: &[u8]) -> Pieces {
        self.requests.take(bytes, &mut self.owed)
    }

    /// The next bytes from the peer that sends responses.
    pub(crate) fn responses(&mut self, bytes: &[u8]) -> Pieces {
        self.responses.take(bytes, &mut self.owed)
    }
}

#[cfg(test)]
mod tests;
