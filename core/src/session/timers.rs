//! Every deadline of a session, by the name of what it waits for.

use crate::api;
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

    fn due(&self, leg: Leg) -> Option<&Pace> {
        self.due.get(index(leg))?.as_ref()
    }
}

impl Session {
    /// When the driver must call back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Closing(closing) => Some(closing.by),
            Phase::Closed => None,
            Phase::Opening | Phase::Ready | Phase::Draining { .. } | Phase::Finishing(_) => {
                let mut first = self.upstream.retry_at();
                self.each_wait(|at, _| first = Some(first.map_or(at, |first| first.min(at))));
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
        self.each_wait(|at, what| {
            if at <= now {
                let wait = (at, what);
                expired = Some(expired.map_or(wait, |first| first.min(wait)));
            }
        });
        match expired {
            Some((_, Expiry::Wait(wait))) => self.close(now, CloseReason::TimedOut(wait)),
            Some((_, Expiry::Drain)) => self.close(now, CloseReason::DrainExpired),
            Some((_, Expiry::Finish)) => self.finish_expired(now),
            Some((_, Expiry::Connect)) => self.connect_expired(now),
            None => self.retry_connect(now),
        }
    }

    /// Hands out everything that is waited for, with its deadline.
    #[inline(always)]
    fn each_wait(&self, mut waits: impl FnMut(Instant, Expiry)) {
        let (limits, room) = (&self.snapshot.limits, self.room);
        match &self.phase {
            Phase::Draining { by } => waits(*by, Expiry::Drain),
            Phase::Finishing(finishing) => {
                if let Some(at) = finishing.by {
                    waits(at, Expiry::Finish);
                }
                if let Some(at) = finishing.drain {
                    waits(at, Expiry::Drain);
                }
            }
            Phase::Opening | Phase::Ready | Phase::Closing(_) | Phase::Closed => {}
        }
        let legs = [
            (Leg::Client, room.requests),
            (Leg::Upstream, room.responses),
        ];
        for (leg, has_room) in legs {
            if has_room && let Some((at, wait)) = self.reading_deadline(leg) {
                waits(at, Expiry::Wait(wait));
            }
            if let Some(pace) = self.timers.due(leg) {
                let stall = limits.write_stall_timeout;
                let at = match leg {
                    Leg::Client => pace.deadline(stall),
                    // A broker that throttles takes no bytes meanwhile, and as few as a quota
                    // allows: it does not say so of a Produce with acks=0.
                    Leg::Upstream => {
                        let muted_until = self.in_flight.muted_until();
                        pace.deadline_of_any(stall).max(muted_until.after(stall))
                    }
                };
                waits(at, Expiry::Wait(Wait::Write(leg)));
            }
        }
        if let Some((at, wait)) = self.response_deadline() {
            waits(at, Expiry::Wait(wait));
        }
        // Nobody has to log in, so a client that has sent nothing yet is idle as any other, as in
        // Kafka; how many of these there may be is for the driver to limit.
        let is_quiet = self.in_flight.is_empty()
            && self.client.egress.is_empty()
            && self.upstream.requests.is_empty();
        if is_quiet && !(mutation!(self, NeverFirstFrame) && self.is_opening()) {
            let at = self.timers.last_active.after(limits.idle_timeout);
            waits(at, Expiry::Wait(Wait::Idle));
        }
        let connecting = self.upstream.give_up_at();
        if let Some(at) = connecting.filter(|_| !mutation!(self, StuckConnecting)) {
            waits(at, Expiry::Connect);
        }
    }

    /// A frame that has begun must go on, as long as we are willing to read it.
    ///
    /// A leg that would be read, and for which there is no room to buffer more, does not wait for
    /// ever: those who wait for each other must end.
    #[inline(always)]
    fn reading_deadline(&self, leg: Leg) -> Option<(Instant, Wait)> {
        let limits = &self.snapshot.limits;
        let paused_since = match leg {
            Leg::Client => self.requests.paused_since,
            Leg::Upstream => self.responses.paused_since,
        };
        match paused_since {
            Some(_) if leg == Leg::Client && (self.is_finishing() || self.takes_no_more()) => None,
            Some(since) => Some((since.after(limits.buffer_timeout), Wait::Buffer(leg))),
            None => {
                let stall = limits.frame_stall_timeout;
                let at = match leg {
                    Leg::Client => self.requests.deadline(stall),
                    Leg::Upstream => self.responses.deadline(stall),
                };
                Some((at?, Wait::Frame(leg)))
            }
        }
    }

    /// A response that has begun is watched by [`Session::reading_deadline`] instead, and one that
    /// we do not read, because the client does not, is not late.
    ///
    /// Whether anybody is there at all must show within the limit of a connection. The first
    /// request of Kafka's clients is one that brokers respond to at once (ApiVersions, Metadata);
    /// what another one asks the broker to wait comes on top.
    #[inline(always)]
    fn response_deadline(&self) -> Option<(Instant, Wait)> {
        let is_read = self.room.responses && self.responses.paused_since.is_none();
        let begun = self.responses.pace.is_some();
        let forever = mutation!(self, WaitForever);
        if begun || forever || !is_read {
            return None;
        }
        let mut first_response = *self.upstream.open()?;
        let limits = &self.snapshot.limits;
        if mutation!(self, HurryLaterResponses) && first_response == FirstResponse::Begun {
            first_response = FirstResponse::AwaitedSince(Instant::ZERO);
        }
        let (since, limit, wait) = match first_response {
            FirstResponse::AwaitedSince(since) => {
                let may_wait = self.in_flight.front().is_some_and(|slot| {
                    api::request_wait_is_unread(slot.api, slot.version, slot.bytes)
                });
                let limit = if may_wait {
                    limits.request_timeout
                } else {
                    limits.connect_timeout.min(limits.request_timeout)
                };
                (since, limit, Wait::FirstResponse)
            }
            // Without a request that the broker has taken, it is late as any other response is.
            FirstResponse::NotAwaited | FirstResponse::Begun => {
                (Instant::ZERO, limits.request_timeout, Wait::Response)
            }
        };
        Some((self.in_flight.deadline(since, limit)?, wait))
    }
}

/// What a deadline is for. In the order of preference when several have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Expiry {
    Drain,
    Finish,
    Connect,
    Wait(Wait),
}
