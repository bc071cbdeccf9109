//! One client connection and its upstream leg, as a value.

mod backlog;
mod broker_configs;
mod buffered_part;
mod check;
mod client;
mod closing;
mod connect;
mod denial;
mod drain;
mod editors;
mod finishing;
mod frame_reader;
mod in_flight;
mod login;
mod names;
mod pace;
mod phase;
mod relogin;
mod request;
mod request_stage;
mod response;
mod response_stage;
mod timers;
mod topic_authorization;
mod upstream;
mod waits;
mod whole_request;

use std::sync::Arc;

use bytes::Bytes;

use crate::connection::{End, Leg};
use crate::egress::Egress;
use crate::error::CloseReason;
use crate::event::Event;
use crate::id::{HostPort, Seed};
use crate::io::{Accept, BufferedBytes, Demand, Effect, Input};
use crate::limits::UNCOUNTED_BUFFER_BYTES;
use crate::mutation::mutation;
use crate::policy::Principal;
use crate::queue::Queue;
use crate::sasl::failure::BrokerLoginFailure;
use crate::snapshot::Snapshot;
use crate::time::Instant;
use crate::upstream::{State, Upstream};
use crate::work;

use backlog::Backlog;
use connect::AttemptHistory;
use drain::{Drain, DrainReason};
use frame_reader::FrameReader;
use in_flight::{InFlight, LocalResponse};
use login::Login;
use phase::Phase;
use relogin::Relogin;
use request::EarlierTimeouts;
use request_stage::RequestStage;
use response_stage::ResponseStage;
use timers::{FirstResponse, Timers};

/// One client connection and its upstream leg.
#[derive(Debug)]
pub struct Session {
    accept: Accept,
    snapshot: Arc<Snapshot>,
    principal: Principal,
    seed: Seed,
    phase: Phase,
    /// Where clients have to log in.
    login: Option<Box<Login>>,
    upstream: Upstream<HostPort, FirstResponse>,
    /// Where doorkeeper has logged in to the broker for a limited time.
    relogin: Option<Box<Relogin>>,
    /// Who has been dialled.
    attempts: AttemptHistory,
    /// The request that is coming in from the client.
    requests: FrameReader<RequestStage>,
    /// Requests behind it that there is no room for yet.
    backlog: Backlog,
    /// The response that is coming in from the broker.
    responses: FrameReader<ResponseStage>,
    client: ClientLeg,
    in_flight: InFlight,
    /// A request without a response waits for the connection.
    dropped_waits: bool,
    timers: Timers,
    earlier_timeouts: EarlierTimeouts,
    /// Where there was room when the last input had been dealt with.
    room: Room,
    effects: Queue<Effect>,
}

/// The client's side of a session.
#[derive(Debug, Default)]
struct ClientLeg {
    egress: Egress,
    /// How the client has ended; after a reset nobody reads what is due to it.
    ended: Option<End>,
}

/// Whether there is room for what is read: requests on their way up, responses on their way down.
#[derive(Clone, Copy, Debug)]
struct Room {
    requests: bool,
    responses: bool,
}

impl Room {
    /// Whether there is room for what is read of a leg.
    const fn of(self, leg: Leg) -> bool {
        match leg {
            Leg::Client => self.requests,
            Leg::Upstream => self.responses,
        }
    }
}

/// An egress above so many water marks has more to write than what passes: that is at most a mark
/// and one read beyond it.
const MARKS_OF_WHAT_PASSES: usize = 4;

impl Session {
    /// A session for a client that has been accepted.
    #[must_use]
    pub fn new(accept: Accept, snapshot: Arc<Snapshot>, seed: Seed) -> Self {
        let principal = accept.principal.clone();
        let login = snapshot.login.as_ref();
        let login = login.map(|settings| Box::new(Login::new(accept.at, settings)));
        let phase = if login.is_some() {
            Phase::Authenticating
        } else {
            Phase::Opening
        };
        Self {
            timers: Timers::new(accept.at),
            accept,
            snapshot,
            principal: principal.unwrap_or_else(Principal::anonymous),
            seed,
            phase,
            login,
            upstream: Upstream::idle(),
            relogin: None,
            attempts: AttemptHistory::default(),
            requests: FrameReader::default(),
            backlog: Backlog::default(),
            responses: FrameReader::default(),
            client: ClientLeg::default(),
            in_flight: InFlight::default(),
            dropped_waits: false,
            earlier_timeouts: EarlierTimeouts::default(),
            room: Room {
                requests: true,
                responses: true,
            },
            effects: Queue::default(),
        }
    }

