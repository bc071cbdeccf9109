//! Logins of clients: what may come when, what is sent for it, and how it ends.

mod again;
mod unexpected;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::error::{ClientFault, Wait};
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{ApiKey, ApiVersion, BrokerId};
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::login::{Evaluation, LoginSettings};
use doorkeeper_core::{CloseReason, Input, Leg, Route};
use kafka_protocol::messages::{
    ApiVersionsRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response};

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> LoginSettings {
    LoginSettings {
        mechanisms: vec![Mechanism::ScramSha256, Mechanism::Plain],
        frame_bytes_max: 64 * 1024,
        frames_max: 8,
        login_timeout: 10 * SECOND,
        failure_delay: Duration::from_millis(100),
        session_lifetime_max: None,
    }
}

fn world() -> World {
    with(settings())
}

fn with(settings: LoginSettings) -> World {
    let mut snapshot = snapshot();
    snapshot.login = Some(Arc::new(settings));
    World::with(snapshot, Route::Broker(BrokerId(1)))
}

fn handshake(version: i16, mechanism: &str) -> Vec<u8> {
    let body = SaslHandshakeRequest::default().with_mechanism(mechanism.to_owned().into());
    request(17, version, 7, &body)
}

fn authenticate(version: i16, token: &'static [u8]) -> Vec<u8> {
    let body = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(token));
    request(36, version, 8, &body)
}

fn versions(version: i16) -> Vec<u8> {
    let mut body = ApiVersionsRequest::default();
    if (3..=4).contains(&version) {
        body = body
            .with_client_software_name("test".into())
            .with_client_software_version("1".into());
    }
    request(18, version, 6, &body)
}

fn evaluated(evaluation: Evaluation) -> Input {
    Input::Evaluated(Box::new(evaluation))
}

fn alice(lifetime: Option<Duration>) -> Input {
    evaluated(Evaluation::Success {
        token: Bytes::from_static(b"v=proof"),
        principal: Principal::new("User:alice"),
        lifetime,
    })
}

fn failure(why: LoginFailure) -> Input {
    evaluated(Evaluation::Failure(why))
}

fn received(world: &mut World) -> Vec<u8> {
    std::mem::take(&mut world.to_client)
}

fn handshake_response(world: &mut World, version: i16) -> SaslHandshakeResponse {
    let (id, response) = decoded(version, &received(world));
    assert_eq!(id, 7);
    response
}

fn authenticate_response(world: &mut World, version: i16) -> SaslAuthenticateResponse {
    let (id, response) = decoded(version, &received(world));
    assert_eq!(id, 8);
    response
}

/// Logs in by one token.
fn log_in(world: &mut World, lifetime: Option<Duration>) {
    world.client(&handshake(1, "PLAIN"));
    assert_eq!(handshake_response(world, 1).error_code, 0);
    world.client(&authenticate(1, b"\0alice\0secret"));
    world.input(alice(lifetime));
    assert_eq!(authenticate_response(world, 1).error_code, 0);
}

