//! Properties of the walker over bodies that nobody wrote: recorded ones with bytes changed, cut
//! out and put in, and plain noise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads its frames from files"
)]

mod walk_support;

use std::sync::LazyLock;

use bytes::{Buf as _, Bytes};
use doorkeeper_core::wire::malformed::Malformed;
use doorkeeper_core::wire::schema::{Direction, Message, Roles};
use doorkeeper_core::wire::walk::Value;
use kafka_protocol::messages as kafka;
use kafka_protocol::protocol::{Decodable, Encodable as _, Message as Versioned};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use walk_support::{Frame, Seen, frames, messages, walk, walk_chunks};

static FRAMES: LazyLock<Vec<Frame>> = LazyLock::new(frames);

/// One change of a body.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![0_u8, 1, 2, 0x7f, 0x80, 0xfe, 0xff])
    ];
    prop_oneof![
        4 => (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), byte).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn changed(body: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut body = body.to_vec();
    for change in changes {
        let len = body.len();
        match change {
            Change::Insert(at, byte) => body.insert(at.index(len + 1), *byte),
            _ if len == 0 => {}
            Change::Set(at, byte) => body[at.index(len)] = *byte,
            Change::Remove(at) => {
                body.remove(at.index(len));
            }
            Change::Cut(at) => body.truncate(at.index(len)),
        }
    }
    body
}

/// Cuts a body at these places.
fn chunks<'a>(body: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| &body[pair[0]..pair[1]])
        .collect()
}

/// Whether a walk in pieces is the walk in one piece, and stays inside of the body.
fn same_in_chunks(
    message: &'static Message,
    version: i16,
    body: &[u8],
    cuts: &[Index],
    interest: Roles,
) -> Result<Vec<Seen>, Malformed> {
    let whole = walk(message, version, body, interest);
    let pieces = walk_chunks(message, version, body.len(), interest, chunks(body, cuts));
    assert_eq!(pieces, whole);
    for seen in whole.iter().flatten() {
        if let Seen::Value(_, _, [start, data, end], value) = seen {
            assert!(start <= data && data <= end && *end <= body.len());
            assert!(*value == Value::Span || *value != Value::Null || data == end);
        }
    }
    whole
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn changed_bodies_are_read_the_same_in_any_chunks(
        frame in any::<Index>(),
        changes in vec(change(), 0..6),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let frame = frame.get(FRAMES.as_slice());
        let body = changed(&frame.body, &changes);
        let _ = same_in_chunks(frame.message, frame.version, &body, &cuts, Roles::ALL);
    }

    #[test]
    fn noise_is_read_the_same_in_any_chunks(
        message in any::<Index>(),
        version in any::<Index>(),
        body in vec(prop_oneof![any::<u8>(), 0..4_u8], 0..200),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let all: Vec<_> = messages().collect();
        let message = *message.get(&all);
        let versions = message.editions.iter().flat_map(|edition| edition.versions.iter());
        let versions: Vec<i16> = versions.collect();
        let version = *version.get(&versions);
        let _ = same_in_chunks(message, version, &body, &cuts, Roles::ALL);
    }

    /// What the walker lets pass, a decoder that was written by others reads to the same end.
    #[test]
    fn what_the_walker_accepts_another_decoder_reads_alike(
        frame in any::<Index>(),
        changes in vec(change(), 0..4),
    ) {
        let known: Vec<_> = FRAMES.iter().filter(|it| decoder(it).is_some()).collect();
        let frame = *frame.get(&known);
        let body = changed(&frame.body, &changes);
        let Ok(seen) = walk(frame.message, frame.version, &body, Roles::ALL) else {
            return Ok(());
        };
        // It also checks the text inside of strings, which is no business of a proxy.
        prop_assume!(is_text(&body, &seen));
        let end = decoder(frame).unwrap()(&body, frame.version);
        // It also rejects a tag that only other versions have, as Kafka does; a proxy forwards it.
        prop_assume!(!matches!(&end, Err(why) if why.contains(OTHER_VERSION)));
        let end = end.ok().map(Seen::Done);
        prop_assert_eq!(seen.last(), end.as_ref(), "{} {:x?}", frame.name(), body);
    }
}

