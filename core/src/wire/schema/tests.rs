//! What the walker and everyone above rely on in the tables.

use std::collections::BTreeMap;

use super::*;

const MESSAGES: [Direction; 2] = [Direction::Request, Direction::Response];

/// Calls back for every structure of every message, with its path, edition and depth.
fn each_struct(mut call: impl FnMut(&str, &Edition, &'static Struct, usize)) {
    for api in APIS {
        for direction in MESSAGES {
            let message = api.message(direction);
            for edition in message.editions {
                let mut todo = vec![(message.name.to_owned(), edition.body, 1)];
                while let Some((path, inner, depth)) = todo.pop() {
                    call(&path, edition, inner, depth);
                    for field in inner.fields {
                        let below = field.kind.structure();
                        let path = format!("{path}.{}", field.name);
                        todo.extend(below.map(|below| (path, below, depth + 1)));
                    }
                }
            }
        }
    }
}

#[test]
fn apis_ascend_and_are_found_by_key() {
    assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
    for it in APIS {
        assert!(std::ptr::eq(api(it.key).unwrap(), *it));
        assert!(std::ptr::eq(
            message(it.key, Direction::Response).unwrap(),
            it.response
        ));
        assert_eq!((it.request.api_key, it.response.api_key), (it.key, it.key));
    }
    assert!(api(-1).is_none());
    // Envelope is for controllers only.
    assert!(api(58).is_none());
}

#[test]
fn editions_cover_every_version_once() {
    for api in APIS {
        for direction in MESSAGES {
            let message = api.message(direction);
            for version in api.versions.iter() {
                let covering = message
                    .editions
                    .iter()
                    .filter(|it| it.versions.contains(version));
                assert_eq!(covering.count(), 1, "{} v{version}", message.name);
            }
            assert!(message.edition(api.versions.first - 1).is_none());
            assert!(message.edition(api.versions.last + 1).is_none());
        }
    }
}

/// The releases that brokers are expected of, with what each offers, from Kafka's source trees.
#[test]
fn versions_are_those_that_brokers_from_3_9_to_4_4_offer() {
    let mut offered: BTreeMap<i16, (String, Vec<i16>)> = BTreeMap::new();
    let table = include_str!("../../../../testdata/kafka-apis.tsv");
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [key, name, listeners, releases @ ..] = &columns[..] else {
            panic!("{line}")
        };
        // Without listeners are those that 4.0 removed: 3.9 served them to clients and brokers.
        if !listeners.contains("broker") && *listeners != "-" {
            continue;
        }
        let mut versions: Vec<i16> = releases.iter().flat_map(|it| stable(it)).collect();
        versions.sort_unstable();
        versions.dedup();
        offered.insert(key.parse().unwrap(), ((*name).to_owned(), versions));
    }
    let ours = APIS
        .iter()
        .map(|it| (it.key, (it.name.to_owned(), it.versions.iter().collect())));
    assert_eq!(ours.collect::<BTreeMap<_, _>>(), offered);
}

