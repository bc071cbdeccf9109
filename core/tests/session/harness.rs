//! A session with both peers played by the test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{BrokerId, HostPort, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::Policy;
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::sasl::broker::TokenRequest;
use doorkeeper_core::sasl::login::ClientToken;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::{
    Accept, CloseReason, ConnectFailure, Effect, End, Input, Instant, Leg, Observation, Route,
    Session, Snapshot, Target,
};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

pub fn at(text: &str) -> HostPort {
    text.parse().unwrap()
}

/// Three brokers behind `kafka-N.canary:9092`, advertised as `doorkeeper.example:19093+N`.
pub fn topology() -> Arc<Topology> {
    let seen: Vec<(BrokerId, HostPort)> = (0..3)
        .map(|id| (BrokerId(id), at(&format!("kafka-{id}.canary:9092"))))
        .collect();
    Arc::new(Topology::default().merged(&seen, Some("cluster")).unwrap())
}

pub fn snapshot() -> Snapshot {
    let bootstrap = vec![at("bootstrap.canary:9092"), at("spare.canary:9092")];
    Snapshot {
        epoch: 1,
        limits: Limits::default(),
        policy: Policy::allow_all(),
        login: None,
        upstream_login: false,
        offered: OfferedApis::default(),
        known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &topology()),
        bootstrap,
        dial: DialMap::default(),
        advertised: AdvertisedAddresses::Ports {
            host: "doorkeeper.example".into(),
            base: 19093,
            ids: vec![0..=2],
        },
        topology: topology(),
    }
}

pub struct World {
    pub session: Session,
    pub now: Instant,
    pub snapshot: Arc<Snapshot>,
    /// Bytes are handed in in pieces of this size.
    pub chunk: usize,
    /// Whether the peer of each leg takes what is written to it.
    pub client_reads: bool,
    pub upstream_reads: bool,
    /// Whether the client ends its half once ours has ended.
    pub client_leaves: bool,
    /// Whether connects succeed at once.
    pub connects: bool,
    pub connected: bool,
    pub to_client: Vec<u8>,
    pub to_upstream: Vec<u8>,
    pub targets: Vec<Target>,
    pub events: Vec<Event>,
    pub learned: Vec<Observation>,
    /// What is to be evaluated.
    pub tokens: Vec<ClientToken>,
    /// What is asked for to log in at the broker.
    pub requested: Vec<TokenRequest>,
    pub finished: Vec<Leg>,
    pub closed: Option<CloseReason>,
}

impl World {
    pub fn new() -> Self {
        Self::with(snapshot(), Route::Broker(BrokerId(1)))
    }

