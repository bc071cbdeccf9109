//! Sessions of clients that log in: each is replayed to the same effects and the same bytes, and no
//! token is in its file.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may unwrap"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::id::{BrokerId, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::broker::TokenReply;
use doorkeeper_core::sasl::login::{Evaluation, LoginSettings};
use doorkeeper_core::secret::Secret;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::{Accept, Effect, End, Input, Instant, Leg, Route, Session, Snapshot};
use doorkeeper_recording::line::Line;
use doorkeeper_recording::{
    EgressLengths, Key, RecordedStep, Recording, ReplayResult, SessionHeader, StepEncoder, replay,
};

/// Clients log in, or doorkeeper does at the broker.
fn snapshot(logs_in: Leg) -> Snapshot {
    let broker = (BrokerId(1), "kafka-1.test:9092".parse().unwrap());
    Snapshot {
        epoch: 1,
        limits: Limits::default(),
        policy: Policy::allow_all(),
        login: (logs_in == Leg::Client).then(|| Arc::new(login())),
        upstream_login: logs_in == Leg::Upstream,
        offered: OfferedApis::default(),
        bootstrap: Vec::new(),
        dial: DialMap::default(),
        advertised: AdvertisedAddresses::Ports {
            host: "doorkeeper.example".into(),
            base: 19093,
            ids: vec![0..=2],
        },
        topology: Arc::new(Topology::default().merged(&[broker], None).unwrap()),
        known_hosts: KnownHosts::default(),
    }
}

fn login() -> LoginSettings {
    LoginSettings {
        mechanisms: vec![Mechanism::ScramSha256, Mechanism::Plain],
        frame_bytes_max: 64 * 1024,
        frames_max: 8,
        login_timeout: Duration::from_secs(10),
        failure_delay: Duration::from_millis(100),
        session_lifetime_max: None,
    }
}

/// A session that is recorded.
struct World {
    session: Session,
    step_encoder: StepEncoder,
    dues: EgressLengths,
    text: String,
    tokens: usize,
    closed: bool,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::of(Leg::Client)
    }

    fn of(logs_in: Leg) -> Self {
        let snapshot = Arc::new(snapshot(logs_in));
        let client = "192.0.2.1:5000".parse().unwrap();
        let accept = Accept::new(Instant::from_nanos(5), client, Route::Broker(BrokerId(1)));
        let header = SessionHeader {
            doorkeeper: "0.0.0",
            session: 1,
            listener: "public",
            opened: "2026-11-27T10:15:00Z",
            accept: accept.clone(),
            seed: Seed([3; 32]),
            snapshot: &snapshot,
        };
        Self {
            text: header.line().text(),
            step_encoder: StepEncoder::new(Key([1; 32]), &snapshot),
            session: Session::new(accept, snapshot, Seed([3; 32])),
            dues: EgressLengths::default(),
            tokens: 0,
            closed: false,
            now: Instant::from_nanos(5),
        }
    }

    /// Hands something in, and then what follows from it: whoever is dialled is there, and whoever
    /// is sent something takes it.
    fn input(&mut self, input: Input) {
        let mut due = vec![input];
        while let Some(input) = due.pop() {
            let at = self.now;
            self.session.handle(at, input.clone());
            let effects: Vec<Effect> = std::iter::from_fn(|| self.session.poll()).collect();
            for effect in &effects {
                match effect {
                    Effect::Connect(_) => due.push(Input::Connected),
                    Effect::Evaluate(_) => self.tokens += 1,
                    Effect::Close(_) => self.closed = true,
                    Effect::RequestToken(_) => self.tokens += 1,
                    Effect::Learn(_) | Effect::Report(_) | Effect::Finish(_) => {}
                }
            }
            let outcome = Some(self.dues.after(&input, effects, &self.session));
            let step = RecordedStep { at, input, outcome };
            self.text += &Line::Step(self.step_encoder.step(&step)).text();
            for leg in [Leg::Client, Leg::Upstream] {
                let bytes = self.session.egress(leg).len();
                if bytes > 0 && due.is_empty() && !self.closed {
                    due.push(Input::Wrote { leg, bytes });
                }
            }
        }
    }

    fn tick(&mut self, at: Instant) {
        self.now = at;
        self.input(Input::Tick);
    }

    fn bytes(&mut self, leg: Leg, bytes: &[u8], chunk: usize) {
        for part in bytes.chunks(chunk) {
            let bytes = Bytes::copy_from_slice(part);
            self.input(Input::Bytes { leg, bytes });
        }
    }

    fn evaluated(&mut self, evaluation: Evaluation) {
        self.input(Input::Evaluated(Box::new(evaluation)));
    }

    fn replayed(&self) -> ReplayResult {
        let recording = Recording::parse(&self.text).unwrap();
        replay(&recording, |_| {}).unwrap().result
    }
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let frame = parts.concat();
    let len = i32::try_from(frame.len()).unwrap().to_be_bytes();
    [&len[..], &frame].concat()
}

fn handshake(version: u8, mechanism: &str) -> Vec<u8> {
    let head = [0, 17, 0, version, 0, 0, 0, 7, 0, 2];
    let len = u8::try_from(mechanism.len()).unwrap();
    framed(&[&head, b"me", &[0, len], mechanism.as_bytes()])
}