#[test]
fn a_client_logs_in_and_then_reaches_its_broker() {
    for version in 0..=2 {
        for chunk in [1, 7, usize::MAX] {
            let mut world = world();
            world.chunk = chunk;
            world.client(&handshake(1, "SCRAM-SHA-256"));
            let response = handshake_response(&mut world, 1);
            assert_eq!(response.error_code, 0);
            let names: Vec<&str> = response.mechanisms.iter().map(|it| &**it).collect();
            assert_eq!(names, ["SCRAM-SHA-256", "PLAIN"]);

            world.client(&authenticate(version, b"client-first"));
            let token = &world.tokens[0];
            assert_eq!(token.token.expose(), b"client-first");
            assert!(token.is_first && token.mechanism == Mechanism::ScramSha256);
            assert!(world.to_client.is_empty());
            world.input(evaluated(Evaluation::Challenge("server-first".into())));
            let response = authenticate_response(&mut world, version);
            assert_eq!(
                (response.error_code, &*response.auth_bytes),
                (0, &b"server-first"[..])
            );

            world.client(&authenticate(version, b"client-final"));
            assert!(!world.tokens[1].is_first);
            assert!(world.session.is_opening() && world.targets.is_empty());
            world.input(alice(Some(60 * SECOND)));
            let response = authenticate_response(&mut world, version);
            assert_eq!(&*response.auth_bytes, b"v=proof");
            let lifetime = if version == 0 { 0 } else { 60_000 };
            assert_eq!(response.session_lifetime_ms, lifetime);
            assert!(world.targets.is_empty(), "nobody is dialled for a login");

            world.client(&heartbeat(9));
            assert_eq!(world.to_upstream, heartbeat(9));
            world.upstream(&heartbeat_response(9));
            assert_eq!(ids(&received(&mut world)), [9]);
            let succeeded = Event::LoginSucceeded {
                mechanism: Mechanism::ScramSha256,
                principal: Principal::new("User:alice"),
                lifetime: Some(60 * SECOND),
                again: false,
            };
            assert!(world.events.contains(&succeeded));
        }
    }
}

#[test]
fn tokens_have_no_header_behind_a_handshake_of_version_0() {
    for chunk in [1, usize::MAX] {
        let mut world = world();
        world.chunk = chunk;
        world.client(&handshake(0, "SCRAM-SHA-256"));
        assert_eq!(handshake_response(&mut world, 0).error_code, 0);
        world.client(&framed(b"client-first"));
        assert_eq!(world.tokens[0].token.expose(), b"client-first");
        world.input(evaluated(Evaluation::Challenge("server-first".into())));
        assert_eq!(received(&mut world), framed(b"server-first"));
        // A token may be empty.
        world.client(&framed(b""));
        assert_eq!(world.tokens[1].token.expose(), b"");
        world.input(alice(None));
        assert_eq!(received(&mut world), framed(b"v=proof"));
        world.client(&heartbeat(1));
        assert_eq!(world.to_upstream, heartbeat(1));
    }
}

#[test]
fn requests_behind_the_last_token_wait_for_the_login() {
    let mut world = world();
    world.client(&handshake(1, "PLAIN"));
    let pipelined = [
        authenticate(1, b"\0alice\0secret"),
        heartbeat(1),
        heartbeat(2),
    ]
    .concat();
    world.client(&pipelined);
    assert!(!world.session.demand().read_client);
    assert!(world.to_upstream.is_empty() && world.targets.is_empty());
    received(&mut world);
    world.input(alice(None));
    assert_eq!(world.to_upstream, [heartbeat(1), heartbeat(2)].concat());
    assert_eq!(ids(&received(&mut world)), [8]);
}

#[test]
fn requests_behind_a_failed_login_reach_nobody() {
    let mut world = world();
    world.client(&handshake(1, "PLAIN"));
    world.client(&[authenticate(1, b"\0alice\0wrong"), heartbeat(1)].concat());
    world.input(failure(LoginFailure::WrongPassword));
    world.advance(SECOND);
    let why = LoginFailure::WrongPassword;
    assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
    assert!(world.to_upstream.is_empty() && world.targets.is_empty());
}

