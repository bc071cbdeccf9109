//! The login of a client: before its first request, and again as long as its session lasts
//! (KIP-152, KIP-368; `SaslServerAuthenticator`).
//!
//! What is a login's is decided here: which frames may come, what is sent for them, and how long it
//! may take. What a token is worth is evaluated elsewhere ([`Effect::Evaluate`]).

mod fields;
mod frame;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::api::{LoginStep, Row};
use crate::error::{ClientFault, CloseReason};
use crate::event::Event;
use crate::io::Effect;
use crate::policy::Principal;
use crate::sasl::Mechanism;
use crate::sasl::failure::LoginFailure;
use crate::sasl::login::{ClientToken, Evaluation, LoginSettings, failure_text};
use crate::secret::Secret;
use crate::session::in_flight::{DueResponse, Slot};
use crate::session::{Backlog, Phase, Session};
use crate::time::Instant;
use crate::wire::codec::{self, NotEncodable};
use crate::wire::header::RequestHead;

/// `Errors.UNSUPPORTED_SASL_MECHANISM`.
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;

/// `Errors.SASL_AUTHENTICATION_FAILED`.
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// The time from the beginning of one further login of a session to that of the next at least
/// (`KafkaChannel.maybeBeginServerReauthentication`).
const RELOGIN_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How far a client has come with its login.
#[derive(Debug)]
pub(super) struct Login {
    settings: Arc<LoginSettings>,
    state: State,
    /// How many frames this login has taken.
    frames: usize,
    /// When it must be done.
    by: Instant,
    /// Since the first login has succeeded.
    granted: Option<Grant>,
    /// When the last further login began.
    begun_again: Option<Instant>,
}

/// A login that has succeeded.
#[derive(Debug)]
struct Grant {
    mechanism: Mechanism,
    /// When it does not hold any more, if it ends.
    expires: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// ApiVersions may come, and SaslHandshake must.
    Handshake {
        /// Whether the client has got the versions, which is once.
        has_versions: bool,
    },
    /// It has asked for the versions, which nobody knows yet.
    Versions(RequestHead, usize),
    /// A token must come.
    Token {
        mechanism: Mechanism,
        framing: Framing,
        is_first: bool,
    },
    /// A token is being evaluated.
    Evaluating {
        mechanism: Mechanism,
        reply: Reply,
        /// When it came.
        since: Instant,
    },
    /// The login has failed, and nobody learns of it before that time.
    Failing {
        at: Instant,
        /// What the client gets then.
        response: Option<(Reply, Bytes)>,
        reason: CloseReason,
    },
    /// Requests may come.
    LoggedIn,
    /// It has failed, or does not hold any more: nothing is read.
    Ended,
}

/// How tokens are framed: as the version of SaslHandshake says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Version 0: a length and the token, without any header.
    Raw,
    /// Version 1: requests of SaslAuthenticate.
    Requests,
}

/// What a token is responded to with.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// A length and a token.
    Raw,
    /// The response to a request with a frame of this length.
    To(RequestHead, usize),
}

impl Login {
    /// The login of a client that has been accepted.
    pub(super) fn new(accepted: Instant, settings: &Arc<LoginSettings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            state: State::Handshake {
                has_versions: false,
            },
            frames: 0,
            by: accepted.after(settings.login_timeout),
            granted: None,
            begun_again: None,
        }
    }

    /// Whether the frames that come belong to the login.
    const fn is_reading(&self) -> bool {
        matches!(self.state, State::Handshake { .. } | State::Token { .. })
    }

    /// Whether nothing is read before something else has happened.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(
            self.state,
            State::Versions(..) | State::Evaluating { .. } | State::Failing { .. } | State::Ended
        )
    }

    /// Whether the client is owed a response to what it has sent.
    const fn owes_response(&self) -> bool {
        matches!(
            self.state,
            State::Versions(..) | State::Evaluating { .. } | State::Failing { .. }
        )
    }

    /// When a login that waits for its client, or for whoever evaluates its tokens, must be done.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Handshake { .. } | State::Token { .. } | State::Evaluating { .. } => {
                Some(self.by)
            }
            State::Versions(..) | State::Failing { .. } | State::LoggedIn | State::Ended => None,
        }
    }

    /// When it is doorkeeper's turn: the end of a delay, or of a login that held for a time; or the
    /// time by which something should have been learned of the brokers.
    pub(super) fn turn_at(&self) -> Option<Instant> {
        match &self.state {
            State::Failing { at, .. } => Some(*at),
            State::Versions(..) => Some(self.by),
            State::LoggedIn => self.granted.as_ref()?.expires,
            State::Handshake { .. }
            | State::Token { .. }
            | State::Evaluating { .. }
            | State::Ended => None,
        }
    }

    /// Whether a SaslHandshake begins another login of the same session.
    fn may_begin_again(&self, now: Instant) -> bool {
        let last = self.begun_again;
        matches!(self.state, State::LoggedIn)
            && self.granted.as_ref().is_some_and(|it| it.expires.is_some())
            && last.is_none_or(|last| now.since(last) >= RELOGIN_INTERVAL_MIN)
    }
}

