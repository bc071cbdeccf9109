//! A planted leak is caught: real responses with one address left as the broker wrote it.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    BrokerId, DescribeClusterResponse, DescribeConfigsResponse, FetchResponse,
    FindCoordinatorResponse, MetadataResponse, ProduceResponse, fetch_response, produce_response,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::{Needles, Search, Secrets};

/// An address of doorkeeper, which clients may receive.
const OURS: (&str, i32) = ("127.0.0.1", 25_000);
/// What a broker advertises.
const CANARY: (&str, i32) = ("kafka-2.canary-0123.invalid", 9_093);
/// Where a broker really is: only its port is a secret.
const REAL: (&str, i32) = ("127.0.0.1", 21_003);

fn secrets() -> Secrets {
    Secrets {
        texts: vec!["canary-0123".to_owned()],
        ports: vec![21_003, 9_093],
    }
}

/// One way for an address to travel: the frame's body with these addresses in it.
type Carrier = fn(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8>;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn encoded(message: &impl Encodable, version: i16) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes, version).unwrap();
    bytes
}

fn metadata(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let brokers = addresses.iter().zip(1..).map(|(&(host, port), id)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(text(host))
            .with_port(port)
    });
    let response = MetadataResponse::default().with_brokers(brokers.collect());
    encoded(&response, version)
}

fn describe_cluster(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let brokers = addresses.iter().zip(1..).map(|(&(host, port), id)| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(id))
            .with_host(text(host))
            .with_port(port)
    });
    let response = DescribeClusterResponse::default().with_brokers(brokers.collect());
    encoded(&response, version)
}

fn coordinators(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let all = addresses
        .iter()
        .map(|&(host, port)| Coordinator::default().with_host(text(host)).with_port(port));
    let response = FindCoordinatorResponse::default().with_coordinators(all.collect());
    encoded(&response, version)
}

fn produced(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let all = addresses.iter().map(|&(host, port)| {
        produce_response::NodeEndpoint::default()
            .with_host(text(host))
            .with_port(port)
    });
    let response = ProduceResponse::default().with_node_endpoints(all.collect());
    encoded(&response, version)
}

fn fetched(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let all = addresses.iter().map(|&(host, port)| {
        fetch_response::NodeEndpoint::default()
            .with_host(text(host))
            .with_port(port)
    });
    let response = FetchResponse::default().with_node_endpoints(all.collect());
    encoded(&response, version)
}

fn configs(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let all = addresses.iter().map(|(host, port)| {
        DescribeConfigsResourceResult::default()
            .with_name(text("advertised.listeners"))
            .with_value(Some(text(&format!(
                "CLIENT://{host}:{port},INTERNAL://x:1"
            ))))
    });
    let result = DescribeConfigsResult::default().with_configs(all.collect());
    let response = DescribeConfigsResponse::default().with_results(vec![result]);
    encoded(&response, version)
}

fn message(version: i16, addresses: &[(&'static str, i32)]) -> Vec<u8> {
    let all: Vec<String> = addresses
        .iter()
        .map(|(host, port)| format!("{host}:{port}"))
        .collect();
    let response = FindCoordinatorResponse::default()
        .with_error_message(Some(text(&format!("try {}, please", all.join(" or ")))));
    encoded(&response, version)
}

const CARRIERS: &[(&str, Carrier, &[i16])] = &[
    ("Metadata", metadata, &[1, 9, 12]),
    ("DescribeCluster", describe_cluster, &[0, 1]),
    ("FindCoordinator", coordinators, &[4, 6]),
    ("Produce", produced, &[10, 12]),
    ("Fetch", fetched, &[16, 17]),
    ("DescribeConfigs", configs, &[1, 4]),
    ("an error text", message, &[1, 3]),
];

fn hits(frame: &[u8], chunk: usize) -> usize {
    let needles = Needles::new(&secrets());
    let mut search = Search::default();
    let mut count = 0;
    for bytes in frame.chunks(chunk) {
        count += search.feed(&needles, bytes).len();
    }
    count + search.end(&needles).len()
}

#[test]
fn a_response_with_our_addresses_only_is_clean() {
    for (name, carrier, versions) in CARRIERS {
        for &version in *versions {
            let frame = carrier(version, &[OURS, OURS, OURS]);
            assert_eq!(hits(&frame, 7), 0, "{name} v{version}");
        }
    }
}

#[test]
fn one_address_that_was_not_rewritten_is_caught_in_every_carrier() {
    for (name, carrier, versions) in CARRIERS {
        for &version in *versions {
            for at in 0..3 {
                for planted in [CANARY, REAL] {
                    let mut addresses = [OURS; 3];
                    addresses[at] = planted;
                    let frame = carrier(version, &addresses);
                    for chunk in [1, 7, frame.len()] {
                        let found = hits(&frame, chunk);
                        assert!(
                            found > 0,
                            "{name} v{version}: {planted:?} in chunks of {chunk}"
                        );
                    }
                }
            }
        }
    }
}
