//! Logins of doorkeeper's own at a broker, once and again.

use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::event::Event;
use doorkeeper_core::id::BrokerId;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::broker::{TokenReply, TokenRequest};
use doorkeeper_core::sasl::failure::BrokerLoginFailure;
use doorkeeper_core::secret::Secret;
use doorkeeper_core::{CloseReason, ConnectFailure, End, Input, Leg, Route};
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::Decodable as _;

use crate::harness::*;
use crate::relay::{heartbeat, heartbeat_response, produce, produce_response};

const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    let mut snapshot = snapshot();
    snapshot.upstream_login = true;
    World::with(snapshot, Route::Broker(BrokerId(1)))
}

fn token(reply: TokenReply) -> Input {
    Input::Token(Box::new(reply))
}

fn first(bytes: &[u8]) -> Input {
    token(TokenReply::First {
        mechanism: Mechanism::ScramSha256,
        token: Secret::new(bytes),
    })
}

fn next(bytes: &[u8]) -> Input {
    token(TokenReply::Next(Secret::new(bytes)))
}

/// The frames that the broker has got, each by its key, its version and what is behind the header.
fn sent(world: &mut World) -> Vec<(i16, i16, Bytes)> {
    let sent = std::mem::take(&mut world.to_upstream);
    let frames = frames(&sent).into_iter().map(|frame| {
        let short = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        let client_id = usize::try_from(short(8)).unwrap();
        let (key, version) = (short(0), short(2));
        (key, version, Bytes::from(frame).slice(10 + client_id..))
    });
    frames.collect()
}

/// The one token that the broker has got.
fn sent_token(world: &mut World) -> Bytes {
    let mut sent = sent(world);
    let (key, version, mut body) = sent.pop().unwrap();
    assert_eq!((sent.len(), key, version), (0, 36, 1));
    SaslAuthenticateRequest::decode(&mut body, version)
        .unwrap()
        .auth_bytes
}

fn handshake_response(id: i32, error_code: i16) -> Vec<u8> {
    let body = SaslHandshakeResponse::default().with_error_code(error_code);
    response_frame(1, id, &body)
}

fn token_response(id: i32, token: &'static [u8], lifetime_ms: i64) -> Vec<u8> {
    let body = SaslAuthenticateResponse::default()
        .with_auth_bytes(Bytes::from_static(token))
        .with_session_lifetime_ms(lifetime_ms);
    response_frame(1, id, &body)
}

fn requested(world: &mut World) -> TokenRequest {
    let mut requested = std::mem::take(&mut world.requested);
    assert_eq!(requested.len(), 1);
    requested.remove(0)
}

/// The whole of a login with SCRAM's two tokens. Whatever the broker gets besides is left.
fn log_in(world: &mut World, lifetime_ms: i64) {
    let client = Some(Principal::anonymous());
    assert_eq!(requested(world), TokenRequest::First { client });
    world.input(first(b"client-first"));
    let (key, version, mut body) = sent(world).pop().unwrap();
    assert_eq!((key, version), (17, 1));
    let handshake = SaslHandshakeRequest::decode(&mut body, 1).unwrap();
    assert_eq!(&*handshake.mechanism, "SCRAM-SHA-256");
    world.upstream(&handshake_response(1, 0));
    assert_eq!(sent_token(world), "client-first");
    world.upstream(&token_response(2, b"server-first", 0));
    let request = requested(world);
    assert_eq!(request, TokenRequest::Next(Secret::new(*b"server-first")));
    world.input(next(b"client-final"));
    assert_eq!(sent_token(world), "client-final");
    world.upstream(&token_response(3, b"server-final", lifetime_ms));
    let request = requested(world);
    assert_eq!(request, TokenRequest::Next(Secret::new(*b"server-final")));
    world.input(token(TokenReply::Done));
}

#[test]
fn requests_follow_on_a_login_and_not_before() {
    for chunk in [1, 7, usize::MAX] {
        let mut world = world();
        world.chunk = chunk;
        world.client(&heartbeat(5));
        world.client(&heartbeat(6));
        assert!(world.to_upstream.is_empty());
        log_in(&mut world, 0);
        let keys: Vec<i16> = sent(&mut world).iter().map(|it| it.0).collect();
        assert_eq!(keys, [12, 12]);
        world.upstream(&heartbeat_response(5));
        world.upstream(&heartbeat_response(6));
        assert_eq!(ids(&world.to_client), [5, 6]);
        assert_eq!(counts(&world.events)["logged in upstream"], 1);
        // It holds for ever.
        world.advance(300 * SECOND);
        assert!(world.requested.is_empty());
    }
}

