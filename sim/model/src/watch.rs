//! Watches a run from outside: keeps a ledger of every session, and holds every invariant against
//! everything that happens.
//!
//! A backend reports what it sees, in the order in which it happens. All that is compared comes
//! from the configuration, the script and the bytes of both peers; nothing is asked of the session
//! but what its driver may ask.

mod ledger;
mod mark_observer;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use doorkeeper_core::api::keys::{JOIN_GROUP, SYNC_GROUP};
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::record::{EffectLine, InputLine};
use doorkeeper_core::{
    CloseReason, Effect, Input, Instant, Leg, Route, Session, Snapshot, discovery,
};

use crate::invariants::{self, produced::ProducedRecords};
use crate::mark::Mark;
use crate::script::{Ordinal, Step, Tamper};
use crate::timeline::Timeline;
use crate::trace::Trace;

pub(crate) use ledger::{Decision, DueBytes, Ledger, LedgerRequest};

/// Names one session for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub(crate) usize);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// What a client can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The response with this id, or none.
    Response(Option<i32>),
    /// It has sent what is no request, and cannot know.
    Anything,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in `docs/simulation.md`.
    pub invariant: u8,
    /// Something waits that can never come.
    pub stuck: bool,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = invariants::name(self.invariant);
        write!(f, "invariant {} ({name}): {}", self.invariant, self.what)
    }
}

impl Violation {
    /// An invariant did not hold.
    pub(crate) fn of(invariant: u8, what: impl Into<String>) -> Self {
        Self {
            invariant,
            stuck: false,
            what: what.into(),
        }
    }

    fn stuck(invariant: u8, what: String) -> Self {
        Self {
            invariant,
            stuck: true,
            what,
        }
    }

    /// The model itself is wrong.
    pub(crate) fn of_the_model(what: &str) -> Self {
        Self::of(0, format!("the model is wrong: {what}"))
    }

    /// Something moves for ever while the clock stands still.
    pub(crate) fn never_rests() -> Self {
        Self::stuck(10, "something moves for ever".to_owned())
    }

    /// A client still waits after all faults have ended.
    pub(crate) fn unfinished(client: Ordinal, session: Option<SessionId>) -> Self {
        let session = session.map_or_else(String::new, |id| format!(" in {id}"));
        Self::stuck(11, format!("client c{} still waits{session}", client.0))
    }

    /// A session is open though its client has left.
    pub(crate) fn left_over(session: SessionId) -> Self {
        Self::stuck(12, format!("{session} is still open without a client"))
    }
}

/// Everything that is known of a run.
#[derive(Debug)]
pub struct Watch {
    ledgers: Vec<Ledger>,
    /// What clients have produced, and brokers have got.
    produced: ProducedRecords,
    newest: Arc<Snapshot>,
    trace: Trace,
    /// The bytes that sessions have read and written.
    carried: usize,
    keep_transcript: bool,
    timeline: Option<Timeline>,
}

impl Watch {
    /// Nothing has happened.
    #[must_use]
    pub fn new(snapshot: &Arc<Snapshot>, keep_transcript: bool, whole_trace: bool) -> Self {
        Self {
            ledgers: Vec::new(),
            produced: ProducedRecords::default(),
            newest: Arc::clone(snapshot),
            trace: Trace::new(whole_trace),
            carried: 0,
            keep_transcript,
            timeline: None,
        }
    }

    /// Keeps a timeline as well.
    #[must_use]
    pub fn with_timeline(mut self, timeline: bool) -> Self {
        self.timeline = timeline.then(Timeline::default);
        self
    }

    fn update_timeline(&mut self, what: impl FnOnce(&mut Timeline)) {
        if let Some(timeline) = &mut self.timeline {
            what(timeline);
        }
    }

    fn ledger(&mut self, id: SessionId) -> Result<&mut Ledger, Violation> {
        let known = self.ledgers.get_mut(id.0);
        known.ok_or_else(|| Violation::of_the_model("a session that nobody has opened"))
    }

