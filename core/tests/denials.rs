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
use doorkeeper_core::api::{Access, Denial, Offered, Offering, offering};
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::id::ApiKey;
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
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use walk_support::{Frame, Seen, frames_of, walk};

const CHUNKS: [usize; 4] = [1, 7, 100, usize::MAX];
const ID: i32 = 7;

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

/// The numbers and texts of one meaning, in order.
fn values(seen: &[Seen], body: &[u8], wanted: Role) -> Vec<Vec<u8>> {
    let value = |seen: &Seen| match seen {
        Seen::Value(_, role, [_, data, end], value) if *role == wanted => Some(match value {
            Value::Int(int) => int.to_be_bytes().to_vec(),
            _ => body[*data..*end].to_vec(),
        }),
        _ => None,
    };
    seen.iter().filter_map(value).collect()
}

/// The numbers of partitions, in arrays of numbers or of structures.
fn partitions(seen: &[Seen], body: &[u8]) -> Vec<Vec<u8>> {
    let (numbers, fields) = (Role::Partitions, Role::PartitionIndex);
    [values(seen, body, numbers), values(seen, body, fields)].concat()
}

/// The elements of the arrays of that name.
fn elements(seen: &[Seen], wanted: &str) -> usize {
    let is_element = |seen: &&Seen| matches!(seen, Seen::Element(name, ..) if *name == wanted);
    seen.iter().filter(is_element).count()
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

/// How often a response gives its error, by what its request names.
fn errors_due(api: &Api, version: i16, asked: &[Seen], body: &[u8]) -> usize {
    let partitions = partitions(asked, body).len();
    match api.name {
        "CreateAcls" => elements(asked, "Creations"),
        "DeleteAcls" => elements(asked, "Filters"),
        "WriteTxnMarkers" | "AlterReplicaLogDirs" => partitions,
        "ElectLeaders" => partitions + usize::from(version >= 1),
        "AlterPartitionReassignments" => partitions + 1,
        "AlterClientQuotas" => elements(asked, "Entries"),
        "DescribeUserScramCredentials" => elements(asked, "Users") + 1,
        // Of whom one is named twice in no recorded request.
        "AlterUserScramCredentials" => elements(asked, "Deletions") + elements(asked, "Upsertions"),
        _ => 1,
    }
}

/// What a response names again, and all of it.
fn named_again(api: &Api) -> &'static [Role] {
    match api.name {
        "WriteTxnMarkers" => &[Role::ProducerId, Role::TopicName, Role::PartitionIndex],
        "AlterReplicaLogDirs" | "ElectLeaders" | "AlterPartitionReassignments" => {
            &[Role::TopicName, Role::PartitionIndex]
        }
        "AlterClientQuotas" => &[Role::QuotaEntity],
        "AlterUserScramCredentials" => &[Role::Principal],
        _ => &[],
    }
}

fn assert_denied(api: &Api, frame: &Frame, denial: Denial, body: &[u8]) {
    let (name, version) = (frame.name(), frame.version);
    let asked = read(api.request, version, &frame.body);
    let told = read(api.response, version, body);
    let codes = values(&told, body, Role::ErrorCode);
    let code = i64::from(denial.error_code).to_be_bytes().to_vec();
    let due = errors_due(api, version, &asked, &frame.body);
    assert_eq!(codes, vec![code; due], "{name}");
    let texts = values(&told, body, Role::ErrorMessage);
    assert!(
        texts.iter().all(|it| it == denial.message.as_bytes()),
        "{name}"
    );
    // Some have no room for a text, at the top or at each partition.
    let has_text = |seen: &Seen| matches!(seen, Seen::Begin(field, _) if *field == "ErrorMessage");
    let room = told.iter().filter(|seen| has_text(seen)).count();
    assert_eq!(texts.len(), room, "{name}");
    for role in [
        Role::ProducerId,
        Role::TopicName,
        Role::PartitionIndex,
        Role::QuotaEntity,
        Role::Principal,
    ] {
        let again = values(&told, body, role);
        if !named_again(api).contains(&role) {
            // A user is not named; tokens have owners (below).
            assert!(again.iter().all(Vec::is_empty) || api.key == 38, "{name}");
            continue;
        }
        let mut expected = match role {
            Role::PartitionIndex => partitions(&asked, &frame.body),
            _ => values(&asked, &frame.body, role),
        };
        if role == Role::Principal {
            expected.sort();
        }
        assert_eq!(again, expected, "{name} {role:?}");
    }
}

/// The oldest version of an API that a denial has, where that is not the oldest that a broker of
/// 3.9 knows: Kafka 4.0 has taken those before it back, and kafka-protocol has none of them.
fn first_denied(api: &Api) -> i16 {
    match api.key {
        27 | 29..=31 | 34 | 38..=41 => 1,
        _ => 0,
    }
}

