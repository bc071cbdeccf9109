//! doorkeeper logs in again where a broker lets a login hold for a limited time (KIP-368;
//! `SaslClientAuthenticator`): between two requests of the client, which notices nothing.
//!
//! A broker reads the requests of a connection one after the other, so those of the login go up
//! behind all that have gone up before, and their responses come behind all that are due before.
//! Whatever the client sends meanwhile waits.

use std::time::Duration;

use bytes::Bytes;

use crate::connection::ConnectFailure;
use crate::error::{CloseReason, UpstreamFault};
use crate::event::Event;
use crate::id::Seed;
use crate::io::Effect;
use crate::sasl::broker::TokenReply;
use crate::sasl::failure::BrokerLoginFailure;
use crate::session::Session;
use crate::session::in_flight::{DueResponse, Slot};
use crate::time::Instant;
use crate::upstream::login::{BrokerLogin, Progress, RESPONSE_BYTES_MAX};
use crate::wire::framer::{self, Framer};
use crate::wire::header::{PREFIX_BYTES, RESPONSE_HEAD_BYTES, RequestHead};

/// The time between two logins of one connection at least: a broker takes none before
/// (`SaslServerAuthenticator.MIN_REAUTHENTICATION_INTERVAL_MS`), and its clock began earlier.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Of 200 parts of the time that a login holds, so many pass before the next one, and up to so many
/// more: no two sessions log in together (`SaslClientAuthenticator` has the same, 85 to 95 %).
const PARTS_PASS: (u32, u32) = (170, 20);

/// A login at a broker that does not hold for ever.
#[derive(Debug)]
pub(super) struct Relogin {
    /// When it does not hold any more.
    expires: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It holds until then, and long enough after it for another one.
    HoldsUntil(Instant),
    /// The first token has been asked for, and must be there by then. Requests go up meanwhile.
    NoToken(Instant),
    /// A request of the login waits for the end of the client's request that is going up, which is
    /// there before the first alone.
    Waits(Box<BrokerLogin>, RequestHead, Bytes),
    /// It is the broker's turn.
    UnderWay(Box<BrokerLogin>),
    /// Another token has been asked for, and must be there by then.
    NextToken(Box<BrokerLogin>, Instant),
    /// Nothing follows: the session ends.
    Failed,
}

impl Relogin {
    /// What follows on a login that has succeeded and holds for so long.
    pub(super) fn due(now: Instant, lifetime: Option<Duration>, seed: Seed) -> Option<Box<Self>> {
        let lifetime = lifetime?;
        let (pass, more) = PARTS_PASS;
        let parts = pass + more * u32::from(seed.0[2]) / 256;
        let pause = (lifetime * parts / 200).max(INTERVAL_MIN);
        Some(Box::new(Self {
            expires: now.after(lifetime),
            state: State::HoldsUntil(now.after(pause)),
        }))
    }

    const fn holds_requests(&self) -> bool {
        match self.state {
            State::Waits(..) | State::UnderWay(_) | State::NextToken(..) => true,
            // Nothing is wrong yet with the login that there is.
            State::HoldsUntil(_) | State::NoToken(_) | State::Failed => false,
        }
    }
}

impl Session {
    /// Whether the client's next request waits for a login of doorkeeper's.
    #[inline]
    pub(super) fn holds_requests(&self) -> bool {
        self.relogin.as_ref().is_some_and(|it| it.holds_requests())
    }

    /// When it is time to log in again, or when a token must be there.
    pub(super) fn relogin_at(&self) -> Option<Instant> {
        match self.relogin.as_ref()?.state {
            State::HoldsUntil(at) | State::NoToken(at) | State::NextToken(_, at) => Some(at),
            State::Waits(..) | State::UnderWay(_) | State::Failed => None,
        }
    }

    /// It is time to log in again, or no token has come in time.
    pub(super) fn relogin_due(&mut self, now: Instant) {
        let by = self.token_by(now);
        let Some(relogin) = &mut self.relogin else {
            return;
        };
        match relogin.state {
            State::HoldsUntil(_) => {
                relogin.state = State::NoToken(by);
                self.request_first_token();
            }
            State::NoToken(_) => {
                let unavailable = BrokerLoginFailure::CredentialsUnavailable;
                self.relogin_token(now, TokenReply::Failure(unavailable));
            }
            State::NextToken(..) => self.relogin_failed(now, BrokerLoginFailure::TimedOut),
            State::Waits(..) | State::UnderWay(_) | State::Failed => {}
        }
    }

    /// When a token must be there that is asked for now.
    fn token_by(&self, now: Instant) -> Instant {
        now.after(self.snapshot.limits.connect_timeout)
    }

