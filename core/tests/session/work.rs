//! What a session does for an input is bounded by the bytes that came, as its memory is: whatever
//! a peer sends, each byte costs a few steps.

use doorkeeper_core::{CloseReason, Leg, Route, work};

use crate::counting;
use crate::denials::world;
use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response};

/// So many steps are allowed for each byte that came,
const STEPS_PER_BYTE: usize = 8;
/// and for each read, however few bytes it brought.
const STEPS_PER_READ: usize = 16;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Hands a frame in, in pieces of `world.chunk` bytes, and compares the steps that it takes with
/// its bytes.
fn within_bounds(world: &mut World, leg: Leg, frame: &[u8]) {
    let reads = frame.len().div_ceil(world.chunk.min(frame.len()));
    let before = work::taken();
    match leg {
        Leg::Client => world.client(frame),
        Leg::Upstream => world.upstream(frame),
    }
    let steps = usize::try_from(work::taken() - before).unwrap();
    let allowed = STEPS_PER_BYTE * frame.len() + STEPS_PER_READ * reads;
    let is_counted = steps > 0 || !cfg!(debug_assertions);
    assert!(is_counted, "nothing was counted");
    assert!(
        steps <= allowed,
        "{steps} steps for {} bytes in {reads} reads, {allowed} are allowed",
        frame.len()
    );
}

/// A request with this body behind an empty client id.
fn request_of(api: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&api.to_be_bytes());
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&7_i32.to_be_bytes());
    out.extend_from_slice(&[0xff, 0xff]);
    if flexible {
        out.push(0);
    }
    out.extend_from_slice(body);
    framed(&out)
}

fn response_of(flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut out = 7_i32.to_be_bytes().to_vec();
    if flexible {
        out.push(0);
    }
    out.extend_from_slice(body);
    framed(&out)
}