    pub fn with(snapshot: Snapshot, route: Route) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let accept = Accept::new(now, "192.0.2.1:5000".parse().unwrap(), route);
        Self::of(snapshot, accept)
    }

    pub fn of(snapshot: Snapshot, accept: Accept) -> Self {
        let snapshot = Arc::new(snapshot);
        Self {
            now: accept.at,
            session: Session::new(accept, Arc::clone(&snapshot), Seed([0; 32])),
            snapshot,
            chunk: usize::MAX,
            client_reads: true,
            upstream_reads: true,
            client_leaves: true,
            connects: true,
            connected: false,
            to_client: Vec::new(),
            to_upstream: Vec::new(),
            targets: Vec::new(),
            events: Vec::new(),
            learned: Vec::new(),
            tokens: Vec::new(),
            requested: Vec::new(),
            finished: Vec::new(),
            closed: None,
        }
    }

    pub fn input(&mut self, input: Input) {
        self.session.handle(self.now, input);
        self.settle();
    }

    /// Drains effects and lets willing peers take their bytes, until nothing moves.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(effect) = self.session.poll() {
                moved = true;
                self.take(effect);
            }
            if self.closed.is_some() {
                return;
            }
            for leg in [Leg::Client, Leg::Upstream] {
                let willing = match leg {
                    Leg::Client => self.client_reads,
                    Leg::Upstream => self.upstream_reads && self.connected,
                };
                let due: Vec<u8> = self
                    .session
                    .egress(leg)
                    .slices()
                    .flatten()
                    .copied()
                    .collect();
                if willing && !due.is_empty() {
                    moved = true;
                    match leg {
                        Leg::Client => self.to_client.extend_from_slice(&due),
                        Leg::Upstream => self.to_upstream.extend_from_slice(&due),
                    }
                    self.session.handle(
                        self.now,
                        Input::Wrote {
                            leg,
                            bytes: due.len(),
                        },
                    );
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn take(&mut self, effect: Effect) {
        assert!(self.closed.is_none(), "{effect:?} after the close");
        match effect {
            Effect::Connect(target) => {
                self.targets.push(target);
                if self.connects {
                    self.connected = true;
                    self.session.handle(self.now, Input::Connected);
                }
            }
            Effect::Evaluate(token) => self.tokens.push(token),
            Effect::RequestToken(request) => self.requested.push(request),
            Effect::Learn(observation) => self.learned.push(observation),
            Effect::Report(event) => self.events.push(event),
            Effect::Finish(leg) => {
                assert!(
                    self.session.egress(leg).is_empty(),
                    "finished with bytes due"
                );
                self.finished.push(leg);
                if leg == Leg::Client && self.client_leaves {
                    let how = End::Fin;
                    self.session.handle(self.now, Input::Ended { leg, how });
                }
            }
            Effect::Close(reason) => self.closed = Some(reason),
        }
    }

    pub fn connect_failed(&mut self, why: ConnectFailure) {
        self.input(Input::ConnectFailed(why));
    }

    pub fn client(&mut self, bytes: &[u8]) {
        self.bytes(Leg::Client, bytes);
    }

    pub fn upstream(&mut self, bytes: &[u8]) {
        self.bytes(Leg::Upstream, bytes);
    }

    fn bytes(&mut self, leg: Leg, bytes: &[u8]) {
        for piece in bytes.chunks(self.chunk.min(bytes.len()).max(1)) {
            if self.closed.is_none() {
                self.input(Input::Bytes {
                    leg,
                    bytes: Bytes::copy_from_slice(piece),
                });
            }
        }
    }

    pub fn ended(&mut self, leg: Leg, how: End) {
        self.input(Input::Ended { leg, how });
    }

    /// Lets time pass, stopping at every deadline that is asked for.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now.after(by);
        while self.closed.is_none() {
            match self.session.demand().deadline {
                Some(deadline) if deadline <= until => {
                    self.now = self.now.max(deadline);
                    self.input(Input::Tick);
                    let again = self.session.demand().deadline;
                    assert!(
                        again.is_none_or(|at| at > self.now),
                        "a deadline that stays past"
                    );
                }
                Some(_) | None => break,
            }
        }
        self.now = until;
    }

    pub fn renew(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = Snapshot::clone(&self.snapshot);
        next.epoch += 1;
        change(&mut next);
        self.snapshot = Arc::new(next);
        self.input(Input::Snapshot(Arc::clone(&self.snapshot)));
    }
}

/// A request frame as a client sends it.
pub fn request<M: Encodable + HeaderVersion>(key: i16, version: i16, id: i32, body: &M) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some("test".into()));
    let mut out = BytesMut::new();
    header.encode(&mut out, M::header_version(version)).unwrap();
    body.encode(&mut out, version).unwrap();
    framed(&out)
}

/// A response frame as a broker sends it.
pub fn response_frame<M: Encodable + HeaderVersion>(version: i16, id: i32, body: &M) -> Vec<u8> {
    let mut out = BytesMut::new();
    ResponseHeader::default()
        .with_correlation_id(id)
        .encode(&mut out, M::header_version(version))
        .unwrap();
    body.encode(&mut out, version).unwrap();
    framed(&out)
}

pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(bytes.len().try_into().unwrap());
    frame.extend_from_slice(bytes);
    frame.to_vec()
}

/// The one whole frame in `bytes`, decoded: the correlation id and the body.
pub fn decoded<M: Decodable + HeaderVersion>(version: i16, bytes: &[u8]) -> (i32, M) {
    let frames = frames(bytes);
    assert_eq!(frames.len(), 1, "one frame");
    let mut frame = Bytes::copy_from_slice(&frames[0]);
    let header = ResponseHeader::decode(&mut frame, M::header_version(version)).unwrap();
    let body = M::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty(), "bytes behind the body");
    (header.correlation_id, body)
}

/// All whole frames in `bytes`, without their lengths; there must be nothing else.
pub fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap();
        frames.push(rest[..length].to_vec());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "a part of a frame");
    frames
}

/// The correlation ids of all frames in `bytes`.
pub fn ids(bytes: &[u8]) -> Vec<i32> {
    frames(bytes)
        .iter()
        .map(|f| i32::from_be_bytes(f[..4].try_into().unwrap()))
        .collect()
}

/// How often each event was reported, by its name.
pub fn counts(events: &[Event]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        let name = match event {
            Event::UpstreamConnected { .. } => "connected",
            Event::UpstreamAttemptFailed { .. } => "attempt failed",
            Event::Request { .. } => "request",
            Event::Response { local: true, .. } => "local response",
            Event::Response { local: false, .. } => "response",
            Event::Rewrote(_) => "rewrote",
            Event::LoginSucceeded { .. } => "login succeeded",
            Event::LoginFailed { .. } => "login failed",
            Event::UpstreamLoggedIn { .. } => "logged in upstream",
            Event::UpstreamLoginFailed { .. } => "upstream login failed",
            Event::SaslWithoutLogin => "SASL without a login",
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}
