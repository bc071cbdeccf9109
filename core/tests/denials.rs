//! APIs that clients are not allowed: they are advertised, and a request is answered here with
//! Kafka's own error, in the shape that its API has for it.

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

use bytes::Bytes;
use doorkeeper_core::api::{Access, Offered, Offering, offering};
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::id::{ApiKey, ApiVersion};
use doorkeeper_core::wire::schema::{APIS, Api, Message, Role, Roles};
use doorkeeper_core::wire::walk::Value;
use doorkeeper_core::{CloseReason, Input, Leg, Route};
use harness::{World, answer, counts, decoded, framed, frames, request, shared};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::*;
use walk_support::{Frame, Seen, frames_of, walk};

const CHUNKS: [usize; 4] = [1, 7, 100, usize::MAX];
const ID: i32 = 7;

/// What a response names again of what its request names.
const NAMES: [Role; 7] = [
    Role::ProducerId,
    Role::TopicName,
    Role::PartitionIndex,
    Role::Principal,
    Role::QuotaEntity,
    Role::ResourceName,
    Role::CoordinatorKey,
];

fn sent(api: &Api, frame: &Frame) -> Vec<u8> {
    let mut out = [api.key.to_be_bytes(), frame.version.to_be_bytes()].concat();
    out.extend(ID.to_be_bytes());
    out.extend((-1_i16).to_be_bytes());
    if api.request.is_flexible(frame.version).unwrap() {
        out.push(0);
    }
    out.extend(&frame.body);
    framed(&out)
}

/// The steps of a whole body, which must end where the schema says that it does.
fn read(message: &'static Message, version: i16, body: &[u8]) -> Vec<Seen> {
    let seen = walk(message, version, body, Roles::ALL).unwrap();
    assert_eq!(
        seen.last(),
        Some(&Seen::Done(body.len())),
        "{}",
        message.name
    );
    seen
}

fn errors(seen: &[Seen]) -> BTreeSet<i64> {
    let code = |seen: &Seen| match seen {
        Seen::Value(_, Role::ErrorCode, _, Value::Int(code)) => Some(*code),
        _ => None,
    };
    seen.iter().filter_map(code).collect()
}

/// The names of one meaning, in order; a partition's number may stand in an array of numbers.
fn named(seen: &[Seen], body: &[u8], wanted: Role) -> Vec<Vec<u8>> {
    let name = |seen: &Seen| match seen {
        Seen::Value(_, role, _, Value::Int(int)) if *role == wanted => {
            Some(int.to_be_bytes().to_vec())
        }
        Seen::Value(_, Role::Partitions, _, Value::Int(int)) if wanted == Role::PartitionIndex => {
            Some(int.to_be_bytes().to_vec())
        }
        Seen::Value(_, role, [_, data, end], Value::Span) if *role == wanted => {
            Some(body[*data..*end].to_vec())
        }
        _ => None,
    };
    seen.iter().filter_map(name).collect()
}

/// The body of the one response, once a request has come in pieces of `chunk` bytes.
fn denied(api: &Api, frame: &Frame, chunk: usize) -> Vec<u8> {
    let mut world = World::with(shared(), Route::Bootstrap);
    world.chunk = chunk;
    world.client(&sent(api, frame));
    assert_eq!(world.closed, None, "{}", frame.name());
    assert!(world.to_upstream.is_empty() && world.targets.is_empty());
    let all = frames(&world.to_client);
    assert_eq!(all.len(), 1, "{}", frame.name());
    assert_eq!(all[0][..4], ID.to_be_bytes());
    let flexible = api.response.is_flexible(frame.version).unwrap();
    all[0][4 + usize::from(flexible)..].to_vec()
}