/// A count or length in its compact form.
fn compact(count: usize) -> Vec<u8> {
    let (mut out, mut value) = (Vec::new(), count + 1);
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn compact_string(text: &[u8]) -> Vec<u8> {
    [&*compact(text.len()), text].concat()
}

/// Metadata 9 of these names by turns, `bytes` long in all.
fn metadata_of(names: &[&[u8]], bytes: usize) -> Vec<u8> {
    let mut topics = Vec::new();
    let mut count = 0;
    while topics.len() < bytes {
        topics.extend_from_slice(&compact_string(names[count % names.len()]));
        topics.push(0);
        count += 1;
    }
    let mut body = compact(count);
    body.extend_from_slice(&topics);
    // No creation, no authorized operations, no tagged fields.
    body.extend_from_slice(&[0, 0, 0, 0]);
    request_of(3, 9, true, &body)
}

#[test]
fn empty_names() {
    for (bytes, chunk) in [(200_000, 100), (200_000, usize::MAX), (3_200_000, 65_536)] {
        let frame = metadata_of(&[b""], bytes);
        let mut world = world(chunk);
        within_bounds(&mut world, Leg::Client, &frame);
        assert!(world.to_upstream == frame);
    }
    let frame = metadata_of(&[b""], MIB);
    let relays = |frame: &[u8]| {
        let mut world = world(65_536);
        world.client(frame);
        assert_eq!(world.to_upstream.len(), frame.len());
    };
    // What the test keeps of it is most of that: the frame as it is handed in and as it goes up.
    counting::bounded(&frame, relays, 5, MIB);
}

#[test]
fn denied_names() {
    let frame = metadata_of(&[b"secret"], 200 * KIB);
    for chunk in [100, 65_536, usize::MAX] {
        let mut world = world(chunk);
        within_bounds(&mut world, Leg::Client, &frame);
        assert_eq!(frames(&world.to_upstream).len(), 1);
        assert!(world.to_upstream.len() < 100);
    }
    let relays = |frame: &[u8]| {
        let mut world = world(65_536);
        world.client(frame);
        assert_eq!(world.closed, None);
    };
    // Each of them becomes an entry of the response.
    counting::bounded(&frame, relays, 16, MIB);
}

#[test]
fn names_that_are_denied_by_turns() {
    let frame = metadata_of(&[b"secret", b"", b"hidden", b"open"], 200 * KIB);
    for chunk in [100, 65_536, usize::MAX] {
        let mut world = world(chunk);
        within_bounds(&mut world, Leg::Client, &frame);
        assert_eq!(frames(&world.to_upstream).len(), 1);
    }
}

#[test]
fn one_long_name() {
    let name = vec![b'n'; MIB];
    let frame = metadata_of(&[&name], 1);
    for chunk in [100, 65_536, usize::MAX] {
        let mut world = world(chunk);
        within_bounds(&mut world, Leg::Client, &frame);
        assert!(world.to_upstream == frame);
    }
}

/// Produce 9 of one topic, with so many partitions.
fn produce_of(name: &[u8], partitions: usize) -> Vec<u8> {
    // No transactional id, acks, a timeout, one topic.
    let mut body = vec![0, 0, 1, 0, 0, 0, 100, 2];
    body.extend_from_slice(&compact_string(name));
    body.extend_from_slice(&compact(partitions));
    for partition in 0..partitions {
        body.extend_from_slice(&(partition as i32).to_be_bytes());
        body.extend_from_slice(&[0, 0]);
    }
    body.extend_from_slice(&[0, 0]);
    request_of(0, 9, true, &body)
}

#[test]
fn partitions_of_a_denied_topic() {
    let frame = produce_of(b"secret", 30_000);
    for chunk in [300, usize::MAX] {
        let mut world = world(chunk);
        within_bounds(&mut world, Leg::Client, &frame);
        assert_eq!(ids(&world.to_client), [7]);
        assert_eq!(world.to_upstream, []);
    }
}

/// Their entries are five times as long as they are: a client that asks for more than may be
/// buffered is closed before it is.
#[test]
fn a_denial_that_is_too_long() {
    let frame = produce_of(b"secret", 1_000_000);
    let is_closed = |frame: &[u8]| {
        let mut world = world(65_536);
        world.client(frame);
        assert_eq!(world.closed, Some(CloseReason::BufferLimit(Leg::Client)));
    };
    counting::bounded(&frame, is_closed, 4, 64 * MIB);
    let mut world = world(65_536);
    within_bounds(&mut world, Leg::Client, &frame);
}

/// A Metadata 9 response with these brokers and topics.
fn described(brokers: &[Vec<u8>], topics: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend_from_slice(&compact(brokers.len()));
    body.extend(brokers.iter().flatten());
    // No cluster id, and controller 1.
    body.extend_from_slice(&[0, 0, 0, 0, 1]);
    body.extend_from_slice(&compact(topics.len()));
    body.extend(topics.iter().flatten());
    body.extend_from_slice(&[0, 0, 0, 0, 0]);
    response_of(true, &body)
}

fn broker(id: i32, host: &str) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend_from_slice(&compact_string(host.as_bytes()));
    out.extend_from_slice(&9092_i32.to_be_bytes());
    // No rack, no tagged fields.
    out.extend_from_slice(&[0, 0]);
    out
}

fn all_topics() -> Vec<u8> {
    request_of(3, 9, true, &[0, 0, 0, 0, 0])
}

#[test]
fn a_listing_of_many_topics() {
    let topic = |number: usize| {
        let name = ["secret", "a", "hidden", "hidden", "b"][number % 5];
        let mut out = vec![0, 0];
        out.extend_from_slice(&compact_string(name.as_bytes()));
        // Not internal, no partitions, no operations, no tagged fields.
        out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0]);
        out
    };
    let topics: Vec<Vec<u8>> = (0..30_000).map(topic).collect();
    let response = described(&[broker(1, "kafka-1.canary")], &topics);
    for chunk in [300, usize::MAX] {
        let mut world = world(chunk);
        world.client(&all_topics());
        within_bounds(&mut world, Leg::Upstream, &response);
        let seen = String::from_utf8_lossy(&world.to_client).into_owned();
        assert!(!seen.contains("secret") && !seen.contains("hidden"));
        assert_eq!(ids(&world.to_client), [7]);
    }
}

#[test]
fn many_brokers() {
    // Those without an address of ours are dropped.
    for ids_below in [3, 1_000_000] {
        let brokers: Vec<Vec<u8>> = (0..20_000)
            .map(|number| broker(number % ids_below, "kafka-1.canary"))
            .collect();
        let response = described(&brokers, &[]);
        for chunk in [300, usize::MAX] {
            let mut world = World::new();
            world.chunk = chunk;
            world.client(&all_topics());
            within_bounds(&mut world, Leg::Upstream, &response);
            assert!(!String::from_utf8_lossy(&world.to_client).contains("canary"));
            assert_eq!(ids(&world.to_client), [7]);
        }
    }
}

