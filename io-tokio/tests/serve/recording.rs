//! What `serve` has recorded of a session is replayed to the same effects and the same bytes, has
//! no payload in it, and costs nobody anything when it cannot be written.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_io_tokio::recorder::{Recorder, Settings};
use doorkeeper_io_tokio::serve::Plan;
use doorkeeper_recording::line::{Cut, Input};
use doorkeeper_recording::{Key, Recording, ReplayResult, replay};
use kafka_protocol::messages::fetch_response::{
    FetchableTopicResponse, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, ProduceRequest, SaslAuthenticateRequest,
    SaslAuthenticateResponse, TopicName,
};

use crate::client::Client;
use crate::cluster::{Act, To};
use crate::frames::*;
use crate::mesh::{Far, Mesh};
use crate::world::*;

/// Stands in every payload and every token.
const CANARY: &[u8] = b"PAYLOAD-CANARY";

/// doorkeeper with a recorder.
struct Studio {
    world: World,
    recorder: Recorder,
    dir: PathBuf,
}

impl Studio {
    async fn start(name: &str) -> Self {
        Self::with(name, 1 << 30, 1 << 30, |_| {}).await
    }

    async fn with(
        name: &str,
        bytes_max: u64,
        file_bytes_max: u64,
        change: impl FnOnce(&mut Plan),
    ) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recordings-{name}"));
        let _ = fs::remove_dir_all(&dir);
        let settings = Settings {
            dir: dir.clone(),
            file_bytes_max,
            bytes_max,
        };
        let mesh = Mesh::default();
        let cluster = cluster(&mesh);
        let mut plan = plan();
        change(&mut plan);
        let mut started = None;
        let world = World::recorded(mesh, cluster, plan, |counts| {
            let recorder = Recorder::start(&settings, Key([7; 32]), counts).unwrap();
            started = Some(recorder.clone());
            Some(recorder)
        });
        world.published("main").await;
        let recorder = started.unwrap();
        Self {
            world,
            recorder,
            dir,
        }
    }

    fn written(&self) {
        self.recorder.flush(Duration::from_secs(60));
    }

    fn files(&self) -> Vec<String> {
        self.written();
        let entries = fs::read_dir(&self.dir).unwrap();
        let paths = entries.map(|it| it.unwrap().path());
        paths.map(|it| fs::read_to_string(it).unwrap()).collect()
    }

    /// The file of a client's session.
    fn file(&self, client: SocketAddr) -> String {
        let peer = format!("\"client\":{{\"direct\":\"{client}\"}}");
        let mut all = self.files().into_iter();
        all.find(|text| text.contains(&peer)).expect("a recording")
    }

    /// The recording of a session that has ended, which replays.
    async fn replays(&self, client: SocketAddr, reason: &str) -> Recording {
        assert_eq!(self.world.seen.closed(client).await, reason);
        let text = self.file(client);
        assert!(!text.contains("CANARY"), "{text}");
        let recording = Recording::parse(&text).unwrap();
        assert_eq!(recording.end.as_deref(), Some(reason));
        assert_eq!((recording.cut, recording.torn), (None, false));
        is_the_same(&recording);
        recording
    }

    fn count(&self, event: &str) -> u64 {
        self.written();
        let sample = format!("doorkeeper_recordings_total{{event=\"{event}\"}}");
        self.world.seen.sample(&sample)
    }
}

/// Replays all of it, to the same effects and bytes.
fn is_the_same(recording: &Recording) {
    let mut shown = 0;
    let replayed = replay(recording, |_| shown += 1).unwrap();
    assert!(
        matches!(replayed.result, ReplayResult::Same),
        "{:?}",
        replayed.result
    );
    assert_eq!(shown, recording.steps.len());
}

