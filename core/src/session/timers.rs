//! When a session has to go on by itself, and what happens then.

use crate::connection::Leg;
use crate::error::{CloseReason, Wait};
use crate::mutation::mutation;
use crate::session::pace::Pace;
use crate::session::{Phase, Session};
use crate::time::Instant;

/// Whether the broker has shown on this connection that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstResponse {
    /// It has not taken a whole request that it must respond to.
    NotAwaited,
    /// It has taken the first one, at this time.
    AwaitedSince(Instant),
    /// It has sent something.
    Begun,
}

/// When things last happened.
#[derive(Debug)]
pub(super) struct Timers {
    last_active: Instant,
    /// How the egress of each leg (client, upstream) moves, since it was last empty.
    due: [Option<Pace>; 2],
    client_was_written_to: bool,
}

const fn index(leg: Leg) -> usize {
    match leg {
        Leg::Client => 0,
        Leg::Upstream => 1,
    }
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_active: now,
            due: [None, None],
            client_was_written_to: false,
        }
    }

    pub(super) fn active(&mut self, now: Instant) {
        self.last_active = now;
    }

    pub(super) fn wrote(&mut self, now: Instant, leg: Leg, bytes: usize) {
        if let Some(Some(pace)) = self.due.get_mut(index(leg)) {
            pace.moved(now, bytes);
        }
        self.client_was_written_to |= leg == Leg::Client;
    }

    pub(super) const fn client_was_written_to(&self) -> bool {
        self.client_was_written_to
    }

    /// Notes which legs have bytes due (client, upstream).
    pub(super) fn observe(&mut self, now: Instant, due: [bool; 2]) {
        for (pace, due) in self.due.iter_mut().zip(due) {
            match (pace.is_some(), due) {
                (false, true) => *pace = Some(Pace::new(now)),
                (true, false) => *pace = None,
                (true, true) | (false, false) => {}
            }
        }
    }

    pub(super) const fn last_active(&self) -> Instant {
        self.last_active
    }

    pub(super) fn due(&self, leg: Leg) -> Option<&Pace> {
        self.due.get(index(leg))?.as_ref()
    }
}

impl Session {
    /// When the driver must call back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Closing(closing) => Some(closing.by),
            Phase::Closed => None,
            Phase::Authenticating
            | Phase::Opening
            | Phase::Ready
            | Phase::Draining(_)
            | Phase::Finishing(_) => {
                let mut first = self.upstream.retry_at();
                self.each_deadline(|at, _| first = Some(first.map_or(at, |first| first.min(at))));
                first
            }
        }
    }

    /// A deadline has come: which one decides what happens.
    pub(super) fn tick(&mut self, now: Instant) {
        if !self.is_relaying() {
            return;
        }
        let mut expired: Option<(Instant, Expiry)> = None;
        self.each_deadline(|at, what| {
            if at <= now && expired.is_none_or(|(first, _)| at < first) {
                expired = Some((at, what));
            }
        });
        match expired {
            Some((_, Expiry::Drain)) => self.drain_expired(now),
            Some((_, Expiry::Finish)) => self.finish_expired(now),
            Some((_, Expiry::Login)) => self.login_due(now),
            Some((_, Expiry::Relogin)) => self.relogin_due(now),
            Some((_, Expiry::Connect)) => self.connect_expired(now),
            Some((_, Expiry::Wait(wait))) => self.close(now, CloseReason::TimedOut(wait)),
            None => self.retry_connect(now),
        }
    }

    /// Hands out every deadline; of several at the same time the first counts.
    #[inline(always)]
    fn each_deadline(&self, mut deadline: impl FnMut(Instant, Expiry)) {
        if let Some(drain) = self.phase.drain() {
            deadline(drain.by, Expiry::Drain);
        }
        if let Some(at) = self.login.as_ref().and_then(|it| it.turn_at())
            && !self.is_finishing()
        {
            deadline(at, Expiry::Login);
        }
        if let Phase::Finishing(finishing) = &self.phase
            && let Some(at) = finishing.by
        {
            deadline(at, Expiry::Finish);
        }
        if let Some(at) = self.relogin_at() {
            deadline(at, Expiry::Relogin);
        }
        let connecting = self.upstream.give_up_at();
        if let Some(at) = connecting.filter(|_| !mutation!(self, StuckConnecting)) {
            deadline(at, Expiry::Connect);
        }
        self.each_wait(|at, wait| deadline(at, Expiry::Wait(wait)));
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    Drain,
    Finish,
    Login,
    Relogin,
    Connect,
    Wait(Wait),
}