/// Holds the names of a response against those of its request; tells whose it has.
fn names_again(api: &Api, frame: &Frame, told: &[Seen], body: &[u8]) -> Vec<Role> {
    // Tokens are of the client itself, and Kafka names no user that may not be read.
    if matches!(
        api.name,
        "CreateDelegationToken" | "DescribeUserScramCredentials"
    ) {
        return Vec::new();
    }
    let seen = read(api.request, frame.version, &frame.body);
    let is_renamed = |role: &Role| {
        let again = named(told, body, *role);
        let mut asked = named(&seen, &frame.body, *role);
        if api.name == "AlterUserScramCredentials" {
            asked = asked
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        assert!(
            again.is_empty() || again == asked,
            "{} {role:?}",
            frame.name()
        );
        !again.is_empty()
    };
    NAMES.into_iter().filter(is_renamed).collect()
}

#[test]
fn every_recorded_request_of_a_denied_api_is_answered_with_its_error_and_what_it_names() {
    let (mut answered, mut renamed) = (BTreeSet::new(), BTreeSet::new());
    for api in APIS {
        let Some(row) = Offered::default().row(ApiKey(api.key)) else {
            continue;
        };
        let Access::Denied(denial) = row.access else {
            continue;
        };
        let expected = BTreeSet::from([i64::from(denial.error_code)]);
        let recorded = frames_of(api.request).into_iter();
        for frame in recorded.filter(|frame| row.versions.contains(frame.version)) {
            for chunk in CHUNKS {
                let body = denied(api, &frame, chunk);
                let told = read(api.response, frame.version, &body);
                let codes = errors(&told);
                assert!(
                    codes.is_empty() || codes == expected,
                    "{}: {codes:?}",
                    frame.name()
                );
                if !codes.is_empty() {
                    answered.insert((api.name, frame.version));
                }
                let roles = names_again(api, &frame, &told, &body).into_iter();
                renamed.extend(roles.map(|role| (api.name, role)));
            }
        }
        for version in row.versions.iter() {
            assert!(
                answered.contains(&(api.name, version)),
                "{} v{version}",
                api.name
            );
        }
    }
    let named: BTreeSet<&str> = renamed.iter().map(|(name, _)| *name).collect();
    let all = [
        "AlterClientQuotas",
        "AlterPartitionReassignments",
        "AlterReplicaLogDirs",
        "AlterUserScramCredentials",
        "ElectLeaders",
        "WriteTxnMarkers",
    ];
    assert_eq!(named, BTreeSet::from(all));
    for role in [Role::ProducerId, Role::TopicName, Role::PartitionIndex] {
        assert!(renamed.contains(&("WriteTxnMarkers", role)));
    }
}

#[test]
fn every_api_that_has_to_be_named_is_denied_with_an_error_but_for_one_that_cannot_be_encoded() {
    for api in APIS {
        let key = ApiKey(api.key);
        let row = Offered::default().row(key);
        match offering(key).unwrap() {
            Offering::Always => assert!(!matches!(row.unwrap().access, Access::Denied(_))),
            Offering::ByName if api.name == "UnregisterController" => assert!(row.is_none()),
            Offering::ByName => {
                assert!(
                    matches!(row.unwrap().access, Access::Denied(_)),
                    "{}",
                    api.name
                );
                assert_eq!(Offered::with([key]).row(key).unwrap().access, Access::All);
            }
            Offering::Login => {
                let named = Offered::with([key]).row(key);
                assert!(
                    matches!(named.unwrap().access, Access::Denied(_)),
                    "{}",
                    api.name
                );
            }
            Offering::Never => assert!(row.is_none() && Offered::with([key]).row(key).is_none()),
        }
    }
}

fn markers() -> WriteTxnMarkersRequest {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(TopicName("t".to_string().into()))
        .with_partition_indexes(vec![4]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(9))
        .with_topics(vec![topic]);
    WriteTxnMarkersRequest::default().with_markers(vec![marker])
}

#[test]
fn write_txn_markers_goes_up_where_it_is_allowed_by_name() {
    let mut allowed = shared();
    allowed.offered = Offered::with([ApiKey(27)]);
    let mut world = World::with(allowed, Route::Bootstrap);
    let sent = request(27, 1, 1, &markers());
    world.client(&sent);
    assert_eq!(world.to_upstream, sent);
}

/// What has been read of it was judged already.
#[test]
fn a_request_that_is_held_is_judged_anew_by_what_a_new_snapshot_offers() {
    let elections = request(43, 2, ID, &ElectLeadersRequest::default());
    let brokers = altering(1, &[(BROKER, "1")]);
    for (api, sent) in [
        (27, request(27, 1, ID, &markers())),
        (43, elections),
        (44, brokers),
    ] {
        let denied = Offered::default();
        let allowed = Offered::with([ApiKey(api)]).altering_brokers(api == 44);
        for is_allowed in [true, false] {
            let (before, after) = if is_allowed {
                (&denied, &allowed)
            } else {
                (&allowed, &denied)
            };
            for cut in 1..sent.len() {
                for chunk in CHUNKS {
                    let mut first = shared();
                    first.offered = before.clone();
                    let mut world = World::with(first, Route::Bootstrap);
                    world.chunk = chunk;
                    world.client(&sent[..cut]);
                    if !world.session.egress(Leg::Upstream).is_empty() {
                        // Nothing more is read of a request that may pass.
                        assert!(!is_allowed, "{api} cut at {cut}");
                        continue;
                    }
                    world.renew(|shared| shared.offered = after.clone());
                    world.client(&sent[cut..]);
                    assert_eq!(world.closed, None);
                    let up = if is_allowed { sent.as_slice() } else { &[] };
                    assert_eq!(world.to_upstream, up, "{api} cut at {cut}");
                    assert_eq!(world.to_client.is_empty(), is_allowed, "{api} cut at {cut}");
                }
            }
        }
    }
}

#[test]
fn a_request_that_is_judged_anew_keeps_no_more_alive_than_is_counted() {
    let sent = request(43, 2, ID, &ElectLeadersRequest::default());
    // All but the end of its timeout.
    let begun = &sent[..sent.len() - 2];
    let heartbeats = request(12, 0, 1, &HeartbeatRequest::default()).repeat(2);
    let chunk = Bytes::from([&heartbeats, begun].concat());
    let mut allowed = shared();
    allowed.offered = Offered::with([ApiKey(43)]);
    let mut world = World::with(allowed, Route::Bootstrap);
    let (leg, bytes) = (Leg::Client, chunk.clone());
    world.input(Input::Bytes { leg, bytes });
    assert_eq!(world.session.held_bytes().requests, chunk.len());
    assert!(!chunk.is_unique());
    world.renew(|shared| shared.offered = Offered::default());
    assert_eq!(world.session.held_bytes().requests, begun.len());
    assert!(chunk.is_unique());
}

#[test]
fn a_denial_waits_for_its_turn() {
    let mut world = World::new();
    let groups = request(16, 0, 1, &ListGroupsRequest::default());
    let acls = request(29, 1, 2, &DescribeAclsRequest::default());
    world.client(&[groups, acls].concat());
    assert!(world.to_client.is_empty());
    world.upstream(&answer(0, 1, &ListGroupsResponse::default()));
    let all = frames(&world.to_client);
    assert_eq!((all.len(), &all[1][..4]), (2, &2_i32.to_be_bytes()[..]));
    // Throttled for no time, SECURITY_DISABLED.
    assert_eq!(all[1][4..10], [0, 0, 0, 0, 0, 54]);
}

#[test]
fn a_denied_request_that_does_not_follow_its_schema_closes() {
    let mut sent = request(27, 1, 1, &markers());
    let end = sent.len();
    // The count of markers stands behind the header's end.
    sent[end - 25..].fill(0xff);
    let mut world = World::new();
    world.client(&sent);
    let Some(CloseReason::Client(ClientFault::Malformed(api, ..))) = world.closed else {
        panic!("{:?}", world.closed)
    };
    assert_eq!(api, ApiKey(27));
}

#[test]
fn a_denied_request_that_is_too_long_to_be_answered_closes_before_it_is_held() {
    let length = 64 * 1024 - 3_i32;
    let mut head = length.to_be_bytes().to_vec();
    head.extend([0, 27, 0, 1, 0, 0, 0, 1]);
    let mut world = World::new();
    world.client(&head);
    let fault = ClientFault::RefusedUntold(ApiKey(27), ApiVersion(1));
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));
    let mut world = World::new();
    head[..4].copy_from_slice(&(length - 1).to_be_bytes());
    world.client(&head);
    assert_eq!(world.closed, None);
}