    /// A token has been given.
    pub(super) fn relogin_token(&mut self, now: Instant, reply: TokenReply) {
        let Some(relogin) = &mut self.relogin else {
            return;
        };
        match std::mem::replace(&mut relogin.state, State::Failed) {
            State::NoToken(_) => match reply {
                // The login that there is still holds, and a token may be had later.
                TokenReply::Failure(BrokerLoginFailure::CredentialsUnavailable)
                    if now < relogin.expires =>
                {
                    let left = relogin.expires.since(now);
                    relogin.state = State::HoldsUntil(now.after((left / 4).max(INTERVAL_MIN)));
                }
                reply @ (TokenReply::First { .. }
                | TokenReply::Next(_)
                | TokenReply::Done
                | TokenReply::Failure(_)) => {
                    let mut login = Box::new(BrokerLogin::new());
                    let progress = login.reply(reply);
                    self.follow_relogin(now, login, progress);
                }
            },
            State::NextToken(mut login, _) => {
                let progress = login.reply(reply);
                self.follow_relogin(now, login, progress);
            }
            // A reply that comes too late.
            state @ (State::HoldsUntil(_)
            | State::Waits(..)
            | State::UnderWay(_)
            | State::Failed) => relogin.state = state,
        }
    }

    /// A request of the login goes up if it can: that is for whoever may be the last to be waited
    /// for to find out, the end of a client's request and the login itself.
    #[cold]
    #[inline(never)]
    pub(super) fn send_of_relogin(&mut self, now: Instant) {
        if !self.requests.is_between_frames() || !self.is_relaying() || !self.upstream.is_open() {
            return;
        }
        let Some(relogin) = &mut self.relogin else {
            return;
        };
        match std::mem::replace(&mut relogin.state, State::Failed) {
            State::Waits(login, head, frame) => {
                relogin.state = State::UnderWay(login);
                let slot = Slot::new(head, frame.len(), now, DueResponse::Login);
                self.in_flight.push(now, slot);
                self.upstream.requests.push(frame);
            }
            state @ (State::HoldsUntil(_)
            | State::NoToken(_)
            | State::UnderWay(_)
            | State::NextToken(..)
            | State::Failed) => relogin.state = state,
        }
    }

    /// Takes from the front of a chunk that begins with a response to the login, or goes on with
    /// it.
    #[cold]
    #[inline(never)]
    pub(super) fn relogin_bytes(
        &mut self,
        now: Instant,
        chunk: &mut Bytes,
    ) -> Result<(), CloseReason> {
        let framer = Framer {
            min: RESPONSE_HEAD_BYTES,
            max: RESPONSE_BYTES_MAX,
        };
        let buffered = &mut self.responses.buffered;
        let frame_len = framer
            .frame_len(buffered, chunk)
            .map_err(UpstreamFault::FrameLength)?;
        let missing = frame_len.map_or(chunk.len(), |it| it.saturating_sub(buffered.end()));
        buffered.push(framer::take(chunk, missing));
        if frame_len != Some(buffered.end()) {
            return Ok(());
        }
        let frame = buffered.copy(PREFIX_BYTES..buffered.end());
        self.responses.clear();
        self.in_flight.pop(now);
        let Some(relogin) = &mut self.relogin else {
            return Ok(());
        };
        match std::mem::replace(&mut relogin.state, State::Failed) {
            State::UnderWay(mut login) => {
                let progress = login.response(&frame);
                self.follow_relogin(now, login, progress);
            }
            state @ (State::HoldsUntil(_)
            | State::NoToken(_)
            | State::Waits(..)
            | State::NextToken(..)
            | State::Failed) => relogin.state = state,
        }
        Ok(())
    }

    fn follow_relogin(
        &mut self,
        now: Instant,
        login: Box<BrokerLogin>,
        progress: Result<Progress, BrokerLoginFailure>,
    ) {
        let by = self.token_by(now);
        let state = match progress {
            Ok(Progress::Request(head, frame)) => State::Waits(login, head, frame),
            Ok(Progress::Token(request)) => {
                self.effects.push_back(Effect::RequestToken(request));
                State::NextToken(login, by)
            }
            Ok(Progress::Done(lifetime)) => {
                self.relogin = Relogin::due(now, lifetime, self.seed);
                let again = true;
                return self.report(Event::UpstreamLoggedIn { lifetime, again });
            }
            Err(why) => return self.relogin_failed(now, why),
        };
        if let Some(relogin) = &mut self.relogin {
            relogin.state = state;
            self.send_of_relogin(now);
        }
    }

    /// The broker takes no request any more, or will take none soon.
    fn relogin_failed(&mut self, now: Instant, why: BrokerLoginFailure) {
        self.report(Event::UpstreamLoginFailed { why });
        self.close(now, CloseReason::Unreachable(ConnectFailure::Login(why)));
    }
}
