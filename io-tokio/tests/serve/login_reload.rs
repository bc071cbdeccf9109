//! Other users and mechanisms while clients are logged in: exactly those sessions end whose clients
//! could not log in any more as they have.

use std::sync::Arc;

use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::login::LoginSettings;
use doorkeeper_core::sasl::scram::Hash;
use doorkeeper_core::sasl::scram::client::ScramClient;
use doorkeeper_core::secret::Secret;
use doorkeeper_io_tokio::login::Logins;
use doorkeeper_io_tokio::serve::{Listener, Plan};
use kafka_protocol::messages::SaslAuthenticateRequest;

use crate::client::Client;
use crate::frames::request;
use crate::login::{BROKER_1, authenticate, handshake, log_in, logins, secure};
use crate::world::World;

const BOTH: &[(&str, &str)] = &[("alice", "pencil"), ("bob", "crayon")];
const BOB: &[(&str, &str)] = &[("bob", "crayon")];

fn secured(plan: &mut Plan) -> &mut Listener {
    plan.listeners.last_mut().unwrap()
}

/// Two users, alice and bob.
async fn world() -> World {
    World::with(|plan| {
        secure(plan);
        secured(plan).logins = Some(logins(BOTH));
    })
    .await
}

async fn logged_in(world: &World, mechanism: Mechanism, user: &str, password: &str) -> Client {
    let mut client = world.client(BROKER_1).await;
    let response = log_in(&mut client, mechanism, user, password).await;
    assert_eq!(response.error_code, 0);
    client
}

/// The client gets nothing more, and its session has ended for this reason.
async fn ends(world: &World, client: &mut Client, reason: &str) {
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(client.address).await, reason);
}

#[tokio::test(start_paused = true)]
async fn who_never_logged_in_is_gone_once_everybody_must() {
    let mut world = World::with(|plan| {
        secure(plan);
        let secured = secured(plan);
        (secured.snapshot.login, secured.logins) = (None, None);
    })
    .await;
    let mut before = world.client(BROKER_1).await;
    before.exchange(1).await;
    let mut demands = world.plan.clone();
    demands.listeners.pop();
    secure(&mut demands);
    world.reload(|plan| *plan = demands).await.unwrap();
    ends(&world, &mut before, "login_required").await;
    let mut after = logged_in(&world, Mechanism::Plain, "alice", "pencil").await;
    after.exchange(2).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_removed_is_gone_and_nobody_else() {
    let mut world = world().await;
    let mut gone = Vec::new();
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha512] {
        gone.push(logged_in(&world, mechanism, "alice", "pencil").await);
    }
    let mut bob = logged_in(&world, Mechanism::Plain, "bob", "crayon").await;
    let mut slow = world.client(BROKER_1).await;
    handshake(&mut slow, Mechanism::Plain).await;
    world
        .reload(|plan| secured(plan).logins = Some(logins(BOB)))
        .await
        .unwrap();
    for client in &mut gone {
        ends(&world, client, "user_removed").await;
    }
    bob.exchange(1).await;
    let response = authenticate(&mut slow, b"\0bob\0crayon".to_vec()).await;
    assert_eq!(response.error_code, 0);
    slow.exchange(1).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_mechanism_that_is_not_offered_any_more_ends_the_sessions_of_its_logins() {
    let mut world = world().await;
    let mut plain = logged_in(&world, Mechanism::Plain, "alice", "pencil").await;
    let mut scram = logged_in(&world, Mechanism::ScramSha256, "alice", "pencil").await;
    let mut slow = world.client(BROKER_1).await;
    handshake(&mut slow, Mechanism::Plain).await;
    world
        .reload(|plan| {
            let login = secured(plan).snapshot.login.as_mut().unwrap();
            let mut fewer = LoginSettings::clone(login);
            fewer.mechanisms.retain(|it| *it != Mechanism::Plain);
            *login = Arc::new(fewer);
        })
        .await
        .unwrap();
    ends(&world, &mut plain, "mechanism_removed").await;
    scram.exchange(1).await;
    // It has chosen the mechanism before.
    slow.send(&token(b"\0bob\0crayon".to_vec())).await;
    ends(&world, &mut slow, "mechanism_removed").await;
    world.stops_in_order().await;
}

/// A request with a token of a login.
fn token(token: Vec<u8>) -> Vec<u8> {
    let body = SaslAuthenticateRequest::default().with_auth_bytes(token.into());
    request(36, 2, 2, &body)
}

/// The client has got the challenge of SCRAM-SHA-256; its last token proves the password.
async fn half_logged_in(client: &mut Client, user: &str, password: &str) -> Vec<u8> {
    handshake(client, Mechanism::ScramSha256).await;
    let password = Secret::new(password.as_bytes());
    let (scram, first) = ScramClient::begin(Hash::Sha256, user, "abcdefgh");
    let response = authenticate(client, first).await;
    let challenged = scram.challenged(&response.auth_bytes).unwrap();
    challenged.prove(&challenged.derive(&password)).1
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_under_way_is_no_way_around_a_removal() {
    let mut world = world().await;
    let mut client = world.client(BROKER_1).await;
    let last = half_logged_in(&mut client, "alice", "pencil").await;
    world
        .reload(|plan| secured(plan).logins = Some(logins(BOB)))
        .await
        .unwrap();
    client.send(&token(last)).await;
    ends(&world, &mut client, "user_removed").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_ends_the_sessions_of_its_user_where_that_is_configured() {
    let ending = |users: &[(&str, &str)]| {
        Some(Arc::new(Logins {
            password_change_ends_sessions: true,
            ..Logins::clone(&logins(users))
        }))
    };
    let mut world = World::with(|plan| {
        secure(plan);
        secured(plan).logins = ending(BOTH);
    })
    .await;
    let mut alice = logged_in(&world, Mechanism::Plain, "alice", "pencil").await;
    let mut bob = logged_in(&world, Mechanism::ScramSha256, "bob", "crayon").await;
    let mut slow = world.client(BROKER_1).await;
    let last = half_logged_in(&mut slow, "alice", "pencil").await;
    let changed = [("alice", "pen"), ("bob", "crayon")];
    world
        .reload(|plan| secured(plan).logins = ending(&changed))
        .await
        .unwrap();
    ends(&world, &mut alice, "password_changed").await;
    bob.exchange(1).await;
    slow.send(&token(last)).await;
    ends(&world, &mut slow, "password_changed").await;
    world.stops_in_order().await;
}

/// Once nobody has to log in, everybody is anonymous, and who has logged in is somebody else.
#[tokio::test(start_paused = true)]
async fn who_has_logged_in_is_gone_once_nobody_has_to() {
    let mut world = world().await;
    let mut alice = logged_in(&world, Mechanism::Plain, "alice", "pencil").await;
    let changes = world.reload(|plan| {
        let secured = secured(plan);
        (secured.snapshot.login, secured.logins) = (None, None);
    });
    let changes = changes.await.unwrap().to_string();
    assert_eq!(changes, "listener secured: users, sasl");
    ends(&world, &mut alice, "principal_changed").await;
    world.client(BROKER_1).await.exchange(1).await;
    world.stops_in_order().await;
}