fn coordinator(version: i16, kind: i8) -> Vec<u8> {
    let body = FindCoordinatorRequest::default().with_key_type(kind);
    let body = if version >= 4 {
        body.with_coordinator_keys(vec!["g:topic:0".into(), "g:topic:1".into()])
    } else {
        body.with_key("g:topic:0".into())
    };
    request(10, version, ID, &body)
}

#[test]
fn a_share_coordinator_is_for_brokers_to_find() {
    for chunk in CHUNKS {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&coordinator(6, 2));
        assert_eq!(world.closed, None);
        assert!(world.to_upstream.is_empty() && world.targets.is_empty());
        let (id, told) = decoded::<FindCoordinatorResponse>(6, &world.to_client);
        assert_eq!(id, ID);
        let keys: Vec<&str> = told.coordinators.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["g:topic:0", "g:topic:1"]);
        for it in &told.coordinators {
            assert_eq!((it.error_code, it.node_id.0, it.port), (31, -1, -1));
            assert!(it.host.is_empty());
        }
    }
}

#[test]
fn any_other_coordinator_is_asked_of_the_broker() {
    // Below version 6 a broker itself says that there is no such kind.
    for (version, kind) in [
        (6, 0),
        (6, 1),
        (6, 3),
        (5, 2),
        (4, 2),
        (3, 2),
        (1, 2),
        (3, 0),
    ] {
        for chunk in CHUNKS {
            let mut world = World::new();
            world.chunk = chunk;
            let sent = coordinator(version, kind);
            world.client(&sent);
            assert_eq!(world.to_upstream, sent, "v{version} of {kind}");
        }
    }
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

fn altering(version: i16, resources: &[(i8, &str)]) -> Vec<u8> {
    let resource = |(kind, name): &(i8, &str)| {
        let config = AlterableConfig::default()
            .with_name("some.config".into())
            .with_value(Some("a value".into()));
        AlterConfigsResource::default()
            .with_resource_type(*kind)
            .with_resource_name(name.to_string().into())
            .with_configs(vec![config])
    };
    let body = IncrementalAlterConfigsRequest::default()
        .with_resources(resources.iter().map(resource).collect())
        .with_validate_only(true);
    request(44, version, ID, &body)
}

/// Type, name and error of each resource.
fn altered(version: i16, bytes: &[u8]) -> Vec<(i8, String, i16)> {
    let (id, told) = decoded::<IncrementalAlterConfigsResponse>(version, bytes);
    assert_eq!(id, ID);
    let told = told.responses.into_iter();
    told.map(|it| {
        (
            it.resource_type,
            it.resource_name.to_string(),
            it.error_code,
        )
    })
    .collect()
}

#[test]
fn configs_of_brokers_are_not_altered_and_those_of_others_are() {
    for version in 0..=1 {
        for chunk in CHUNKS {
            let mut world = World::new();
            world.chunk = chunk;
            world.client(&altering(
                version,
                &[(BROKER, "1"), (BROKER_LOGGER, "1"), (BROKER, "")],
            ));
            assert!(world.to_upstream.is_empty() && world.targets.is_empty());
            let expected = [(BROKER, "1"), (BROKER_LOGGER, "1"), (BROKER, "")];
            let expected = expected.map(|(kind, name)| (kind, name.to_owned(), 31));
            assert_eq!(altered(version, &world.to_client), expected);

            let mut world = World::new();
            world.chunk = chunk;
            let sent = altering(version, &[(TOPIC, "t"), (GROUP, "g")]);
            world.client(&sent);
            assert_eq!(world.to_upstream, sent);
        }
    }
}

#[test]
fn configs_of_topics_groups_and_client_metrics_are_altered_and_of_no_other_type() {
    for kind in i8::MIN..=i8::MAX {
        let mut world = World::new();
        let sent = altering(1, &[(kind, "a"), (TOPIC, "t")]);
        world.client(&sent);
        let up = if [TOPIC, CLIENT_METRICS, GROUP].contains(&kind) {
            sent
        } else {
            altering(1, &[(TOPIC, "t")])
        };
        assert_eq!(world.to_upstream, up, "{kind}");
    }
}

#[test]
fn brokers_are_cut_from_a_request_that_alters_others_as_well() {
    for version in 0..=1 {
        for chunk in CHUNKS {
            let mut world = World::new();
            world.chunk = chunk;
            world.client(&altering(
                version,
                &[
                    (BROKER, "1"),
                    (TOPIC, "t"),
                    (BROKER_LOGGER, "2"),
                    (GROUP, "g"),
                ],
            ));
            assert_eq!(
                world.to_upstream,
                altering(version, &[(TOPIC, "t"), (GROUP, "g")])
            );
            let own = |kind, name: &str| {
                incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name.to_string().into())
            };
            let told = IncrementalAlterConfigsResponse::default()
                .with_responses(vec![own(TOPIC, "t"), own(GROUP, "g")]);
            world.upstream(&answer(version, ID, &told));
            let mut told = altered(version, &world.to_client);
            told.sort();
            let expected = [
                (TOPIC, "t", 0),
                (BROKER, "1", 31),
                (BROKER_LOGGER, "2", 31),
                (GROUP, "g", 0),
            ];
            let expected = expected.map(|(kind, name, code)| (kind, name.to_owned(), code));
            assert_eq!(told, expected, "{version} in {chunk}");
        }
    }
}

