//! A cluster whose brokers want a login of doorkeeper's own.

use bytes::Bytes;
use doorkeeper_core::discovery::{Config, Failure, Input};
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::broker::{TokenReply, TokenRequest};
use doorkeeper_core::sasl::failure::BrokerLoginFailure;
use doorkeeper_core::secret::Secret;
use doorkeeper_core::{ConnectFailure, End};
use kafka_protocol::messages::{SaslAuthenticateResponse, SaslHandshakeResponse};

use crate::world::{SECOND, World, config, pairs};

fn secured() -> World {
    World::with(Config {
        logs_in: true,
        ..config()
    })
}

/// The broker agrees on PLAIN, and responds to the token with that error.
fn log_in(world: &mut World, error_code: i16) {
    world.connect();
    let asked = std::mem::take(&mut world.requested);
    assert_eq!(asked, [TokenRequest::First { client: None }]);
    let token = Secret::new(*b"\0doorkeeper\0secret");
    let mechanism = Mechanism::Plain;
    world.input(Input::Token(TokenReply::First { mechanism, token }));
    assert_eq!(world.sent.get(4..8), Some(&[0, 17, 0, 1][..]));
    let id = world.asked();
    world.respond(id, 1, &SaslHandshakeResponse::default());
    assert_eq!(world.sent.get(4..8), Some(&[0, 36, 0, 1][..]));
    let id = world.asked();
    let response = SaslAuthenticateResponse::default().with_error_code(error_code);
    world.respond(id, 1, &response);
}

fn failure(world: &World) -> Option<Failure> {
    world.failures().last().copied()
}

const fn login(why: BrokerLoginFailure) -> Option<Failure> {
    Some(Failure::Connect(ConnectFailure::Login(why)))
}

#[test]
fn the_topology_is_learned_behind_a_login() {
    let mut world = secured();
    log_in(&mut world, 0);
    let asked = std::mem::take(&mut world.requested);
    assert_eq!(asked, [TokenRequest::Next(Secret::new([]))]);
    assert!(world.sent.is_empty());
    world.input(Input::Token(TokenReply::Done));
    world.offer(0, 13);
    world.list("c", &[(0, "a", 1)]);
    assert_eq!(world.newest(), pairs(&[(0, "a:1")]));
    // The next round logs in again.
    world.until_connect();
    log_in(&mut world, 0);
}

#[test]
fn a_rejected_login_is_said_and_tried_again_later() {
    let mut world = secured();
    log_in(&mut world, 58);
    assert_eq!(failure(&world), login(BrokerLoginFailure::Rejected));
    assert!(!world.connected);
    let before = world.now;
    world.until_connect();
    assert_eq!(world.now.since(before), SECOND);
}

#[test]
fn a_login_that_goes_wrong_has_its_reason() {
    let mut world = secured();
    world.connect();
    let why = BrokerLoginFailure::CredentialsUnavailable;
    world.input(Input::Token(TokenReply::Failure(why)));
    assert_eq!(failure(&world), login(why));

    let mut world = secured();
    world.connect();
    world.input(Input::Ended(End::Fin));
    assert_eq!(failure(&world), login(BrokerLoginFailure::Ended));

    // Nothing was asked for yet that could be responded to.
    let mut world = secured();
    world.connect();
    let response = Bytes::from_static(&[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0]);
    world.input(Input::Bytes(response));
    assert_eq!(failure(&world), login(BrokerLoginFailure::Malformed));

    let mut world = secured();
    world.connect();
    world.now = world.discovery.demand().deadline.unwrap();
    world.input(Input::Tick);
    assert_eq!(failure(&world), login(BrokerLoginFailure::TimedOut));
}