/// The response and the end come after the delay, and say the same whatever was wrong.
#[test]
fn a_failed_login_is_told_late_and_tells_nothing() {
    let mut responses = Vec::new();
    for why in [
        LoginFailure::WrongPassword,
        LoginFailure::UnknownUser,
        LoginFailure::MalformedToken,
    ] {
        let mut world = world();
        world.client(&handshake(1, "SCRAM-SHA-256"));
        handshake_response(&mut world, 1);
        world.client(&authenticate(1, b"anything"));
        let before = world.now;
        world.input(failure(why));
        let at = world.session.demand().deadline.unwrap();
        let delay = at.since(before);
        assert!(delay >= Duration::from_millis(100) && delay <= Duration::from_millis(125));
        assert!(world.to_client.is_empty() && world.closed.is_none());
        assert!(!world.session.demand().read_client);
        world.advance(delay);
        assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
        responses.push(received(&mut world));
        let failed = Event::LoginFailed {
            mechanism: Some(Mechanism::ScramSha256),
            why,
        };
        assert!(world.events.contains(&failed));
    }
    assert_eq!(responses[0], responses[1]);
    assert_eq!(responses[0], responses[2]);
    let (_, response) = decoded::<SaslAuthenticateResponse>(1, &responses[0]);
    assert_eq!(response.error_code, 58);
    let text = "Authentication failed during authentication due to invalid credentials with SASL \
        mechanism SCRAM-SHA-256";
    assert_eq!(response.error_message.as_deref(), Some(text));
}

/// How long the evaluation took cannot be told, unless it took longer than everybody waits.
#[test]
fn the_delay_of_a_failed_login_counts_from_its_token() {
    for millis in [0, 60, 100, 500] {
        let mut world = world();
        world.client(&handshake(1, "PLAIN"));
        world.client(&authenticate(1, b"\0alice\0wrong"));
        let came = world.now;
        world.advance(Duration::from_millis(millis));
        world.input(failure(LoginFailure::WrongPassword));
        let at = world.session.demand().deadline.unwrap();
        let (least, most) = (millis.max(100), millis.max(125));
        assert!(at.since(came) >= Duration::from_millis(least));
        assert!(at.since(came) <= Duration::from_millis(most));
        world.advance(Duration::from_millis(125));
        let why = LoginFailure::WrongPassword;
        assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
    }
}

#[test]
fn a_failed_login_with_raw_tokens_ends_without_a_word() {
    let mut world = world();
    world.client(&handshake(0, "PLAIN"));
    handshake_response(&mut world, 0);
    world.client(&framed(b"\0alice\0wrong"));
    world.input(failure(LoginFailure::WrongPassword));
    world.advance(SECOND);
    assert!(world.to_client.is_empty());
    let why = LoginFailure::WrongPassword;
    assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
}

#[test]
fn a_mechanism_that_is_not_offered_is_rejected_with_those_that_are() {
    for mechanism in ["GSSAPI", "OAUTHBEARER", "plain", ""] {
        let mut world = world();
        world.client(&handshake(1, mechanism));
        assert!(world.to_client.is_empty(), "not before the delay");
        world.advance(SECOND);
        let response = handshake_response(&mut world, 1);
        assert_eq!(
            (response.error_code, response.mechanisms.len()),
            (33, 2),
            "{mechanism}"
        );
        let fault = ClientFault::MechanismNotOffered;
        assert_eq!(world.closed, Some(CloseReason::Client(fault)));
        assert!(world.tokens.is_empty());
    }
}

/// However it goes on, the login has one deadline from the beginning.
#[test]
fn a_login_that_takes_too_long_ends() {
    let timed_out = Some(CloseReason::TimedOut(Wait::LOGIN));
    let mut silent = world();
    silent.advance(9 * SECOND);
    assert_eq!(silent.closed, None);
    silent.advance(SECOND);
    assert_eq!(silent.closed, timed_out);

    let mut slow = world();
    slow.advance(6 * SECOND);
    slow.client(&handshake(1, "PLAIN"));
    slow.advance(3 * SECOND);
    slow.client(&authenticate(1, b"token"));
    slow.advance(SECOND);
    assert_eq!(slow.closed, timed_out, "a verifier that does not respond");
    slow.input(alice(None));
    assert!(slow.targets.is_empty());
}