/// A Heartbeat of version 0.
fn heartbeat(id: u8) -> Vec<u8> {
    framed(&[
        &[0, 12, 0, 0, 0, 0, 0, id, 0, 2],
        b"me\0\x05group\0\0\0\x01\0\x02m1",
    ])
}

fn success(token: &'static [u8]) -> Evaluation {
    Evaluation::Success {
        token: Bytes::from_static(token),
        principal: Principal::new("User:alice"),
        lifetime: None,
    }
}

#[test]
fn a_login_with_raw_tokens_is_replayed() {
    for chunk in [1, 5, 1000] {
        let mut world = World::new();
        let client = |world: &mut World, bytes: &[u8]| world.bytes(Leg::Client, bytes, chunk);
        client(&mut world, &handshake(0, "SCRAM-SHA-256"));
        client(&mut world, &framed(&[b"n,,n=alice,r=SECRET-1"]));
        world.evaluated(Evaluation::Challenge("r=SECRET-2,s=SECRET-3,i=1".into()));
        client(&mut world, &framed(&[b""]));
        world.evaluated(Evaluation::Challenge("x".into()));
        client(&mut world, &framed(&[b"c=biws,r=SECRET-4"]));
        world.evaluated(success(b"v=SECRET-5"));
        client(&mut world, &heartbeat(9));
        world.bytes(Leg::Upstream, &framed(&[&[0, 0, 0, 9, 0, 27]]), chunk);
        client(&mut world, &heartbeat(10));
        assert!(world.tokens == 3 && !world.closed);
        assert!(!world.text.contains("SECRET"), "{}", world.text);
        assert!(
            chunk < 1000 || world.text.contains("group"),
            "requests are read again"
        );
        assert!(
            matches!(world.replayed(), ReplayResult::Same),
            "{:?}",
            world.replayed()
        );
    }
}

/// Nobody knows of what comes before the verdict whether it is a token.
#[test]
fn what_is_sent_behind_a_raw_token_is_never_recorded() {
    for chunk in [1, 1000] {
        let mut world = World::new();
        world.bytes(Leg::Client, &handshake(0, "PLAIN"), chunk);
        let token = framed(&[b"\0alice\0SECRET-1"]);
        let behind = [token, handshake(0, "PLAIN")].concat();
        world.bytes(Leg::Client, &behind, chunk);
        world.evaluated(success(b""));
        for _ in 0..2 {
            world.bytes(Leg::Client, &framed(&[b"SECRET-2"]), chunk);
        }
        assert!(!world.text.contains("SE"), "{}", world.text);
    }
}

#[test]
fn a_login_with_tokens_in_requests_is_replayed() {
    let token = |bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).unwrap();
        let head = [0, 36, 0, 0, 0, 0, 0, 8, 0, 2];
        framed(&[&head, b"me", &[0, 0, 0, len], bytes])
    };
    let mut world = World::new();
    world.bytes(Leg::Client, &handshake(1, "PLAIN"), 1000);
    world.bytes(
        Leg::Client,
        &[token(b"\0alice\0SECRET"), heartbeat(9)].concat(),
        1000,
    );
    world.evaluated(success(b""));
    assert!(world.tokens == 1 && !world.closed && !world.text.contains("SECRET"));
    assert!(
        matches!(world.replayed(), ReplayResult::Same),
        "{:?}",
        world.replayed()
    );
}

/// Two attempts: the broker cuts the first one within the login, and a response is owed then that
/// never comes.
#[test]
fn a_login_at_a_broker_is_replayed_without_its_tokens() {
    for chunk in [1, 5, 1000] {
        let mut world = World::of(Leg::Upstream);
        let token = |world: &mut World, reply| world.input(Input::Token(Box::new(reply)));
        let first = || TokenReply::First {
            mechanism: Mechanism::ScramSha256,
            token: Secret::new(*b"n,,n=doorkeeper,r=SECRET-1"),
        };
        let broker = |world: &mut World, bytes: &[u8]| world.bytes(Leg::Upstream, bytes, chunk);
        let agreed = framed(&[b"\0\0\0\x01", b"\0\0", b"\0\0\0\0"]);
        let said = |id: u8, said: &[u8]| {
            let len = [0, 0, 0, u8::try_from(said.len()).unwrap()];
            let lifetime = 9_000_i64.to_be_bytes();
            framed(&[&[0, 0, 0, id], b"\0\0\xff\xff", &len, said, &lifetime])
        };
        world.bytes(Leg::Client, &heartbeat(9), chunk);
        token(&mut world, first());
        broker(&mut world, &agreed);
        world.input(Input::Ended {
            leg: Leg::Upstream,
            how: End::Reset,
        });
        let again = world.session.demand().deadline.unwrap();
        world.tick(again);
        token(&mut world, first());
        broker(&mut world, &agreed);
        broker(&mut world, &said(2, b"r=SECRET-2,s=SECRET-3,i=4096"));
        token(&mut world, TokenReply::Next(Secret::new(*b"c=SECRET-4")));
        broker(&mut world, &said(3, b"v=SECRET-5"));
        token(&mut world, TokenReply::Done);
        broker(&mut world, &framed(&[&[0, 0, 0, 9, 0, 27]]));
        assert!(world.tokens == 4 && !world.closed);
        assert!(!world.text.contains("SECRET"), "{}", world.text);
        assert!(
            matches!(world.replayed(), ReplayResult::Same),
            "{:?}",
            world.replayed()
        );
    }
}