impl Session {
    /// Whether the next frame belongs to a login.
    #[inline]
    pub(super) fn is_logging_in(&self) -> bool {
        self.login.as_ref().is_some_and(|it| it.is_reading())
    }

    /// Whether nothing is read of the client before its login goes on.
    #[inline]
    pub(super) fn waits_for_login(&self) -> bool {
        self.login.as_ref().is_some_and(|it| it.is_waiting())
    }

    /// Whether a request of a login has come whole and has no response yet.
    pub(super) fn owes_login_response(&self) -> bool {
        self.login.as_ref().is_some_and(|it| it.owes_response())
    }

    /// A login that is under way does not go on, and nothing behind it is a request.
    pub(super) fn end_login(&mut self) {
        if let Some(login) = &mut self.login
            && !matches!(login.state, State::LoggedIn)
        {
            login.state = State::Ended;
            self.backlog = Backlog::default();
        }
    }

    /// Whether a client that has logged in does so again with this request. It may not now if it
    /// gets the usual response; and not with raw tokens (version 0): such a client does not know
    /// when its login ends, and raw tokens have no place among the responses that are due.
    pub(super) fn begins_login_again(
        &mut self,
        now: Instant,
        row: &Row,
        head: RequestHead,
    ) -> bool {
        let is_handshake = row.login_step() == Some(LoginStep::Handshake) && head.version.0 >= 1;
        let Some(login) = self
            .login
            .as_mut()
            .filter(|it| is_handshake && it.may_begin_again(now))
        else {
            return false;
        };
        login.state = State::Handshake { has_versions: true };
        login.begun_again = Some(now);
        login.frames = 0;
        login.by = now.after(login.settings.login_timeout);
        true
    }

    /// A mechanism has been chosen.
    fn handshake(&mut self, now: Instant, head: RequestHead, frame_len: usize, name: &[u8]) {
        let Some(login) = &mut self.login else { return };
        let settings = Arc::clone(&login.settings);
        let mechanism = str::from_utf8(name).ok().and_then(Mechanism::by_name);
        let offered = mechanism.filter(|it| settings.mechanisms.contains(it));
        let code = offered.map_or(UNSUPPORTED_SASL_MECHANISM, |_| 0);
        let names = settings.mechanisms.iter().map(|it| it.name());
        let response = codec::sasl_handshake(head, code, names);
        match offered {
            Some(mechanism) => {
                login.state = State::Token {
                    mechanism,
                    framing: if head.version.0 == 0 {
                        Framing::Raw
                    } else {
                        Framing::Requests
                    },
                    is_first: true,
                };
                self.respond(now, Reply::To(head, frame_len), response);
            }
            None => {
                let reply = (Reply::To(head, frame_len), response);
                let reason = ClientFault::MechanismNotOffered.into();
                self.fail_login(now, Some(reply), LoginFailure::MechanismNotOffered, reason);
            }
        }
    }

    /// A token has come.
    fn token(&mut self, now: Instant, token: &[u8], reply: Reply) {
        let Some(login) = &mut self.login else { return };
        let State::Token {
            mechanism,
            is_first,
            ..
        } = login.state
        else {
            return;
        };
        login.state = State::Evaluating {
            mechanism,
            reply,
            since: now,
        };
        self.effects.push_back(Effect::Evaluate(ClientToken {
            mechanism,
            is_first,
            token: Secret::new(token),
        }));
    }

    /// A token has been evaluated.
    pub(super) fn evaluated(&mut self, now: Instant, evaluation: Evaluation) {
        let relays = self.is_relaying();
        // Of a session that closes, or a login that has run out of time, nobody wants to know.
        let Some(login) = self.login.as_mut().filter(|_| relays) else {
            return;
        };
        let State::Evaluating {
            mechanism, reply, ..
        } = login.state
        else {
            return;
        };
        match evaluation {
            Evaluation::Challenge(token) => {
                login.state = State::Token {
                    mechanism,
                    framing: reply.framing(),
                    is_first: false,
                };
                let response = reply.token(token, 0);
                self.respond(now, reply, response);
            }
            Evaluation::Success {
                token,
                principal,
                lifetime,
            } => self.logged_in(now, (mechanism, reply), token, principal, lifetime),
            Evaluation::Failure(why) => self.login_failed(now, mechanism, reply, why),
        }
    }

    /// A client has shown who it is.
    fn logged_in(
        &mut self,
        now: Instant,
        (mechanism, reply): (Mechanism, Reply),
        token: Bytes,
        principal: Principal,
        lifetime: Option<Duration>,
    ) {
        let Some(login) = &mut self.login else { return };
        if login.granted.is_some() && principal != self.principal {
            return self.login_failed(now, mechanism, reply, LoginFailure::PrincipalChanged);
        }
        let limits = [lifetime, login.settings.session_lifetime_max];
        let lifetime = limits.into_iter().flatten().min();
        let again = login.granted.is_some();
        login.granted = Some(Grant {
            mechanism,
            expires: lifetime.map(|it| now.after(it)),
        });
        login.state = State::LoggedIn;
        self.principal = principal.clone();
        if matches!(self.phase, Phase::Authenticating) {
            self.enter(Phase::Ready);
        }
        self.report(Event::LoginSucceeded {
            mechanism,
            principal,
            lifetime,
            again,
        });
        // A lifetime of no more than part of a millisecond must not read as "no limit".
        let millis = lifetime.map_or(0, |it| it.as_millis().clamp(1, i64::MAX as u128));
        let response = reply.token(token, i64::try_from(millis).unwrap_or(i64::MAX));
        self.respond(now, reply, response);
    }

