//! Every recorded body of every API and version on its way through a session: requests pass to
//! the byte, responses come out the same whatever the chunks, no host but ours is in them, texts
//! that name a host of the cluster do not, and all else stays as it was.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test may panic, reads its frames from files, and shares its helpers"
)]

#[path = "session/harness.rs"]
mod harness;
mod walk_support;

use std::collections::BTreeSet;

use doorkeeper_core::api::{Access, OfferedApis};
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::rewrite::KnownHosts;
use doorkeeper_core::topology::{DialMap, Topology};
use doorkeeper_core::wire::schema::{APIS, Api, Message, Role, Roles};
use doorkeeper_core::wire::walk::Value;
use doorkeeper_core::{CloseReason, Route, Snapshot};
use harness::{World, at, framed, frames, snapshot};
use walk_support::{Frame, Seen, frames_of, walk};

const API_VERSIONS: i16 = 18;
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const SHARE_FETCH: i16 = 78;
const ID: i32 = 7;

/// With this much more behind its body a response to a Fetch is streamed instead of buffered.
const LONG_TAIL: usize = 70_000;

fn offered() -> OfferedApis {
    OfferedApis::with(APIS.iter().map(|api| ApiKey(api.key))).altering_brokers(true)
}

fn world(with: Snapshot) -> World {
    World::with(
        Snapshot {
            offered: offered(),
            ..with
        },
        Route::Bootstrap,
    )
}

fn header_is_flexible(api: &Api, version: i16) -> bool {
    api.key != API_VERSIONS && api.response.is_flexible(version).unwrap()
}

fn response_frame(api: &Api, frame: &Frame, tail: usize) -> Vec<u8> {
    let mut out = ID.to_be_bytes().to_vec();
    if header_is_flexible(api, frame.version) {
        out.push(0);
    }
    out.extend(&frame.body);
    out.resize(out.len() + tail, 0);
    framed(&out)
}

/// The body of the one response that the client got.
fn body(api: &Api, version: i16, world: &World) -> Vec<u8> {
    let all = frames(&world.to_client);
    assert_eq!(all.len(), 1);
    all[0][4 + usize::from(header_is_flexible(api, version))..].to_vec()
}

/// A request that the broker responds to, for the responses of this version.
fn asking(api: &Api, version: i16) -> Vec<u8> {
    let gets_response = |frame: &Frame| api.key != PRODUCE || frame.json["acks"] != 0;
    let found = frames_of(api.request)
        .into_iter()
        .filter(|frame| frame.version == version && gets_response(frame))
        .map(|frame| framed(&frame.request(api, ID)))
        .find(|bytes| {
            let mut world = world(snapshot());
            world.client(bytes);
            world.closed.is_none()
        });
    found.unwrap_or_else(|| panic!("no request for {} v{version}", api.name))
}

/// Every API and version that clients may be offered.
fn rows() -> impl Iterator<Item = (&'static Api, i16)> {
    let offered = offered();
    APIS.iter().flat_map(move |api| {
        let api: &'static Api = api;
        // What is denied, no broker sees (`denials.rs`): of all APIs, the two that log in.
        let row = offered.get(ApiKey(api.key));
        let row = row.filter(|row| row.access == Access::All);
        let versions = row.map(|row| row.versions.iter().collect::<Vec<_>>());
        versions
            .into_iter()
            .flatten()
            .map(move |version| (api, version))
    })
}

fn recorded(message: &'static Message, version: i16) -> Vec<Frame> {
    let all = frames_of(message).into_iter();
    all.filter(|frame| frame.version == version).collect()
}

/// The lengths behind a response's body: with the longer one a response of records is followed.
fn tails(api: &Api) -> &'static [usize] {
    if matches!(api.key, FETCH | SHARE_FETCH) {
        &[0, LONG_TAIL]
    } else {
        &[0]
    }
}

#[test]
fn requests_pass_to_the_byte_whatever_the_chunks() {
    let mut passed = 0;
    for (api, version) in rows() {
        for frame in recorded(api.request, version) {
            let sent = framed(&frame.request(api, ID));
            for chunk in [1, 3, 11, usize::MAX] {
                let mut world = world(snapshot());
                world.chunk = chunk;
                world.client(&sent);
                match world.closed {
                    None => assert!(world.to_upstream == sent, "{} in {chunk}", frame.name()),
                    // Only a request that speaks as a replica closes.
                    Some(CloseReason::Client(ClientFault::ReplicaRequest(_))) => {}
                    Some(other) => panic!("{}: {other}", frame.name()),
                }
                passed += usize::from(world.closed.is_none());
            }
        }
    }
    assert!(passed > 4000, "{passed}");
}

