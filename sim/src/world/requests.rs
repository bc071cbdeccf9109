//! Every request that clients have sent, and what the brokers got of it.
//!
//! A doorkeeper of the simulation is the real one, and nobody looks inside. What it must do is
//! held against both of its sides: what was sent, when and to which listen address, and what
//! reached which broker. Between the two lie the rules that were in force meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::id::BrokerId;

use super::rules::{EMBARGOED, History, Rules};
use super::trace::{self, Trace};

/// All requests. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Requests {
    trace: Trace,
    known: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By the names of doorkeepers.
    histories: BTreeMap<String, History>,
    /// By the client ids of connections, which are never used twice.
    connections: BTreeMap<String, Connection>,
    /// How often clients got which outcome.
    outcomes: BTreeMap<TopicOutcome, u64>,
}

/// One connection of a client.
#[derive(Debug)]
struct Connection {
    doorkeeper: String,
    /// Whose address it is; none for that of the bootstrap.
    broker: Option<BrokerId>,
    /// By correlation ids.
    sent: BTreeMap<i32, SentRequest>,
}

/// One request.
#[derive(Debug)]
struct SentRequest {
    at: Duration,
    hash: u64,
    /// It names the topic that may be denied.
    embargoed: bool,
    /// What a broker got of it.
    got: Option<BrokerReceipt>,
}

#[derive(Clone, Copy, Debug)]
struct BrokerReceipt {
    embargoed: bool,
}

/// What a response says of [`EMBARGOED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicOutcome {
    /// It may not.
    Denied,
    /// It was done.
    Done,
}

impl TopicOutcome {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Denied, Self::Done];

    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Done => "done",
        }
    }
}

