//! ApiVersions: what is offered, and what is not.

use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::id::{ApiKey, ApiVersion};
use doorkeeper_core::{CloseReason, Route};
use kafka_protocol::messages::api_versions_response::{ApiVersion as Range, FinalizedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response};

fn ask(version: i16, id: i32) -> Vec<u8> {
    let body = ApiVersionsRequest::default()
        .with_client_software_name(if version >= 3 {
            "test".into()
        } else {
            "".into()
        })
        .with_client_software_version(if version >= 3 { "1".into() } else { "".into() });
    request(18, version, id, &body)
}

fn versions_response(version: i16, ranges: &[(i16, i16, i16)]) -> Vec<u8> {
    let keys = ranges
        .iter()
        .map(|(key, min, max)| {
            Range::default()
                .with_api_key(*key)
                .with_min_version(*min)
                .with_max_version(*max)
        })
        .collect();
    let mut body = ApiVersionsResponse::default().with_api_keys(keys);
    if version >= 3 {
        let feature = FinalizedFeatureKey::default()
            .with_name("transaction.version".into())
            .with_min_version_level(0)
            .with_max_version_level(2);
        body = body
            .with_finalized_features(vec![feature])
            .with_finalized_features_epoch(9);
    }
    response_frame(version, 1, &body)
}

fn offered(response: &ApiVersionsResponse) -> Vec<(i16, i16, i16)> {
    response
        .api_keys
        .iter()
        .map(|r| (r.api_key, r.min_version, r.max_version))
        .collect()
}

#[test]
fn ranges_are_cut_and_unknown_apis_dropped_and_features_stay() {
    let ranges = [
        (0, 0, 99),   // Produce: min 0 stays, for librdkafka (KAFKA-18659)
        (58, 0, 0),   // Envelope: never
        (29, 0, 9),   // DescribeAcls: denied, in the versions that can say so
        (83, 0, 0),   // InitializeShareGroupState: for brokers
        (999, 0, 1),  // nobody knows it
        (12, 0, 4),   // Heartbeat: as it is
        (24, 0, 5),   // AddPartitionsToTxn: batches are for brokers
        (12, 90, 99), // no version in common
    ];
    for version in 0..=4 {
        for chunk in [1, 5, usize::MAX] {
            let mut world = World::new();
            world.chunk = chunk;
            world.client(&ask(version, 1));
            world.upstream(&versions_response(version, &ranges));
            let (_, response) = decoded::<ApiVersionsResponse>(version, &world.to_client);
            assert_eq!(
                offered(&response),
                [(0, 0, 13), (29, 1, 3), (12, 0, 4), (24, 0, 3)],
                "v{version}"
            );
            if version >= 3 {
                assert_eq!(response.finalized_features_epoch, 9);
                assert_eq!(response.finalized_features.len(), 1);
            }
        }
    }
}

#[test]
fn an_api_that_the_configuration_names_is_offered() {
    let mut snapshot = snapshot();
    snapshot.offered = OfferedApis::with([ApiKey(29)]);
    let mut world = World::with(snapshot, Route::Bootstrap);
    world.client(&ask(0, 1));
    world.upstream(&versions_response(0, &[(29, 0, 9)]));
    let (_, response) = decoded::<ApiVersionsResponse>(0, &world.to_client);
    // All versions, and not only those that can be denied.
    assert_eq!(offered(&response), [(29, 0, 3)]);
}

#[test]
fn a_broker_that_does_not_know_the_version_responds_in_version_0() {
    for chunk in [1, usize::MAX] {
        let mut world = World::new();
        world.chunk = chunk;
        world.client(&ask(4, 1));
        let unsupported = ApiVersionsResponse::default()
            .with_error_code(35)
            .with_api_keys(vec![Range::default().with_api_key(18).with_max_version(99)]);
        world.upstream(&response_frame(0, 1, &unsupported));
        let (_, response) = decoded::<ApiVersionsResponse>(0, &world.to_client);
        assert_eq!(response.error_code, 35);
        assert_eq!(offered(&response), [(18, 0, 5)]);
        assert_eq!(world.closed, None);
    }
}

#[test]
fn an_unknown_version_gets_a_local_response_in_its_turn() {
    let mut world = World::new();
    let mut strange = ask(3, 8);
    strange[6..8].copy_from_slice(&77i16.to_be_bytes());
    world.client(&[heartbeat(7), strange, heartbeat(9)].concat());
    assert_eq!(
        world.to_client,
        [],
        "the response waits for the one before it"
    );
    world.upstream(&[heartbeat_response(7), heartbeat_response(9)].concat());
    assert_eq!(ids(&world.to_client), [7, 8, 9]);
    let frame = &frames(&world.to_client)[1];
    assert_eq!(frame[4..], [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]);
    assert_eq!(counts(&world.events)["local response"], 1);
}

#[test]
fn it_needs_no_broker() {
    let mut world = World::new();
    let mut strange = ask(3, 8);
    strange[6..8].copy_from_slice(&(-1i16).to_be_bytes());
    world.client(&strange);
    assert_eq!(ids(&world.to_client), [8]);
    assert!(world.targets.is_empty());
}

#[test]
fn other_apis_close_on_versions_that_are_not_there() {
    let mut world = World::new();
    let mut strange = heartbeat(1);
    strange[6..8].copy_from_slice(&5i16.to_be_bytes());
    world.client(&strange);
    let fault = ClientFault::UnsupportedVersion(ApiKey(12), ApiVersion(5));
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));
    assert!(world.targets.is_empty(), "no broker heard of it");
}

#[test]
fn apis_that_are_not_offered_close() {
    for key in [58, 95, 999, -1, 4, 83] {
        let mut world = World::new();
        let mut strange = heartbeat(1);
        strange[4..6].copy_from_slice(&i16::to_be_bytes(key));
        world.client(&strange);
        let fault = ClientFault::ApiNotOffered(ApiKey(key));
        assert_eq!(world.closed, Some(CloseReason::Client(fault)));
    }
}
