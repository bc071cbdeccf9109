//! Sessions between peers that say anything, in pieces of any size: each is recorded and replayed
//! to the same effects and the same bytes, and nothing that looks like a payload is in its file.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may unwrap"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::error::Revocation;
use doorkeeper_core::id::{BrokerId, Seed};
use doorkeeper_core::limits::Limits;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{AdvertisedAddresses, DialMap, Topology};
use doorkeeper_core::wire::schema::{APIS, Api, Message};
use doorkeeper_core::{
    Accept, ConnectFailure, Effect, End, Input, Instant, Leg, Route, Session, Snapshot,
};
use doorkeeper_recording::line::Line;
use doorkeeper_recording::{
    EgressLengths, Key, RecordedStep, Recording, ReplayResult, SessionHeader, StepEncoder, replay,
};

/// What every changed body contains.
const CANARY: &[u8] = b"PAYLOAD-CANARY";

/// Numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// The bodies of a message, by version.
fn bodies(of: &Message) -> Vec<(i16, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/frames");
    let text = fs::read_to_string(root.join(format!("{}.txt", of.name))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let columns = lines.map(|line| line.splitn(4, '\t').collect::<Vec<_>>());
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    columns
        .map(|it| {
            let body = it[2].as_bytes().chunks(2).map(byte);
            (it[0].parse().unwrap(), body.collect())
        })
        .collect()
}

/// One API with its recorded requests and responses.
struct Topic {
    request: &'static Message,
    response: &'static Message,
    requests: Vec<(i16, Vec<u8>)>,
    responses: Vec<(i16, Vec<u8>)>,
}

fn topics() -> Vec<Topic> {
    let topic = |api: &&'static Api| Topic {
        request: api.request,
        response: api.response,
        requests: bodies(api.request),
        responses: bodies(api.response),
    };
    APIS.iter().map(topic).collect()
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let frame = parts.concat();
    [&(frame.len() as i32).to_be_bytes()[..], &frame].concat()
}

/// One session and those around it.
struct Play<'a> {
    dice: Dice,
    topics: &'a [Topic],
    session: Session,
    step_encoder: StepEncoder,
    dues: EgressLengths,
    snapshot: Arc<Snapshot>,
    now: Instant,
    text: String,
    connecting: bool,
    connected: bool,
    closed: bool,
    /// What the client has yet to say, and the broker.
    to_say: [Vec<u8>; 2],
    id: i32,
}

impl<'a> Play<'a> {
    fn new(seed: u64, topics: &'a [Topic]) -> Self {
        let mut dice = Dice(seed);
        let snapshot = Arc::new(snapshot(&mut dice));
        let opened = SessionHeader {
            doorkeeper: "0.0.0",
            session: seed,
            listener: "public",
            opened: "",
            accept: Accept::new(
                Instant::from_nanos(dice.roll() >> 20),
                "192.0.2.1:5000".parse().unwrap(),
                Route::Broker(BrokerId(1)),
            ),
            seed: Seed([7; 32]),
            snapshot: &snapshot,
        };
        Self {
            session: Session::new(opened.accept.clone(), Arc::clone(&snapshot), opened.seed),
            step_encoder: StepEncoder::new(Key([dice.roll() as u8; 32]), &snapshot),
            dues: EgressLengths::default(),
            now: opened.accept.at,
            text: opened.line().text(),
            connecting: false,
            connected: false,
            closed: false,
            to_say: [Vec::new(), Vec::new()],
            id: 0,
            dice,
            topics,
            snapshot,
        }
    }

    fn input(&mut self, input: Input) {
        self.session.handle(self.now, input.clone());
        let effects: Vec<Effect> = std::iter::from_fn(|| self.session.poll()).collect();
        for effect in &effects {
            self.connecting |= matches!(effect, Effect::Connect(_));
            self.closed |= matches!(effect, Effect::Close(_));
        }
        let outcome = Some(self.dues.after(&input, effects, &self.session));
        let at = self.now;
        let step = self.step_encoder.step(&RecordedStep { at, input, outcome });
        self.text.push_str(&Line::Step(step).text());
    }

    /// Another request, and what will be said to it; now and then not as it must be.
    fn ask(&mut self) {
        let topic = &self.topics[self.dice.below(self.topics.len())];
        let (version, request) = &topic.requests[self.dice.below(topic.requests.len())];
        // What follows is taken for tokens and masked, and core takes it for requests.
        if (topic.request.name, *version) == ("SaslHandshakeRequest", 0) {
            return;
        }
        let same = topic.responses.iter().filter(|it| it.0 == *version);
        let same: Vec<&Vec<u8>> = same.map(|it| &it.1).collect();
        self.id += 1;
        let id = self.id.to_be_bytes();
        let flexible = topic.request.is_flexible(*version) == Some(true);
        let tags: &[u8] = if flexible { b"\0" } else { b"" };
        let head = [
            &topic.request.api_key.to_be_bytes()[..],
            &version.to_be_bytes(),
        ]
        .concat();
        let request = broken(&mut self.dice, request);
        self.to_say[0].extend(framed(&[&head, &id, b"\0\x02me", tags, &request]));
        if same.is_empty() || self.dice.one_in(20) {
            return;
        }
        let response = same[self.dice.below(same.len())];
        let response = broken(&mut self.dice, response);
        let flexible = topic.response.is_flexible(*version) == Some(true);
        let tags: &[u8] = if flexible && topic.response.api_key != 18 {
            b"\0"
        } else {
            b""
        };
        let id = if self.dice.one_in(30) { [0; 4] } else { id };
        self.to_say[1].extend(framed(&[&id, tags, &response]));
    }