#[test]
fn the_older_api_is_denied_in_its_own_shape() {
    for version in 0..=2 {
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name("3".into());
        let body = AlterConfigsRequest::default().with_resources(vec![resource]);
        let mut world = World::new();
        world.client(&request(33, version, ID, &body));
        let (_, told) = decoded::<AlterConfigsResponse>(version, &world.to_client);
        let it: &AlterConfigsResourceResponse = &told.responses[0];
        assert_eq!(
            (it.resource_type, it.resource_name.as_str(), it.error_code),
            (BROKER, "3", 31)
        );
    }
}

#[test]
fn brokers_are_altered_where_the_configuration_says_so() {
    let mut allowed = shared();
    allowed.offered = Offered::default().altering_brokers(true);
    let mut world = World::with(allowed, Route::Bootstrap);
    let sent = altering(1, &[(BROKER, "1"), (TOPIC, "t")]);
    world.client(&sent);
    assert_eq!(world.to_upstream, sent);
}

#[test]
fn apis_that_alter_brokers_are_not_opened_by_their_names() {
    let named = Offered::with([ApiKey(33), ApiKey(44)]);
    for key in [33, 44] {
        let access = |offered: &Offered| offered.row(ApiKey(key)).unwrap().access;
        assert_eq!(access(&named), access(&Offered::default()));
        assert!(matches!(access(&named), Access::NotBrokers(_)));
        assert_eq!(access(&named.clone().altering_brokers(true)), Access::All);
    }
}

#[test]
fn a_login_is_answered_as_a_plaintext_listener_of_kafka_answers_it() {
    let mut world = World::new();
    let hello = SaslHandshakeRequest::default().with_mechanism("PLAIN".into());
    world.client(&request(17, 1, ID, &hello));
    let (_, told) = decoded::<SaslHandshakeResponse>(1, &world.to_client);
    assert_eq!((told.error_code, told.mechanisms.len()), (34, 0));
    world.to_client.clear();
    let token = SaslAuthenticateRequest::default().with_auth_bytes("\0alice\0secret".into());
    world.client(&request(36, 2, ID, &token));
    let (_, told) = decoded::<SaslAuthenticateResponse>(2, &world.to_client);
    assert_eq!(told.error_code, 34);
    assert!(
        world.to_upstream.is_empty(),
        "a password that nobody asked for"
    );
    assert_eq!(world.closed, None);
    assert_eq!(counts(&world.events).get("SASL without a login"), Some(&2));
}
