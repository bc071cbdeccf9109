//! Other certificates, CAs and revocation lists while clients are connected: exactly those sessions
//! end whose peers could not connect any more.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorkeeper_core::certificate::mapping_rules::MappingRules;
use doorkeeper_core::certificate::principal::PrincipalSource;
use doorkeeper_core::certificate::subject_rule::SubjectRule;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_io_tokio::tls::parameters::Parameters;
use doorkeeper_io_tokio::tls::server::{ClientAuth, ServerSettings, ServerTls, Trust};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ca::{CLIENT, Ca, Leaf, NAME, SERVER};
use crate::frames::*;
use crate::recorder::Seen;
use crate::tls::*;

/// Another client than [`CLIENT`].
const BOB: Leaf = Leaf {
    name: "bob",
    serial: 3,
    ..CLIENT
};

/// A client that is connected.
struct Connected(Box<dyn Stream>);

impl Connected {
    async fn to(world: &World, tls: Option<&Arc<rustls::ClientConfig>>) -> Self {
        let mut connected = Self(world.connect(tls).await.unwrap());
        connected.is_served(1).await;
        connected
    }

    async fn is_served(&mut self, id: i32) {
        self.0.write_all(&heartbeat(id)).await.unwrap();
        self.0.flush().await.unwrap();
        assert_eq!(next_frame(&mut self.0).await, Some(heartbeat_response(id)));
    }

