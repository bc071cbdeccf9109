//! Further logins of a session, and the end of a login (KIP-368).

use super::*;

#[test]
fn a_saslhandshake_of_a_login_without_an_end_is_rejected_and_the_session_stays() {
    let mut world = world();
    log_in(&mut world, None);
    world.advance(5 * SECOND);
    world.client(&handshake(1, "PLAIN"));
    assert_eq!(handshake_response(&mut world, 1).error_code, 34);
    world.client(&authenticate(1, b"token"));
    assert_eq!(authenticate_response(&mut world, 1).error_code, 34);
    world.client(&heartbeat(3));
    assert_eq!(world.to_upstream, heartbeat(3));
    assert_eq!(counts(&world.events).get("SASL without a login"), None);
}

/// KIP-368: a client logs in again while responses are due to it.
#[test]
fn a_client_logs_in_again_behind_requests_in_flight() {
    let mut world = with(LoginSettings {
        session_lifetime_max: Some(5 * SECOND),
        ..settings()
    });
    log_in(&mut world, Some(60 * SECOND));
    world.advance(4 * SECOND);
    world.client(&heartbeat(1));
    world.client(&handshake(1, "PLAIN"));
    assert!(
        world.to_client.is_empty(),
        "the broker's response comes first"
    );
    world.upstream(&heartbeat_response(1));
    assert_eq!(ids(&received(&mut world)), [1, 7]);
    world.client(&[authenticate(1, b"\0alice\0secret"), heartbeat(2)].concat());
    assert_eq!(world.to_upstream, heartbeat(1));
    world.input(alice(None));
    assert_eq!(
        authenticate_response(&mut world, 1).session_lifetime_ms,
        5_000
    );
    assert_eq!(world.to_upstream, [heartbeat(1), heartbeat(2)].concat());
    world.upstream(&heartbeat_response(2));
    // The first login would have ended by now.
    world.advance(4 * SECOND);
    assert_eq!(world.closed, None);
    world.advance(SECOND);
    assert_eq!(world.closed, Some(CloseReason::SessionExpired));
    assert_eq!(counts(&world.events)["login succeeded"], 2);
}

#[test]
fn a_session_whose_login_ends_is_closed_and_gets_what_is_due() {
    let mut world = world();
    log_in(&mut world, Some(2 * SECOND));
    world.client(&heartbeat(1));
    world.advance(2 * SECOND);
    assert_eq!(world.closed, None, "its response is due");
    world.client(&heartbeat(2));
    world.upstream(&heartbeat_response(1));
    assert_eq!(ids(&received(&mut world)), [1]);
    world.advance(SECOND);
    assert_eq!(world.closed, Some(CloseReason::SessionExpired));
    assert_eq!(world.to_upstream, heartbeat(1));
}

#[test]
fn nobody_becomes_somebody_else_by_logging_in_again() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(2 * SECOND);
    world.client(&handshake(1, "PLAIN"));
    received(&mut world);
    world.client(&authenticate(1, b"\0bob\0secret"));
    world.input(evaluated(Evaluation::Success {
        token: Bytes::new(),
        principal: Principal::new("User:bob"),
        lifetime: None,
    }));
    world.advance(SECOND);
    let response = authenticate_response(&mut world, 1);
    assert_eq!(response.error_code, 58);
    let text = "Cannot change principals during re-authentication";
    assert_eq!(response.error_message.as_deref(), Some(text));
    let why = LoginFailure::PrincipalChanged;
    assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
}

#[test]
fn a_session_keeps_its_mechanism() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(2 * SECOND);
    world.client(&handshake(1, "SCRAM-SHA-256"));
    assert_eq!(
        handshake_response(&mut world, 1).error_code,
        0,
        "as a broker does"
    );
    world.client(&authenticate(1, b"n,,n=alice,r=abc"));
    world.advance(SECOND);
    assert!(world.to_client.is_empty() && world.tokens.len() == 1);
    let why = LoginFailure::MechanismChanged;
    assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
}