#[test]
fn every_recorded_request_of_a_denied_api_is_answered_with_its_error_and_what_it_names() {
    let mut count = 0;
    for api in APIS {
        let is_denied = matches!(
            offering(ApiKey(api.key)),
            Some(Offering::ByName | Offering::Login)
        );
        if !is_denied {
            continue;
        }
        count += 1;
        let row = Offered::default().row(ApiKey(api.key)).unwrap();
        let Access::Denied(denial) = row.access else {
            panic!("{} is not denied", api.name);
        };
        let versions: Vec<i16> = row.versions.iter().collect();
        let all: Vec<i16> = (first_denied(api)..=api.versions.last).collect();
        assert_eq!(versions, all, "{}", api.name);
        let mut answered = BTreeSet::new();
        let recorded = frames_of(api.request).into_iter();
        for frame in recorded.filter(|frame| row.versions.contains(frame.version)) {
            for chunk in CHUNKS {
                let body = denied(api, &frame, chunk);
                assert_denied(api, &frame, *denial, &body);
            }
            answered.insert(frame.version);
        }
        assert_eq!(Vec::from_iter(answered), versions, "{}", api.name);
    }
    assert_eq!(
        count, 22,
        "twenty that have to be named, and two that log in"
    );
}

#[test]
fn every_api_that_has_to_be_named_is_denied_unless_it_is_and_no_other() {
    let every = Offered::with(APIS.iter().map(|api| ApiKey(api.key)));
    for api in APIS {
        let key = ApiKey(api.key);
        let access = |offered: &Offered| offered.row(key).map(|row| row.access);
        let is_denied = |access: Option<Access>| matches!(access, Some(Access::Denied(_)));
        let (default, named) = (access(&Offered::default()), access(&every));
        match offering(key).unwrap() {
            Offering::Always if matches!(api.key, 33 | 44) => {
                assert!(matches!(default, Some(Access::NotBrokers(_))) && named == default);
            }
            Offering::Always => assert_eq!((default, named), (Some(Access::All), default)),
            Offering::ByName => {
                assert!(is_denied(default), "{}", api.name);
                assert_eq!(named, Some(Access::All), "{}", api.name);
            }
            Offering::Login => assert!(is_denied(default) && is_denied(named), "{}", api.name),
            Offering::Never => assert_eq!((default, named), (None, None)),
        }
    }
}

/// Half of these would be opened by a rule that allows what it does not know.
#[test]
fn an_api_that_is_not_in_the_table_is_not_offered() {
    for key in i16::MIN..=i16::MAX {
        let is_known = APIS.iter().any(|api| api.key == key);
        let row = Offered::with([ApiKey(key)]).row(ApiKey(key));
        assert!(is_known || row.is_none(), "{key}");
    }
}

/// The one response, decoded, to a request of a client that is allowed nothing.
fn told<Q: Encodable + HeaderVersion, P: Decodable + HeaderVersion>(
    key: i16,
    version: i16,
    body: &Q,
) -> P {
    let mut world = World::new();
    world.client(&request(key, version, ID, body));
    assert_eq!(world.closed, None);
    decoded::<P>(version, &world.to_client).1
}

const NOT_ALLOWED: &str = "Cluster authorization failed: this listener of doorkeeper allows it \
                           only where allow_apis names it.";

fn reassigning(topics: usize, partitions: i32) -> AlterPartitionReassignmentsRequest {
    use alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
    let partition = |index| {
        ReassignablePartition::default()
            .with_partition_index(index)
            .with_replicas(Some(vec![BrokerId(1), BrokerId(2), BrokerId(3)]))
    };
    let topic = |number| {
        ReassignableTopic::default()
            .with_name(TopicName(format!("topic-{number}").into()))
            .with_partitions((0..partitions).map(partition).collect())
    };
    AlterPartitionReassignmentsRequest::default().with_topics((0..topics).map(topic).collect())
}

fn not_reassigned(topics: usize, partitions: i32) -> AlterPartitionReassignmentsResponse {
    use alter_partition_reassignments_response::{
        ReassignablePartitionResponse, ReassignableTopicResponse,
    };
    let partition = |index| {
        ReassignablePartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(31)
            .with_error_message(Some(NOT_ALLOWED.into()))
    };
    let topic = |number| {
        ReassignableTopicResponse::default()
            .with_name(TopicName(format!("topic-{number}").into()))
            .with_partitions((0..partitions).map(partition).collect())
    };
    AlterPartitionReassignmentsResponse::default()
        .with_error_code(31)
        .with_error_message(Some(NOT_ALLOWED.into()))
        .with_responses((0..topics).map(topic).collect())
}

