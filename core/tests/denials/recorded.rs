//! Every recorded request of an API that is denied, and which APIs are.

use std::collections::BTreeSet;

use doorkeeper_core::Route;
use doorkeeper_core::api::{Access, Denial, OfferedApis, Offering, offering};
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::wire::schema::{APIS, Api, Message, Role, Roles};
use doorkeeper_core::wire::walk::Value;

use crate::harness::{World, framed, frames, snapshot};
use crate::walk_support::{Frame, Seen, frames_of, walk};
use crate::{CHUNKS, ID};

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
    let mut world = World::with(snapshot(), Route::Bootstrap);
    world.chunk = chunk;
    world.client(&framed(&frame.request(api, ID)));
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
    let response = read(api.response, version, body);
    let codes = values(&response, body, Role::ErrorCode);
    let code = i64::from(denial.error_code).to_be_bytes().to_vec();
    let due = errors_due(api, version, &asked, &frame.body);
    assert_eq!(codes, vec![code; due], "{name}");
    let texts = values(&response, body, Role::ErrorMessage);
    assert!(
        texts.iter().all(|it| it == denial.message.as_bytes()),
        "{name}"
    );
    // Some have no room for a text, at the top or at each partition.
    let has_text = |seen: &Seen| matches!(seen, Seen::Begin(field, _) if *field == "ErrorMessage");
    let room = response.iter().filter(|seen| has_text(seen)).count();
    assert_eq!(texts.len(), room, "{name}");
    for role in [
        Role::ProducerId,
        Role::TopicName,
        Role::PartitionIndex,
        Role::QuotaEntity,
        Role::Principal,
    ] {
        let again = values(&response, body, role);
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
fn a_recorded_request_of_a_denied_api_gets_its_error_and_the_names_in_it() {
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
        let row = OfferedApis::default().get(ApiKey(api.key)).unwrap();
        let Access::Denied(denial) = row.access else {
            panic!("{} is not denied", api.name);
        };
        let versions: Vec<i16> = row.versions.iter().collect();
        let all: Vec<i16> = (first_denied(api)..=api.versions.last).collect();
        assert_eq!(versions, all, "{}", api.name);
        let mut seen = BTreeSet::new();
        let recorded = frames_of(api.request).into_iter();
        for frame in recorded.filter(|frame| row.versions.contains(frame.version)) {
            for chunk in CHUNKS {
                let body = denied(api, &frame, chunk);
                assert_denied(api, &frame, *denial, &body);
            }
            seen.insert(frame.version);
        }
        assert_eq!(Vec::from_iter(seen), versions, "{}", api.name);
    }
    assert_eq!(
        count, 22,
        "twenty that have to be named, and two that log in"
    );
}

#[test]
fn every_api_that_has_to_be_named_is_denied_unless_it_is_and_no_other() {
    let every = OfferedApis::with(APIS.iter().map(|api| ApiKey(api.key)));
    for api in APIS {
        let key = ApiKey(api.key);
        let access = |offered: &OfferedApis| offered.get(key).map(|row| row.access);
        let is_denied = |access: Option<Access>| matches!(access, Some(Access::Denied(_)));
        let (default, named) = (access(&OfferedApis::default()), access(&every));
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
        let row = OfferedApis::with([ApiKey(key)]).get(ApiKey(key));
        assert!(is_known || row.is_none(), "{key}");
    }
}
