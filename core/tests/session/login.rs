//! Logins of clients: what may come when, what is sent for it, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::broker_versions::BrokerVersions;
use doorkeeper_core::error::{BadLength, ClientFault, Wait};
use doorkeeper_core::event::Event;
use doorkeeper_core::id::{ApiKey, ApiVersion, BrokerId};
use doorkeeper_core::policy::{Policy, Principal};
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::login::{Evaluation, LoginSettings};
use doorkeeper_core::wire::schema::Versions;
use doorkeeper_core::{CloseReason, Input, Leg, Route};
use kafka_protocol::messages::api_versions_response::ApiVersion as Range;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Encodable as _;

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

#[test]
fn nothing_else_is_read_before_the_login() {
    let not_logged_in = |key| CloseReason::Client(ClientFault::NotLoggedIn(ApiKey(key)));
    let cases: [(&[Vec<u8>], CloseReason); 6] = [
        (&[heartbeat(1)], not_logged_in(12)),
        (&[authenticate(1, b"token")], not_logged_in(36)),
        (&[handshake(1, "PLAIN"), heartbeat(1)], not_logged_in(12)),
        (
            &[handshake(1, "PLAIN"), handshake(1, "PLAIN")],
            not_logged_in(17),
        ),
        (&[handshake(1, "PLAIN"), versions(3)], not_logged_in(18)),
        (
            &[request_head(17, 2, 7)],
            CloseReason::Client(ClientFault::UnsupportedVersion(ApiKey(17), ApiVersion(2))),
        ),
    ];
    for (frames, reason) in cases {
        let mut world = world();
        for frame in frames {
            world.client(frame);
        }
        world.advance(SECOND);
        assert_eq!(world.closed, Some(reason));
        assert!(world.targets.is_empty() && world.tokens.is_empty());
    }
    // The key decides as soon as it is there, before a body of any size.
    let mut world = world();
    let long = framed(&[&[0, 0, 0, 9, 0, 0, 0, 1][..], &[0; 60_000]].concat());
    world.client(&long[..12]);
    world.advance(SECOND);
    assert_eq!(world.closed, Some(not_logged_in(0)));
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

#[test]
fn two_logins_of_a_session_are_a_second_apart() {
    let mut world = world();
    log_in(&mut world, Some(60 * SECOND));
    world.advance(Duration::from_millis(999));
    world.client(&handshake(1, "PLAIN"));
    assert_eq!(handshake_response(&mut world, 1).error_code, 34);
    world.advance(Duration::from_millis(1));
    world.client(&handshake(1, "PLAIN"));
    assert_eq!(handshake_response(&mut world, 1).error_code, 0);
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

fn broker_versions(produce: (i16, i16)) -> Arc<BrokerVersions> {
    versions_of(&[
        (0, produce.0, produce.1),
        (18, 0, 5),
        (17, 0, 1),
        (36, 0, 2),
    ])
}

/// What a broker says that has these ranges.
fn versions_of(ranges: &[(i16, i16, i16)]) -> Arc<BrokerVersions> {
    let keys = ranges.iter().map(|(key, first, last)| {
        Range::default()
            .with_api_key(*key)
            .with_min_version(*first)
            .with_max_version(*last)
    });
    let response = ApiVersionsResponse::default().with_api_keys(keys.collect());
    let bodies = (0..=4).map(|version| {
        let mut body = bytes::BytesMut::new();
        response.encode(&mut body, version).unwrap();
        (ApiVersion(version), body.freeze())
    });
    let ranges = ranges
        .iter()
        .map(|(key, first, last)| (ApiKey(*key), Versions::new(*first, *last)));
    Arc::new(BrokerVersions::new(ranges, bodies))
}

/// Brokers 0 and 1 have said what they can do.
fn knowing(route: Route) -> World {
    let mut snapshot = snapshot();
    snapshot.login = Some(Arc::new(settings()));
    for (broker, produce) in [(0, (0, 9)), (1, (3, 12))] {
        let address = at(&format!("kafka-{broker}.canary:9092"));
        let versions = broker_versions(produce);
        let next = snapshot.topology.with_versions(&address, Some(&versions));
        snapshot.topology = Arc::new(next.unwrap());
    }
    World::with(snapshot, route)
}

fn ranges(version: i16, bytes: &[u8]) -> Vec<(i16, i16, i16)> {
    let (id, response) = decoded::<ApiVersionsResponse>(version, bytes);
    assert_eq!((id, response.error_code), (6, 0));
    let keys = response.api_keys.iter();
    keys.map(|it| (it.api_key, it.min_version, it.max_version))
        .collect()
}

#[test]
fn the_versions_are_those_of_the_brokers_that_may_be_reached() {
    let rest = [(18, 0, 4), (17, 0, 1), (36, 0, 2)];
    for (route, produce) in [
        (Route::Broker(BrokerId(0)), (0, 0, 9)),
        (Route::Broker(BrokerId(1)), (0, 3, 12)),
        (Route::Broker(BrokerId(2)), (0, 3, 9)),
        (Route::Bootstrap, (0, 3, 9)),
    ] {
        for version in 0..=4 {
            let mut world = knowing(route);
            world.client(&versions(version));
            let expected: Vec<_> = [produce].into_iter().chain(rest).collect();
            assert_eq!(
                ranges(version, &received(&mut world)),
                expected,
                "{route:?} {version}"
            );
            assert!(world.targets.is_empty());
            log_in(&mut world, None);
        }
    }
}

/// librdkafka logs in only where it finds these APIs.
#[test]
fn what_a_client_logs_in_by_is_listed_whatever_brokers_say() {
    for version in 0..=4 {
        let mut snapshot = snapshot();
        snapshot.login = Some(Arc::new(settings()));
        let ranges = [(0, 0, 9), (18, 0, 4)];
        let address = at("kafka-1.canary:9092");
        let next = snapshot
            .topology
            .with_versions(&address, Some(&versions_of(&ranges)));
        snapshot.topology = Arc::new(next.unwrap());
        let mut world = World::with(snapshot, Route::Broker(BrokerId(1)));
        world.client(&versions(version));
        let expected = [(0, 0, 9), (18, 0, 4), (17, 0, 1), (36, 0, 2)];
        assert_eq!(self::ranges(version, &received(&mut world)), expected);
        log_in(&mut world, None);
    }
}

#[test]
fn versions_that_nobody_knows_yet_are_waited_for() {
    let mut world = world();
    world.client(&[versions(3), handshake(1, "PLAIN")].concat());
    assert!(world.to_client.is_empty());
    assert!(world.session.demand().snapshot && !world.session.demand().read_client);
    let learned = Arc::clone(&knowing(Route::Bootstrap).snapshot.topology);
    world.renew(|snapshot| snapshot.topology = learned);
    let all = received(&mut world);
    assert_eq!(ids(&all), [6, 7]);

    let mut world = self::world();
    world.client(&versions(3));
    world.advance(10 * SECOND);
    assert_eq!(world.closed, Some(CloseReason::TopologyUnknown));
}

#[test]
fn versions_are_given_once_and_unknown_ones_of_the_request_named() {
    let mut world = knowing(Route::Bootstrap);
    for version in [5, 99] {
        world.client(&request_head(18, version, 6));
        let (_, response) = decoded::<ApiVersionsResponse>(0, &received(&mut world));
        assert_eq!(response.error_code, 35);
        let range = &response.api_keys[0];
        assert_eq!(
            (range.api_key, range.min_version, range.max_version),
            (18, 0, 4)
        );
    }
    world.client(&versions(3));
    received(&mut world);
    world.client(&versions(3));
    world.advance(SECOND);
    let fault = ClientFault::NotLoggedIn(ApiKey(18));
    assert_eq!(world.closed, Some(CloseReason::Client(fault)));
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