/// `kafka-reassign-partitions` sends all of its plan in one request.
#[test]
fn a_reassignment_of_a_whole_cluster_is_denied_for_each_partition() {
    for (topics, partitions) in [(0, 0), (1, 0), (2, 3), (100, 500)] {
        let seen: AlterPartitionReassignmentsResponse =
            told(45, 0, &reassigning(topics, partitions));
        assert!(
            seen == not_reassigned(topics, partitions),
            "{topics} topics"
        );
    }
}

#[test]
fn an_election_is_denied_for_each_partition_with_a_text() {
    use elect_leaders_request::TopicPartitions;
    use elect_leaders_response::{PartitionResult, ReplicaElectionResult};
    let topic = || TopicName("t".to_string().into());
    for version in 0..=2 {
        let partitions = TopicPartitions::default()
            .with_topic(topic())
            .with_partitions(vec![4, 2]);
        let body = ElectLeadersRequest::default().with_topic_partitions(Some(vec![partitions]));
        let partition = |index| {
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(31)
                .with_error_message(Some(NOT_ALLOWED.into()))
        };
        let result = ReplicaElectionResult::default()
            .with_topic(topic())
            .with_partition_result(vec![partition(4), partition(2)]);
        let expected = ElectLeadersResponse::default()
            .with_error_code(if version >= 1 { 31 } else { 0 })
            .with_replica_election_results(vec![result]);
        assert_eq!(
            told::<_, ElectLeadersResponse>(43, version, &body),
            expected
        );
    }
}

/// `KafkaApis.handleCreateTokenRequest`.
#[test]
fn the_owner_of_a_token_that_is_denied_is_whom_its_request_names() {
    use create_delegation_token_request::CreatableRenewers;
    let renewed = || {
        let renewer = CreatableRenewers::default()
            .with_principal_type("User".into())
            .with_principal_name("renewer".into());
        CreateDelegationTokenRequest::default().with_renewers(vec![renewer])
    };
    let owned = |kind: Option<&'static str>, name: Option<&'static str>| {
        renewed()
            .with_owner_principal_type(kind.map(Into::into))
            .with_owner_principal_name(name.map(Into::into))
    };
    for (version, request, owner) in [
        (1, renewed(), "ANONYMOUS"),
        (2, renewed(), "ANONYMOUS"),
        (3, owned(None, None), "ANONYMOUS"),
        (3, owned(Some("User"), Some("")), "ANONYMOUS"),
        (3, owned(Some("User"), Some("alice")), "alice"),
    ] {
        let seen: CreateDelegationTokenResponse = told(38, version, &request);
        let expected = CreateDelegationTokenResponse::default()
            .with_error_code(64)
            .with_principal_type("User".into())
            .with_principal_name(owner.into())
            .with_issue_timestamp_ms(-1)
            .with_expiry_timestamp_ms(-1)
            .with_max_timestamp_ms(-1);
        let expected = if version >= 3 {
            expected
                .with_token_requester_principal_type("User".into())
                .with_token_requester_principal_name("ANONYMOUS".into())
        } else {
            expected
        };
        assert_eq!(seen, expected, "v{version}");
    }
}

#[test]
fn a_quota_that_is_denied_is_told_by_its_entities() {
    use alter_client_quotas_request as asked;
    use alter_client_quotas_response as told;
    let names = [
        ("user", Some("alice")),
        ("client-id", None),
        ("ip", Some("")),
    ];
    let op = asked::OpData::default().with_key("producer_byte_rate".into());
    let entity = |(kind, name): (&'static str, Option<&'static str>)| {
        asked::EntityData::default()
            .with_entity_type(kind.into())
            .with_entity_name(name.map(Into::into))
    };
    let again = |(kind, name): (&'static str, Option<&'static str>)| {
        told::EntityData::default()
            .with_entity_type(kind.into())
            .with_entity_name(name.map(Into::into))
    };
    let denied = |entities: &[(&'static str, Option<&'static str>)]| {
        told::EntryData::default()
            .with_error_code(31)
            .with_error_message(Some(NOT_ALLOWED.into()))
            .with_entity(entities.iter().copied().map(again).collect())
    };
    for version in 0..=1 {
        let entry = asked::EntryData::default().with_ops(vec![op.clone(), op.clone()]);
        let entries = vec![
            entry.clone().with_entity(names.map(entity).to_vec()),
            entry.clone(),
            entry.with_entity(vec![entity(names[1])]),
        ];
        let body = AlterClientQuotasRequest::default().with_entries(entries);
        let seen: AlterClientQuotasResponse = told(49, version, &body);
        let expected = AlterClientQuotasResponse::default().with_entries(vec![
            denied(&names),
            denied(&[]),
            denied(&names[1..2]),
        ]);
        assert_eq!(seen, expected);
    }
}