    /// Nothing more comes, and the end does.
    async fn is_gone(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
}

/// Waits until a session has ended for this reason, and no other one has ended.
async fn one_ended(world: &World, reason: &'static str) {
    let ended = |seen: &[Seen]| {
        let is_it = |seen: &Seen| matches!(seen, Seen::Closed(_, why, _) if *why == reason);
        seen.iter().any(is_it).then_some(())
    };
    world.seen.until(reason, ended).await;
    let reasons: Vec<_> = world.seen.reasons().into_iter().collect();
    assert_eq!(reasons, [(reason, 1)]);
}

/// Everybody shows a certificate, but for the one with this number.
fn required(ca: &Ca, revoked: u64) -> ServerTls {
    let trust = Trust {
        crls: vec![ca.crl(revoked, (2020, 2100))],
        ..trust(ca)
    };
    server_tls(ca, ClientAuth::Required(trust))
}

/// A world whose listener has this TLS.
async fn listening(tls: ServerTls) -> World {
    World::start(Legs {
        listener: Some(tls),
        ..Legs::default()
    })
    .await
}

#[tokio::test]
async fn a_client_whose_certificate_is_revoked_is_gone_and_only_it() {
    let ca = Ca::new();
    let mut world = listening(required(&ca, 77)).await;
    let [alice_tls, bob_tls] = [CLIENT, BOB].map(|leaf| client_tls(&ca, Some(leaf)));
    let mut alice = Connected::to(&world, Some(&alice_tls)).await;
    let mut bob = Connected::to(&world, Some(&bob_tls)).await;
    let since = Instant::now();
    let changes = world.reload(|plan| plan.listeners[0].tls = Some(required(&ca, CLIENT.serial)));
    assert_eq!(changes.await, "listener local: certificates, crl_files");
    alice.is_gone().await;
    assert!(since.elapsed() < Duration::from_secs(1));
    one_ended(&world, "certificate_revoked").await;
    bob.is_served(2).await;
    if let Ok(mut again) = world.connect(Some(&alice_tls)).await {
        assert!(again.read_u8().await.is_err());
    }
    let failure = world.failed_handshake(1).await;
    assert_eq!(failure, TlsFailure::CertificateRevoked);
}

#[tokio::test]
async fn a_client_whose_ca_is_removed_is_gone_and_only_it() {
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let both = Trust {
        ca: [ca.pem.as_bytes(), other.pem.as_bytes()].concat(),
        ..trust(&ca)
    };
    let mut world = listening(server_tls(&ca, ClientAuth::Required(both))).await;
    let mut foreign_tls = (*client_tls(&ca, None)).clone();
    let resolver = rustls::sign::SingleCertAndKey::from(identity_of(&other, CLIENT));
    foreign_tls.client_auth_cert_resolver = Arc::new(resolver);
    let mut stays = Connected::to(&world, Some(&client_tls(&ca, Some(CLIENT)))).await;
    let mut goes = Connected::to(&world, Some(&Arc::new(foreign_tls))).await;
    world
        .reload(|plan| {
            plan.listeners[0].tls = Some(server_tls(&ca, ClientAuth::Required(trust(&ca))));
        })
        .await;
    goes.is_gone().await;
    one_ended(&world, "certificate_not_trusted").await;
    stays.is_served(2).await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_gone_once_one_is_required() {
    let ca = Ca::new();
    let optional = server_tls(&ca, ClientAuth::Optional(trust(&ca)));
    let mut world = listening(optional).await;
    let mut stays = Connected::to(&world, Some(&client_tls(&ca, Some(CLIENT)))).await;
    let mut goes = Connected::to(&world, Some(&client_tls(&ca, None))).await;
    world
        .reload(|plan| {
            plan.listeners[0].tls = Some(server_tls(&ca, ClientAuth::Required(trust(&ca))));
        })
        .await;
    goes.is_gone().await;
    one_ended(&world, "certificate_required").await;
    stays.is_served(2).await;
}

#[tokio::test]
async fn a_client_in_plaintext_is_gone_once_the_listener_has_tls() {
    let ca = Ca::new();
    let mut world = World::start(Legs::default()).await;
    let mut goes = Connected::to(&world, None).await;
    let tls = server_tls(&ca, ClientAuth::None);
    let changes = world.reload(|plan| plan.listeners[0].tls = Some(tls)).await;
    assert_eq!(changes, "listener local: tls");
    goes.is_gone().await;
    one_ended(&world, "tls_required").await;
    Connected::to(&world, Some(&client_tls(&ca, None))).await;
}

async fn shaken(
    world: &World,
    tls: &Arc<rustls::ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    shake(TcpStream::connect(world.at).await?, tls).await
}

async fn shake(
    socket: TcpStream,
    tls: &Arc<rustls::ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(NAME).unwrap();
    TlsConnector::from(Arc::clone(tls))
        .connect(name, socket)
        .await
}

#[tokio::test]
async fn the_next_handshake_shows_the_new_certificate_and_connections_live() {
    let ca = Ca::new();
    let identities = [identity_of(&ca, SERVER), identity_of(&ca, SERVER)];
    let with = |identity: usize| {
        let settings = ServerSettings {
            parameters: Parameters::default(),
            identities: vec![Arc::clone(&identities[identity])],
            client_auth: ClientAuth::None,
        };
        ServerTls::new(settings).unwrap()
    };
    let mut world = listening(with(0)).await;
    let tls = client_tls(&ca, None);
    let mut early = Connected::to(&world, Some(&tls)).await;
    for identity in [0, 1] {
        world
            .reload(|plan| plan.listeners[0].tls = Some(with(identity)))
            .await;
        let stream = shaken(&world, &tls).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown, identities[identity].cert);
    }
    early.is_served(2).await;
}

/// The handshake goes by what was in force at accept; the session does not.
#[tokio::test]
async fn a_handshake_that_is_under_way_is_no_way_around_a_revocation() {
    let ca = Ca::new();
    let mut world = listening(required(&ca, 77)).await;
    let alice = client_tls(&ca, Some(CLIENT));
    let sockets = [
        TcpStream::connect(world.at).await.unwrap(),
        TcpStream::connect(world.at).await.unwrap(),
    ];
    // It comes after them.
    Connected::to(&world, Some(&client_tls(&ca, Some(BOB)))).await;
    world
        .reload(|plan| plan.listeners[0].tls = Some(required(&ca, CLIENT.serial)))
        .await;
    for (number, socket) in (1..).zip(sockets) {
        // The first message goes out, and waits for nothing.
        if let Ok(mut client) = shake(socket, &alice).await {
            assert!(client.read_u8().await.is_err());
        }
        let failure = world.failed_handshake(number).await;
        assert_eq!(failure, TlsFailure::CertificateRevoked);
    }
}

#[tokio::test]
async fn a_client_that_would_be_somebody_else_now_is_gone_and_only_it() {
    let ca = Ca::new();
    let named = |rules: &str| {
        let mut trust = trust(&ca);
        trust.rules.principal = PrincipalSource::Subject(MappingRules::parse(rules).unwrap());
        server_tls(&ca, ClientAuth::Required(trust))
    };
    let mut world = listening(named("DEFAULT")).await;
    let [alice_tls, bob_tls] = [CLIENT, BOB].map(|leaf| client_tls(&ca, Some(leaf)));
    let mut alice = Connected::to(&world, Some(&alice_tls)).await;
    let mut bob = Connected::to(&world, Some(&bob_tls)).await;
    let shaking = TcpStream::connect(world.at).await.unwrap();
    // It comes after that one.
    let _later = Connected::to(&world, Some(&bob_tls)).await;
    let other = named("RULE:^CN=alice$/ops/,DEFAULT");
    world
        .reload(|plan| plan.listeners[0].tls = Some(other))
        .await;
    alice.is_gone().await;
    one_ended(&world, "principal_changed").await;
    bob.is_served(2).await;
    let stream: Box<dyn Stream> = Box::new(shake(shaking, &alice_tls).await.unwrap());
    Connected(stream).is_served(3).await;
    let accepts = world.seen.accepts();
    let principal = accepts.last().and_then(|it| it.principal.clone());
    assert_eq!(principal, Some(Principal::new("User:ops")));
}

/// The reason is that of a handshake, not that of a session.
#[tokio::test]
async fn a_handshake_that_a_reload_rejects_has_the_reason_of_its_certificate() {
    let ca = Ca::new();
    let mut world = listening(server_tls(&ca, ClientAuth::Required(trust(&ca)))).await;
    let shaking = TcpStream::connect(world.at).await.unwrap();
    let bob = client_tls(&ca, Some(BOB));
    // It comes after that one.
    Connected::to(&world, Some(&bob)).await;
    let mut only_bob = trust(&ca);
    only_bob.rules.subjects = vec![SubjectRule::parse("s:/CN=[bob]").unwrap()];
    let only_bob = server_tls(&ca, ClientAuth::Required(only_bob));
    world
        .reload(|plan| plan.listeners[0].tls = Some(only_bob))
        .await;
    if let Ok(mut client) = shake(shaking, &client_tls(&ca, Some(CLIENT))).await {
        assert!(client.read_u8().await.is_err());
    }
    let failure = world.failed_handshake(1).await;
    assert_eq!(failure, TlsFailure::CertificateSubject);
}

#[tokio::test]
async fn a_reload_of_something_else_forgets_no_session_of_tls() {
    let ca = Ca::new();
    let settings = ServerSettings {
        parameters: Parameters::default(),
        identities: vec![identity_of(&ca, SERVER)],
        client_auth: ClientAuth::None,
    };
    let tls = || ServerTls::new(settings.clone()).unwrap();
    let mut world = listening(tls()).await;
    let mut client = (*client_tls(&ca, None)).clone();
    client.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let client = Arc::new(client);
    Connected::to(&world, Some(&client)).await;
    let changes = world.reload(|plan| {
        // As it was read again: equal, and not the same.
        plan.listeners[0].tls = Some(tls());
        plan.drain_timeout += Duration::from_secs(1);
    });
    assert_eq!(changes.await, "process: drain_timeout");
    let stream = shaken(&world, &client).await.unwrap();
    let kind = stream.get_ref().1.handshake_kind();
    assert_eq!(kind, Some(rustls::HandshakeKind::Resumed));
    let changes = world.reload(|plan| {
        plan.listeners[0].tls = Some(tls());
        plan.listeners[0].limits.connections -= 1;
    });
    assert_eq!(changes.await, "listener local: limits");
    let stream = shaken(&world, &client).await.unwrap();
    let kind = stream.get_ref().1.handshake_kind();
    assert_eq!(kind, Some(rustls::HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_broker_whose_ca_is_removed_loses_its_connections_and_is_not_dialled() {
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let mut world = World::start(Legs {
        upstream: Some(upstream_tls(&ca, None, Some(NAME))),
        broker: Some(server_tls(&ca, ClientAuth::None)),
        ..Legs::default()
    })
    .await;
    let mut client = Connected::to(&world, None).await;
    let changes = world.reload(|plan| {
        plan.clusters[0].tls = Some(upstream_tls(&ca, Some(CLIENT), Some(NAME)));
    });
    assert_eq!(changes.await, "cluster main: certificate");
    client.is_served(2).await;
    let changes = world.reload(|plan| {
        plan.clusters[0].tls = Some(upstream_tls(&other, None, Some(NAME)));
    });
    assert_eq!(changes.await, "cluster main: ca_file, certificate");
    client.is_gone().await;
    one_ended(&world, "upstream_certificate_not_trusted").await;
}