/// The client has not ended its half yet, so the session is still there when the verdict comes.
#[test]
fn a_verdict_after_the_deadline_logs_nobody_in() {
    for version in [0, 1] {
        let mut world = world();
        world.client_leaves = false;
        world.client(&handshake(version, "PLAIN"));
        received(&mut world);
        let token = match version {
            0 => framed(b"\0alice\0secret"),
            _ => authenticate(1, b"\0alice\0secret"),
        };
        world.client(&[token, heartbeat(1)].concat());
        world.advance(10 * SECOND);
        world.input(alice(None));
        assert_eq!(counts(&world.events).get("login succeeded"), None);
        assert!(world.to_client.is_empty() && world.to_upstream.is_empty());
        assert!(world.targets.is_empty());
        world.advance(60 * SECOND);
        assert_eq!(world.closed, Some(CloseReason::TimedOut(Wait::LOGIN)));
    }
}

/// Nothing that came behind the token of a login that has not succeeded is a request, and so
/// nothing is waited for.
#[test]
fn a_client_that_goes_during_its_login_takes_all_of_it_along() {
    use doorkeeper_core::End;
    for how in [End::Fin, End::Reset] {
        for verdict in [None, Some(LoginFailure::WrongPassword)] {
            let mut world = world();
            world.client(&handshake(1, "PLAIN"));
            world.client(&[authenticate(1, b"\0alice\0secret"), heartbeat(1)].concat());
            if let Some(why) = verdict {
                world.input(failure(why));
            }
            world.ended(Leg::Client, how);
            assert_eq!(world.closed, Some(CloseReason::ClientEnded(how)));
            assert!(world.to_upstream.is_empty() && world.targets.is_empty());
        }
    }
}

#[test]
fn a_login_that_has_failed_does_not_succeed_later() {
    let mut world = world();
    world.client(&handshake(1, "PLAIN"));
    world.client(&authenticate(1, b"token"));
    world.input(failure(LoginFailure::WrongPassword));
    world.input(alice(None));
    world.client(&heartbeat(1));
    world.advance(SECOND);
    assert!(world.to_upstream.is_empty());
    let why = LoginFailure::WrongPassword;
    assert_eq!(world.closed, Some(CloseReason::LoginFailed(why)));
}

#[test]
fn the_principal_decides_what_is_denied() {
    let mut snapshot = snapshot();
    snapshot.login = Some(Arc::new(settings()));
    snapshot.policy = Policy::allow_all().deny_topic(&Principal::new("User:alice"), "secret");
    let authorizes = |world: &World, name: &str| {
        world
            .snapshot
            .policy
            .authorizes_topics(&Principal::new(name))
    };
    let mut world = World::with(snapshot, Route::Broker(BrokerId(1)));
    assert!(authorizes(&world, "User:alice") && !authorizes(&world, "User:ANONYMOUS"));
    log_in(&mut world, None);
    let topic = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
        .with_name(Some(kafka_protocol::messages::TopicName("secret".into())));
    let body = kafka_protocol::messages::MetadataRequest::default().with_topics(Some(vec![topic]));
    world.client(&request(3, 9, 4, &body));
    let asked = &frames(&world.to_upstream)[0];
    let name = b"secret";
    assert!(
        !asked.windows(name.len()).any(|it| it == name),
        "the topic is not asked for"
    );
}

/// A request that has no body.
fn request_head(key: i16, version: i16, id: i32) -> Vec<u8> {
    let head = [
        &key.to_be_bytes()[..],
        &version.to_be_bytes(),
        &id.to_be_bytes(),
    ]
    .concat();
    framed(&head)
}

#[test]
fn a_client_that_leaves_or_a_stop_ends_a_login() {
    let mut world = world();
    world.client(&handshake(1, "PLAIN"));
    world.ended(Leg::Client, doorkeeper_core::End::Fin);
    let ended = CloseReason::ClientEnded(doorkeeper_core::End::Fin);
    assert_eq!(world.closed, Some(ended));

    let mut world = self::world();
    world.client(&handshake(1, "PLAIN"));
    world.client(&authenticate(1, b"token"));
    let by = world.now.after(SECOND);
    world.input(Input::Drain { by });
    assert_eq!(world.closed, Some(CloseReason::Drained));
}