    /// Whether the session waits for a response that may take as long as a group's rebalance.
    pub(crate) fn owes_rebalance(&self, id: SessionId) -> bool {
        let asked = self.ledgers.get(id.0).map(|ledger| &ledger.asked);
        asked.is_some_and(|asked| {
            let mut apis = asked.iter().map(|asked| asked.head.api);
            apis.any(|api| matches!(api, JOIN_GROUP | SYNC_GROUP))
        })
    }

    /// A step of the script begins.
    pub fn step(&mut self, now: Instant, step: &Step) {
        self.trace.note(now, &"script", format_args!("{step}"));
        self.update_timeline(|timeline| timeline.step(now, step));
    }

    /// A client was accepted. Ids count from 0.
    pub fn opened(
        &mut self,
        now: Instant,
        id: SessionId,
        client: Ordinal,
        route: Route,
        snapshot: &Arc<Snapshot>,
    ) {
        let what = format_args!("opened for c{} {route:?}", client.0);
        self.trace.note(now, &id, what);
        let ledger = Ledger::new(now, id, client, route, snapshot, self.keep_transcript);
        self.ledgers.push(ledger);
        self.update_timeline(|timeline| timeline.opened(now, id, client, route));
    }

    /// A newer snapshot is there for all sessions.
    pub fn published(&mut self, now: Instant, snapshot: &Arc<Snapshot>) {
        self.trace.note(
            now,
            &"doorkeeper",
            format_args!("snapshot {}", snapshot.epoch),
        );
        self.newest = Arc::clone(snapshot);
        self.update_timeline(|timeline| timeline.published(now, snapshot.epoch));
    }

    /// Discovery gets an input.
    pub fn discovery(&mut self, now: Instant, input: &discovery::Input) {
        if let discovery::Input::Bytes(bytes) = input {
            let what = format_args!("bytes {}", bytes.len());
            self.trace.note(now, &"discovery", what);
        } else {
            self.trace
                .note(now, &"discovery", format_args!("{input:?}"));
        }
    }

    /// A session is about to get an input.
    ///
    /// # Errors
    /// What does not hold.
    pub fn input(&mut self, now: Instant, id: SessionId, input: &Input) -> Result<(), Violation> {
        self.trace
            .note(now, &id, format_args!("<- {}", InputLine(input)));
        self.update_timeline(|timeline| timeline.input(now, id, input));
        if let Input::Bytes { bytes, .. } = input {
            self.carried += bytes.len();
        }
        let ledger = self.ledger(id)?;
        ledger.now = now;
        ledger.note_input(input);
        if let (Some(transcript), Input::Bytes { leg, bytes }) = (&mut ledger.transcript, input) {
            transcript.received(*leg, bytes);
        }
        match input {
            Input::Bytes {
                leg: Leg::Client,
                bytes,
            } => {
                for frame in ledger.client_sent(bytes) {
                    self.produced.sent(id, &frame);
                }
            }
            Input::Bytes {
                leg: Leg::Upstream,
                bytes,
            } => ledger.broker_sent(bytes),
            Input::Ended { leg, how } => ledger.facts.ended(now, *leg, *how),
            Input::ConnectFailed(why) => ledger.facts.failed.push(*why),
            Input::Snapshot(snapshot) => ledger.renewed(snapshot),
            Input::Drain { by } | Input::ListenerRemoved { by } => ledger.drains(*by),
            Input::BufferPaused(leg) => ledger.facts.pauses(*leg, Some(now)),
            Input::BufferResumed(leg) => ledger.facts.pauses(*leg, None),
            Input::BufferRejected => ledger.facts.buffer_rejected = true,
            Input::Tick => ledger.facts.tick(now),
            Input::Connected
            | Input::Wrote { .. }
            | Input::Revoked(_)
            | Input::Evaluated(_)
            | Input::Token(_) => {}
        }
        Ok(())
    }

