//! What happened in a run, as values for people to look at.
//!
//! A [`crate::watch::Watch`] passes on what a backend reports, so that each has a timeline.
//! Frames are cut anew from the bytes of each leg; nothing is asked of what holds the invariants.

use std::collections::{BTreeMap, VecDeque};

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::{
    CloseReason, ConnectFailure, Effect, End, Input, Instant, Leg, Route, Session, api,
};

use crate::expected::{self, Head};
use crate::frames::Cutter;
use crate::mark::{Mark, Marks};
use crate::script::{Ordinal, Step, Tamper};
use crate::watch::SessionId;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelineEvent {
    /// When, in virtual time.
    pub at: Instant,
    /// What.
    pub what: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A step of the script began.
    Step(Step),
    /// A newer snapshot is there for all sessions.
    Published {
        /// Its number.
        epoch: u64,
    },
    /// Something of one session.
    Session(SessionId, SessionEvent),
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// It was opened for a client.
    Opened {
        /// The client.
        client: Ordinal,
        /// Whose address the client came through.
        route: Route,
    },
    /// A frame has come to one of the places on its way.
    Frame(Frame),
    /// It goes by a newer snapshot.
    Renewed {
        /// Its number.
        epoch: u64,
    },
    /// It dials a broker.
    Dials {
        /// The address as the cluster names it.
        name: String,
    },
    /// Its connection has reached a broker.
    Reached(BrokerId),
    /// An attempt to connect has failed.
    ConnectFailed(ConnectFailure),
    /// A peer has ended its half, or all.
    Ended(Leg, End),
    /// It drains.
    Drains,
    /// Something was done to a response on its way from the broker.
    Tampered(Tamper),
    /// It has come to a state worth reaching, for the first time.
    Reaches(Mark),
    /// It is over.
    Closed(CloseReason),
}

/// A whole frame at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where.
    pub place: Waypoint,
    /// What it is, as far as that is known.
    pub api: &'static str,
    /// The version of the request.
    pub version: i16,
    /// The correlation id.
    pub id: i32,
    /// How long it is, with its length.
    pub bytes: usize,
}

/// The places that a request and its response come through, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waypoint {
    /// The session has read the request whole.
    Request,
    /// The session has written it to the broker whole.
    RequestUp,
    /// The broker has read it whole.
    AtBroker,
    /// The session has read the response of the broker whole.
    ResponseUp,
    /// The session has written a response to the client whole.
    Response,
    /// The client has read it whole.
    AtClient,
}

/// Everything that happened, in its order.
#[derive(Debug, Default)]
pub struct Timeline {
    events: Vec<TimelineEvent>,
    sessions: BTreeMap<SessionId, Reading>,
}

/// What is read of one session.
#[derive(Debug, Default)]
struct Reading {
    from_client: Cutter,
    to_broker: Cutter,
    from_broker: Cutter,
    to_client: Cutter,
    /// The heads of its requests.
    asked: VecDeque<Head>,
    /// What it still reads is thrown away.
    closing: bool,
    marks: Marks,
}

impl Timeline {
    /// Everything that happened, in its order.
    #[must_use]
    pub fn events(&self) -> &[TimelineEvent] {
        &self.events
    }

    fn push(&mut self, at: Instant, what: EventKind) {
        self.events.push(TimelineEvent { at, what });
    }

    fn of(&mut self, at: Instant, id: SessionId, what: SessionEvent) {
        self.push(at, EventKind::Session(id, what));
    }

    pub(crate) fn step(&mut self, at: Instant, step: &Step) {
        self.push(at, EventKind::Step(step.clone()));
    }

    pub(crate) fn published(&mut self, at: Instant, epoch: u64) {
        self.push(at, EventKind::Published { epoch });
    }

    pub(crate) fn opened(&mut self, at: Instant, id: SessionId, client: Ordinal, route: Route) {
        self.sessions.insert(id, Reading::default());
        self.of(at, id, SessionEvent::Opened { client, route });
    }

    pub(crate) fn input(&mut self, at: Instant, id: SessionId, input: &Input) {
        match input {
            Input::Bytes { leg, bytes } => self.received(at, id, *leg, bytes),
            Input::Ended { leg, how } => self.of(at, id, SessionEvent::Ended(*leg, *how)),
            Input::ConnectFailed(why) => self.of(at, id, SessionEvent::ConnectFailed(*why)),
            Input::Snapshot(snapshot) => {
                let epoch = snapshot.epoch;
                self.of(at, id, SessionEvent::Renewed { epoch });
            }
            Input::Drain { by: _ } | Input::ListenerRemoved { by: _ } => {
                self.of(at, id, SessionEvent::Drains)
            }
            Input::Connected
            | Input::Evaluated(_)
            | Input::Token(_)
            | Input::Wrote { .. }
            | Input::BufferPaused(_)
            | Input::BufferResumed(_)
            | Input::BufferRejected
            | Input::Revoked(_)
            | Input::Tick => {}
        }
    }