fn is_text(body: &[u8], seen: &[Seen]) -> bool {
    seen.iter().all(|seen| {
        let Seen::Value(_, _, [_, data, end], Value::Span) = seen else {
            return true;
        };
        // Content of bytes and records is dropped here with that of strings: fewer cases, no harm.
        std::str::from_utf8(&body[*data..*end]).is_ok()
    })
}

/// How the other decoder says that a version does not have a tag.
const OTHER_VERSION: &str = "is not valid for version";

/// Reads a body; returns where it ended, or why it is not one.
type Decoder = fn(&[u8], i16) -> Result<usize, String>;

fn decode<T: Decodable>(body: &[u8], version: i16) -> Result<usize, String> {
    let mut bytes = Bytes::copy_from_slice(body);
    T::decode(&mut bytes, version).map_err(|why| why.to_string())?;
    Ok(body.len() - bytes.remaining())
}

/// The other decoder for the message and version of a frame, if it knows them.
fn decoder(frame: &Frame) -> Option<Decoder> {
    fn of<T: Decodable + Versioned>(version: i16) -> Option<Decoder> {
        let versions = T::VERSIONS;
        (versions.min <= version && version <= versions.max).then_some(decode::<T>)
    }
    let version = frame.version;
    match (frame.message.api_key, frame.message.direction) {
        (0, Direction::Request) => of::<kafka::ProduceRequest>(version),
        (0, Direction::Response) => of::<kafka::ProduceResponse>(version),
        (1, Direction::Request) => of::<kafka::FetchRequest>(version),
        (1, Direction::Response) => of::<kafka::FetchResponse>(version),
        (2, Direction::Request) => of::<kafka::ListOffsetsRequest>(version),
        (3, Direction::Request) => of::<kafka::MetadataRequest>(version),
        (3, Direction::Response) => of::<kafka::MetadataResponse>(version),
        (9, Direction::Response) => of::<kafka::OffsetFetchResponse>(version),
        (10, Direction::Response) => of::<kafka::FindCoordinatorResponse>(version),
        (11, Direction::Response) => of::<kafka::JoinGroupResponse>(version),
        (18, Direction::Response) => of::<kafka::ApiVersionsResponse>(version),
        (19, Direction::Request) => of::<kafka::CreateTopicsRequest>(version),
        (24, Direction::Request) => of::<kafka::AddPartitionsToTxnRequest>(version),
        (32, Direction::Response) => of::<kafka::DescribeConfigsResponse>(version),
        (60, Direction::Response) => of::<kafka::DescribeClusterResponse>(version),
        (69, Direction::Response) => of::<kafka::ConsumerGroupDescribeResponse>(version),
        (78, Direction::Response) => of::<kafka::ShareFetchResponse>(version),
        _ => None,
    }
}

/// Tag 1 of a Fetch is for versions from 15 on; with two more bytes it is empty.
#[test]
fn a_tag_of_another_version_passes_and_the_other_decoder_rejects_it() {
    let is_it = |it: &&Frame| it.message.api_key == 1 && it.version == 13;
    let mut fetches = FRAMES.iter().filter(is_it);
    let fetch = fetches
        .find(|it| it.message.direction == Direction::Request)
        .unwrap();
    let empty = kafka::FetchRequest::default();
    let mut body = bytes::BytesMut::new();
    empty.encode(&mut body, 13).unwrap();
    // The number of tags.
    assert_eq!(body.last(), Some(&0));
    let at = body.len() - 1;
    body.truncate(at);
    body.extend([1, 1, 0]);
    let seen = walk(fetch.message, 13, &body, Roles::ALL).unwrap();
    assert_eq!(seen.last(), Some(&Seen::Done(body.len())));
    let why = decode::<kafka::FetchRequest>(&body, 13).unwrap_err();
    assert!(why.contains(OTHER_VERSION), "{why}");
}

#[test]
fn the_other_decoder_reads_the_recorded_bodies_to_their_ends() {
    let mut count = 0;
    for frame in FRAMES.iter() {
        if let Some(decoder) = decoder(frame) {
            let end = decoder(&frame.body, frame.version);
            assert_eq!(end, Ok(frame.body.len()), "{}", frame.name());
            count += 1;
        }
    }
    assert!(count > 300, "only {count} frames");
}
