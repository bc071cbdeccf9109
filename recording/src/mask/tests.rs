//! Every message that Kafka's own classes have written, in pieces of every kind.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "another reading of a body looks at some of its steps"
)]

use std::fs;
use std::path::Path;

use doorkeeper_core::wire::schema::{APIS, Direction, Kind, Message, Role, Roles, message};
use doorkeeper_core::wire::walk::{Step, Value, Walker};

use super::*;

const KEY: Key = Key([7; 32]);

/// The bodies of a message, by version.
fn bodies(of: &Message) -> Vec<(i16, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/frames");
    let text = fs::read_to_string(root.join(format!("{}.txt", of.name))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let columns = lines.map(|line| line.splitn(4, '\t').collect::<Vec<_>>());
    columns
        .map(|it| (it[0].parse().unwrap(), from_hex(it[2])))
        .collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let frame = parts.concat();
    let len = i32::try_from(frame.len()).unwrap().to_be_bytes();
    [&len[..], &frame].concat()
}

/// A request with its header.
fn request(of: &Message, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let tags: &[u8] = match of.is_flexible(version) {
        // One tagged field that nobody knows: number 5, of three bytes.
        Some(true) => b"\x01\x05\x03\xa5\xa5\xa5",
        _ => b"",
    };
    let head = [&of.api_key.to_be_bytes()[..], &version.to_be_bytes()].concat();
    framed(&[&head, &id.to_be_bytes(), b"\x00\x02me", tags, body])
}

fn response(of: &Message, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let flexible = of.is_flexible(version) == Some(true) && of.name != "ApiVersionsResponse";
    let tags: &[u8] = if flexible { b"\x00" } else { b"" };
    framed(&[&id.to_be_bytes(), tags, body])
}

/// The masks of bytes in chunks of a size, joined.
fn in_chunks(bytes: &[u8], size: usize, mut take: impl FnMut(&[u8]) -> Pieces) -> Vec<Option<u8>> {
    let mut all = Vec::new();
    for chunk in bytes.chunks(size) {
        let pieces = take(chunk);
        assert_eq!(pieces.byte_count(), chunk.len());
        all.extend(kept(&pieces, chunk));
    }
    all
}

/// Byte by byte: those that are kept.
fn kept(pieces: &Pieces, of: &[u8]) -> Vec<Option<u8>> {
    let text = serde_json::to_value(pieces).unwrap();
    let filled = pieces.filled();
    let mut all = Vec::new();
    for piece in text.as_array().unwrap() {
        match piece.get("mask").and_then(serde_json::Value::as_u64) {
            Some(count) => all.extend((0..count).map(|_| None)),
            None => {
                let escapes = piece.as_str().unwrap().matches('%').count();
                let count = piece.as_str().unwrap().len() - 2 * escapes;
                let from = all.len();
                let kept = &filled[from..from + count];
                assert_eq!(kept, &of[from..from + count]);
                all.extend(kept.iter().copied().map(Some));
            }
        }
    }
    all
}

/// For each byte of a body whether it is content that core could look at, by another walk, which
/// has all of the body before it.
fn expected(of: &'static Message, version: i16, body: &[u8]) -> Vec<bool> {
    let mut kept = vec![true; body.len()];
    let mut walker = Walker::new(of, version, body.len(), Roles::ALL).unwrap();
    let mut input = body;
    loop {
        match walker.step(&mut input).unwrap() {
            Step::Value(found) if found.value == Value::Span => {
                let inner = match found.field.kind {
                    Kind::Array(kind) => *kind,
                    kind => kind,
                };
                let hidden = !matches!(inner, Kind::String)
                    || matches!(found.role, Role::Opaque | Role::Secret | Role::AuthBytes)
                        && !found.field.name.starts_with("ClientSoftware")
                    || found.role == Role::ConfigValue && of.direction == Direction::Request;
                kept[found.data..found.end].fill(!hidden);
            }
            Step::Done { at } => {
                kept[at..].fill(false);
                return kept;
            }
            _ => {}
        }
    }
}

/// The bytes that the recorded frames put into tagged fields that no schema knows.
const UNKNOWN_TAGS: [&[u8]; 2] = [&[1, 2, 3], &[0xa5, 0xa5, 0xa5]];

#[test]
fn of_every_message_only_what_core_could_read_is_kept() {
    let mut seen = 0;
    for api in APIS {
        let ask = api.request;
        for (version, body) in bodies(ask) {
            let frame = request(ask, version, 5, &body);
            let masks = [1, 3, 7, frame.len()].map(|size| {
                let mut connection = Connection::new(KEY);
                in_chunks(&frame, size, |chunk| connection.requests(chunk))
            });
            assert!(
                masks.iter().all(|it| *it == masks[0]),
                "{} v{version}",
                ask.name
            );
            compare(ask, version, &body, &masks[0]);
            seen += 1;
        }
        for (version, body) in bodies(api.response) {
            let mut connection = Connection::new(KEY);
            connection
                .owed
                .push_back(RequestHead::read(head(api.key, version, 5)));
            let frame = response(api.response, version, 5, &body);
            let mask = in_chunks(&frame, 1, |chunk| connection.responses(chunk));
            assert!(connection.owed.is_empty());
            compare(api.response, version, &body, &mask);
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
}

fn head(api: i16, version: i16, id: i32) -> [u8; 8] {
    let parts = [
        &api.to_be_bytes()[..],
        &version.to_be_bytes(),
        &id.to_be_bytes(),
    ];
    parts.concat().try_into().unwrap()
}

/// Compares what is kept of a body with another reading of it: the same but for unknown tagged
/// fields, which that one does not see.
fn compare(of: &'static Message, version: i16, body: &[u8], mask: &[Option<u8>]) {
    let of_body = &mask[mask.len() - body.len()..];
    let expected = expected(of, version, body);
    for (at, (kept, expected)) in of_body.iter().zip(&expected).enumerate() {
        if kept.is_some() != *expected {
            let unknown = |tag: &&[u8]| {
                let from = at.saturating_sub(tag.len() - 1);
                (from..=at).any(|from| body[from..].starts_with(tag))
            };
            let name = of.name;
            assert!(kept.is_none(), "{name} v{version} keeps byte {at}");
            assert!(
                UNKNOWN_TAGS.iter().any(unknown),
                "{name} v{version} masks byte {at}"
            );
        }
    }
}

#[test]
fn a_header_is_kept_but_for_the_content_of_unknown_tagged_fields() {
    let of = message(12, Direction::Request).unwrap();
    let frame = request(of, 4, 5, &bodies(of).last().unwrap().1);
    let mut connection = Connection::new(KEY);
    let mask = in_chunks(&frame, 2, |chunk| connection.requests(chunk));
    // Length, head, client id, count, number and size; then the content.
    let header: Vec<bool> = mask[..22].iter().map(Option::is_some).collect();
    assert_eq!(header, [[true; 19].as_slice(), &[false; 3]].concat());
}

#[test]
fn a_value_ends_with_a_fingerprint_of_all_of_it() {
    let of = message(36, Direction::Request).unwrap();
    let token = b"\0alice\0secret";
    let body = [&13_i32.to_be_bytes()[..], token].concat();
    let frame = request(of, 1, 5, &body);
    let hash = |size: usize, key| {
        let mut connection = Connection::new(key);
        let last = frame
            .chunks(size)
            .map(|chunk| connection.requests(chunk))
            .last();
        let text = serde_json::to_string(&last.unwrap()).unwrap();
        assert!(
            !text.contains("alice") && !text.contains("secret"),
            "{text}"
        );
        text.split_once("hash").unwrap().1.to_owned()
    };
    assert_eq!(hash(1, KEY), hash(frame.len(), KEY));
    assert_ne!(hash(1, KEY), hash(1, Key([8; 32])));
}

#[test]
fn of_bare_tokens_behind_an_old_handshake_length_and_two_bytes_are_kept() {
    let of = message(17, Direction::Request).unwrap();
    let handshake = request(of, 0, 5, b"\0\x05PLAIN");
    let token = framed(&[b"\0alice\0secret"]);
    let bytes = [&*handshake, &*token].concat();
    let mut connection = Connection::new(KEY);
    let mask = in_chunks(&bytes, 1, |chunk| connection.requests(chunk));
    let kept = handshake.len() + 6;
    assert!(mask[..kept].iter().all(Option::is_some));
    assert!(mask[kept..].iter().all(Option::is_none));
}

#[test]
fn a_response_to_something_else_is_kept_up_to_its_head() {
    let of = message(12, Direction::Response).unwrap();
    let frame = response(of, 4, 6, &bodies(of).last().unwrap().1);
    for owed in [None, Some(RequestHead::read(head(12, 4, 5)))] {
        let mut connection = Connection::new(KEY);
        connection.owed.extend(owed);
        let mask = in_chunks(&frame.repeat(2), 5, |chunk| connection.responses(chunk));
        assert!(mask[..8].iter().all(Option::is_some));
        assert!(mask[8..].iter().all(Option::is_none));
    }
}

#[test]
fn what_is_no_frame_is_kept_up_to_its_length() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"[..],
        b"\xff\xff\xff\xffsecret",
        b"\0\0\0\x03secret",
    ] {
        let mut connection = Connection::new(KEY);
        connection.limit(&Limits::default());
        let mask = in_chunks(bytes, 3, |chunk| connection.requests(chunk));
        assert!(mask[..4].iter().all(Option::is_some));
        assert!(mask[4..].iter().all(Option::is_none));
    }
}

#[test]
fn a_body_that_breaks_its_schema_is_kept_up_to_there() {
    // A Produce whose transactional id claims more than there is.
    let of = message(0, Direction::Request).unwrap();
    let frame = request(of, 3, 5, b"\x7f\xffsecret");
    let mut connection = Connection::new(KEY);
    let mask = in_chunks(&frame, 1, |chunk| connection.requests(chunk));
    let kept = mask.iter().filter(|it| it.is_some()).count();
    assert_eq!(kept, frame.len() - b"secret".len());
}