    /// A session asks for something.
    ///
    /// # Errors
    /// What does not hold.
    pub fn effect(
        &mut self,
        now: Instant,
        id: SessionId,
        effect: &Effect,
    ) -> Result<(), Violation> {
        self.trace
            .note(now, &id, format_args!("-> {}", EffectLine(effect)));
        self.update_timeline(|timeline| timeline.effect(now, id, effect));
        let ledger = self.ledger(id)?;
        ledger.note_effect(effect);
        invariants::close::is_last(ledger, effect)?;
        match effect {
            Effect::Connect(_) => invariants::ready::asked_first(ledger),
            Effect::Report(event) => {
                ledger.event(event);
                Ok(())
            }
            Effect::Finish(leg) => {
                ledger.facts.finished.push(*leg);
                Ok(())
            }
            Effect::Close(reason) => self.closed(id, *reason),
            Effect::Evaluate(_) | Effect::RequestToken(_) | Effect::Learn(_) => Ok(()),
        }
    }

    fn closed(&mut self, id: SessionId, reason: CloseReason) -> Result<(), Violation> {
        let ledger = self.ledger(id)?;
        invariants::stuck::no_bug(reason)?;
        invariants::leaks::no_upstream_host(ledger.to_client.rest())?;
        invariants::close::is_true(ledger, reason)?;
        invariants::close::legs_are_finished(ledger)?;
        invariants::finishing::requests_are_done(ledger, reason)?;
        ledger.closed = Some(reason);
        Ok(())
    }

    /// A peer has taken bytes from a session.
    ///
    /// # Errors
    /// What does not hold.
    pub fn wrote(
        &mut self,
        now: Instant,
        id: SessionId,
        leg: Leg,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        self.update_timeline(|timeline| timeline.wrote(now, id, leg, bytes));
        self.carried += bytes.len();
        let ledger = self.ledger(id)?;
        ledger.now = now;
        if let Some(transcript) = &mut ledger.transcript {
            transcript.went(leg, bytes);
        }
        match leg {
            Leg::Client => {
                ledger.to_client.push(bytes);
                while let Some(frame) = ledger.to_client.next_frame() {
                    invariants::responses::given(ledger, frame)?;
                }
            }
            Leg::Upstream => {
                ledger.to_broker.push(bytes);
                while let Some(frame) = ledger.to_broker.next_frame() {
                    invariants::bytes::sent(ledger, frame)?;
                }
            }
        }
        ledger.facts.wrote(now, leg, bytes.len());
        Ok(())
    }

    /// A session has dealt with an input.
    ///
    /// # Errors
    /// What does not hold.
    pub fn state(
        &mut self,
        now: Instant,
        id: SessionId,
        session: &Session,
    ) -> Result<(), Violation> {
        let ledger = self.ledger(id)?;
        ledger.note_state(session);
        let marks = ledger.marks.reached();
        ledger.saw(now, session);
        self.update_timeline(|timeline| timeline.state(now, id, session, marks));
        let ledger = self.ledger(id)?;
        if ledger.closed.is_some() {
            return Ok(());
        }
        invariants::stuck::waits_for_something(session)?;
        invariants::limits::reads_within_marks(ledger, session)?;
        invariants::limits::reads_for_somebody(ledger, session)?;
        invariants::limits::buffers_within_limit(ledger, session)?;
        invariants::drain::takes_no_request(ledger, session)?;
        invariants::deadlines::first_frame(ledger, now)?;
        invariants::deadlines::gone_client(ledger, now)
    }

    /// Time has passed: nothing may be overdue.
    ///
    /// # Errors
    /// What does not hold.
    pub fn passed(&self, now: Instant) -> Result<(), Violation> {
        let open = self.ledgers.iter().filter(|ledger| ledger.closed.is_none());
        for ledger in open {
            invariants::deadlines::first_frame(ledger, now)?;
            invariants::deadlines::gone_client(ledger, now)?;
        }
        Ok(())
    }