    /// Takes in what happened. Never fails: a bad peer becomes an [`Effect::Close`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.excuse(now);
        match input {
            Input::Bytes { leg, bytes } => match leg {
                Leg::Client => self.bytes_of_client(now, bytes),
                Leg::Upstream => self.bytes_of_upstream(now, bytes),
            },
            Input::Wrote { leg, bytes } => self.wrote(now, leg, bytes),
            Input::Ended { leg, how } => self.ended(now, leg, how),
            Input::Connected => self.connected(now),
            Input::ConnectFailed(why) => self.connect_failed(now, why),
            Input::Evaluated(evaluation) => self.evaluated(now, *evaluation),
            Input::Token(reply) => self.token_for_broker(now, *reply),
            Input::Snapshot(snapshot) => self.renew(now, snapshot),
            Input::Drain { by } => self.drain(now, by, DrainReason::Stop),
            Input::ListenerRemoved { by } => self.drain(now, by, DrainReason::ListenerRemoved),
            Input::Revoked(why) => self.revoke(now, why),
            Input::BufferPaused(leg) => *self.paused_since_mut(leg) = Some(now),
            Input::BufferResumed(leg) => *self.paused_since_mut(leg) = None,
            Input::BufferRejected => self.buffer_rejected(now),
            Input::Tick => self.tick(now),
        }
        self.advance(now);
        self.check(now);
    }

    /// The next effect; drain to `None` after every [`Session::handle`].
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is due to one peer.
    #[must_use]
    pub fn egress(&self, leg: Leg) -> &Egress {
        match leg {
            Leg::Client => &self.client.egress,
            Leg::Upstream => self.upstream.egress(),
        }
    }

    /// How many bytes of one peer's frames are buffered until they have been decided on.
    #[must_use]
    pub fn buffered(&self, leg: Leg) -> usize {
        match leg {
            Leg::Client => self.requests.buffered.len(),
            Leg::Upstream => self.responses.buffered.len(),
        }
    }

    /// What the driver should do until the next input.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let connected = self.upstream.is_connected();
        let relays = self.is_relaying();
        let room = self.room;
        let waits_for_login = self.waits_for_login();
        let is_paused =
            self.requests.paused_since.is_some() || waits_for_login || self.holds_requests();
        let may_read_client = room.requests && !is_paused;
        let read_client = match &self.phase {
            Phase::Authenticating | Phase::Opening | Phase::Ready => may_read_client,
            // The rest of a request of which the broker has the beginning.
            Phase::Draining(_) => self.requests.stage.is_amid_request() && may_read_client,
            Phase::Finishing(_) => false,
            Phase::Closing(closing) => closing.lingers(),
            Phase::Closed => false,
        };
        Demand {
            read_client: read_client
                || (mutation!(self, DrainTakesRequests) && relays && self.has_room_for_requests()),
            read_upstream: relays
                && connected
                && room.responses
                && self.responses.paused_since.is_none(),
            // Requests from the backlog are authorized by the newest snapshot as well.
            snapshot: relays
                && (self.upstream.is_waiting() || !self.backlog.is_empty() || waits_for_login),
            deadline: self.deadline(),
        }
    }

    /// Whether there is room for what is read of each leg.
    fn room(&self) -> Room {
        Room {
            requests: self.has_room_for_requests(),
            responses: self.may_owe_more_responses(),
        }
    }

    /// A client that does not take its responses is not read either, as in Kafka: responses that
    /// are given here would grow without a bound.
    fn has_room_for_requests(&self) -> bool {
        let limits = &self.snapshot.limits;
        let due = [
            self.upstream.requests.pinned(),
            self.client.egress.pinned(),
            self.in_flight.buffered_bytes(),
        ];
        (self.in_flight.len() < limits.in_flight_max || mutation!(self, IgnoreResponsesOwed))
            && due.iter().all(|bytes| *bytes < limits.egress_high_bytes)
    }

    fn may_owe_more_responses(&self) -> bool {
        self.client.egress.pinned() < self.snapshot.limits.egress_high_bytes
            || mutation!(self, IgnoreClientEgress)
    }

    /// Time in which a leg was not read is not the peer's.
    fn excuse(&mut self, now: Instant) {
        let Room {
            requests,
            responses,
        } = self.room;
        let is_paused =
            self.requests.paused_since.is_some() || self.responses.paused_since.is_some();
        if !requests || !responses || is_paused {
            self.excuse_unread(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn excuse_unread(&mut self, now: Instant) {
        let Room {
            requests,
            responses,
        } = self.room;
        if !requests || self.requests.paused_since.is_some() {
            self.requests.excuse(now);
        }
        if !responses || self.responses.paused_since.is_some() {
            self.responses.excuse(now);
            self.in_flight.restart(now);
        }
        // A leg that would not be read anyway does not wait for room to buffer more.
        for (leg, has_room) in [(Leg::Client, requests), (Leg::Upstream, responses)] {
            let paused = self.paused_since_mut(leg).as_mut();
            if let Some(since) = paused.filter(|_| !has_room) {
                *since = now;
            }
        }
    }

    /// How much memory is buffered: what sessions together have budgets for.
    #[must_use]
    pub fn buffered_bytes(&self) -> BufferedBytes {
        let passing = MARKS_OF_WHAT_PASSES.saturating_mul(self.snapshot.limits.egress_high_bytes);
        let due = |egress: &Egress| egress.pinned().saturating_sub(passing);
        BufferedBytes {
            requests: self.requests.pinned()
                + self.backlog.pinned
                + self.requests.stage.response_bytes()
                + self.in_flight.buffered_bytes()
                + due(&self.upstream.requests),
            responses: self.responses.pinned() + due(&self.client.egress),
        }
    }

    /// Whether no whole request has come yet, nor as much of a large one as is passed on. What a
    /// client sends to log in does not count.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Authenticating | Phase::Opening)
    }

    /// Whether the session is closing, and only writes what is left.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(_) | Phase::Closed)
    }

    /// The budgets have nothing left for the session: whatever its phase, it drops what it
    /// buffers.
    fn buffer_rejected(&mut self, now: Instant) {
        if self.is_relaying() {
            self.close(now, CloseReason::BufferRejected);
        } else {
            self.drop_buffered();
        }
    }

    /// Drops what is due to a peer where it is so much that it counts as buffered.
    fn drop_buffered(&mut self) {
        let buffered = self.buffered_bytes();
        if buffered.responses > UNCOUNTED_BUFFER_BYTES {
            self.client.egress.discard();
        }
        if buffered.requests > UNCOUNTED_BUFFER_BYTES {
            self.upstream.requests.discard();
        }
    }

    const fn paused_since(&self, leg: Leg) -> Option<Instant> {
        match leg {
            Leg::Client => self.requests.paused_since,
            Leg::Upstream => self.responses.paused_since,
        }
    }

    fn paused_since_mut(&mut self, leg: Leg) -> &mut Option<Instant> {
        match leg {
            Leg::Client => &mut self.requests.paused_since,
            Leg::Upstream => &mut self.responses.paused_since,
        }
    }

    fn is_relaying(&self) -> bool {
        matches!(
            self.phase,
            Phase::Authenticating
                | Phase::Opening
                | Phase::Ready
                | Phase::Draining(_)
                | Phase::Finishing(_)
        )
    }

    const fn is_finishing(&self) -> bool {
        matches!(self.phase, Phase::Finishing(_))
    }

    fn bytes_of_client(&mut self, now: Instant, bytes: Bytes) {
        match self.phase {
            Phase::Authenticating | Phase::Opening | Phase::Ready | Phase::Draining(_) => {}
            Phase::Finishing(_) | Phase::Closing(_) | Phase::Closed => return,
        }
        self.timers.active(now);
        if self.backlog.is_empty() {
            let pinned = bytes.len();
            self.take_requests(now, bytes, pinned);
        } else {
            self.backlog = std::mem::take(&mut self.backlog).followed_by(&bytes);
        }
    }

    fn bytes_of_upstream(&mut self, now: Instant, bytes: Bytes) {
        match &mut self.phase {
            Phase::Authenticating | Phase::Opening | Phase::Ready | Phase::Draining(_) => {}
            Phase::Finishing(finishing) => {
                if self.client.is_gone() {
                    finishing.read_for_nobody(bytes.len());
                }
            }
            Phase::Closing(_) | Phase::Closed => return,
        }
        self.timers.active(now);
        if let Some(first_response) = self.upstream.open_mut() {
            *first_response = FirstResponse::Begun;
        } else if self.upstream.is_logging_in() {
            return self.upstream_login_bytes(now, bytes);
        }
        self.take_responses(now, bytes);
    }

    /// Takes requests from a chunk, which keeps `chunk_len` bytes alive: all of it, but for those
    /// that need room and have none.
    fn take_requests(&mut self, now: Instant, mut chunk: Bytes, chunk_len: usize) {
        self.upstream.requests.begin_chunk();
        while !chunk.is_empty() && self.is_relaying() {
            work::steps(1);
            if self.takes_no_more() {
                break;
            }
            if self.must_wait() {
                self.backlog = Backlog::of(std::mem::take(&mut chunk), chunk_len);
                break;
            }
            if let Err(reason) = self.client_bytes(now, &mut chunk) {
                self.close(now, reason);
                break;
            }
        }
        drop(chunk);
        self.requests.settle(now, chunk_len);
        if self.holds_requests() {
            self.send_of_relogin(now);
        }
        self.upstream.requests.settle(chunk_len);
    }

    /// Takes responses from a chunk.
    fn take_responses(&mut self, now: Instant, mut chunk: Bytes) {
        let chunk_len = chunk.len();
        self.client.egress.begin_chunk();
        while !chunk.is_empty() && self.is_relaying() {
            work::steps(1);
            if let Err(reason) = self.upstream_bytes(now, &mut chunk) {
                self.close(now, reason);
                break;
            }
        }
        drop(chunk);
        self.responses.settle(now, chunk_len);
        self.client.egress.settle(chunk_len);
    }

    /// A draining session takes no request but the one that is on its way.
    fn takes_no_more(&self) -> bool {
        matches!(self.phase, Phase::Draining(_)) && !self.requests.stage.is_amid_request()
    }

    /// Whether the next request must wait until there is room for it.
    fn must_wait(&self) -> bool {
        self.requests.is_between_frames()
            && (!self.has_room_for_requests() || self.waits_for_login() || self.holds_requests())
    }

    fn wrote(&mut self, now: Instant, leg: Leg, bytes: usize) {
        let wrote = match leg {
            Leg::Client => self.client.egress.wrote(bytes),
            Leg::Upstream => self.upstream.wrote(bytes),
        };
        if wrote.is_err() {
            self.close(
                now,
                CloseReason::Bug("more was written than there was to write"),
            );
            return;
        }
        self.timers.active(now);
        self.timers.wrote(now, leg, bytes);
        let is_sent = self.upstream.requests.is_empty() && !self.in_flight.is_empty();
        if let Some(first_response @ FirstResponse::NotAwaited) = self.upstream.open_mut()
            && is_sent
        {
            *first_response = FirstResponse::AwaitedSince(now);
        }
    }

    fn ended(&mut self, now: Instant, leg: Leg, how: End) {
        match leg {
            Leg::Client => {
                self.client.note_end(how);
                if let Phase::Closing(closing) = &mut self.phase {
                    closing.client_ended();
                }
                self.close(now, CloseReason::ClientEnded(how));
            }
            Leg::Upstream if self.upstream.is_logging_in() => {
                self.upstream_login_failed(now, BrokerLoginFailure::Ended);
            }
            // A connection whose login has failed is of no interest any more.
            Leg::Upstream if self.upstream.is_waiting() => {}
            Leg::Upstream => {
                // After the end of its half a broker may still read.
                if !how.is_of_one_half() {
                    self.upstream.requests.discard();
                }
                self.close(now, CloseReason::UpstreamEnded(how));
            }
        }
    }

    /// Takes a newer snapshot, and ignores an older one.
    fn renew(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        if snapshot.epoch > self.snapshot.epoch {
            let (old, new) = (&self.snapshot, &snapshot);
            let reauthorizes = (&new.policy, &new.offered) != (&old.policy, &old.offered);
            self.snapshot = snapshot;
            if reauthorizes && let Err(reason) = self.reauthorize(now) {
                self.close(now, reason);
            }
            self.topology_changed(now);
            if let Err(reason) = self.respond_with_versions(now) {
                self.close(now, reason);
            }
        }
    }

    fn drain(&mut self, now: Instant, by: Instant, why: DrainReason) {
        match self.phase {
            Phase::Authenticating | Phase::Opening => self.close(now, why.done()),
            Phase::Ready => {
                self.enter(Phase::Draining(Drain { by, why }));
                self.backlog = Backlog::default();
                if !self.requests.stage.is_amid_request() {
                    self.requests.clear();
                }
            }
            Phase::Finishing(ref mut finishing) => finishing.drain(Drain { by, why }),
            // Its last bytes must be out by then as well.
            Phase::Closing(ref mut closing) => closing.by = closing.by.min(by),
            Phase::Draining(ref mut drain) => drain.limit(by),
            Phase::Closed => {}
        }
    }

    fn drain_expired(&mut self, now: Instant) {
        if let Some(drain) = self.phase.drain() {
            self.close(now, drain.why.expired());
        }
    }

    /// Whether every response is with the client, and with the broker all that it was sent.
    fn owes_nothing(&self) -> bool {
        let is_sent = match self.upstream.state() {
            State::Idle => true,
            // What is due is no more than the beginning of a request.
            State::Waiting { .. } | State::Dialing { .. } | State::LoggingIn { .. } => {
                !self.dropped_waits
            }
            State::Open(_) => self.upstream.requests.is_empty(),
        };
        let is_given = self.in_flight.is_empty()
            && self.client.egress.is_empty()
            && !self.owes_login_response();
        is_given && is_sent && self.backlog.is_empty() && !self.requests.stage.is_amid_request()
    }

    /// What follows from the state alone, after every input.
    fn advance(&mut self, now: Instant) {
        if self.client.is_gone() {
            self.client.egress.discard();
        }
        self.send_local_responses(now);
        while !self.backlog.is_empty() && !self.must_wait() {
            let Backlog { bytes, pinned } = std::mem::take(&mut self.backlog);
            self.take_requests(now, bytes, pinned);
            self.send_local_responses(now);
        }
        self.open_when_due(now);
        if !matches!(
            self.phase,
            Phase::Authenticating | Phase::Opening | Phase::Ready
        ) {
            self.advance_to_end(now);
        }
        self.room = self.room();
        self.timers.observe(
            now,
            [
                !self.client.egress.is_empty(),
                !self.upstream.egress().is_empty(),
            ],
        );
    }

    /// The same, of a session that drains, finishes or closes.
    fn advance_to_end(&mut self, now: Instant) {
        if let Phase::Draining(drain) = self.phase
            && self.owes_nothing()
        {
            self.close(now, drain.why.done());
        }
        self.advance_finishing(now);
        self.advance_closing(now);
    }

    #[inline]
    fn send_local_responses(&mut self, now: Instant) {
        if self.in_flight.is_local_next() {
            self.send_next_local_responses(now);
        }
    }

    #[inline(never)]
    fn send_next_local_responses(&mut self, now: Instant) {
        while self.is_relaying()
            && let Some(response) = self.in_flight.pop_local(now)
        {
            if self.client.is_gone() {
                continue;
            }
            let LocalResponse {
                api,
                version,
                since,
                frame,
            } = response;
            let bytes = frame.len();
            self.client.egress.push(frame);
            self.report(Event::Response {
                api,
                version,
                bytes,
                latency: now.since(since),
                local: true,
            });
        }
    }

    fn report(&mut self, event: Event) {
        self.effects.push_back(Effect::Report(event));
    }
}
