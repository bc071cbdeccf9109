//! What is known of one session: who sent what, what is to become of it, and what went wrong.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::{CloseReason, ConnectFailure, End, Instant, Leg, Route, Session, Snapshot};

use super::SessionId;
use super::mark_observer::MarkObserver;
use crate::expected::{self, Fate, Head};
use crate::frames::Cutter;
use crate::script::{Ordinal, Tamper};
use crate::transcript::Transcript;

/// One session.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) id: SessionId,
    pub(crate) route: Route,
    pub(crate) opened: Instant,
    pub(crate) now: Instant,
    /// All snapshots that it was given, the newest last.
    pub(crate) snapshots: Vec<Arc<Snapshot>>,
    from_client: Cutter,
    from_broker: Cutter,
    pub(crate) to_client: Cutter,
    pub(crate) to_broker: Cutter,
    /// The snapshot at the first byte of the request that is coming in.
    request_from: usize,
    /// The snapshot at the first byte of the response that is coming in.
    response_from: usize,
    /// Requests in their order; those that are done with are gone.
    pub(crate) asked: VecDeque<LedgerRequest>,
    /// How many whole requests there were.
    pub(crate) requests: usize,
    /// How many of them the session has read to their end; others still wait in it.
    taken: usize,
    /// How many of them are owed a response that the session has not given itself.
    pub(crate) owed: usize,
    pub(crate) facts: Facts,
    pub(crate) marks: MarkObserver,
    /// Nothing while the session serves its client.
    decision: Option<Decision>,
    pub(crate) closed: Option<CloseReason>,
    /// What it forwarded, if anybody wants to know.
    pub(super) transcript: Option<Transcript>,
}

/// One whole request.
#[derive(Debug)]
pub(crate) struct LedgerRequest {
    pub(crate) head: Head,
    pub(crate) frame: Bytes,
    /// How long it lets the broker wait.
    pub(crate) granted: Duration,
    /// What may become of it, by the snapshots from its first byte to its last.
    pub(crate) fates: Vec<Fate>,
    /// It has gone up.
    pub(crate) sent: bool,
    /// The response of the broker.
    pub(crate) response: Option<BrokerResponse>,
    /// By which snapshots it was authorized.
    pub(crate) by: RangeInclusive<usize>,
}

/// The response of the broker to a request.
#[derive(Debug)]
pub(crate) struct BrokerResponse {
    pub(crate) frame: Bytes,
    /// By which snapshots it was edited: those from its first byte to its last.
    pub(crate) by: RangeInclusive<usize>,
}

/// The state when a session began to close: what reached one that only writes what is left
/// has not made it close.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) at: Instant,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) facts: Facts,
}

/// What has happened to a session, as far as its close must be true to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) client_ended: Option<(Instant, End)>,
    /// When the client has reset the connection, at first or later.
    pub(crate) client_gone: Option<Instant>,
    /// How much the broker has sent since then.
    pub(crate) sent_to_nobody: usize,
    pub(crate) upstream_ended: Option<(Instant, End)>,
    pub(crate) failed: Vec<ConnectFailure>,
    pub(crate) tampers: Vec<Tamper>,
    pub(crate) drain: Option<Instant>,
    /// How many of the last requests still waited in the session when it began to drain.
    pub(crate) forgotten: usize,
    pub(crate) reached: Option<BrokerId>,
    pub(crate) finished: Vec<Leg>,
    /// When a broker had got the first whole request that needs a response.
    pub(crate) first_sent: Option<Instant>,
    /// When the broker has last sent anything.
    pub(crate) broker_spoke: Option<Instant>,
    /// Until when the broker reads nothing, as it has said.
    pub(crate) muted_until: Instant,
    /// The broker has responded to what it was not asked.
    pub(crate) broker_lied: bool,
    /// The client has sent a frame too short to have a head, which no session takes.
    pub(crate) headless: bool,
    /// The largest piece that was read.
    pub(crate) chunk_max: usize,
    /// Since when each leg waits for room for what it buffers.
    buffer_paused: [Option<Instant>; 2],
    /// It has to give back what it buffers.
    pub(crate) buffer_rejected: bool,
    last_given: [Option<Instant>; 2],
    /// The bytes that each leg had due when the session was last looked at.
    due: [Option<DueBytes>; 2],
    pub(crate) last_bytes: Option<Instant>,
    /// When the request began that is coming in.
    pub(crate) request_began: Option<Instant>,
    /// When the session has last asked to be called back; nothing before it was looked at.
    deadline: Option<Instant>,
    /// Such a time has come.
    pub(crate) deadline_came: bool,
    /// Since when the client is not read; nothing while it is.
    pub(crate) unread_since: Option<Instant>,
}

/// Bytes that a leg has had due without a break.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueBytes {
    pub(crate) since: Instant,
    /// How many were taken meanwhile.
    pub(crate) taken: usize,
}

const fn index(leg: Leg) -> usize {
    match leg {
        Leg::Client => 0,
        Leg::Upstream => 1,
    }
}

