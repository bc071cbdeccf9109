//! Which response a client must get, given the response of the broker.

use bytes::Bytes;
use doorkeeper_core::Snapshot;
use doorkeeper_core::api::keys::{
    API_VERSIONS, CREATE_TOPICS, DESCRIBE_CLUSTER, DESCRIBE_CONFIGS, FETCH, FIND_COORDINATOR,
    METADATA, PRODUCE, SHARE_FETCH,
};
use doorkeeper_core::id::BrokerId;
use kafka_protocol::messages::{
    self, ApiVersionsResponse, CreateTopicsResponse, DescribeClusterResponse,
    DescribeConfigsResponse, FetchResponse, FindCoordinatorResponse, MetadataResponse,
    ProduceResponse, ShareFetchResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::authorized::DenialReport;
use super::{Denial, Head, create_topics, fetch, metadata, produce, typed, versions};
use crate::environment::WORD;

/// `Errors.COORDINATOR_NOT_AVAILABLE`.
const COORDINATOR_NOT_AVAILABLE: i16 = 15;

/// `Errors.FETCH_SESSION_ID_NOT_FOUND`.
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;

/// In a longer Fetch or ShareFetch response the endpoints behind the records are made unreadable.
const FOLLOWED_BYTES: usize = 64 * 1024;

/// Whether a client was given what it must be given. Frames have their lengths.
pub(crate) fn is_right(
    head: Head,
    from_broker: &Bytes,
    given: &Bytes,
    denied: Option<&DenialReport>,
    snapshot: &Snapshot,
) -> bool {
    let nothing = DenialReport::default();
    let denial = denied.unwrap_or(&nothing);
    match head.api {
        API_VERSIONS => api_versions(head, from_broker, given, snapshot),
        PRODUCE if denied.is_none() && head.version < 10 => from_broker == given,
        PRODUCE => same::<ProduceResponse>(head, from_broker, given, |response, expected| {
            if expected {
                response.node_endpoints.retain_mut(|endpoint| {
                    address(
                        snapshot,
                        endpoint.node_id.0,
                        &mut endpoint.host,
                        &mut endpoint.port,
                    )
                });
                produce::report(response, denial);
            }
            produce::sort(response);
        }),
        FETCH if denied.is_none() && head.version < 16 => from_broker == given,
        FETCH => fetched(head, from_broker, given, denial, snapshot),
        SHARE_FETCH => share_fetched(head, from_broker, given, snapshot),
        METADATA => same::<MetadataResponse>(head, from_broker, given, |response, expected| {
            if expected {
                response.brokers.retain_mut(|broker| {
                    address(
                        snapshot,
                        broker.node_id.0,
                        &mut broker.host,
                        &mut broker.port,
                    )
                });
                response.controller_id = controller(snapshot, response.controller_id);
                metadata::report(response, head.version, denial);
            }
            metadata::sort(response);
        }),
        FIND_COORDINATOR => find_coordinator(head, from_broker, given, snapshot),
        DESCRIBE_CLUSTER => describe_cluster(head, from_broker, given, snapshot),
        DESCRIBE_CONFIGS => describe_configs(head, from_broker, given, snapshot),
        CREATE_TOPICS if denied.is_some() => {
            same::<CreateTopicsResponse>(head, from_broker, given, |response, expected| {
                if expected {
                    create_topics::report(response, head.version, denial);
                }
                create_topics::sort(response);
            })
        }
        _ => from_broker == given,
    }
}

fn fetched(
    head: Head,
    from: &Bytes,
    given: &Bytes,
    denial: &DenialReport,
    snapshot: &Snapshot,
) -> bool {
    let followed = from.len() > FOLLOWED_BYTES;
    same::<FetchResponse>(head, from, given, |response, expected| {
        if expected {
            response.node_endpoints.retain_mut(|endpoint| {
                let (host, port) = (&mut endpoint.host, &mut endpoint.port);
                !followed && address(snapshot, endpoint.node_id.0, host, port)
            });
            fetch::report(response, head.version, denial);
        } else if followed {
            // The blanked endpoints.
            response.unknown_tagged_fields.remove(&127);
        }
        fetch::sort(response);
    })
}

fn share_fetched(head: Head, from: &Bytes, given: &Bytes, snapshot: &Snapshot) -> bool {
    let followed = from.len() > FOLLOWED_BYTES;
    same::<ShareFetchResponse>(head, from, given, |response, expected| {
        if expected {
            response.node_endpoints.retain_mut(|endpoint| {
                let (host, port) = (&mut endpoint.host, &mut endpoint.port);
                !followed && address(snapshot, endpoint.node_id.0, host, port)
            });
        } else if followed {
            // What is left of the blanked endpoints.
            response.unknown_tagged_fields.clear();
        }
    })
}

fn describe_cluster(head: Head, from: &Bytes, given: &Bytes, snapshot: &Snapshot) -> bool {
    same::<DescribeClusterResponse>(head, from, given, |response, expected| {
        if expected {
            response.brokers.retain_mut(|broker| {
                let (host, port) = (&mut broker.host, &mut broker.port);
                address(snapshot, broker.broker_id.0, host, port)
            });
            response.controller_id = controller(snapshot, response.controller_id);
        }
    })
}

/// Compares two responses as values; `change` makes of the first what is expected (`true`), and
/// brings both to the same order.
fn same<T>(head: Head, from: &Bytes, given: &Bytes, change: impl Fn(&mut T, bool)) -> bool
where
    T: kafka_protocol::protocol::Decodable + kafka_protocol::protocol::HeaderVersion + PartialEq,
{
    let (Some(mut from), Some(mut given)) =
        (typed::response(head, from), typed::response(head, given))
    else {
        return false;
    };
    change(&mut from, true);
    change(&mut given, false);
    from == given
}

/// Puts our own address in the place of a broker's; false if it has none.
fn address(snapshot: &Snapshot, id: i32, host: &mut StrBytes, port: &mut i32) -> bool {
    if host.is_empty() {
        return true;
    }
    let Some(ours) = snapshot.advertised.address(BrokerId(id)) else {
        return false;
    };
    *host = StrBytes::from_string(ours.host().to_owned());
    *port = i32::from(ours.port());
    true
}

/// The controller that clients may see: none, if clients cannot reach it.
fn controller(snapshot: &Snapshot, id: messages::BrokerId) -> messages::BrokerId {
    match snapshot.advertised.address(BrokerId(id.0)) {
        Some(_) => id,
        None => (-1).into(),
    }
}

fn find_coordinator(head: Head, from: &Bytes, given: &Bytes, snapshot: &Snapshot) -> bool {
    same::<FindCoordinatorResponse>(head, from, given, |response, expected| {
        if !expected {
            return;
        }
        let (host, port) = (&mut response.host, &mut response.port);
        if head.version < 4 && !address(snapshot, response.node_id.0, host, port) {
            response.error_code = COORDINATOR_NOT_AVAILABLE;
            response.node_id = (-1).into();
            response.host = StrBytes::default();
            response.port = -1;
        }
        for one in &mut response.coordinators {
            if !address(snapshot, one.node_id.0, &mut one.host, &mut one.port) {
                one.error_code = COORDINATOR_NOT_AVAILABLE;
                one.node_id = (-1).into();
                one.host = StrBytes::default();
                one.port = -1;
            }
        }
    })
}

/// Values with addresses are shown as Kafka shows sensitive ones, or overwritten where the
/// response is too long to be buffered; nothing else changes, not even texts and values that
/// have the name of a host as a word.
fn describe_configs(head: Head, from: &Bytes, given: &Bytes, snapshot: &Snapshot) -> bool {
    let is_followed = from.len() > snapshot.limits.response_buffer_bytes_max;
    let hidden =
        |value: &StrBytes| is_followed.then(|| StrBytes::from_string("*".repeat(value.len())));
    let holds_addresses = |name: &str, value: Option<&StrBytes>| {
        matches!(
            name,
            "listeners" | "advertised.listeners" | "controller.quorum.voters"
        ) || value.is_some_and(|value| {
            value.contains(".canary") || value.contains(&format!("{WORD}:9092"))
        })
    };
    same::<DescribeConfigsResponse>(head, from, given, |response, expected| {
        let configs = response
            .results
            .iter_mut()
            .flat_map(|result| &mut result.configs);
        for config in configs.filter(|_| expected) {
            if let Some(value) = &config.value
                && holds_addresses(&config.name, Some(value))
            {
                config.value = hidden(value);
                config.is_sensitive = true;
            }
            for synonym in &mut config.synonyms {
                if holds_addresses(&synonym.name, synonym.value.as_ref()) {
                    synonym.value = synonym.value.as_ref().and_then(hidden);
                }
            }
        }
    })
}

fn api_versions(head: Head, from: &Bytes, given: &Bytes, snapshot: &Snapshot) -> bool {
    // A broker that does not know the version responds in version 0 (KIP-511).
    let error = from.get(8..10).and_then(|two| two.try_into().ok());
    let denied = error.map(i16::from_be_bytes) == Some(versions::UNSUPPORTED_VERSION);
    let head = if denied {
        Head { version: 0, ..head }
    } else {
        head
    };
    same::<ApiVersionsResponse>(head, from, given, |response, expected| {
        if expected {
            versions::cut(response, snapshot);
        }
    })
}

/// Whether a response is the one that doorkeeper must give itself.
pub(crate) fn is_denial(head: Head, given: &Bytes, denial: &Denial, snapshot: &Snapshot) -> bool {
    match denial {
        Denial::UnknownVersion => {
            let head = Head { version: 0, ..head };
            let response = typed::response::<ApiVersionsResponse>(head, given);
            response.is_some_and(|response| versions::unknown_version(&response, snapshot))
        }
        Denial::NoFetchSession => {
            let response = typed::response::<FetchResponse>(head, given);
            let expected = FetchResponse::default().with_error_code(FETCH_SESSION_ID_NOT_FOUND);
            response == Some(expected)
        }
        Denial::Error { code, at_least } => typed::errors(head, given).is_some_and(|codes| {
            codes.len() >= *at_least && codes.iter().all(|it| *it == i64::from(*code))
        }),
        Denial::All(denied) => match head.api {
            PRODUCE => {
                typed::response::<ProduceResponse>(head, given).is_some_and(|mut response| {
                    let mut expected = ProduceResponse::default();
                    produce::report(&mut expected, denied);
                    produce::sort(&mut expected);
                    produce::sort(&mut response);
                    response == expected
                })
            }
            FETCH => typed::response::<FetchResponse>(head, given).is_some_and(|mut response| {
                let mut expected = FetchResponse::default();
                fetch::report(&mut expected, head.version, denied);
                fetch::sort(&mut expected);
                fetch::sort(&mut response);
                response == expected
            }),
            CREATE_TOPICS => {
                let response = typed::response::<CreateTopicsResponse>(head, given);
                response.is_some_and(|mut response| {
                    let mut expected = CreateTopicsResponse::default();
                    create_topics::report(&mut expected, head.version, denied);
                    create_topics::sort(&mut expected);
                    create_topics::sort(&mut response);
                    response == expected
                })
            }
            _ => false,
        },
    }
}
