//! One connection to a broker, from the wish for it until it is open: sessions and discovery dial
//! with this machine and in no other way.
//!
//! Whom to dial is theirs to say. When to dial, how often, how long an attempt may take and when to
//! give up is decided here.

pub(crate) mod login;
mod login_connection;
mod patience;

use std::time::Duration;

use bytes::Bytes;

use crate::egress::{Egress, Overrun};
use crate::id::HostPort;
use crate::io::Target;
use crate::sasl::broker::TokenReply;
use crate::sasl::failure::BrokerLoginFailure;
use crate::time::Instant;
use crate::topology::DialMap;

use login_connection::LoginConnection;
pub(crate) use login_connection::LoginProgress;
use patience::patience;

/// A connection to a `T`, about which an `O` is known while it is open.
#[derive(Debug)]
pub(crate) struct Upstream<T, O> {
    state: State<T, O>,
    /// How many attempts in a row led to nothing.
    failures: u32,
    /// How many attempts to connect took all of their time, since one needed no more than each has
    /// at first.
    slow: u32,
    /// The bytes that the connection carries once it is open. Nothing of it is written before.
    pub(crate) requests: Egress,
}

/// How far the connection has come.
#[derive(Debug)]
pub(crate) enum State<T, O> {
    /// Nobody wants it.
    Idle,
    /// Nobody is dialled at the moment.
    Waiting {
        /// When it is not wanted any more, if ever.
        give_up_at: Option<Instant>,
        /// When the next attempt is due; nothing while nobody is known who could be dialled.
        retry_at: Option<Instant>,
    },
    /// An attempt is under way.
    Dialing {
        /// When it is not wanted any more, if ever.
        give_up_at: Option<Instant>,
        /// The attempt.
        attempt: Attempt<T>,
    },
    /// The connection is there, and doorkeeper logs in. Requests wait as they wait for an open
    /// connection.
    LoggingIn {
        /// When it is not wanted any more, if ever.
        give_up_at: Option<Instant>,
        /// The attempt.
        attempt: Attempt<T>,
        /// What the connection carries until then.
        login: Box<LoginConnection>,
    },
    /// Bytes go both ways.
    Open(O),
}

/// One attempt to connect.
#[derive(Debug)]
pub(crate) struct Attempt<T> {
    /// Whom it is for.
    pub(crate) to: T,
    since: Instant,
    /// How long it may take.
    pub(crate) within: Duration,
}

/// The times that the configuration allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DialTimes {
    /// For all attempts together, or for each one where nobody ever gives up.
    pub(crate) connect_timeout: Duration,
    /// The first pause between two attempts; it doubles with each further one.
    pub(crate) backoff_min: Duration,
    /// The longest pause.
    pub(crate) backoff_max: Duration,
}

impl DialTimes {
    /// What is too short for an attempt.
    fn last_moments(self) -> Duration {
        self.connect_timeout / 32
    }

    /// Whether an attempt with so little time says nothing of whom it was for: it was cut short
    /// because all of them had no more time left.
    pub(crate) fn cut_short(self, within: Duration) -> bool {
        within < patience::FIRST.min(self.connect_timeout / 4)
    }
}

impl<T> Attempt<T> {
    /// When it is given up by who asked for it. A driver keeps the time itself; this is for one
    /// that does not.
    pub(crate) fn overdue_at(&self) -> Instant {
        self.since.after(self.within.saturating_mul(2))
    }
}

/// Before a connection is open there is nothing to write.
static NOTHING: Egress = Egress::new();

impl<T, O> Upstream<T, O> {
    /// Nobody wants a connection.
    pub(crate) const fn idle() -> Self {
        Self::in_state(State::Idle)
    }

    /// A connection that is wanted for ever, from then on.
    pub(crate) const fn wanted(from: Instant) -> Self {
        Self::in_state(State::Waiting {
            give_up_at: None,
            retry_at: Some(from),
        })
    }

    const fn in_state(state: State<T, O>) -> Self {
        Self {
            state,
            failures: 0,
            slow: 0,
            requests: Egress::new(),
        }
    }

    /// How far it has come.
    pub(crate) const fn state(&self) -> &State<T, O> {
        &self.state
    }