/// The versions of `0-5`, `3`, `none` or `-`; a star marks the last one as unstable.
fn stable(text: &str) -> Vec<i16> {
    let (text, unstable) = text.strip_suffix('*').map_or((text, 0), |text| (text, 1));
    if text == "none" || text == "-" {
        return Vec::new();
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    (first.parse().unwrap()..=last.parse::<i16>().unwrap() - unstable).collect()
}

#[test]
fn no_field_that_could_name_a_resource_or_an_address_is_unclassified() {
    each_struct(|path, _, inner, _| {
        for field in inner.fields {
            let is_array = matches!(field.kind, Kind::Array(_));
            let kind = if let Kind::Array(element) = field.kind {
                *element
            } else {
                field.kind
            };
            let path = format!("{path}.{}", field.name);
            let plain = field.role == Role::Plain;
            match kind {
                Kind::String | Kind::Bytes | Kind::Records | Kind::Uuid => {
                    assert!(!plain, "{path} has no role");
                }
                Kind::Struct(below) if is_array => {
                    let own = below.fields.iter().map(|field| field.role);
                    let own: Vec<Role> = own.collect();
                    let names = [Role::TopicName, Role::TopicId, Role::GroupId, Role::Host];
                    let names = names.iter().any(|role| own.contains(role));
                    let names = names || own.contains(&Role::TransactionalId);
                    assert!(
                        !(names && plain),
                        "{path} has no role, but its elements name things"
                    );
                }
                Kind::Bool
                | Kind::Int8
                | Kind::Int16
                | Kind::Uint16
                | Kind::Int32
                | Kind::Uint32
                | Kind::Int64
                | Kind::Float64
                | Kind::Struct(_)
                | Kind::Array(_) => {
                    let ends = [
                        "Port",
                        "NodeId",
                        "BrokerId",
                        "LeaderId",
                        "ReplicaId",
                        "VoterId",
                    ];
                    let looks = ends.iter().any(|end| field.name.ends_with(end));
                    assert!(!(looks && plain), "{path} has no role");
                }
            }
        }
    });
}

#[test]
fn hosts_of_the_cluster_stand_beside_their_ids_and_ports() {
    each_struct(|path, _, inner, _| {
        let has = |role| inner.fields.iter().any(|field| field.role == role);
        if has(Role::Host) {
            assert!(has(Role::Port), "{path} has a host and no port");
            let is_listener = path.ends_with(".Listeners") || path.ends_with(".Endpoints");
            assert!(
                has(Role::EndpointId) || is_listener,
                "{path} has a host and no id"
            );
        }
        assert!(!has(Role::EndpointId) || has(Role::Host) || path.ends_with(".LiveBrokers"));
    });
}

#[test]
fn no_element_of_an_array_can_be_shorter_than_a_byte() {
    each_struct(|path, edition, inner, _| {
        for version in edition.versions.iter() {
            for field in inner
                .fields
                .iter()
                .filter(|field| field.versions.contains(version))
            {
                let Kind::Array(Kind::Struct(below)) = field.kind else {
                    continue;
                };
                let present = below.fields.iter().any(|field| {
                    field.versions.contains(version) && field.tag_in(version).is_none()
                });
                // A flexible structure has at least the count of its tagged fields.
                let long = present || edition.flexible.contains(version);
                assert!(long, "{path}.{} v{version}", field.name);
            }
        }
    });
}

#[test]
fn nesting_fits_the_walker() {
    each_struct(|path, _, inner, depth| {
        assert!(depth <= crate::wire::walk::DEPTH_MAX, "{path}");
        assert!(inner.fields.len() < usize::from(u8::MAX), "{path}");
        for field in inner.fields {
            let nested = matches!(field.kind, Kind::Array(Kind::Array(_)));
            assert!(!nested, "{path}.{} is an array of arrays", field.name);
        }
    });
}

#[test]
fn roles_of_a_structure_are_those_of_its_fields() {
    assert!(Role::ALL.len() <= 63, "a set of roles has 64 bits");
    for (number, role) in Role::ALL.iter().enumerate() {
        assert_eq!(*role as usize, number);
    }
    each_struct(|path, _, inner, _| {
        let roles = inner.fields.iter().map(Field::roles);
        assert_eq!(roles.fold(Roles::NONE, Roles::union), inner.roles, "{path}");
    });
}

#[test]
fn flexible_versions() {
    let request = |key| message(key, Direction::Request).unwrap();
    assert_eq!(request(0).flexible_from(), Some(9));
    assert_eq!(request(17).flexible_from(), None);
    assert_eq!(request(47).flexible_from(), None);
    assert_eq!(request(18).is_flexible(2), Some(false));
    assert_eq!(request(18).is_flexible(3), Some(true));
    assert_eq!(request(18).is_flexible(6), None);
}
