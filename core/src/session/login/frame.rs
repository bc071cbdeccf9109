//! The frames of a login: no others are read before it is done, and their key comes first.

use bytes::Bytes;

use super::fields::field;
use super::versions::ANSWERED;
use super::{Framing, Login, Reply, State};
use crate::api::versions::failed;
use crate::api::{ILLEGAL_SASL_STATE, LoginStep, Row, row};
use crate::error::{ClientFault, CloseReason};
use crate::event::Event;
use crate::id::ApiKey;
use crate::sasl::failure::LoginFailure;
use crate::session::Session;
use crate::time::Instant;
use crate::wire::codec::{self, NotEncodable};
use crate::wire::framer::{self, Framer};
use crate::wire::header::{PREFIX_BYTES, REQUEST_HEAD_BYTES, RequestHead};
use crate::wire::schema::Role;

impl Session {
    /// Takes from the front of a chunk that belongs to a login.
    ///
    /// Where a token is due, whatever else comes is a login that fails, late as any other. Kafka
    /// delays the end for another API, and for a frame that is too long, and ends at once for one
    /// that it cannot parse (`SaslServerAuthenticator.authenticate`).
    #[cold]
    #[inline(never)]
    pub(in crate::session) fn login_bytes(
        &mut self,
        now: Instant,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let read = self.read_login(now, chunk);
        let Some(login) = &self.login else {
            return read;
        };
        match (read, &login.state) {
            (Err(reason), State::Token { .. }) => {
                self.fail_login(now, None, LoginFailure::UnexpectedRequest, reason);
                *chunk = Bytes::new();
                Ok(())
            }
            (read, _) => read,
        }
    }

    fn read_login(&mut self, now: Instant, chunk: &mut Bytes) -> Result<(), CloseReason> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        let is_raw = matches!(
            login.state,
            State::Token {
                framing: Framing::Raw,
                ..
            }
        );
        let framer = Framer {
            min: if is_raw { 0 } else { REQUEST_HEAD_BYTES },
            max: login.settings.frame_bytes_max,
        };
        let frame_len = self.requests.client_frame_len(chunk, framer)?;
        let buffered = &mut self.requests.buffered;
        let head = framer::peek::<REQUEST_HEAD_BYTES>(buffered, chunk, PREFIX_BYTES);
        let head = head.filter(|_| !is_raw).map(RequestHead::read);
        if let (Some(head), Some(frame_len)) = (head, frame_len)
            && !login.expects(head.api)
        {
            let fault = ClientFault::NotLoggedIn(head.api);
            return self.unexpected(now, head, frame_len, fault, chunk);
        }
        let missing = match frame_len {
            Some(frame_len) => frame_len.saturating_sub(buffered.end()),
            None => chunk.len(),
        };
        buffered.push(framer::take(chunk, missing));
        if frame_len != Some(buffered.end()) {
            return Ok(());
        }
        let frame = Bytes::from(buffered.copy(0..buffered.end()));
        self.requests.clear();
        self.login_frame(now, head, &frame)
    }

    /// A request has begun that may not come now. Kafka responds to any where a token is due
    /// (`handleSaslToken`, `getErrorResponse`); here those that a client sends within a login get
    /// the same response, and all others end without.
    fn unexpected(
        &mut self,
        now: Instant,
        head: RequestHead,
        frame_len: usize,
        fault: ClientFault,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let awaits_token = |it: &Login| matches!(it.state, State::Token { .. });
        let response = illegal_state(head);
        let Some(response) = response.filter(|_| self.login.as_deref().is_some_and(awaits_token))
        else {
            return Err(fault.into());
        };
        self.report(Event::Request {
            api: head.api,
            version: head.version,
            bytes: frame_len,
        });
        let response = Some((Reply::To(head, frame_len), response));
        let why = LoginFailure::UnexpectedRequest;
        self.fail_login(now, response, why, fault.into());
        *chunk = Bytes::new();
        Ok(())
    }

    /// A whole frame has come.
    fn login_frame(
        &mut self,
        now: Instant,
        head: Option<RequestHead>,
        frame: &Bytes,
    ) -> Result<(), CloseReason> {
        let Some(login) = &mut self.login else {
            return Ok(());
        };
        login.frames += 1;
        if login.frames > login.settings.frames_max {
            return Err(ClientFault::LoginFrames.into());
        }
        // The mechanism of a session does not change: Kafka says so with the first token
        // (`REAUTH_BAD_MECHANISM`).
        let first = login.granted.as_ref().map(|it| it.mechanism);
        let is_other = |it| first.is_some_and(|first| first != it);
        if let State::Token { mechanism, .. } = login.state
            && is_other(mechanism)
        {
            let why = LoginFailure::MechanismChanged;
            self.fail_login(now, None, why, CloseReason::LoginFailed(why));
            return Ok(());
        }
        let Some(head) = head else {
            self.token(
                now,
                frame.get(PREFIX_BYTES..).unwrap_or_default(),
                Reply::Raw,
            );
            return Ok(());
        };
        self.report(Event::Request {
            api: head.api,
            version: head.version,
            bytes: frame.len(),
        });
        let row = row(head.api).ok_or(ClientFault::ApiNotOffered(head.api))?;
        let Some(step) = row.login_step() else {
            return self.versions_asked(now, head, frame);
        };
        if !row.entry.versions.contains(head.version.0) {
            return Err(ClientFault::UnsupportedVersion(head.api, head.version).into());
        }
        let malformed = |why| ClientFault::Malformed(head.api, head.version, why);
        match step {
            LoginStep::Handshake => {
                let name = field(head, frame, Role::SaslMechanism).map_err(malformed)?;
                self.handshake(now, head, frame.len(), name);
            }
            LoginStep::Token => {
                let token = field(head, frame, Role::AuthBytes).map_err(malformed)?;
                self.token(now, token, Reply::To(head, frame.len()));
            }
        }
        Ok(())
    }
}

impl Login {
    /// Whether a request may come now. It is not read further if not: before its login a client is
    /// nobody, and nothing of it is parsed that need not be.
    fn expects(&self, api: ApiKey) -> bool {
        let row = row(api);
        let step = row.and_then(Row::login_step);
        match self.state {
            State::Handshake { has_versions } => {
                let asks_versions = row.is_some_and(Row::negotiates_versions);
                step == Some(LoginStep::Handshake) || (asks_versions && !has_versions)
            }
            State::Token { .. } => step == Some(LoginStep::Token),
            State::Versions(..)
            | State::Evaluating { .. }
            | State::Failing { .. }
            | State::LoggedIn
            | State::Ended => false,
        }
    }
}

/// The response to a request of a login that comes where a token is due; nothing for any other
/// request.
fn illegal_state(head: RequestHead) -> Option<Result<Bytes, NotEncodable>> {
    let row = row(head.api)?;
    if row.negotiates_versions() {
        let is_known = ANSWERED.contains(head.version.0);
        return is_known.then(|| Ok(failed(head, ILLEGAL_SASL_STATE)));
    }
    let is_known = row.entry.versions.contains(head.version.0);
    let is_handshake = row.login_step() == Some(LoginStep::Handshake);
    (is_handshake && is_known).then(|| codec::sasl_handshake(head, ILLEGAL_SASL_STATE, []))
}
