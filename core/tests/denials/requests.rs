//! When a request is denied, and which are too long or do not follow their schema.

use bytes::Bytes;
use doorkeeper_core::api::OfferedApis;
use doorkeeper_core::error::ClientFault;
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::{CloseReason, Input, Leg, Route};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::*;

use crate::broker_configs::{BROKER, altering};
use crate::harness::{World, frames, request, response_frame, snapshot};
use crate::responses::{not_reassigned, reassigning};
use crate::{CHUNKS, ID};

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
    let mut allowed = snapshot();
    allowed.offered = OfferedApis::with([ApiKey(27)]);
    let mut world = World::with(allowed, Route::Bootstrap);
    let sent = request(27, 1, 1, &markers());
    world.client(&sent);
    assert_eq!(world.to_upstream, sent);
}

/// Part of it has been read and authorized already.
#[test]
fn a_buffered_request_is_authorized_again_by_the_apis_of_a_new_snapshot() {
    let elections = request(43, 2, ID, &ElectLeadersRequest::default());
    let brokers = altering(1, &[(BROKER, "1")]);
    for (api, sent) in [
        (27, request(27, 1, ID, &markers())),
        (43, elections),
        (44, brokers),
    ] {
        let denied = OfferedApis::default();
        let allowed = OfferedApis::with([ApiKey(api)]).altering_brokers(api == 44);
        for is_allowed in [true, false] {
            let (before, after) = if is_allowed {
                (&denied, &allowed)
            } else {
                (&allowed, &denied)
            };
            for cut in 1..sent.len() {
                for chunk in CHUNKS {
                    let mut first = snapshot();
                    first.offered = before.clone();
                    let mut world = World::with(first, Route::Bootstrap);
                    world.chunk = chunk;
                    world.client(&sent[..cut]);
                    if world.session.buffered(Leg::Client) < cut {
                        // Nothing more is read of a request that may pass.
                        assert!(!is_allowed, "{api} cut at {cut}");
                        continue;
                    }
                    world.renew(|snapshot| snapshot.offered = after.clone());
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
fn a_request_that_is_authorized_again_keeps_no_more_alive_than_is_counted() {
    let sent = request(43, 2, ID, &ElectLeadersRequest::default());
    // All but the end of its timeout.
    let begun = &sent[..sent.len() - 2];
    let heartbeats = request(12, 0, 1, &HeartbeatRequest::default()).repeat(2);
    let chunk = Bytes::from([&heartbeats, begun].concat());
    let mut allowed = snapshot();
    allowed.offered = OfferedApis::with([ApiKey(43)]);
    let mut world = World::with(allowed, Route::Bootstrap);
    let (leg, bytes) = (Leg::Client, chunk.clone());
    world.input(Input::Bytes { leg, bytes });
    assert_eq!(world.session.buffered_bytes().requests, chunk.len());
    assert!(!chunk.is_unique());
    world.renew(|snapshot| snapshot.offered = OfferedApis::default());
    assert_eq!(world.session.buffered_bytes().requests, begun.len());
    assert!(chunk.is_unique());
}

#[test]
fn a_denial_waits_for_its_turn() {
    let mut world = World::new();
    let groups = request(16, 0, 1, &ListGroupsRequest::default());
    let acls = request(29, 1, 2, &DescribeAclsRequest::default());
    world.client(&[groups, acls].concat());
    assert!(world.to_client.is_empty());
    world.upstream(&response_frame(0, 1, &ListGroupsResponse::default()));
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
fn a_request_that_is_too_long_to_be_buffered_whole_closes_at_once() {
    let length = 100_000_i32;
    for api in [27, 44] {
        for (request_buffer_bytes_max, closed) in [
            (100_003, Some(CloseReason::BufferLimit(Leg::Client))),
            (100_004, None),
        ] {
            let mut limited = snapshot();
            limited.limits.request_buffer_bytes_max = request_buffer_bytes_max;
            let mut world = World::with(limited, Route::Bootstrap);
            let mut head = length.to_be_bytes().to_vec();
            head.extend([0, api, 0, 1, 0, 0, 0, 1]);
            world.client(&head);
            assert_eq!(world.closed, closed, "{api}");
        }
    }
}

#[test]
fn a_request_whose_denial_would_be_longer_than_the_buffer_limit_closes() {
    let sent = request(45, 0, ID, &reassigning(1, 2000));
    let response = response_frame(0, ID, &not_reassigned(1, 2000));
    assert!(sent.len() < 64 * 1024 && response.len() > 200_000);
    for (request_buffer_bytes_max, closed) in [
        (
            response.len() - 200,
            Some(CloseReason::BufferLimit(Leg::Client)),
        ),
        (response.len(), None),
    ] {
        let mut limited = snapshot();
        limited.limits.request_buffer_bytes_max = request_buffer_bytes_max;
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