impl Facts {
    pub(super) fn ended(&mut self, now: Instant, leg: Leg, how: End) {
        if leg == Leg::Client && !how.is_of_one_half() {
            self.client_gone.get_or_insert(now);
        }
        let ended = match leg {
            Leg::Client => &mut self.client_ended,
            Leg::Upstream => &mut self.upstream_ended,
        };
        ended.get_or_insert((now, how));
    }

    /// A leg waits for room from now on, or has it again.
    pub(super) fn pauses(&mut self, leg: Leg, since: Option<Instant>) {
        if let Some(paused) = self.buffer_paused.get_mut(index(leg)) {
            *paused = since;
        }
    }

    /// Since when a leg waits for room.
    pub(crate) fn buffer_paused(&self, leg: Leg) -> Option<Instant> {
        self.buffer_paused.get(index(leg)).copied().flatten()
    }

    pub(super) fn wrote(&mut self, now: Instant, leg: Leg, bytes: usize) {
        self.last_bytes = Some(now);
        if let Some(Some(due)) = self.due.get_mut(index(leg)) {
            due.taken += bytes;
        }
        if let Some(last) = self.last_given.get_mut(index(leg)) {
            *last = Some(now);
        }
    }

    pub(super) fn saw(&mut self, now: Instant, session: &Session) {
        let demand = session.demand();
        self.deadline = demand.deadline;
        self.unread_since = if demand.read_client {
            None
        } else {
            self.unread_since.or(Some(now))
        };
        for leg in [Leg::Client, Leg::Upstream] {
            if let Some(due) = self.due.get_mut(index(leg)) {
                let begun = DueBytes {
                    since: now,
                    taken: 0,
                };
                let is_due = !session.egress(leg).is_empty();
                *due = is_due.then(|| due.unwrap_or(begun));
            }
        }
    }

    /// The session is called back.
    pub(super) fn tick(&mut self, now: Instant) {
        self.deadline_came |= self.deadline.is_none_or(|at| now >= at);
    }

    pub(crate) fn had_bytes_due(&self, leg: Leg) -> bool {
        self.due(leg).is_some()
    }

    pub(crate) fn due(&self, leg: Leg) -> Option<DueBytes> {
        self.due.get(index(leg)).copied().flatten()
    }

    pub(crate) fn last_given(&self, leg: Leg) -> Option<Instant> {
        self.last_given.get(index(leg)).copied().flatten()
    }
}

impl Ledger {
    pub(super) fn new(
        now: Instant,
        id: SessionId,
        client: Ordinal,
        route: Route,
        snapshot: &Arc<Snapshot>,
        keep_transcript: bool,
    ) -> Self {
        Self {
            id,
            route,
            opened: now,
            now,
            snapshots: vec![Arc::clone(snapshot)],
            from_client: Cutter::default(),
            from_broker: Cutter::default(),
            to_client: Cutter::default(),
            to_broker: Cutter::default(),
            request_from: 0,
            response_from: 0,
            asked: VecDeque::new(),
            requests: 0,
            taken: 0,
            owed: 0,
            facts: Facts::default(),
            marks: MarkObserver::default(),
            decision: None,
            closed: None,
            transcript: keep_transcript.then(|| Transcript::new(id.0, client, route)),
        }
    }

    pub(crate) fn newest(&self) -> Option<&Arc<Snapshot>> {
        self.snapshots.last()
    }

    /// What a reason to close must be true to.
    pub(crate) fn decision(&self) -> Option<Decision> {
        let at_once = || {
            Some(Decision {
                at: self.now,
                snapshot: Arc::clone(self.newest()?),
                facts: self.facts.clone(),
            })
        };
        self.decision.clone().or_else(at_once)
    }

    /// Whether the session only writes what is left.
    pub(crate) const fn is_closing(&self) -> bool {
        self.decision.is_some()
    }

    /// The session has dealt with an input.
    pub(super) fn saw(&mut self, now: Instant, session: &Session) {
        if session.is_closing() && self.decision.is_none() {
            self.decision = self.decision();
        }
        self.facts.saw(now, session);
    }

    /// The snapshots that may have made the response to `asked` what it is.
    pub(crate) fn response_snapshots(&self, asked: &LedgerRequest) -> &[Arc<Snapshot>] {
        let response = asked.response.as_ref();
        let by = response.map_or(&asked.by, |response| &response.by);
        self.snapshots.get(by.clone()).unwrap_or_default()
    }

    pub(super) fn renewed(&mut self, snapshot: &Arc<Snapshot>) {
        self.snapshots.push(Arc::clone(snapshot));
        self.reauthorize();
        if self.from_client.rest().is_empty() {
            self.request_from = self.snapshots.len() - 1;
        }
        if self.from_broker.rest().is_empty() {
            self.response_from = self.snapshots.len() - 1;
        }
    }