#[test]
fn responses_are_the_same_whatever_the_chunks_and_contain_no_host_but_ours() {
    let mut edited = BTreeSet::new();
    for (api, version) in rows() {
        let ask = asking(api, version);
        for frame in recorded(api.response, version) {
            for tail in tails(api) {
                let response = response_frame(api, &frame, *tail);
                let (head, behind) = response.split_at(response.len() - tail);
                let mut first: Option<Vec<u8>> = None;
                for chunk in [1, 2, 3, 7, 16, usize::MAX] {
                    let mut world = world(snapshot());
                    world.client(&ask);
                    world.chunk = chunk;
                    world.upstream(head);
                    world.chunk = usize::MAX;
                    world.upstream(behind);
                    assert_eq!(world.closed, None, "{} in {chunk}", frame.name());
                    let before = first.get_or_insert_with(|| world.to_client.clone());
                    assert!(*before == world.to_client, "{} in {chunk}", frame.name());
                    if world.to_client != response {
                        edited.insert(api.name);
                    }
                    let body = body(api, version, &world);
                    let seen = walk(api.response, version, &body, Roles::ALL).unwrap();
                    for host in hosts(&seen, &body) {
                        assert!(host.is_empty() || host == "doorkeeper.example", "{host}");
                    }
                }
            }
        }
    }
    // Configurations of brokers have tests of their own: no recorded one names an address.
    let edited_apis = [
        "ApiVersions",
        "DescribeCluster",
        "DescribeQuorum",
        "Fetch",
        "FindCoordinator",
        "Metadata",
        "Produce",
        "ShareAcknowledge",
        "ShareFetch",
    ];
    for name in edited_apis {
        assert!(edited.contains(name), "{name} was never edited: {edited:?}");
    }
}

fn hosts(seen: &[Seen], body: &[u8]) -> Vec<String> {
    let host = |seen: &Seen| match seen {
        Seen::Value(_, Role::Host, [_, data, end], Value::Span) => {
            Some(String::from_utf8_lossy(&body[*data..*end]).into_owned())
        }
        _ => None,
    };
    seen.iter().filter_map(host).collect()
}

/// All values that nobody has to edit, with their names and roles.
fn plain(seen: &[Seen], body: &[u8]) -> Vec<(&'static str, Role, Option<Vec<u8>>)> {
    let value = |seen: &Seen| match seen {
        Seen::Value(
            _,
            Role::Host
            | Role::Port
            | Role::EndpointId
            | Role::ControllerId
            | Role::ConfigValue
            | Role::IsSensitive,
            ..,
        ) => None,
        Seen::Value(name, role, _, Value::Null) => Some((*name, *role, None)),
        Seen::Value(name, role, [_, data, end], _) => {
            Some((*name, *role, Some(body[*data..*end].to_vec())))
        }
        _ => None,
    };
    seen.iter().filter_map(value).collect()
}

/// The recorded texts are random letters. Those of error messages become names with a dot, or bytes
/// that are no text where they are too short for that.
fn name_hosts(frame: &mut Frame) {
    let seen = walk(frame.message, frame.version, &frame.body, Roles::ALL).unwrap();
    for one in &seen {
        if let Seen::Value(_, Role::ErrorMessage, [_, data, end], Value::Span) = one {
            match &mut frame.body[*data..*end] {
                [_, dot, _, ..] => *dot = b'.',
                [first, ..] => *first = 0xff,
                [] => {}
            }
        }
    }
}

#[test]
fn every_text_that_names_a_host_is_redacted_and_nothing_else_is_changed() {
    let (mut texts, mut others) = (BTreeSet::new(), 0);
    for (api, version) in rows() {
        if matches!(api.key, API_VERSIONS) {
            continue;
        }
        let ask = asking(api, version);
        for mut frame in recorded(api.response, version) {
            name_hosts(&mut frame);
            let before = walk(api.response, version, &frame.body, Roles::ALL).unwrap();
            let before = plain(&before, &frame.body);
            let secret = before
                .iter()
                .filter(|(_, role, _)| *role == Role::ErrorMessage);
            let secret: Vec<String> = secret
                .filter_map(|(.., text)| String::from_utf8(text.clone()?).ok())
                .filter(|text| {
                    format!("{text}:1")
                        .parse::<doorkeeper_core::id::HostPort>()
                        .is_ok()
                })
                .collect();
            for tail in tails(api) {
                let known: Vec<_> = secret.iter().map(|host| at(&format!("{host}:1"))).collect();
                let mut world = world(Snapshot {
                    known_hosts: KnownHosts::new(&known, &DialMap::default(), &Topology::default()),
                    ..snapshot()
                });
                world.client(&ask);
                world.chunk = 1000;
                world.upstream(&response_frame(api, &frame, *tail));
                assert_eq!(world.closed, None, "{}", frame.name());
                let body = body(api, version, &world);
                let after = walk(api.response, version, &body, Roles::ALL).unwrap();
                let after = plain(&after, &body);
                if after.len() != before.len() {
                    // An endpoint without an address of ours was left out whole.
                    continue;
                }
                for (now, was) in after.iter().zip(&before) {
                    let named = was.1 == Role::ErrorMessage
                        && was.2.as_ref().is_some_and(|text| {
                            let is_text = std::str::from_utf8(text).is_ok();
                            !is_text || secret.iter().any(|host| host.as_bytes() == text)
                        });
                    if named {
                        assert_ne!(now.2, was.2, "{} {}", frame.name(), was.0);
                        texts.insert(api.name);
                    } else if was.1 != Role::ErrorMessage && was.1 != Role::ErrorCode {
                        assert_eq!(now, was, "{}", frame.name());
                        others += 1;
                    }
                }
            }
        }
    }
    assert!(texts.len() >= 20, "{texts:?}");
    assert!(others > 5000, "{others}");
}