    fn say(&mut self, leg: Leg) {
        let demand = self.session.demand();
        let (wanted, at) = match leg {
            Leg::Client => (demand.read_client, 0),
            Leg::Upstream => (demand.read_upstream && self.connected, 1),
        };
        let count = match self.dice.below(3) {
            0 => 1,
            1 => 1 + self.dice.below(20),
            _ => usize::MAX,
        };
        let count = count.min(self.to_say[at].len());
        if wanted && count > 0 {
            let bytes: Vec<u8> = self.to_say[at].drain(..count).collect();
            let bytes = Bytes::from(bytes);
            self.input(Input::Bytes { leg, bytes });
        }
    }

    fn wrote(&mut self, leg: Leg) {
        let due = self.session.egress(leg).len();
        let is_open = leg == Leg::Client || self.connected;
        let bytes = if self.dice.one_in(3) {
            due
        } else {
            self.dice.below(due + 1)
        };
        if bytes > 0 && is_open {
            self.input(Input::Wrote { leg, bytes });
        }
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0..=3 => self.ask(),
            4..=8 => self.say(Leg::Client),
            9..=12 => self.say(Leg::Upstream),
            13 | 14 => self.wrote(Leg::Client),
            15 | 16 => self.wrote(Leg::Upstream),
            17 if self.connecting => {
                self.connecting = false;
                self.connected = !self.dice.one_in(8);
                if self.connected {
                    self.input(Input::Connected);
                } else {
                    self.input(Input::ConnectFailed(ConnectFailure::Refused));
                }
            }
            18 => self.pass(),
            _ => self.seldom(),
        }
    }

    fn pass(&mut self) {
        let ms = Duration::from_millis(self.dice.below(300) as u64);
        self.now = self.now.after(ms);
        let deadline = self.session.demand().deadline;
        if deadline.is_some_and(|it| it <= self.now) {
            self.input(Input::Tick);
        }
    }

    fn seldom(&mut self) {
        match self.dice.below(40) {
            0 => {
                let (leg, how) = (Leg::Client, End::Fin);
                self.input(Input::Ended { leg, how });
            }
            1 if self.connected => {
                let (leg, how) = (Leg::Upstream, End::Reset);
                self.input(Input::Ended { leg, how });
            }
            2 => {
                let by = self.now.after(Duration::from_secs(1));
                self.input(Input::Drain { by });
            }
            3 => self.input(Input::BufferRejected),
            14 => {
                let by = self.now.after(Duration::from_secs(1));
                self.input(Input::ListenerRemoved { by });
            }
            15 => self.input(Input::Revoked(Revocation::CertificateRevoked)),
            10 => self.input(Input::BufferPaused(Leg::Client)),
            11 => self.input(Input::BufferPaused(Leg::Upstream)),
            12 => self.input(Input::BufferResumed(Leg::Client)),
            13 => self.input(Input::BufferResumed(Leg::Upstream)),
            4..=8 => {
                let mut next = Snapshot::clone(&self.snapshot);
                next.epoch += 1;
                self.snapshot = Arc::new(next);
                self.input(Input::Snapshot(Arc::clone(&self.snapshot)));
            }
            9 => self.to_say[0].extend(CANARY),
            _ => {}
        }
    }
}

/// Mostly as it is; else cut, longer, or with a byte that is another.
fn broken(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    match dice.below(8) {
        0 => body.truncate(dice.below(body.len() + 1)),
        1 => body.extend(CANARY),
        2 if !body.is_empty() => {
            let at = dice.below(body.len());
            body[at] = dice.roll() as u8;
        }
        _ => {}
    }
    body
}

fn snapshot(dice: &mut Dice) -> Snapshot {
    let bootstrap = vec!["boot.test:9092".parse().unwrap()];
    let seen = [1, 2, 3].map(|id| (BrokerId(id), format!("b{id}.test:9092").parse().unwrap()));
    let topology = Topology::default().merged(&seen, Some("main")).unwrap();
    let policy = Policy::allow_all();
    let all = APIS.iter().map(|api| doorkeeper_core::id::ApiKey(api.key));
    let limits = if dice.one_in(3) {
        Limits {
            request_buffer_bytes_max: 300,
            egress_high_bytes: 200,
            in_flight_max: 3,
            ..Limits::default()
        }
    } else {
        Limits::default()
    };
    Snapshot {
        epoch: 1,
        limits,
        login: None,
        upstream_login: false,
        policy: if dice.one_in(2) {
            policy
        } else {
            let anyone = Principal::anonymous();
            policy.deny_topic(&anyone, "s1").deny_topic(&anyone, "s2")
        },
        offered: OfferedApis::with(all).altering_brokers(true),
        known_hosts: KnownHosts::new(&bootstrap, &DialMap::default(), &topology),
        bootstrap,
        dial: DialMap::default(),
        advertised: AdvertisedAddresses::Ports {
            host: "gate.test".into(),
            base: 19092,
            ids: vec![0..=9],
        },
        topology: Arc::new(topology),
    }
}

#[test]
fn a_recording_of_hostile_peers_is_replayed_without_payloads() {
    let topics = topics();
    let (mut steps, mut closed) = (0, 0);
    for seed in 1..=1500 {
        let mut play = Play::new(seed, &topics);
        for _ in 0..150 {
            play.step();
            if play.closed {
                closed += 1;
                break;
            }
        }
        assert!(!play.text.contains("PAYLOAD"), "seed {seed}: {}", play.text);
        let recording = Recording::parse(&play.text).unwrap();
        let replayed = replay(&recording, |_| {}).unwrap();
        assert!(
            matches!(replayed.result, ReplayResult::Same),
            "seed {seed}: {:?} in\n{}",
            replayed.result,
            play.text
        );
        steps += recording.steps.len();
    }
    assert!(
        steps > 15_000 && closed > 500,
        "{steps} steps, {closed} closed"
    );
}