    pub(crate) fn effect(&mut self, at: Instant, id: SessionId, effect: &Effect) {
        match effect {
            Effect::Connect(target) => {
                let name = target.name.to_string();
                self.of(at, id, SessionEvent::Dials { name });
            }
            Effect::Close(reason) => self.of(at, id, SessionEvent::Closed(*reason)),

            Effect::Evaluate(_)
            | Effect::RequestToken(_)
            | Effect::Learn(_)
            | Effect::Report(_)
            | Effect::Finish(_) => {}
        }
    }

    pub(crate) fn reached(&mut self, at: Instant, id: SessionId, broker: BrokerId) {
        self.of(at, id, SessionEvent::Reached(broker));
    }

    pub(crate) fn tampered(&mut self, at: Instant, id: SessionId, tamper: Tamper) {
        self.of(at, id, SessionEvent::Tampered(tamper));
    }

    pub(crate) fn state(&mut self, at: Instant, id: SessionId, session: &Session, marks: Marks) {
        let Some(reading) = self.sessions.get_mut(&id) else {
            return;
        };
        reading.closing = session.is_closing();
        let before = std::mem::replace(&mut reading.marks, marks);
        for mark in marks.iter().filter(|mark| !before.has(*mark)) {
            self.of(at, id, SessionEvent::Reaches(mark));
        }
    }

    /// Bytes that a session has read.
    fn received(&mut self, at: Instant, id: SessionId, leg: Leg, bytes: &[u8]) {
        let Some(reading) = self.sessions.get_mut(&id) else {
            return;
        };
        let frames = match leg {
            Leg::Client if reading.closing => return,
            Leg::Client => reading.requests(bytes),
            Leg::Upstream => reading.responses(Waypoint::ResponseUp, bytes),
        };
        self.frames(at, id, frames);
    }

    /// Bytes that a session has written.
    pub(crate) fn wrote(&mut self, at: Instant, id: SessionId, leg: Leg, bytes: &[u8]) {
        let Some(reading) = self.sessions.get_mut(&id) else {
            return;
        };
        let frames = match leg {
            Leg::Client => reading.responses(Waypoint::Response, bytes),
            Leg::Upstream => reading.requests_up(bytes),
        };
        self.frames(at, id, frames);
    }

    pub(crate) fn broker_got(&mut self, at: Instant, id: SessionId, frame: &[u8]) {
        let frame = request(Waypoint::AtBroker, frame);
        self.frames(at, id, frame.into_iter().collect());
    }

    pub(crate) fn client_got(&mut self, at: Instant, id: SessionId, frame: &[u8]) {
        let reading = self.sessions.get(&id);
        let frame = reading.and_then(|reading| reading.respond(Waypoint::AtClient, frame));
        self.frames(at, id, frame.into_iter().collect());
    }

    fn frames(&mut self, at: Instant, id: SessionId, frames: Vec<Frame>) {
        for frame in frames {
            self.of(at, id, SessionEvent::Frame(frame));
        }
    }
}

impl Reading {
    fn requests(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.from_client.push(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = self.from_client.next_frame() {
            self.asked.extend(Head::of_request(&frame));
            frames.extend(request(Waypoint::Request, &frame));
        }
        frames
    }

    fn requests_up(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.to_broker.push(bytes);
        let frames = std::iter::from_fn(|| self.to_broker.next_frame());
        frames
            .filter_map(|frame| request(Waypoint::RequestUp, &frame))
            .collect()
    }

    fn responses(&mut self, place: Waypoint, bytes: &[u8]) -> Vec<Frame> {
        let cutter = match place {
            Waypoint::ResponseUp => &mut self.from_broker,
            Waypoint::Request
            | Waypoint::RequestUp
            | Waypoint::AtBroker
            | Waypoint::Response
            | Waypoint::AtClient => &mut self.to_client,
        };
        cutter.push(bytes);
        let frames: Vec<_> = std::iter::from_fn(|| cutter.next_frame()).collect();
        let frames = frames.iter();
        frames
            .filter_map(|frame| self.respond(place, frame))
            .collect()
    }

    fn respond(&self, place: Waypoint, frame: &[u8]) -> Option<Frame> {
        let id = expected::correlation_id_of(frame)?;
        let head = self.asked.iter().rev().find(|head| head.id == id);
        Some(Frame {
            place,
            api: head.map_or("unasked", |head| api::name(head.api)),
            version: head.map_or(-1, |head| head.version),
            id,
            bytes: frame.len(),
        })
    }
}

fn request(place: Waypoint, frame: &[u8]) -> Option<Frame> {
    let head = Head::of_request(frame)?;
    Some(Frame {
        place,
        api: api::name(head.api),
        version: head.version,
        id: head.id,
        bytes: frame.len(),
    })
}