/// The session logs in again while requests come and responses are due, and the client notices
/// nothing of it.
#[test]
fn a_login_that_ends_is_followed_by_another_one() {
    for chunk in [1, 7, usize::MAX] {
        let mut world = world();
        world.chunk = chunk;
        world.client(&heartbeat(5));
        log_in(&mut world, 10_000);
        sent(&mut world);
        // Half of a request is on its way up when it is time, and a response is due.
        let produced = produce(6, 1, 1000);
        let (begun, rest) = produced.split_at(300);
        world.client(begun);
        world.advance(Duration::from_millis(8_499));
        assert!(world.requested.is_empty());
        world.advance(Duration::from_millis(1_001));
        let client = Some(Principal::anonymous());
        assert_eq!(requested(&mut world), TokenRequest::First { client });
        world.input(first(b"again"));
        world.client(rest);
        world.client(&heartbeat(7));
        let got: Vec<i16> = sent(&mut world).iter().map(|it| it.0).collect();
        assert_eq!(got, [0, 17], "the login waits for the end of a request");
        assert!(!world.session.demand().read_client);
        // Responses that were due come first.
        world.upstream(&heartbeat_response(5));
        world.upstream(&produce_response(6));
        assert_eq!(ids(&world.to_client), [5, 6]);
        world.upstream(&handshake_response(1, 0));
        assert_eq!(sent_token(&mut world), "again");
        world.upstream(&token_response(2, b"", 10_000));
        let request = requested(&mut world);
        assert_eq!(request, TokenRequest::Next(Secret::new([])));
        world.input(token(TokenReply::Done));
        let got: Vec<i16> = sent(&mut world).iter().map(|it| it.0).collect();
        assert_eq!(got, [12]);
        world.upstream(&heartbeat_response(7));
        assert_eq!(ids(&world.to_client), [5, 6, 7]);
        assert!(world.session.demand().read_client);
        // And so on.
        world.advance(Duration::from_millis(9_500));
        assert_eq!(world.requested.len(), 1);
        assert_eq!(world.closed, None);
    }
}

/// The broker agrees on the mechanism.
fn agreed(world: &mut World) {
    world.input(first(b"client-first"));
    world.upstream(&handshake_response(1, 0));
}

fn closed(world: &World) -> Option<BrokerLoginFailure> {
    match world.closed {
        Some(CloseReason::Unreachable(ConnectFailure::Login(why))) => Some(why),
        Some(reason) => panic!("{reason}"),
        None => None,
    }
}

#[test]
fn credentials_that_are_wrong_close_and_are_not_tried_again() {
    let mut world = world();
    world.client(&heartbeat(5));
    world.input(first(b"client-first"));
    world.upstream(&handshake_response(1, 0));
    let rejected = SaslAuthenticateResponse::default().with_error_code(58);
    world.upstream(&response_frame(1, 2, &rejected));
    assert_eq!(closed(&world), Some(BrokerLoginFailure::Rejected));
    assert_eq!(world.targets.len(), 1);
}

#[test]
fn each_way_in_which_a_login_fails_has_its_reason() {
    type Script = dyn Fn(&mut World);
    let failed = |script: &Script| {
        let mut world = world();
        world.client(&heartbeat(5));
        script(&mut world);
        assert!(world.session.egress(Leg::Upstream).is_empty());
        closed(&world)
    };
    let cases: [(BrokerLoginFailure, &Script); 7] = [
        (BrokerLoginFailure::NoCredentials, &|world| {
            let why = BrokerLoginFailure::NoCredentials;
            world.input(token(TokenReply::Failure(why)));
        }),
        (BrokerLoginFailure::MechanismNotEnabled, &|world| {
            world.input(first(b"client-first"));
            world.upstream(&handshake_response(1, 33));
        }),
        (BrokerLoginFailure::Malformed, &|world| {
            world.input(first(b"client-first"));
            world.upstream(&handshake_response(4, 0));
        }),
        (BrokerLoginFailure::Malformed, &|world| {
            agreed(world);
            let glued = [token_response(2, b"a", 0), token_response(3, b"b", 0)];
            world.upstream(&glued.concat());
        }),
        (BrokerLoginFailure::Malformed, &|world| {
            agreed(world);
            world.upstream(&[0, 1, 0, 1, 0, 0, 0, 0]);
        }),
        (BrokerLoginFailure::NotAuthentic, &|world| {
            agreed(world);
            world.upstream(&token_response(2, b"server-first", 0));
            let why = BrokerLoginFailure::NotAuthentic;
            world.input(token(TokenReply::Failure(why)));
        }),
        (BrokerLoginFailure::Malformed, &|world| {
            agreed(world);
            for id in 2..7 {
                world.upstream(&token_response(id, b"again", 0));
                world.input(next(b"and again"));
            }
        }),
    ];
    for (why, script) in cases {
        assert_eq!(failed(script), Some(why));
    }
}

