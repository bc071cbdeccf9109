//! Clients that log in, and clients that cannot.

use std::sync::Arc;

use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::login::LoginSettings;
use doorkeeper_core::sasl::plain::PlainMessage;
use doorkeeper_core::sasl::scram::Hash;
use doorkeeper_core::sasl::scram::client::ScramClient;
use doorkeeper_core::secret::Secret;
use doorkeeper_io_tokio::login::Logins;
use doorkeeper_io_tokio::login::users::Users;
use doorkeeper_io_tokio::serve::Plan;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};

use crate::client::Client;
use crate::frames::{decoded, request};
use crate::world::{BOOT, SECOND, World, listener};

/// The bootstrap port of the listener where clients log in; broker 1 is two behind it.
pub const SECURED: u16 = 9100;
pub const BROKER_1: u16 = SECURED + 2;

pub fn logins(users: &[(&str, &str)]) -> Arc<Logins> {
    let mut all = Users::new(&[7; 32], 4096);
    for (name, password) in users {
        let password = Secret::new(password.as_bytes());
        all.set(name, &password, [[1; 16], [2; 16]]).unwrap();
    }
    Arc::new(Logins {
        users: Some(Arc::new(all)),
        tokens: None,
        password_change_ends_sessions: false,
    })
}

pub fn secure(plan: &mut Plan) {
    let mut secured = listener("secured", "main", &[BOOT], SECURED);
    secured.snapshot.login = Some(Arc::new(LoginSettings {
        mechanisms: vec![
            Mechanism::ScramSha256,
            Mechanism::ScramSha512,
            Mechanism::Plain,
        ],
        frame_bytes_max: 64 * 1024,
        frames_max: 10,
        login_timeout: 10 * SECOND,
        failure_delay: SECOND / 10,
        session_lifetime_max: None,
    }));
    secured.logins = Some(logins(&[("alice", "pencil")]));
    plan.listeners.push(secured);
    for cluster in &mut plan.clusters {
        cluster.discovery.learns_versions = true;
    }
}

pub async fn handshake(client: &mut Client, mechanism: Mechanism) {
    let body = SaslHandshakeRequest::default().with_mechanism(mechanism.name().into());
    client.send(&request(17, 1, 1, &body)).await;
    let (_, response) = decoded::<SaslHandshakeResponse>(1, &client.frame().await);
    assert_eq!((response.error_code, response.mechanisms.len()), (0, 3));
}

pub async fn authenticate(client: &mut Client, token: Vec<u8>) -> SaslAuthenticateResponse {
    let body = SaslAuthenticateRequest::default().with_auth_bytes(token.into());
    client.send(&request(36, 2, 2, &body)).await;
    decoded(2, &client.frame().await).1
}

/// Logs in, and gives the last response.
pub async fn log_in(
    client: &mut Client,
    mechanism: Mechanism,
    user: &str,
    password: &str,
) -> SaslAuthenticateResponse {
    handshake(client, mechanism).await;
    let password = Secret::new(password.as_bytes());
    let hash = match mechanism {
        Mechanism::ScramSha256 => Hash::Sha256,
        Mechanism::ScramSha512 => Hash::Sha512,
        Mechanism::Plain | Mechanism::OAuthBearer => {
            let token = PlainMessage::token(user, &password).unwrap();
            return authenticate(client, token.expose().to_vec()).await;
        }
    };
    let (scram, first) = ScramClient::begin(hash, user, "abcdefgh");
    let response = authenticate(client, first).await;
    assert_eq!(response.error_code, 0);
    let challenged = scram.challenged(&response.auth_bytes).unwrap();
    let (proved, last) = challenged.prove(&challenged.derive(&password));
    let response = authenticate(client, last).await;
    if response.error_code == 0 {
        assert_eq!(proved.verify(&response.auth_bytes), Ok(()));
    }
    response
}

#[tokio::test(start_paused = true)]
async fn a_user_logs_in_by_every_mechanism_and_is_served() {
    let world = World::with(secure).await;
    let all = [
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
        Mechanism::Plain,
        // Once more: this time the password is known to be right.
        Mechanism::Plain,
    ];
    for mechanism in all {
        let mut client = world.client(BROKER_1).await;
        let response = log_in(&mut client, mechanism, "alice", "pencil").await;
        assert_eq!(response.error_code, 0, "{response:?}");
        client.exchange(3).await;
    }
    let logins = |mechanism| {
        let labels = format!("listener=\"secured\",mechanism=\"{mechanism}\"");
        world
            .seen
            .sample(&format!("doorkeeper_logins_total{{{labels}}}"))
    };
    assert_eq!((logins("PLAIN"), logins("SCRAM-SHA-512")), (2, 1));
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_else_is_let_in_or_told_why() {
    let world = World::with(secure).await;
    for mechanism in [Mechanism::ScramSha256, Mechanism::Plain] {
        let mut told = Vec::new();
        for (user, password) in [("alice", "pen"), ("eve", "pencil")] {
            let mut client = world.client(BROKER_1).await;
            let response = log_in(&mut client, mechanism, user, password).await;
            assert_eq!(response.error_code, 58);
            told.push(response);
            assert_eq!(client.rest().await, b"");
            let reason = world.seen.closed(client.address).await;
            assert_eq!(reason, "login_failed");
        }
        assert_eq!(told[0], told[1]);
        for reason in ["wrong_password", "unknown_user"] {
            let mechanism = mechanism.name();
            let labels =
                format!("listener=\"secured\",mechanism=\"{mechanism}\",reason=\"{reason}\"");
            let sample = format!("doorkeeper_login_failures_total{{{labels}}}");
            assert_eq!(world.seen.sample(&sample), 1, "{sample}");
        }
    }
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn users_change_without_a_restart() {
    let mut world = World::with(secure).await;
    let mut before = world.client(BROKER_1).await;
    log_in(&mut before, Mechanism::Plain, "alice", "pencil").await;
    let changes = world
        .reload(|plan| {
            let secured = plan.listeners.last_mut().unwrap();
            secured.logins = Some(logins(&[("alice", "crayon")]));
        })
        .await;
    assert_eq!(changes.unwrap().to_string(), "listener secured: users");
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha512] {
        let mut client = world.client(BROKER_1).await;
        let response = log_in(&mut client, mechanism, "alice", "pencil").await;
        assert_eq!(response.error_code, 58);
        let mut client = world.client(BROKER_1).await;
        let response = log_in(&mut client, mechanism, "alice", "crayon").await;
        assert_eq!(response.error_code, 0);
    }
    // Who has logged in goes on.
    before.exchange(5).await;
    world.stops_in_order().await;
}
