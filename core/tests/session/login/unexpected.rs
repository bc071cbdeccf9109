//! What is not read before a login, and what ends one that has begun.

use doorkeeper_core::error::BadLength;
use kafka_protocol::messages::ApiVersionsResponse;

use super::*;

fn not_logged_in(key: i16) -> CloseReason {
    CloseReason::Client(ClientFault::NotLoggedIn(ApiKey(key)))
}

/// Kafka ends such a connection at once and says nothing (`handleKafkaRequest`).
#[test]
fn nothing_else_is_read_before_the_login() {
    let unsupported = ClientFault::UnsupportedVersion(ApiKey(17), ApiVersion(2));
    for (frame, reason) in [
        (heartbeat(1), not_logged_in(12)),
        (authenticate(1, b"token"), not_logged_in(36)),
        (request_head(17, 2, 7), CloseReason::Client(unsupported)),
    ] {
        let mut world = world();
        world.client(&frame);
        assert_eq!(world.closed, Some(reason));
        assert!(world.targets.is_empty() && world.to_client.is_empty());
        assert_eq!(counts(&world.events).get("login failed"), None);
    }
    // The key decides as soon as it is there, before a body of any size.
    let mut world = world();
    let long = framed(&[&[0, 0, 0, 9, 0, 0, 0, 1][..], &[0; 60_000]].concat());
    world.client(&long[..12]);
    assert_eq!(world.closed, Some(not_logged_in(0)));
}

/// Where a token is due, it is a login that fails: nobody may ask faster by asking wrongly.
#[test]
fn what_is_no_token_ends_a_login_late() {
    let too_large = ClientFault::FrameLength(BadLength::TooLarge);
    let malformed = framed(&[&request_head(36, 1, 8)[4..], &[0, 0]].concat());
    let cases = [
        (heartbeat(1), Some(not_logged_in(12))),
        (
            request_head(36, 9, 8),
            Some(CloseReason::Client(ClientFault::UnsupportedVersion(
                ApiKey(36),
                ApiVersion(9),
            ))),
        ),
        (
            i32::MAX.to_be_bytes().to_vec(),
            Some(CloseReason::Client(too_large)),
        ),
        (malformed, None),
    ];
    for (frame, reason) in cases {
        for chunk in [1, usize::MAX] {
            let mut world = world();
            world.client(&handshake(1, "PLAIN"));
            received(&mut world);
            world.chunk = chunk;
            let before = world.now;
            world.client(&[frame.clone(), heartbeat(2)].concat());
            let at = world.session.demand().deadline.unwrap();
            assert!(at.since(before) >= Duration::from_millis(100));
            assert!(world.closed.is_none() && !world.session.demand().read_client);
            world.advance(SECOND);
            let closed = world.closed.unwrap();
            assert!(reason.is_none_or(|it| it == closed), "{closed}");
            assert!(reason.is_some() || closed.name() == "client_malformed");
            assert!(world.targets.is_empty() && world.tokens.is_empty());
            assert!(world.to_client.is_empty());
            let failed = Event::LoginFailed {
                mechanism: Some(Mechanism::Plain),
                why: LoginFailure::UnexpectedRequest,
            };
            assert!(world.events.contains(&failed));
        }
    }
}

#[test]
fn another_request_of_a_login_where_a_token_is_due_is_told_so_late() {
    for version in [0, 1] {
        let mut world = world();
        world.client(&handshake(1, "PLAIN"));
        received(&mut world);
        world.client(&[handshake(version, "PLAIN"), heartbeat(1)].concat());
        assert!(world.to_client.is_empty());
        world.advance(SECOND);
        let response = handshake_response(&mut world, version);
        assert_eq!((response.error_code, response.mechanisms.len()), (34, 0));
        assert_eq!(world.closed, Some(not_logged_in(17)));
        assert!(world.targets.is_empty());
    }
    for version in 0..=4 {
        let mut world = world();
        world.client(&handshake(1, "PLAIN"));
        received(&mut world);
        world.client(&versions(version));
        world.advance(SECOND);
        let (id, response) = decoded::<ApiVersionsResponse>(version, &received(&mut world));
        assert_eq!(
            (id, response.error_code, response.api_keys.len()),
            (6, 34, 0)
        );
        assert_eq!(world.closed, Some(not_logged_in(18)));
    }
}

#[test]
fn frames_before_the_login_are_short_and_few() {
    let mut world = world();
    world.client(&(64 * 1024 + 1_i32).to_be_bytes());
    world.advance(SECOND);
    let fault = ClientFault::FrameLength(BadLength::TooLarge);
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));

    let mut world = with(LoginSettings {
        frames_max: 3,
        ..settings()
    });
    world.client(&handshake(1, "SCRAM-SHA-256"));
    for _ in 0..3 {
        world.client(&authenticate(1, b"token"));
        world.input(evaluated(Evaluation::Challenge("more".into())));
    }
    world.advance(SECOND);
    let fault = ClientFault::LoginFrames;
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));
    assert_eq!(world.tokens.len(), 2);
}
