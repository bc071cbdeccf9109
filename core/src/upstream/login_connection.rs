//! A connection that carries nothing but a login yet.

use std::time::Duration;

use bytes::Bytes;

use super::login::{BrokerLogin, Progress, RESPONSE_BYTES_MAX};
use crate::egress::{Egress, Overrun};
use crate::sasl::broker::{TokenReply, TokenRequest};
use crate::sasl::failure::BrokerLoginFailure;
use crate::time::Instant;
use crate::wire::framer::{self, Framer};
use crate::wire::header::{PREFIX_BYTES, RESPONSE_HEAD_BYTES};
use crate::wire::rope::Rope;

/// What the two peers of a login have said, and have still to say.
#[derive(Debug)]
pub(crate) struct LoginConnection {
    login: BrokerLogin,
    /// When it must be done.
    pub(crate) by: Instant,
    egress: Egress,
    buffered: Rope,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum LoginProgress {
    /// It is the broker's turn, or that of whoever gives tokens.
    Waits,
    /// A token is wanted.
    Token(TokenRequest),
    /// Requests may follow; the login holds for so long if the broker says so.
    Done(Option<Duration>),
}

impl LoginConnection {
    /// A login that waits for its first token.
    pub(super) fn new(by: Instant) -> Self {
        Self {
            login: BrokerLogin::new(),
            by,
            egress: Egress::new(),
            buffered: Rope::default(),
        }
    }

    pub(super) const fn egress(&self) -> &Egress {
        &self.egress
    }

    pub(super) fn wrote(&mut self, bytes: usize) -> Result<(), Overrun> {
        self.egress.wrote(bytes)
    }

    /// Takes what a token was asked for with.
    pub(super) fn reply(&mut self, reply: TokenReply) -> Result<LoginProgress, BrokerLoginFailure> {
        let progress = self.login.reply(reply)?;
        Ok(self.follow(progress))
    }

    /// Takes bytes of the broker: no more than the response that it owes.
    pub(super) fn bytes(&mut self, mut bytes: Bytes) -> Result<LoginProgress, BrokerLoginFailure> {
        let framer = Framer {
            min: RESPONSE_HEAD_BYTES,
            max: RESPONSE_BYTES_MAX,
        };
        let chunk_len = bytes.len();
        let frame_len = framer
            .frame_len(&self.buffered, &bytes)
            .map_err(|_| BrokerLoginFailure::Malformed)?;
        let missing = frame_len.map_or(bytes.len(), |it| it.saturating_sub(self.buffered.len()));
        self.buffered.push(framer::take(&mut bytes, missing));
        if frame_len != Some(self.buffered.len()) {
            self.buffered.settle(chunk_len);
            return Ok(LoginProgress::Waits);
        }
        // Nothing was asked for that could come behind it.
        if !bytes.is_empty() {
            return Err(BrokerLoginFailure::Malformed);
        }
        let frame = self.buffered.copy(PREFIX_BYTES..self.buffered.end());
        self.buffered.clear();
        let progress = self.login.response(&frame)?;
        Ok(self.follow(progress))
    }

    fn follow(&mut self, progress: Progress) -> LoginProgress {
        match progress {
            Progress::Request(_, frame) => {
                self.egress.push(frame);
                LoginProgress::Waits
            }
            Progress::Token(request) => LoginProgress::Token(request),
            Progress::Done(lifetime) => LoginProgress::Done(lifetime),
        }
    }
}