    fn login_failed(
        &mut self,
        now: Instant,
        mechanism: Mechanism,
        reply: Reply,
        why: LoginFailure,
    ) {
        let again = self.login.as_ref().is_some_and(|it| it.granted.is_some());
        let response = match reply {
            // Raw tokens have no place for an error.
            Reply::Raw => None,
            Reply::To(head, _) => {
                let text = if why == LoginFailure::PrincipalChanged {
                    "Cannot change principals during re-authentication".to_owned()
                } else {
                    failure_text(mechanism, again)
                };
                let response = codec::sasl_failed(head, SASL_AUTHENTICATION_FAILED, text);
                Some((reply, response))
            }
        };
        self.fail_login(now, response, why, CloseReason::LoginFailed(why));
    }

    /// Response and end wait, so that nobody can guess quickly. What came behind is no request.
    fn fail_login(
        &mut self,
        now: Instant,
        response: Option<(Reply, Result<Bytes, NotEncodable>)>,
        why: LoginFailure,
        reason: CloseReason,
    ) {
        let Some(login) = &mut self.login else { return };
        let mechanism = login.mechanism();
        let delay = login.settings.failure_delay;
        // Up to a quarter more, another part of it for each session. The time counts from when the
        // token came, so that as long as it takes longer nobody learns how long the evaluation
        // took.
        let part = u32::from(self.seed.0[1]);
        let delay = delay.saturating_add(delay.saturating_mul(part) / 1024);
        let response = response.and_then(|(reply, response)| Some((reply, response.ok()?)));
        let since = match login.state {
            State::Evaluating { since, .. } => since,
            State::Handshake { .. }
            | State::Versions(..)
            | State::Token { .. }
            | State::Failing { .. }
            | State::LoggedIn
            | State::Ended => now,
        };
        login.state = State::Failing {
            at: since.after(delay).max(now),
            response,
            reason,
        };
        self.requests.clear();
        self.backlog = Backlog::default();
        self.report(Event::LoginFailed { mechanism, why });
    }

    /// It is doorkeeper's turn.
    pub(super) fn login_due(&mut self, now: Instant) {
        let Some(login) = &mut self.login else { return };
        let reason = match std::mem::replace(&mut login.state, State::Ended) {
            State::Failing {
                response, reason, ..
            } => {
                if let Some((reply, response)) = response {
                    self.respond(now, reply, Ok(response));
                    self.send_local_responses(now);
                }
                reason
            }
            State::Versions(..) => CloseReason::TopologyUnknown,
            State::LoggedIn => CloseReason::SessionExpired,
            state @ (State::Handshake { .. }
            | State::Token { .. }
            | State::Evaluating { .. }
            | State::Ended) => {
                login.state = state;
                return;
            }
        };
        self.close(now, reason);
    }

    /// Sends what a client gets within its login, behind all that is due to it.
    fn respond(&mut self, now: Instant, reply: Reply, response: Result<Bytes, NotEncodable>) {
        let Ok(response) = response else {
            // Only versions of the tables get here.
            return self.close(
                now,
                CloseReason::Bug("a response of a login has no encoding"),
            );
        };
        match reply {
            // Nothing else is due: these are of a first login.
            Reply::Raw => self.client.egress.push(response),
            Reply::To(head, frame_len) => {
                let slot = Slot::new(head, frame_len, now, DueResponse::Local(response));
                self.in_flight.push(now, slot);
            }
        }
    }
}

impl Login {
    /// How the client logs in, or has logged in.
    fn mechanism(&self) -> Option<Mechanism> {
        match self.state {
            State::Token { mechanism, .. } | State::Evaluating { mechanism, .. } => Some(mechanism),
            State::Handshake { .. }
            | State::Versions(..)
            | State::Failing { .. }
            | State::LoggedIn
            | State::Ended => None,
        }
    }
}

impl Reply {
    const fn framing(self) -> Framing {
        match self {
            Self::Raw => Framing::Raw,
            Self::To(..) => Framing::Requests,
        }
    }

    /// The response that brings a token.
    fn token(self, token: Bytes, session_lifetime_ms: i64) -> Result<Bytes, NotEncodable> {
        match self {
            Self::Raw => {
                let len = u32::try_from(token.len()).map_err(|_| NotEncodable)?;
                let mut frame = BytesMut::with_capacity(4 + token.len());
                frame.put_u32(len);
                frame.put(token);
                Ok(frame.freeze())
            }
            Self::To(head, _) => codec::sasl_authenticated(head, token, session_lifetime_ms),
        }
    }
}
