//! A request and its response, at all the places that they have come through.

use std::collections::BTreeMap;

use doorkeeper_core::id::BrokerId;
use doorkeeper_core::{CloseReason, Instant};
use doorkeeper_model::timeline::{EventKind, Frame, SessionEvent, Timeline, Waypoint};
use doorkeeper_model::watch::SessionId;

/// One request, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) session: SessionId,
    /// Counts the requests of the session.
    pub(super) number: usize,
    pub(super) api: &'static str,
    pub(super) version: i16,
    pub(super) id: i32,
    /// The broker that the session is connected to.
    pub(super) broker: Option<BrokerId>,
    pub(super) bytes: usize,
    pub(super) response_bytes: Option<usize>,
    /// When each place was reached.
    places: BTreeMap<Waypoint, Instant>,
    /// When nothing more could become of it.
    over: Option<(Instant, CloseReason)>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The broker has sent its response.
    ByBroker,
    /// doorkeeper has.
    Here,
    /// It went up, and there is no response.
    Up,
    /// Neither.
    Lost,
}

impl Exchange {
    pub(super) fn at(&self, place: Waypoint) -> Option<Instant> {
        self.places.get(&place).copied()
    }

    pub(super) fn has_response(&self) -> bool {
        self.places.contains_key(&Waypoint::Response)
    }

    pub(super) fn fate(&self) -> Fate {
        let went_up = self.places.contains_key(&Waypoint::RequestUp);
        match (self.has_response(), went_up) {
            (true, true) => Fate::ByBroker,
            (true, false) => Fate::Here,
            (false, true) => Fate::Up,
            (false, false) => Fate::Lost,
        }
    }

    /// From when to when it lasted.
    pub(super) fn span(&self, last: Instant) -> (Instant, Instant) {
        let begin = self.places.values().min().copied().unwrap_or(last);
        let over = self.over.map_or(last, |(at, _)| at);
        (begin, self.at(Waypoint::Response).unwrap_or(over))
    }

    /// Why nothing more became of it.
    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.over.map(|(_, reason)| reason)
    }

    fn note(&mut self, at: Instant, frame: Frame) {
        self.places.entry(frame.place).or_insert(at);
        match frame.place {
            Waypoint::Response | Waypoint::ResponseUp | Waypoint::AtClient => {
                self.response_bytes = Some(frame.bytes);
            }
            Waypoint::Request | Waypoint::RequestUp | Waypoint::AtBroker => {}
        }
    }
}

/// All requests of a run, in the order in which they came.
pub(super) fn all(timeline: &Timeline) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let mut brokers: BTreeMap<SessionId, BrokerId> = BTreeMap::new();
    for event in timeline.events() {
        let (at, EventKind::Session(session, what)) = (event.at, &event.what) else {
            continue;
        };
        match what {
            SessionEvent::Reached(broker) => {
                brokers.insert(*session, *broker);
                for exchange in all.iter_mut().filter(|it| it.session == *session) {
                    exchange.broker.get_or_insert(*broker);
                }
            }
            SessionEvent::Frame(frame) if frame.place == Waypoint::Request => {
                let number = all.iter().filter(|it| it.session == *session).count();
                all.push(Exchange {
                    session: *session,
                    number,
                    api: frame.api,
                    version: frame.version,
                    id: frame.id,
                    broker: brokers.get(session).copied(),
                    bytes: frame.bytes,
                    response_bytes: None,
                    places: BTreeMap::from([(Waypoint::Request, at)]),
                    over: None,
                });
            }
            SessionEvent::Frame(frame) => {
                // An id may come again: it belongs to the first one that has not been here.
                let is_it = |it: &&mut Exchange| {
                    let of_it = it.session == *session && it.id == frame.id;
                    of_it && !it.places.contains_key(&frame.place)
                };
                if let Some(exchange) = all.iter_mut().find(is_it) {
                    exchange.note(at, *frame);
                }
            }
            SessionEvent::Closed(reason) => {
                for exchange in all.iter_mut().filter(|it| it.session == *session) {
                    exchange.over.get_or_insert((at, *reason));
                }
            }
            SessionEvent::Opened { .. }
            | SessionEvent::Renewed { .. }
            | SessionEvent::Dials { .. }
            | SessionEvent::ConnectFailed(_)
            | SessionEvent::Ended(..)
            | SessionEvent::Drains
            | SessionEvent::Tampered(_)
            | SessionEvent::Reaches(_) => {}
        }
    }
    all
}
