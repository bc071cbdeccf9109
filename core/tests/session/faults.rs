//! Peers that break a rule: one typed reason, and the session ends.

use doorkeeper_core::error::{BadLength, ClientFault, UpstreamFault};
use doorkeeper_core::id::ApiKey;
use doorkeeper_core::{CloseReason, End, Leg};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, MetadataRequest};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response, produce};

#[test]
fn lengths_that_no_request_has() {
    for (length, why) in [
        (-1i32, BadLength::Negative),
        (i32::MIN, BadLength::Negative),
        (7, BadLength::TooShort),
        (0, BadLength::TooShort),
        (i32::MAX, BadLength::TooLarge),
        (100 * 1024 * 1024 + 1, BadLength::TooLarge),
    ] {
        let mut world = World::new();
        world.client(&length.to_be_bytes());
        let fault = ClientFault::FrameLength(why);
        assert_eq!(world.closed, Some(CloseReason::Client(fault)), "{length}");
        assert!(world.targets.is_empty());
    }
}

#[test]
fn a_client_that_speaks_another_protocol_is_recognized() {
    for (first, name) in [
        (
            &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01][..],
            "client_speaks_tls",
        ),
        (b"GET / HTTP/1.1\r\n", "client_speaks_http"),
        (b"PRI * HTTP/2.0\r\n", "client_speaks_http"),
        (b"SSH-2.0-x\r\n", "client_frame_too_large"),
    ] {
        // However the bytes come.
        let mut world = World::new();
        world.client(&first[..3]);
        assert_eq!(world.closed, None);
        world.client(&first[3..]);
        assert_eq!(world.closed.unwrap().name(), name);
    }
}

#[test]
fn lengths_that_no_response_has() {
    for (length, why) in [
        (-1i32, BadLength::Negative),
        (3, BadLength::TooShort),
        (i32::MAX, BadLength::TooLarge),
    ] {
        let mut world = World::new();
        world.client(&heartbeat(1));
        world.upstream(&length.to_be_bytes());
        let fault = UpstreamFault::FrameLength(why);
        assert_eq!(world.closed, Some(CloseReason::Upstream(fault)), "{length}");
    }
}

#[test]
fn a_body_that_breaks_its_schema_never_reaches_the_broker() {
    let mut world = World::new();
    let mut frame = produce(1, 1, 10);
    let len = frame.len();
    // The client id claims more than the frame has.
    frame[12..14].copy_from_slice(&i16::MAX.to_be_bytes());
    world.client(&frame[..len]);
    assert!(matches!(
        world.closed,
        Some(CloseReason::Client(ClientFault::Malformed(..)))
    ));
    assert_eq!(world.to_upstream, []);
}

#[test]
fn a_broker_that_speaks_first_or_twice_is_unsolicited() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&[heartbeat_response(1), heartbeat_response(1)].concat());
    assert_eq!(
        world.closed,
        Some(CloseReason::Upstream(UpstreamFault::Unsolicited))
    );
    assert_eq!(ids(&world.to_client), [1], "what was owed has been given");
}

#[test]
fn a_response_with_another_correlation_id_closes() {
    let mut world = World::new();
    world.client(&heartbeat(1));
    world.upstream(&heartbeat_response(2));
    assert_eq!(
        world.closed,
        Some(CloseReason::Upstream(UpstreamFault::CorrelationMismatch))
    );
    assert_eq!(world.to_client, []);
}

#[test]
fn a_response_that_cannot_be_read_is_not_forwarded() {
    let mut world = World::new();
    world.client(&request(3, 9, 1, &MetadataRequest::default()));
    let garbage = framed(&[&1i32.to_be_bytes()[..], &[0], &[0xff; 40]].concat());
    world.upstream(&garbage);
    assert!(matches!(
        world.closed,
        Some(CloseReason::Upstream(UpstreamFault::Malformed(..)))
    ));
    assert_eq!(world.to_client, []);
}

#[test]
fn a_response_that_ends_too_early_is_not_forwarded() {
    let mut world = World::new();
    world.client(&request(3, 9, 1, &MetadataRequest::default()));
    world.upstream(&framed(&[0, 0, 0, 1, 0, 0, 0]));
    assert!(matches!(
        world.closed,
        Some(CloseReason::Upstream(UpstreamFault::Malformed(..)))
    ));
}

#[test]
fn a_request_of_a_replica_closes() {
    let old = FetchRequest::default().with_replica_id(3.into());
    let mut new = FetchRequest::default();
    new.replica_state.replica_id = 3.into();
    let offsets = ListOffsetsRequest::default().with_replica_id(3.into());
    for (key, frame) in [
        (1, request(1, 11, 1, &old)),
        (1, request(1, 17, 1, &new)),
        (2, request(2, 7, 1, &offsets)),
    ] {
        let mut world = World::new();
        world.client(&frame);
        let fault = ClientFault::ReplicaRequest(ApiKey(key));
        assert_eq!(world.closed, Some(CloseReason::Client(fault)));
        assert_eq!(world.to_upstream, []);
    }
}

#[test]
fn what_a_lost_peer_was_owed_is_dropped_and_the_rest_is_not() {
    let mut world = World::new();
    world.upstream_reads = false;
    world.client(&[heartbeat(1), produce(2, 0, 10)].concat());
    world.ended(Leg::Client, End::Fin);
    assert_eq!(world.closed, None, "bytes are still due to the broker");
    world.upstream_reads = true;
    world.settle();
    assert_eq!(
        world.to_upstream,
        [heartbeat(1), produce(2, 0, 10)].concat()
    );
    assert_eq!(world.closed, None, "a response is owed");
    world.upstream(&heartbeat_response(1));
    assert_eq!(world.closed, Some(CloseReason::ClientEnded(End::Fin)));
    assert_eq!(world.finished, [Leg::Client, Leg::Upstream]);
}