#[test]
fn a_broker_that_ends_in_its_login_is_dialled_again() {
    for how in [End::Fin, End::Reset] {
        let mut world = world();
        world.client(&heartbeat(5));
        world.input(first(b"client-first"));
        world.ended(Leg::Upstream, how);
        // What still comes of the connection that has failed is of no interest.
        world.ended(Leg::Upstream, End::Reset);
        world.requested.clear();
        world.to_upstream.clear();
        world.advance(SECOND);
        assert_eq!((world.targets.len(), world.closed), (2, None));
        log_in(&mut world, 0);
        assert_eq!(sent(&mut world).len(), 1);
    }
}

#[test]
fn a_login_that_never_ends_has_the_time_of_a_connection() {
    let mut world = world();
    world.client(&heartbeat(5));
    world.advance(world.snapshot.limits.connect_timeout);
    assert_eq!(closed(&world), Some(BrokerLoginFailure::TimedOut));
}

/// Whoever gives tokens may be away for a while: the login that there is still holds.
#[test]
fn a_token_that_cannot_be_had_is_asked_for_again_while_the_login_holds() {
    let mut world = world();
    world.client(&heartbeat(5));
    log_in(&mut world, 60_000);
    world.upstream(&heartbeat_response(5));
    world.advance(57 * SECOND);
    let unavailable = BrokerLoginFailure::CredentialsUnavailable;
    let mut times = 0;
    while world.closed.is_none() {
        world.requested.clear();
        world.input(token(TokenReply::Failure(unavailable)));
        times += 1;
        assert!(world.session.demand().read_client || world.closed.is_some());
        world.advance(SECOND);
        if world.requested.is_empty() && world.closed.is_none() {
            world.advance(SECOND);
        }
    }
    assert!(times >= 3, "{times}");
    assert_eq!(closed(&world), Some(unavailable));
}

#[test]
fn a_login_that_does_not_hold_again_ends_the_session() {
    let mut world = world();
    world.client(&heartbeat(5));
    log_in(&mut world, 10_000);
    world.upstream(&heartbeat_response(5));
    world.advance(Duration::from_millis(9_500));
    world.input(first(b"again"));
    world.upstream(&handshake_response(1, 0));
    let rejected = SaslAuthenticateResponse::default().with_error_code(58);
    world.upstream(&response_frame(1, 2, &rejected));
    assert_eq!(closed(&world), Some(BrokerLoginFailure::Rejected));
    assert_eq!(ids(&world.to_client), [5]);
}

#[test]
fn a_client_that_leaves_within_the_login_takes_nothing_along() {
    let mut world = world();
    world.client(&produce(5, 0, 10));
    world.ended(Leg::Client, End::Fin);
    assert_eq!(
        world.closed, None,
        "a Produce without a response is still to be sent"
    );
    log_in(&mut world, 0);
    assert_eq!(sent(&mut world).len(), 1);
    assert_eq!(world.closed, Some(CloseReason::ClientEnded(End::Fin)));
}

#[test]
fn no_event_has_a_byte_of_a_token() {
    let mut world = world();
    world.client(&heartbeat(5));
    log_in(&mut world, 10_000);
    let shown = format!("{:?} {:?}", world.events, world.session);
    for secret in ["client-first", "client-final", "server-first"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    let logged_in = |it: &&Event| matches!(it, Event::UpstreamLoggedIn { again: false, .. });
    assert_eq!(world.events.iter().filter(logged_in).count(), 1);
}