/// The number of an invariant, and what was seen.
type Breach = (u8, &'static str);

impl Requests {
    /// None yet.
    #[must_use]
    pub(super) fn new(trace: &Trace) -> Self {
        Self {
            trace: trace.clone(),
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, State> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A doorkeeper goes by other rules from now on.
    pub(super) fn ruled(&self, doorkeeper: &str, rules: &Rules) {
        let now = self.trace.now();
        let mut known = self.known();
        let history = known.histories.entry(doorkeeper.to_owned()).or_default();
        history.push(now, rules);
    }

    /// A client has a connection, on which it calls itself by a name that nobody has had.
    pub(super) fn connected(&self, client_id: &str, doorkeeper: &str, broker: Option<BrokerId>) {
        let connection = Connection {
            doorkeeper: doorkeeper.to_owned(),
            broker,
            sent: BTreeMap::new(),
        };
        let mut known = self.known();
        known.connections.insert(client_id.to_owned(), connection);
    }

    /// A client begins to send a request, with its length.
    pub(super) fn sent(&self, client_id: &str, correlation_id: i32, frame: &[u8]) {
        let sent = SentRequest {
            at: self.trace.now(),
            hash: trace::hash(frame),
            embargoed: names_embargoed(frame),
            got: None,
        };
        if let Some(connection) = self.known().connections.get_mut(client_id) {
            connection.sent.insert(correlation_id, sent);
        }
    }

    /// A broker has got a whole request, with its length.
    pub(super) fn arrived(&self, broker: BrokerId, frame: &[u8]) {
        let Some((correlation_id, client_id)) = head(frame) else {
            return;
        };
        let now = self.trace.now();
        let broken = self
            .known()
            .arrived(now, broker, client_id, correlation_id, frame);
        for (invariant, what) in broken {
            self.trace.violation(
                invariant,
                format_args!("request {correlation_id} of {client_id} at broker {broker}: {what}"),
            );
        }
    }

    /// How often clients got this outcome for the topic that may be denied.
    #[must_use]
    pub fn count(&self, what: TopicOutcome) -> u64 {
        self.known().outcomes.get(&what).copied().unwrap_or(0)
    }

    /// A client got the response to its request.
    pub(super) fn response(&self, client_id: &str, correlation_id: i32, outcome: TopicOutcome) {
        let now = self.trace.now();
        let broken = self
            .known()
            .response(now, client_id, correlation_id, outcome);
        if let Some((invariant, what)) = broken {
            self.trace.violation(
                invariant,
                format_args!("response to {correlation_id} of {client_id}: {what}"),
            );
        }
    }
}

impl State {
    fn arrived(
        &mut self,
        now: Duration,
        broker: BrokerId,
        client_id: &str,
        correlation_id: i32,
        frame: &[u8],
    ) -> Vec<Breach> {
        // Doorkeepers speak for themselves as well.
        let Some(connection) = self.connections.get_mut(client_id) else {
            return Vec::new();
        };
        let Some(sent) = connection.sent.get_mut(&correlation_id) else {
            return vec![(4, "nobody has sent it")];
        };
        let mut broken = Vec::new();
        if connection.broker.is_some_and(|meant| meant != broker) {
            broken.push((19, "it was meant for another broker"));
        }
        let embargoed = names_embargoed(frame);
        if sent.got.replace(BrokerReceipt { embargoed }).is_some() {
            broken.push((16, "it has come before"));
        }
        let history = self.histories.get(&connection.doorkeeper);
        let rules = history.map_or_else(Vec::new, |all| all.during(sent.at, now));
        if embargoed && rules.iter().all(|rules| rules.embargo) {
            broken.push((5, "it was denied all the time"));
        }
        let may_be_cut = sent.embargoed && !embargoed && rules.iter().any(|rules| rules.embargo);
        if sent.hash != trace::hash(frame) && !may_be_cut {
            broken.push((4, "it is not as it was sent"));
        }
        let longest = |rules: &&Rules| rules.small.frame_bytes_max.unwrap_or(usize::MAX);
        let longest = rules.iter().map(longest).max();
        if longest.is_some_and(|longest| frame.len() > longest.saturating_add(4)) {
            broken.push((9, "it was too long all the time"));
        }
        broken
    }

    fn response(
        &mut self,
        now: Duration,
        client_id: &str,
        correlation_id: i32,
        outcome: TopicOutcome,
    ) -> Option<Breach> {
        *self.outcomes.entry(outcome).or_default() += 1;
        let connection = self.connections.get(client_id)?;
        let sent = connection.sent.get(&correlation_id)?;
        let rules = self
            .histories
            .get(&connection.doorkeeper)?
            .during(sent.at, now);
        let got_embargoed = sent.got.is_some_and(|got| got.embargoed);
        match outcome {
            TopicOutcome::Denied if rules.iter().all(|rules| !rules.embargo) => {
                Some((5, "denied, and no rule denies it"))
            }
            TopicOutcome::Denied if got_embargoed => Some((5, "denied, and the broker got it")),
            TopicOutcome::Done if rules.iter().all(|rules| rules.embargo) => {
                Some((5, "done, and it was denied all the time"))
            }
            TopicOutcome::Done if !got_embargoed => Some((2, "done, and no broker got it")),
            TopicOutcome::Denied | TopicOutcome::Done => None,
        }
    }
}

/// Correlation id and client id of a request with its length.
fn head(frame: &[u8]) -> Option<(i32, &str)> {
    let correlation_id = frame.get(8..12)?.try_into().ok()?;
    let length = frame.get(12..14)?.try_into().ok()?;
    let length = usize::try_from(i16::from_be_bytes(length)).ok()?;
    let client_id = frame.get(14..14 + length)?;
    let client_id = std::str::from_utf8(client_id).ok()?;
    Some((i32::from_be_bytes(correlation_id), client_id))
}

fn names_embargoed(frame: &[u8]) -> bool {
    let name = EMBARGOED.as_bytes();
    frame.windows(name.len()).any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::rules::SmallLimits;

    const BROKER: BrokerId = BrokerId(2);
    const NOTHING: [u8; 0] = [];

    /// A request with its length, as far as it is looked at.
    fn frame(correlation_id: i32, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, 0, 0, 0, 0, 0, 9];
        frame.extend(correlation_id.to_be_bytes());
        frame.extend([0, 3]);
        frame.extend(b"c/1");
        frame.extend(body);
        frame
    }

    /// One request is sent at 10 ms; the rules change at 20 ms; then something is reported of it.
    fn seen(before: &Rules, after: &Rules, body: &[u8], act: fn(&Requests, &[u8])) -> Vec<u8> {
        let trace = Trace::default();
        let requests = Requests::new(&trace);
        let at = |ms| trace.set_now(Duration::from_millis(ms));
        requests.ruled("doorkeeper", before);
        at(9);
        requests.connected("c/1", "doorkeeper", Some(BROKER));
        at(10);
        let frame = frame(1, body);
        requests.sent("c/1", 1, &frame);
        at(20);
        requests.ruled("doorkeeper", after);
        at(21);
        act(&requests, &frame);
        trace
            .violations()
            .into_iter()
            .map(|it| it.invariant)
            .collect()
    }

    fn embargo() -> Rules {
        Rules {
            embargo: true,
            ..Rules::default()
        }
    }

    #[test]
    fn a_request_comes_once_as_it_was_sent_to_its_own_broker() {
        let free = Rules::default();
        let seen = |act| seen(&free, &free, b"body", act);
        assert_eq!(seen(|it, frame| it.arrived(BROKER, frame)), NOTHING);
        assert_eq!(seen(|it, frame| it.arrived(BrokerId(3), frame)), [19]);
        let twice = |it: &Requests, frame: &[u8]| {
            it.arrived(BROKER, frame);
            it.arrived(BROKER, frame);
        };
        assert_eq!(seen(twice), [16]);
        assert_eq!(seen(|it, _| it.arrived(BROKER, &frame(1, b"other"))), [4]);
        assert_eq!(seen(|it, _| it.arrived(BROKER, &frame(2, b"body"))), [4]);
        assert_eq!(
            seen(|it, _| it.arrived(BROKER, b"of a doorkeeper")),
            NOTHING
        );
    }

    #[test]
    fn a_topic_that_is_denied_all_the_time_reaches_no_broker() {
        let (free, embargo) = (Rules::default(), embargo());
        let body = EMBARGOED.as_bytes();
        let whole = |it: &Requests, frame: &[u8]| it.arrived(BROKER, frame);
        let cut = |it: &Requests, _: &[u8]| it.arrived(BROKER, &frame(1, b""));
        assert_eq!(seen(&embargo, &embargo, body, whole), [5]);
        assert_eq!(seen(&embargo, &free, body, whole), NOTHING);
        assert_eq!(seen(&embargo, &embargo, body, cut), NOTHING);
        assert_eq!(seen(&free, &free, body, cut), [4]);
    }

    #[test]
    fn topic_outcomes_follow_from_the_rules() {
        let (free, embargo) = (Rules::default(), embargo());
        let body = EMBARGOED.as_bytes();
        let denied = |it: &Requests, _: &[u8]| it.response("c/1", 1, TopicOutcome::Denied);
        assert_eq!(seen(&embargo, &embargo, body, denied), NOTHING);
        assert_eq!(seen(&free, &embargo, body, denied), NOTHING);
        assert_eq!(seen(&free, &free, body, denied), [5]);
        let denied_late = |it: &Requests, frame: &[u8]| {
            it.arrived(BROKER, frame);
            it.response("c/1", 1, TopicOutcome::Denied);
        };
        assert_eq!(seen(&free, &embargo, body, denied_late), [5]);
        let done = |it: &Requests, frame: &[u8]| {
            it.arrived(BROKER, frame);
            it.response("c/1", 1, TopicOutcome::Done);
        };
        assert_eq!(seen(&free, &free, body, done), NOTHING);
        assert_eq!(seen(&embargo, &embargo, body, done), [5, 5]);
        let by_nobody = |it: &Requests, _: &[u8]| it.response("c/1", 1, TopicOutcome::Done);
        assert_eq!(seen(&free, &free, body, by_nobody), [2]);
    }

    #[test]
    fn a_request_above_the_limit_all_the_time_reaches_no_broker() {
        let small = |frame_bytes_max| Rules {
            small: SmallLimits {
                frame_bytes_max: Some(frame_bytes_max),
                ..SmallLimits::default()
            },
            ..Rules::default()
        };
        let arrives = |it: &Requests, frame: &[u8]| it.arrived(BROKER, frame);
        let length = frame(1, b"body").len() - 4;
        assert_eq!(seen(&small(length), &small(1), b"body", arrives), NOTHING);
        assert_eq!(seen(&small(length - 1), &small(1), b"body", arrives), [9]);
    }
}