    /// Takes in what the client has sent, and says which whole requests there are now.
    pub(super) fn client_sent(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        let mut whole = Vec::new();
        if self.is_closing() {
            // It is thrown away, so that the connection is not reset.
            return whole;
        }
        self.saw_chunk(bytes);
        self.from_client.push(bytes);
        self.facts.request_began.get_or_insert(self.now);
        let last = self.snapshots.len() - 1;
        while let Some(frame) = self.from_client.next_frame() {
            let by = self.request_from..=last;
            self.request_from = last;
            self.facts.request_began = Some(self.now);
            let Some(head) = Head::of_request(&frame) else {
                self.facts.headless = true;
                continue;
            };
            self.requests += 1;
            let snapshots = self.snapshots.get(by.clone()).unwrap_or_default();
            let fates = expected::fates(head, &frame, snapshots);
            self.owed += usize::from(fates.iter().any(Fate::is_owed));
            whole.push(frame.clone());
            self.asked.push_back(LedgerRequest {
                head,
                granted: expected::granted(head, &frame),
                frame,
                fates,
                sent: false,
                response: None,
                by,
            });
        }
        if self.from_client.rest().is_empty() {
            self.facts.request_began = None;
        }
        whole
    }

    fn saw_chunk(&mut self, bytes: &[u8]) {
        self.facts.last_bytes = Some(self.now);
        self.facts.chunk_max = self.facts.chunk_max.max(bytes.len());
    }

    pub(super) fn broker_sent(&mut self, bytes: &[u8]) {
        self.saw_chunk(bytes);
        if self.facts.client_gone.is_some() {
            self.facts.sent_to_nobody += bytes.len();
        }
        self.facts.broker_spoke = Some(self.now);
        self.from_broker.push(bytes);
        let last = self.snapshots.len() - 1;
        while let Some(frame) = self.from_broker.next_frame() {
            let by = self.response_from..=last;
            self.response_from = last;
            let waits = |asked: &&mut LedgerRequest| {
                asked.sent && asked.response.is_none() && asked.fates.iter().any(Fate::is_owed)
            };
            match self.asked.iter_mut().find(waits) {
                Some(asked) if expected::correlation_id_of(&frame) == Some(asked.head.id) => {
                    let throttle = expected::throttle(asked.head, &frame);
                    if !throttle.is_zero() {
                        let until = self.now.after(throttle);
                        self.facts.muted_until = self.facts.muted_until.max(until);
                    }
                    asked.response = Some(BrokerResponse { frame, by });
                }
                Some(_) | None => self.facts.broker_lied = true,
            }
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Response { .. } => self.owed = self.owed.saturating_sub(1),
            // The session has read the next request to its end.
            Event::Request { .. } => self.taken += 1,
            Event::UpstreamConnected { .. }
            | Event::UpstreamAttemptFailed { .. }
            | Event::Rewrote(_)
            | Event::LoginSucceeded { .. }
            | Event::UpstreamLoggedIn { .. }
            | Event::UpstreamLoginFailed { .. }
            | Event::LoginFailed { .. }
            | Event::SaslWithoutLogin => {}
        }
        if let Some(transcript) = &mut self.transcript {
            transcript.event(event);
        }
    }

    /// A request that waits in the session for its turn is authorized by a snapshot that comes
    /// meanwhile as well.
    fn reauthorize(&mut self) {
        let last = self.snapshots.len() - 1;
        let untaken = self.untaken();
        for asked in self.asked.iter_mut().rev().take(untaken) {
            let was_owed = asked.fates.iter().any(Fate::is_owed);
            asked.by = *asked.by.start()..=last;
            let snapshots = self.snapshots.get(asked.by.clone()).unwrap_or_default();
            asked.fates = expected::fates(asked.head, &asked.frame, snapshots);
            let is_owed = asked.fates.iter().any(Fate::is_owed);
            self.owed = (self.owed + usize::from(is_owed)).saturating_sub(usize::from(was_owed));
        }
    }

    /// It drains: what waits in it is forgotten, unless its client has left already and
    /// cannot ask again.
    pub(crate) fn drains(&mut self, by: Instant) {
        self.facts.drain = Some(by);
        if self.facts.client_ended.is_none() {
            self.facts.forgotten = self.untaken();
        }
    }

    /// How many of the last requests still wait in the session.
    const fn untaken(&self) -> usize {
        self.requests - self.taken
    }

    /// Requests that the session has read and that are not done with, in their order.
    pub(super) fn taken_requests(&self) -> impl Iterator<Item = &LedgerRequest> {
        let taken = self.asked.len().saturating_sub(self.untaken());
        self.asked.iter().take(taken)
    }

    /// How many responses are owed to requests that the session has read.
    pub(crate) fn owed_to_taken(&self) -> usize {
        let waiting = self.asked.iter().rev().take(self.untaken());
        let owed = waiting.filter(|asked| asked.fates.iter().any(Fate::is_owed));
        self.owed.saturating_sub(owed.count())
    }

    /// The beginning of a frame whose rest is missing.
    pub(crate) fn rest_of(&self, leg: Leg) -> &[u8] {
        match leg {
            Leg::Client => self.from_client.rest(),
            Leg::Upstream => self.from_broker.rest(),
        }
    }

    /// Whether a length came that no frame has.
    pub(crate) fn is_broken(&self, leg: Leg) -> bool {
        match leg {
            Leg::Client => self.from_client.is_broken(),
            Leg::Upstream => self.from_broker.is_broken(),
        }
    }
}