/// Kafka's decoders take a tagged field that comes again.
#[test]
fn a_tagged_field_with_endpoints_that_comes_again_and_again() {
    const TIMES: usize = 20_000;
    let content = [compact(1), broker(1, "kafka-1.canary")].concat();
    let mut body = compact(0);
    // No throttle time, and the tagged fields.
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&compact(TIMES - 1));
    for _ in 0..TIMES {
        body.push(0);
        body.extend_from_slice(&compact(content.len() - 1));
        body.extend_from_slice(&content);
    }
    let response = response_of(true, &body);
    for chunk in [300, usize::MAX] {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&request_of(0, 10, true, &[0, 0, 1, 0, 0, 0, 100, 1, 0]));
        within_bounds(&mut world, Leg::Upstream, &response);
        assert!(!String::from_utf8_lossy(&world.to_client).contains("canary"));
        assert_eq!(ids(&world.to_client), [7]);
    }
}

#[test]
fn requests_that_come_in_pieces_while_there_is_no_room_for_them() {
    let mut snapshot = snapshot();
    snapshot.limits.in_flight_max = 1;
    let mut world = World::with(snapshot, Route::Bootstrap);
    let sent: Vec<u8> = (0..5000).flat_map(heartbeat).collect();
    world.client(&heartbeat(0));
    world.chunk = 9;
    within_bounds(&mut world, Leg::Client, &sent);
    world.upstream(&heartbeat_response(0));
    for id in 0..5000 {
        world.upstream(&heartbeat_response(id));
    }
    assert_eq!(ids(&world.to_client).len(), 5001);
}

/// Requests that are denied, of which each element costs as few bytes as it can.
#[test]
fn a_denial_costs_a_few_steps_for_each_byte_of_its_request() {
    let count = |count: usize| {
        let count = u32::try_from(count + 1).unwrap();
        let mut out = Vec::new();
        let mut left = count;
        while left >= 0x80 {
            out.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
        out
    };
    for many in [1000, 20_000] {
        // A topic of partitions without replicas.
        let partition = [0, 0, 0, 1, 0, 0];
        let reassignments = [
            &[0; 5][..],
            &[2, 1],
            &count(many),
            &partition.repeat(many),
            &[0, 0],
        ];
        // Topics without a name, of no partitions.
        let topics = [&[0; 5][..], &count(many), &[1, 1, 0].repeat(many), &[0]];
        // One marker each.
        let marker = [0; 11]
            .into_iter()
            .chain([1, 0, 0, 0, 0, 0])
            .collect::<Vec<u8>>();
        let markers = [&count(many)[..], &marker.repeat(many), &[0]];
        // Entries of quotas without entities.
        let quotas = [&count(many)[..], &[1, 1, 0].repeat(many), &[0, 0]];
        let entities = [
            &[2][..],
            &count(many),
            &[1, 0, 0].repeat(many),
            &[1, 0, 0, 0],
        ];
        let users = |name: &dyn Fn(usize) -> [u8; 4]| -> Vec<u8> {
            (0..many)
                .flat_map(|it| [&[5], &name(it)[..], &[1, 0]].concat())
                .collect()
        };
        let (same, other) = (
            users(&|_| *b"same"),
            users(&|it| format!("{it:04x}").into_bytes()[..4].try_into().unwrap()),
        );
        for (api, version, body) in [
            (45, 1, reassignments.concat()),
            (45, 1, topics.concat()),
            (27, 1, markers.concat()),
            (49, 1, quotas.concat()),
            (49, 1, entities.concat()),
            (51, 0, [&count(many)[..], &same, &[1, 0]].concat()),
            (51, 0, [&count(many)[..], &other, &[1, 0]].concat()),
        ] {
            let mut world = World::new();
            within_bounds(
                &mut world,
                Leg::Client,
                &request_of(api, version, true, &body),
            );
            assert_eq!(world.closed, None, "{api} v{version} of {many}");
            assert_eq!(frames(&world.to_client).len(), 1);
        }
    }
}
