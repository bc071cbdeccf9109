//! Brokers that want doorkeeper to log in.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use doorkeeper_core::ConnectFailure;
use doorkeeper_core::discovery::Failure;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::failure::BrokerLoginFailure;
use doorkeeper_core::sasl::scram::Hash;
use doorkeeper_core::secret::Secret;
use doorkeeper_io_tokio::login::identities::{CredentialKind, Identities, Others};
use doorkeeper_io_tokio::serve::Plan;

use crate::broker_sasl::LoginDemand;
use crate::clock::pass;
use crate::frames::heartbeat;
use crate::mesh::Mesh;
use crate::world::{BROKER_1, SECOND, World, cluster, plan};

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

fn scram(hash: Hash, password: &str) -> CredentialKind {
    CredentialKind::Scram {
        hash,
        username: "doorkeeper".to_owned(),
        password: secret(password),
    }
}

fn log_in_as(plan: &mut Plan, identities: Identities) {
    let identities = Arc::new(identities);
    for cluster in &mut plan.clusters {
        cluster.identities = Some(Arc::clone(&identities));
        cluster.discovery.logs_in = true;
    }
    for listener in &mut plan.listeners {
        listener.snapshot.upstream_login = true;
    }
}

fn service(kind: CredentialKind) -> Identities {
    Identities::new(kind, [], Others::Service)
}

/// A cluster whose brokers want that, and doorkeeper in front of it as one of these.
fn world(demand: &Arc<LoginDemand>, identities: Identities) -> World {
    let mesh = Mesh::default();
    let cluster = cluster(&mesh);
    cluster.demands(demand);
    let mut plan = plan();
    log_in_as(&mut plan, identities);
    World::cold(mesh, cluster, plan)
}

#[tokio::test(start_paused = true)]
async fn doorkeeper_logs_in_by_every_mechanism() {
    let token_file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker-token");
    fs::write(&token_file, "secret\n").unwrap();
    let all = [
        scram(Hash::Sha256, "secret"),
        scram(Hash::Sha512, "secret"),
        CredentialKind::Plain {
            username: "doorkeeper".to_owned(),
            password: secret("secret"),
        },
        CredentialKind::TokenFile {
            file: token_file,
            extensions: Vec::new(),
        },
    ];
    for kind in all {
        let demand = LoginDemand::of(&[("doorkeeper", "secret")]);
        let mut world = world(&demand, service(kind));
        world.warm_up().await;
        let mut client = world.client(BROKER_1).await;
        client.exchange(3).await;
        client.exchange(4).await;
        let logged_in = demand.logged_in();
        assert!(logged_in.len() >= 2, "discovery and sessions");
        assert!(logged_in.iter().all(|it| it == "doorkeeper"));
        let logins = "doorkeeper_upstream_logins_total{listener=\"local\"}";
        assert!(world.seen.sample(logins) >= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_said_and_right_ones_are_taken_without_a_restart() {
    let demand = LoginDemand::of(&[("doorkeeper", "secret")]);
    let mut world = world(&demand, service(scram(Hash::Sha256, "old")));
    let rejected = Failure::Connect(ConnectFailure::Login(BrokerLoginFailure::Rejected));
    world.discovery_fails(rejected, 2).await;
    let right = service(scram(Hash::Sha256, "secret"));
    let changes = world.reload(|plan| log_in_as(plan, right)).await.unwrap();
    assert_eq!(format!("{changes}"), "cluster main: identity");
    world.warm_up().await;
    world.client(BROKER_1).await.exchange(3).await;
}

/// A login that ends is followed by another one while the client is served.
#[tokio::test(start_paused = true)]
async fn logins_go_on_as_long_as_the_session() {
    let demand = LoginDemand::of(&[("doorkeeper", "secret")]);
    demand.lifetime_ms.store(10_000, Ordering::Relaxed);
    let mut world = world(&demand, service(scram(Hash::Sha512, "secret")));
    world.warm_up().await;
    let mut client = world.client(BROKER_1).await;
    let before = demand.logged_in().len();
    for id in 0..120 {
        client.exchange(id).await;
        pass(SECOND / 2).await;
    }
    // Of the bystander's session and of this one, in 60 seconds.
    let again = demand.logged_in().len() - before;
    assert!(again >= 12, "{again}");
}

#[tokio::test(start_paused = true)]
async fn a_client_has_credentials_of_its_own_or_none() {
    let anonymous = Principal::anonymous();
    let own = CredentialKind::Plain {
        username: "nobody".to_owned(),
        password: secret("nothing"),
    };
    let users = [("doorkeeper", "secret"), ("nobody", "nothing")];
    let demand = LoginDemand::of(&users);
    let service = scram(Hash::Sha256, "secret");
    let named = [(anonymous, own)];
    let identities = Identities::new(service.clone(), named, Others::Refused);
    let mut world = world(&demand, identities);
    world.warm_up().await;
    world.client(BROKER_1).await.exchange(3).await;
    assert_eq!(demand.logged_in().last().unwrap(), "nobody");
    assert!(demand.logged_in().contains(&"doorkeeper".to_owned()));

    let none = Identities::new(service, [], Others::Refused);
    world.reload(|plan| log_in_as(plan, none)).await.unwrap();
    let mut client = world.client(BROKER_1).await;
    client.send(&heartbeat(3)).await;
    world.ends(&mut client, "upstream_login").await;
}