/// `KafkaChannel.maybeBeginServerReauthentication`: from the beginning of one to that of the next,
/// and the first login is none of them.
#[test]
fn further_logins_of_a_session_begin_a_second_apart() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(Duration::from_millis(1));
    let again = |world: &mut World| {
        world.client(&handshake(1, "PLAIN"));
        handshake_response(world, 1).error_code
    };
    assert_eq!(again(&mut world), 0);
    world.client(&authenticate(1, b"\0alice\0secret"));
    world.advance(Duration::from_millis(900));
    world.input(alice(Some(60 * SECOND)));
    assert_eq!(authenticate_response(&mut world, 1).error_code, 0);
    world.advance(Duration::from_millis(99));
    assert_eq!(again(&mut world), 34);
    world.advance(Duration::from_millis(1));
    assert_eq!(again(&mut world), 0);
}

/// A client that hands its tokens over raw is never told for how long its login holds, and a raw
/// token would have no place among responses.
#[test]
fn a_saslhandshake_of_version_0_begins_no_further_login() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(2 * SECOND);
    world.client(&heartbeat(1));
    let response = heartbeat_response(1);
    world.upstream(&response[..response.len() - 1]);
    world.client(&handshake(0, "PLAIN"));
    assert_eq!(received(&mut world), response[..response.len() - 1]);
    world.upstream(&response[response.len() - 1..]);
    let after = received(&mut world).split_off(1);
    let (_, rejected) = decoded::<SaslHandshakeResponse>(0, &after);
    assert_eq!(rejected.error_code, 34);
    world.client(&heartbeat(2));
    assert_eq!(world.to_upstream, [heartbeat(1), heartbeat(2)].concat());
    assert!(world.tokens.len() == 1 && world.closed.is_none());
}

/// What came behind the token is as if it had come later, which is never read.
#[test]
fn a_drain_waits_for_the_response_to_a_token_that_has_come() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(2 * SECOND);
    world.client(&handshake(1, "PLAIN"));
    received(&mut world);
    world.client(&[authenticate(1, b"\0alice\0secret"), heartbeat(1)].concat());
    let by = world.now.after(SECOND);
    world.input(Input::Drain { by });
    assert_eq!(world.closed, None);
    world.input(alice(None));
    assert_eq!(authenticate_response(&mut world, 1).error_code, 0);
    assert_eq!(world.closed, Some(CloseReason::Drained));
    assert!(world.to_upstream.is_empty());
}

#[test]
fn a_further_login_that_fails_while_the_session_drains_is_told_late() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(2 * SECOND);
    world.client(&handshake(1, "PLAIN"));
    received(&mut world);
    world.client(&authenticate(1, b"\0alice\0wrong"));
    world.input(failure(LoginFailure::WrongPassword));
    let by = world.now.after(SECOND);
    world.input(Input::Drain { by });
    assert!(world.closed.is_none() && world.to_client.is_empty());
    world.advance(SECOND);
    assert_eq!(authenticate_response(&mut world, 1).error_code, 58);
    let why = LoginFailure::WrongPassword;
    assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
}

#[test]
fn a_further_login_that_fails_says_that_it_was_one() {
    let mut world = world();
    world.client(&handshake(1, "SCRAM-SHA-256"));
    world.client(&authenticate(1, b"proof"));
    world.input(alice(Some(60 * SECOND)));
    world.client(&handshake(1, "SCRAM-SHA-256"));
    world.client(&authenticate(1, b"no proof"));
    received(&mut world);
    world.input(failure(LoginFailure::WrongPassword));
    world.advance(SECOND);
    let text = "Authentication failed during re-authentication due to invalid credentials with \
        SASL mechanism SCRAM-SHA-256";
    let response = authenticate_response(&mut world, 1);
    assert_eq!(response.error_message.as_deref(), Some(text));
}