    /// A session's connection has reached a broker.
    ///
    /// # Errors
    /// What does not hold.
    pub fn reached(
        &mut self,
        now: Instant,
        id: SessionId,
        broker: BrokerId,
    ) -> Result<(), Violation> {
        self.trace
            .note(now, &id, format_args!("reached broker {broker}"));
        self.update_timeline(|timeline| timeline.reached(now, id, broker));
        let ledger = self.ledger(id)?;
        ledger.facts.reached = Some(broker);
        invariants::places::meant_for(ledger, broker)
    }

    /// Something was done to a response on its way from the broker.
    pub fn tampered(&mut self, now: Instant, id: SessionId, tamper: Tamper) {
        self.trace.note(now, &id, format_args!("tampered {tamper}"));
        self.update_timeline(|timeline| timeline.tampered(now, id, tamper));
        if let Ok(ledger) = self.ledger(id) {
            ledger.facts.tampers.push(tamper);
        }
    }

    /// A broker has got a whole frame over a session.
    ///
    /// # Errors
    /// What does not hold.
    pub fn broker_got(
        &mut self,
        now: Instant,
        id: SessionId,
        frame: &Bytes,
    ) -> Result<(), Violation> {
        self.trace
            .note(now, &id, format_args!("broker got {} bytes", frame.len()));
        self.update_timeline(|timeline| timeline.broker_got(now, id, frame));
        self.produced.received(id, frame)
    }

    /// A client has got a whole frame.
    ///
    /// # Errors
    /// What does not hold.
    pub fn client_got(
        &mut self,
        now: Instant,
        id: SessionId,
        owed: Expectation,
        frame: &Bytes,
    ) -> Result<(), Violation> {
        self.trace
            .note(now, &id, format_args!("client got {} bytes", frame.len()));
        self.update_timeline(|timeline| timeline.client_got(now, id, frame));
        invariants::responses::is_owed(owed, frame)?;
        invariants::bytes::intact(frame)
    }

    /// How many bytes sessions have read and written so far.
    #[must_use]
    pub const fn carried(&self) -> usize {
        self.carried
    }

    /// Which states were reached, each with the number of sessions that reached it.
    #[must_use]
    pub fn marks(&self) -> Vec<(Mark, u64)> {
        let has = |mark: &Mark| {
            let reached = |ledger: &&Ledger| ledger.marks.reached().has(*mark);
            (*mark, self.ledgers.iter().filter(reached).count() as u64)
        };
        Mark::ALL.iter().map(has).collect()
    }

    /// Whether the session owes responses.
    #[cfg(doorkeeper_mutants)]
    pub(crate) fn owes(&self, id: SessionId) -> bool {
        self.ledgers.get(id.0).is_some_and(|ledger| ledger.owed > 0)
    }

    /// Whether the session's client has ended its half, or was reset.
    #[cfg(doorkeeper_mutants)]
    pub(crate) fn client_has_ended(&self, id: SessionId) -> bool {
        let ledger = self.ledgers.get(id.0);
        ledger.is_some_and(|ledger| ledger.facts.client_ended.is_some())
    }

    /// What each connection forwarded.
    #[must_use]
    pub fn transcript(&self) -> String {
        let text = |ledger: &Ledger| {
            let ended = ledger.closed.map_or("open", CloseReason::name);
            Some(ledger.transcript.as_ref()?.text(ended))
        };
        self.ledgers.iter().filter_map(text).collect()
    }

    /// What happened, for people, if it was kept.
    pub const fn take_timeline(&mut self) -> Option<Timeline> {
        self.timeline.take()
    }

    /// What happened.
    #[must_use]
    pub fn into_trace(self) -> Trace {
        self.trace
    }
}