/// All effects, a line each.
fn effects(recording: &Recording) -> String {
    let outcomes = recording.steps.iter().filter_map(|it| it.outcome.as_ref());
    let effects: Vec<String> = outcomes.flat_map(|it| it.effects.clone()).collect();
    effects.join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_relayed_session_with_addresses_replays() {
    let studio = Studio::start("relay").await;
    let mut client = studio.world.client(BROKER_1).await;
    client.exchange(1).await;
    client.send(&metadata(2)).await;
    client.frame().await;
    client.send(&[heartbeat(3), heartbeat(4)].concat()).await;
    assert_eq!(client.frame().await, heartbeat_response(3));
    assert_eq!(client.frame().await, heartbeat_response(4));
    let Client { far, address, .. } = client;
    drop(far);
    let recording = studio.replays(address, "client_closed").await;
    let effects = effects(&recording);
    for effect in [
        "connect b1.test:9092",
        "Rewrote",
        "finish upstream",
        "close client_closed",
    ] {
        assert!(effects.contains(effect), "{effects}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_learns_of_newer_snapshots_replays() {
    let studio = Studio::start("snapshots").await;
    let mut client = studio.world.client(BROKER_1).await;
    client.exchange(1).await;
    studio
        .world
        .cluster
        .lists(&["1@b1.test:9092", "5@b5.test:9092"]);
    studio.world.knows(5, "b5.test:9092").await;
    client.send(&metadata(2)).await;
    client.frame().await;
    studio.world.stop.cancel();
    let recording = studio.replays(client.address, "drained").await;
    let is_it = |input: &Input| matches!(input, Input::Snapshot(_));
    assert!(recording.steps.iter().any(|step| is_it(&step.input)));
    let is_it = |input: &Input| matches!(input, Input::Drain { .. });
    assert!(recording.steps.iter().any(|step| is_it(&step.input)));
}

/// A Produce of version 9 whose records are canaries.
fn produce_canaries(id: i32, topic: &str, count: usize) -> Vec<u8> {
    let partition = PartitionProduceData::default().with_records(Some(canaries(count)));
    let topic = TopicProduceData::default()
        .with_name(TopicName(topic.to_owned().into()))
        .with_partition_data(vec![partition]);
    let body = ProduceRequest::default()
        .with_acks(1)
        .with_topic_data(vec![topic]);
    request(PRODUCE, 9, id, &body)
}

fn canaries(count: usize) -> Bytes {
    CANARY.repeat(count).into()
}

#[tokio::test(start_paused = true)]
async fn a_denied_request_replays() {
    let deny = |plan: &mut Plan| {
        let policy = Policy::allow_all();
        plan.listeners[0].snapshot.policy = policy.deny_topic(&Principal::anonymous(), "secret");
    };
    let studio = Studio::with("denied", 1 << 30, 1 << 30, deny).await;
    let mut client = studio.world.client(BROKER_1).await;
    client.exchange(1).await;
    client.send(&produce_canaries(2, "secret", 1000)).await;
    client.frame().await;
    let Client { far, address, .. } = client;
    drop(far);
    let recording = studio.replays(address, "client_closed").await;
    assert!(effects(&recording).contains("local: true"));
}

#[tokio::test(start_paused = true)]
async fn a_response_with_another_id_replays_to_the_same_close() {
    let studio = Studio::start("other-id").await;
    studio.world.cluster.script(B1, To::Sessions, |asked| {
        vec![Act::Say(heartbeat_response(asked.id + 1))]
    });
    let mut client = studio.world.client(BROKER_1).await;
    client.send(&heartbeat(1)).await;
    assert_eq!(client.rest().await, b"");
    let Client { far, address, .. } = client;
    drop(far);
    studio.replays(address, "correlation_mismatch").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_stops_in_the_middle_replays_to_the_same_deadline() {
    let studio = Studio::start("stalls").await;
    let mut client = studio.world.client(BROKER_1).await;
    client.exchange(1).await;
    client.send(&heartbeat(2)[..9]).await;
    assert_eq!(client.rest().await, b"");
    studio.replays(client.address, "client_frame_stalled").await;
}

/// Says it byte by byte, so that each is read by itself.
async fn drip(far: &mut Far, bytes: &[u8]) {
    for byte in bytes {
        let before = far.taken();
        far.say(&[*byte]).await;
        while far.taken() == before {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_single_bytes_replays() {
    let studio = Studio::start("single-bytes").await;
    let (mut client, mut broker) = studio.world.pair(&heartbeat(1)).await;
    broker.say(&heartbeat_response(1)).await;
    client.frame().await;
    let requests = [metadata(2), produce_canaries(3, "t", 20)].concat();
    drip(&mut client.far, &requests).await;
    for _ in 0..2 {
        next_frame(&mut broker.stream).await.unwrap();
    }
    let listed = [(1, "b1.test".to_owned(), 9092)];
    let responses = [metadata_response(12, 2, "main", &listed), produced(3)].concat();
    drip(&mut broker, &responses).await;
    for _ in 0..2 {
        client.frame().await;
    }
    let Client { far, address, .. } = client;
    drop(far);
    let recording = studio.replays(address, "client_closed").await;
    assert!(recording.steps.len() > requests.len() + responses.len());
}

/// A long response with records, and behind them an address that is made unreadable in place.
fn fetched_with_endpoints(id: i32, count: usize) -> Vec<u8> {
    let partition = PartitionData::default().with_records(Some(canaries(count)));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    let endpoint = NodeEndpoint::default()
        .with_node_id(BrokerId(1))
        .with_host("b1.test".into())
        .with_port(9092);
    let body = FetchResponse::default()
        .with_responses(vec![topic])
        .with_node_endpoints(vec![endpoint]);
    response(16, id, &body)
}

#[tokio::test(start_paused = true)]
async fn large_payloads_replay_and_are_told_by_their_lengths() {
    const COUNT: usize = 50_000;
    let studio = Studio::start("payloads").await;
    let (mut client, mut broker) = studio.world.pair(&heartbeat(1)).await;
    broker.say(&heartbeat_response(1)).await;
    client.frame().await;
    let produce = produce_canaries(2, "orders", COUNT);
    let fetch = request(FETCH, 16, 3, &FetchRequest::default());
    let fetched = fetched_with_endpoints(3, COUNT);
    let serve = async {
        assert!(next_frame(&mut broker.stream).await.unwrap() == produce);
        broker.say(&produced(2)).await;
        next_frame(&mut broker.stream).await.unwrap();
        broker.say(&fetched).await;
    };
    let ask = async {
        client.send(&produce).await;
        client.frame().await;
        client.send(&fetch).await;
        let frame = client.frame().await;
        assert_eq!(frame.len(), fetched.len());
        assert!(frame != fetched, "the address was made unreadable");
    };
    tokio::join!(serve, ask);
    let Client { far, address, .. } = client;
    drop(far);
    let recording = studio.replays(address, "client_closed").await;
    let read = recording.steps.iter().map(|step| match &step.input {
        Input::Bytes { bytes, .. } => bytes.byte_count(),
        _ => 0,
    });
    assert!(read.sum::<usize>() > 2 * COUNT * CANARY.len());
    let file = studio.file(address);
    assert!(file.contains("orders"), "names of topics stay");
    assert!(file.len() < 200_000, "{}", file.len());
}

#[tokio::test(start_paused = true)]
async fn a_login_is_recorded_by_its_length_and_never_its_token() {
    let studio = Studio::start("login").await;
    let mut client = studio.world.client(BROKER_1).await;
    let token = Bytes::from([b"\0alice\0", CANARY].concat());
    let asked = SaslAuthenticateRequest::default().with_auth_bytes(token);
    client.send(&request(36, 2, 1, &asked)).await;
    // ILLEGAL_SASL_STATE: this listener has no login.
    let (id, denied) = decoded::<SaslAuthenticateResponse>(2, &client.frame().await);
    assert_eq!((id, denied.error_code), (1, 34));
    let Client { far, address, .. } = client;
    drop(far);
    studio.replays(address, "client_closed").await;
    let file = studio.file(address);
    assert!(!file.contains("alice"), "{file}");
    assert_eq!(file.matches("{\"mask\":21,\"hash\":").count(), 1, "{file}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kafka_is_told_by_its_first_bytes() {
    let studio = Studio::start("http").await;
    let mut client = studio.world.client(BROKER_1).await;
    let said = [b"GET / HTTP/1.1\r\nAuthorization: ", CANARY].concat();
    client.send(&said).await;
    assert_eq!(client.rest().await, b"");
    let recording = studio.replays(client.address, "client_speaks_http").await;
    let Input::Bytes { bytes, .. } = &recording.steps[0].input else {
        panic!("the first step is a read");
    };
    assert_eq!(bytes.byte_count(), said.len());
    assert!(studio.file(client.address).contains("[\"GET \","));
}

/// A session of some heartbeats, and its recording.
async fn beats(studio: &Studio, count: i32) -> (SocketAddr, String) {
    let mut client = studio.world.client(BROKER_1).await;
    for id in 1..=count {
        client.exchange(id).await;
    }
    let Client { far, address, .. } = client;
    drop(far);
    studio.world.seen.closed(address).await;
    studio.written();
    (address, studio.file(address))
}

#[tokio::test(start_paused = true)]
async fn a_file_that_breaks_off_replays_up_to_there() {
    let studio = Studio::start("torn").await;
    let (_, text) = beats(&studio, 3).await;
    let whole = Recording::parse(&text).unwrap();
    let first_line = text.find('\n').unwrap() + 1;
    for cut in first_line..text.len() {
        let recording = Recording::parse(&text[..cut]).unwrap();
        let at_a_line = text[..cut].ends_with('\n');
        assert_eq!(recording.torn, !at_a_line);
        assert!(whole.steps.starts_with(&recording.steps));
        assert_eq!(recording.end, None);
        is_the_same(&recording);
    }
    for cut in 0..first_line - 1 {
        assert!(Recording::parse(&text[..cut]).is_err());
    }
    // What a file system leaves of a block that was never written.
    let zeros = format!("{text}{}", "\0".repeat(100));
    assert!(Recording::parse(&zeros).unwrap().torn);
}

#[tokio::test(start_paused = true)]
async fn a_planted_difference_is_found_where_it_is() {
    let studio = Studio::start("planted").await;
    let (_, text) = beats(&studio, 3).await;
    let whole = Recording::parse(&text).unwrap();
    let differs = |change: &dyn Fn(&mut Recording)| {
        let mut recording = whole.clone();
        change(&mut recording);
        match replay(&recording, |_| {}).unwrap().result {
            ReplayResult::Differs(difference) => difference.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let responded = whole.steps.iter().position(|step| {
        let outcome = step.outcome.as_ref().unwrap();
        outcome
            .effects
            .iter()
            .any(|it| it.contains("report Response"))
    });
    let responded = responded.unwrap();
    let check = |what: &str, said: String| {
        let step = format!("step {} (line {})", responded + 1, responded + 2);
        assert!(said.starts_with(&step) && said.contains(what), "{said}");
    };
    let outcome = |it: &mut Recording| it.steps[responded].outcome.clone().unwrap();
    check(
        "effect 1 was nothing, and is report Response",
        differs(&|it| {
            let mut other = outcome(it);
            other.effects.clear();
            it.steps[responded].outcome = Some(other);
        }),
    );
    check(
        "bytes were due to the client",
        differs(&|it| {
            let mut other = outcome(it);
            other.client.due += 1;
            it.steps[responded].outcome = Some(other);
        }),
    );
    check(
        "the bytes that were added for the client are others",
        differs(&|it| {
            let mut other = outcome(it);
            other.client.grew.as_mut().unwrap().hash.0 ^= 1;
            it.steps[responded].outcome = Some(other);
        }),
    );
    check("latency", differs(&|it| it.steps[responded].at += 1));
    // The recorded session did not come back from this step.
    check(
        "the recorded session panicked, and this one did not",
        differs(&|it| {
            it.steps[responded].outcome = None;
            it.end = Some("panic".to_owned());
        }),
    );
    // Another byte in what the client sent goes up, as soon as the broker is there.
    let mut steps = whole.steps.iter();
    let connected = steps.position(|step| matches!(step.input, Input::Connected));
    let connected = connected.unwrap();
    let altered = text.replacen("%00%04test", "%00%04best", 1);
    assert_ne!(altered, text);
    let recording = Recording::parse(&altered).unwrap();
    let came = replay(&recording, |_| {}).unwrap().result;
    assert!(matches!(came, ReplayResult::Differs(it) if it.step == connected + 1));
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_long_enough_is_cut_and_its_session_is_not() {
    let studio = Studio::with("long", 1 << 30, 8000, |_| {}).await;
    let (_, text) = beats(&studio, 40).await;
    assert!(text.len() <= 8000, "{}", text.len());
    let recording = Recording::parse(&text).unwrap();
    assert_eq!(recording.cut, Some(Cut::File));
    assert_eq!(recording.end.as_deref(), Some("client_closed"));
    assert!(recording.steps.len() > 5);
    is_the_same(&recording);
    assert_eq!(studio.count("cut_file"), 1);
}

#[tokio::test(start_paused = true)]
async fn all_recordings_together_stay_within_their_bound() {
    const BYTES_MAX: u64 = 40_000;
    let studio = Studio::with("bound", BYTES_MAX, BYTES_MAX, |_| {}).await;
    // One that lasts, and is never removed.
    let mut lasting = studio.world.client(BROKER_2).await;
    lasting.exchange(1).await;
    for _ in 0..20 {
        beats(&studio, 5).await;
        let files = studio.files();
        let bytes: usize = files.iter().map(String::len).sum();
        assert!(bytes as u64 <= BYTES_MAX, "{bytes}");
    }
    assert!(studio.count("removed") >= 5);
    assert_eq!(studio.count("begun"), 21);
    assert!(studio.file(lasting.address).contains("b2.test"));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_vanishes_disturbs_no_session() {
    let studio = Studio::start("vanished").await;
    let mut client = studio.world.client(BROKER_1).await;
    client.exchange(1).await;
    studio.written();
    fs::remove_dir_all(&studio.dir).unwrap();
    for id in 2..=10 {
        client.exchange(id).await;
        studio.written();
    }
    studio.world.client(BROKER_2).await.exchange(1).await;
    assert_eq!(studio.count("cut_failed"), 2);
    fs::create_dir(&studio.dir).unwrap();
    let (_, text) = beats(&studio, 2).await;
    is_the_same(&Recording::parse(&text).unwrap());
}