#[test]
fn each_user_is_denied_once_and_in_order() {
    use alter_user_scram_credentials_request::ScramCredentialDeletion;
    let deletion =
        |name: &str| ScramCredentialDeletion::default().with_name(name.to_string().into());
    let deletions = ["b", "a", "b", "c"].map(deletion).to_vec();
    let body = AlterUserScramCredentialsRequest::default().with_deletions(deletions);
    let seen: AlterUserScramCredentialsResponse = told(51, 0, &body);
    let users: Vec<(&str, i16)> = seen
        .results
        .iter()
        .map(|it| (it.user.as_str(), it.error_code))
        .collect();
    assert_eq!(users, [("a", 31), ("b", 31), ("c", 31)]);
}

#[test]
fn markers_are_denied_one_within_the_other() {
    use write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };
    let topic = |name: &str, partitions: &[i32]| {
        WritableTxnMarkerTopic::default()
            .with_name(TopicName(name.to_string().into()))
            .with_partition_indexes(partitions.to_vec())
    };
    let marker = |id, topics| {
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(id))
            .with_topics(topics)
    };
    let body = WriteTxnMarkersRequest::default().with_markers(vec![
        marker(1, vec![topic("a", &[0, 1]), topic("b", &[])]),
        marker(2, vec![]),
        marker(3, vec![topic("a", &[7])]),
    ]);
    let partition = |index: &i32| {
        WritableTxnMarkerPartitionResult::default()
            .with_partition_index(*index)
            .with_error_code(31)
    };
    let topic = |name: &str, partitions: &[i32]| {
        WritableTxnMarkerTopicResult::default()
            .with_name(TopicName(name.to_string().into()))
            .with_partitions(partitions.iter().map(partition).collect())
    };
    let marker = |id, topics| {
        WritableTxnMarkerResult::default()
            .with_producer_id(ProducerId(id))
            .with_topics(topics)
    };
    let expected = WriteTxnMarkersResponse::default().with_markers(vec![
        marker(1, vec![topic("a", &[0, 1]), topic("b", &[])]),
        marker(2, vec![]),
        marker(3, vec![topic("a", &[7])]),
    ]);
    assert_eq!(told::<_, WriteTxnMarkersResponse>(27, 1, &body), expected);
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
fn a_request_that_is_too_long_to_be_held_whole_closes_before_it_is_held() {
    let length = 100_000_i32;
    for api in [27, 44] {
        for (hold_bytes_max, closed) in [
            (100_003, Some(CloseReason::HoldLimit(Leg::Client))),
            (100_004, None),
        ] {
            let mut limited = shared();
            limited.limits.hold_bytes_max = hold_bytes_max;
            let mut world = World::with(limited, Route::Bootstrap);
            let mut head = length.to_be_bytes().to_vec();
            head.extend([0, api, 0, 1, 0, 0, 0, 1]);
            world.client(&head);
            assert_eq!(world.closed, closed, "{api}");
        }
    }
}

#[test]
fn a_request_whose_denial_would_be_longer_than_what_may_be_held_closes() {
    let sent = request(45, 0, ID, &reassigning(1, 2000));
    let response = answer(0, ID, &not_reassigned(1, 2000));
    assert!(sent.len() < 64 * 1024 && response.len() > 200_000);
    for (hold_bytes_max, closed) in [
        (
            response.len() - 200,
            Some(CloseReason::HoldLimit(Leg::Client)),
        ),
        (response.len(), None),
    ] {
        let mut limited = shared();
        limited.limits.hold_bytes_max = hold_bytes_max;
        let mut world = World::with(limited, Route::Bootstrap);
        world.client_leaves = true;
        world.client(&sent);
        assert_eq!(world.closed, closed);
        let expected = if closed.is_none() {
            response.as_slice()
        } else {
            &[]
        };
        assert!(world.to_client == expected);
    }
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
fn of_brokers_as_many_are_cut_as_there_is_room_to_answer_for() {
    let names: Vec<String> = (0..2000).map(|id| id.to_string()).collect();
    let mut resources: Vec<(i8, &str)> = names.iter().map(|name| (BROKER, &**name)).collect();
    resources.push((TOPIC, "t"));
    let sent = altering(1, &resources);
    for (hold_bytes_max, closed) in [
        (200_000, Some(CloseReason::HoldLimit(Leg::Client))),
        (400_000, None),
    ] {
        let mut limited = shared();
        limited.limits.hold_bytes_max = hold_bytes_max;
        let mut world = World::with(limited, Route::Bootstrap);
        world.client(&sent);
        assert_eq!(world.closed, closed);
        if closed.is_none() {
            assert_eq!(world.to_upstream, altering(1, &[(TOPIC, "t")]));
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