    /// What is known of the open connection.
    pub(crate) const fn open(&self) -> Option<&O> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Idle
            | State::Waiting { .. }
            | State::Dialing { .. }
            | State::LoggingIn { .. } => None,
        }
    }

    /// The same, to be changed.
    pub(crate) const fn open_mut(&mut self) -> Option<&mut O> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Idle
            | State::Waiting { .. }
            | State::Dialing { .. }
            | State::LoggingIn { .. } => None,
        }
    }

    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    pub(crate) const fn is_dialing(&self) -> bool {
        matches!(self.state, State::Dialing { .. })
    }

    pub(crate) const fn is_logging_in(&self) -> bool {
        matches!(self.state, State::LoggingIn { .. })
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether there is a connection, be it for a login alone.
    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self.state, State::Open(_) | State::LoggingIn { .. })
    }

    /// What may be written now.
    #[inline]
    pub(crate) const fn egress(&self) -> &Egress {
        if self.is_open() {
            &self.requests
        } else {
            self.egress_of_login()
        }
    }

    #[cold]
    #[inline(never)]
    const fn egress_of_login(&self) -> &Egress {
        match &self.state {
            State::LoggingIn { login, .. } => login.egress(),
            State::Idle | State::Waiting { .. } | State::Dialing { .. } | State::Open(_) => {
                &NOTHING
            }
        }
    }

    /// So many of the bytes that may be written have been.
    pub(crate) fn wrote(&mut self, bytes: usize) -> Result<(), Overrun> {
        if self.is_open() {
            self.requests.wrote(bytes)
        } else {
            self.wrote_of_login(bytes)
        }
    }

    #[cold]
    #[inline(never)]
    fn wrote_of_login(&mut self, bytes: usize) -> Result<(), Overrun> {
        match &mut self.state {
            State::LoggingIn { login, .. } => login.wrote(bytes),
            State::Idle | State::Waiting { .. } | State::Dialing { .. } | State::Open(_)
                if bytes == 0 =>
            {
                Ok(())
            }
            State::Idle | State::Waiting { .. } | State::Dialing { .. } | State::Open(_) => {
                Err(Overrun)
            }
        }
    }

    /// How many attempts in a row led to nothing.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// When it is not wanted any more, unless it is open by then.
    pub(crate) const fn give_up_at(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { give_up_at, .. }
            | State::Dialing { give_up_at, .. }
            | State::LoggingIn { give_up_at, .. } => *give_up_at,
            State::Idle | State::Open(_) => None,
        }
    }

    /// When the next attempt is due.
    pub(crate) const fn retry_at(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { retry_at, .. } => *retry_at,
            State::Idle | State::Dialing { .. } | State::LoggingIn { .. } | State::Open(_) => None,
        }
    }

    /// It is wanted, if nobody wanted it before; until then at the latest.
    pub(crate) fn want(&mut self, give_up_at: Instant) {
        if self.is_idle() {
            self.state = State::Waiting {
                give_up_at: Some(give_up_at),
                retry_at: None,
            };
        }
    }

    /// Begins an attempt, and says how long it may take: one of several candidates has less time
    /// than the only one.
    pub(crate) fn dial(
        &mut self,
        now: Instant,
        to: T,
        candidates: usize,
        times: DialTimes,
    ) -> Duration {
        let give_up_at = self.give_up_at();
        let most = give_up_at.map_or(times.connect_timeout, |at| {
            self.most_of(at.since(now), candidates, times)
        });
        let within = most.min(patience(self.slow, candidates));
        let attempt = Attempt {
            to,
            since: now,
            within,
        };
        self.state = State::Dialing {
            give_up_at,
            attempt,
        };
        within
    }

    /// How long an attempt may take at most, with so much time left for all of them.
    fn most_of(&self, left: Duration, candidates: usize, times: DialTimes) -> Duration {
        // It ends before the time of all does: its driver knows how it has ended.
        let most = left.saturating_sub(times.last_moments()).max(left / 2);
        // One black hole must not use up the time of all candidates.
        let is_first_round = candidates > 1 && patience::rounds(self.slow, candidates) == 0;
        if is_first_round { left / 2 } else { most }
    }

    /// The connection is there, and a login comes first, which must be done by then. False if no
    /// attempt was under way.
    pub(crate) fn log_in(&mut self, now: Instant, by: Instant) -> bool {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Dialing {
                give_up_at,
                attempt,
            } => {
                if now.since(attempt.since) <= patience::FIRST {
                    self.slow = 0;
                }
                self.state = State::LoggingIn {
                    give_up_at,
                    attempt,
                    login: Box::new(LoginConnection::new(by)),
                };
                true
            }
            other @ (State::Idle
            | State::Waiting { .. }
            | State::LoggingIn { .. }
            | State::Open(_)) => {
                self.state = other;
                false
            }
        }
    }

    /// The broker has sent this within the login.
    pub(crate) fn login_bytes(
        &mut self,
        bytes: Bytes,
    ) -> Result<LoginProgress, BrokerLoginFailure> {
        match &mut self.state {
            State::LoggingIn { login, .. } => login.bytes(bytes),
            State::Idle | State::Waiting { .. } | State::Dialing { .. } | State::Open(_) => {
                Ok(LoginProgress::Waits)
            }
        }
    }

    /// What the login has asked for.
    pub(crate) fn login_token(
        &mut self,
        reply: TokenReply,
    ) -> Result<LoginProgress, BrokerLoginFailure> {
        match &mut self.state {
            State::LoggingIn { login, .. } => login.reply(reply),
            State::Idle | State::Waiting { .. } | State::Dialing { .. } | State::Open(_) => {
                Ok(LoginProgress::Waits)
            }
        }
    }

    /// The attempt has succeeded. False if none was under way.
    pub(crate) fn opened(&mut self, now: Instant, open: impl FnOnce(T) -> O) -> bool {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Dialing { attempt, .. } => {
                // Where all are slow, the next one needs its time as well.
                if now.since(attempt.since) <= patience::FIRST {
                    self.slow = 0;
                }
                self.state = State::Open(open(attempt.to));
                true
            }
            State::LoggingIn { attempt, .. } => {
                self.state = State::Open(open(attempt.to));
                true
            }
            other @ (State::Idle | State::Waiting { .. } | State::Open(_)) => {
                self.state = other;
                false
            }
        }
    }

    /// The attempt has failed, which is returned; nothing if none was under way. Whether another
    /// follows is still to be said.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Attempt<T>> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Dialing {
                give_up_at,
                attempt,
            } => {
                self.failures = self.failures.saturating_add(1);
                if patience::was_slow(now.since(attempt.since), attempt.within) {
                    self.slow = self.slow.saturating_add(1);
                }
                self.state = State::Waiting {
                    give_up_at,
                    retry_at: None,
                };
                Some(attempt)
            }
            State::LoggingIn {
                give_up_at,
                attempt,
                ..
            } => {
                self.failures = self.failures.saturating_add(1);
                self.state = State::Waiting {
                    give_up_at,
                    retry_at: None,
                };
                Some(attempt)
            }
            other @ (State::Idle | State::Waiting { .. } | State::Open(_)) => {
                self.state = other;
                None
            }
        }
    }

    /// The open connection was of no use.
    pub(crate) fn lost(&mut self) {
        if self.is_open() {
            self.failures = self.failures.saturating_add(1);
            self.requests.discard();
            self.state = State::Waiting {
                give_up_at: None,
                retry_at: None,
            };
        }
    }

    /// Another attempt follows after a pause that grows with each failure. False if there is no
    /// time for one.
    pub(crate) fn retry(&mut self, now: Instant, times: DialTimes) -> bool {
        let doublings = self.failures.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let pause = times.backoff_min.saturating_mul(factor);
        let retry_at = now.after(pause.min(times.backoff_max));
        let give_up_at = self.give_up_at();
        if give_up_at.is_some_and(|at| retry_at.after(times.last_moments()) >= at) {
            return false;
        }
        self.state = State::Waiting {
            give_up_at,
            retry_at: Some(retry_at),
        };
        true
    }

    /// Nobody is known who could be dialled: only [`Upstream::dial`] ends that.
    pub(crate) fn wait_for_candidate(&mut self) {
        if let State::Waiting { retry_at, .. } = &mut self.state {
            *retry_at = None;
        }
    }

    /// The connection has served its purpose; the next one is wanted then.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.requests.discard();
        self.state = State::Waiting {
            give_up_at: None,
            retry_at: Some(until),
        };
    }

    /// The next attempt is due then, if it was to be later. False if there is nothing to hurry.
    pub(crate) fn hurry(&mut self, at: Instant) -> bool {
        let State::Waiting { retry_at, .. } = &mut self.state else {
            return false;
        };
        *retry_at = Some(retry_at.map_or(at, |before| before.min(at)));
        true
    }

    /// What came of it was good: no attempt counts as failed any more.
    pub(crate) const fn forget_failures(&mut self) {
        self.failures = 0;
    }

    /// What is not open by now, nor on its way as the driver sees it, is not wanted any more.
    pub(crate) fn wait_no_longer(&mut self) {
        if self.is_waiting() || self.is_logging_in() {
            self.state = State::Idle;
        }
    }

    /// It is not wanted any more, nor what it should have carried.
    pub(crate) fn abandon(&mut self) {
        self.requests.discard();
        self.state = State::Idle;
    }
}

/// Whom to dial: a name of the cluster, wherever the configuration says that it is.
pub(crate) fn target(name: HostPort, dial: &DialMap, within: Duration) -> Target {
    let dial = dial.resolve(&name);
    Target { name, dial, within }
}
