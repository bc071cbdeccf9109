//! Clients that log in with bearer tokens, and whoever publishes the keys of these.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::login::LoginSettings;
use doorkeeper_core::sasl::oauthbearer::BearerMessage;
use doorkeeper_core::secret::Secret;
use doorkeeper_io_tokio::https::HttpsTrust;
use doorkeeper_io_tokio::login::Logins;
use doorkeeper_io_tokio::login::tokens::algorithm::Algorithm;
use doorkeeper_io_tokio::login::tokens::jwks::Jwks;
use doorkeeper_io_tokio::login::tokens::rules::TokenRules;
use doorkeeper_io_tokio::login::tokens::{JwksEndpoint, KeySource, Tokens};
use doorkeeper_io_tokio::serve::Plan;
use doorkeeper_io_tokio::tls::server::ClientAuth;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::ca::{Ca, NAME};
use crate::client::Client;
use crate::clock::pass;
use crate::frames::{decoded, request};
use crate::issuer::{Issuer, jwks, seconds_from_now};
use crate::tls::server_tls;
use crate::world::{BOOT, SECOND, World, listener};

/// The bootstrap port of the listener that takes tokens; broker 1 is two behind it.
const SECURED: u16 = 9200;
const BROKER_1: u16 = SECURED + 2;

/// Between two attempts to fetch keys, and a bit.
const REST: Duration = Duration::from_secs(11);

/// How long the plan lets an attempt take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

fn logins(keys: KeySource) -> Option<Arc<Logins>> {
    let rules = TokenRules {
        issuer: Some("https://login.test".to_owned()),
        audience: vec!["kafka".to_owned()],
        algorithms: vec![Algorithm::Es256],
        principal_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
        scopes: Vec::new(),
        clock_skew: 30 * SECOND,
        token_bytes_max: 16 * 1024,
        token_lifetime_max: None,
    };
    Some(Arc::new(Logins {
        users: None,
        tokens: Some(Arc::new(Tokens { rules, keys })),
        password_change_ends_sessions: true,
    }))
}

fn file(issuers: &[&Issuer]) -> KeySource {
    KeySource::File(Arc::new(Jwks::read(jwks(issuers).as_bytes()).unwrap()))
}

fn secure(plan: &mut Plan, keys: KeySource) {
    let mut secured = listener("secured", "main", &[BOOT], SECURED);
    secured.snapshot.login = Some(Arc::new(LoginSettings {
        mechanisms: vec![Mechanism::OAuthBearer],
        frame_bytes_max: 64 * 1024,
        frames_max: 10,
        login_timeout: 10 * SECOND,
        failure_delay: SECOND / 10,
        session_lifetime_max: None,
    }));
    secured.logins = logins(keys);
    plan.listeners.push(secured);
    for cluster in &mut plan.clusters {
        cluster.discovery.learns_versions = true;
    }
}

/// What a token says that holds for a minute.
fn claims() -> String {
    let expires = seconds_from_now(60);
    format!(r#"{{"sub":"alice","iss":"https://login.test","aud":["kafka"],"exp":{expires}}}"#)
}

async fn authenticate(client: &mut Client, token: Vec<u8>) -> SaslAuthenticateResponse {
    let body = SaslAuthenticateRequest::default().with_auth_bytes(token.into());
    client.send(&request(36, 2, 2, &body)).await;
    decoded(2, &client.frame().await).1
}

/// Sends a token, and gives the last response: behind the challenge, if there is one.
async fn log_in(client: &mut Client, token: &str) -> SaslAuthenticateResponse {
    let body = SaslHandshakeRequest::default().with_mechanism("OAUTHBEARER".into());
    client.send(&request(17, 1, 1, &body)).await;
    let (_, response) = decoded::<SaslHandshakeResponse>(1, &client.frame().await);
    assert_eq!(response.error_code, 0);
    let message = BearerMessage::token(&Secret::new(token.as_bytes()), &[]).unwrap();
    let response = authenticate(client, message.expose().to_vec()).await;
    if response.auth_bytes.is_empty() {
        return response;
    }
    assert_eq!(response.error_code, 0);
    assert_eq!(&*response.auth_bytes, br#"{"status":"invalid_token"}"#);
    authenticate(client, vec![1]).await
}

/// Nobody is let in with this token, and the metric says why.
async fn fails(world: &World, token: &str, reason: &str) {
    let labels = format!("listener=\"secured\",mechanism=\"OAUTHBEARER\",reason=\"{reason}\"");
    let sample = format!("doorkeeper_login_failures_total{{{labels}}}");
    let before = world.seen.sample(&sample);
    let mut client = world.client(BROKER_1).await;
    let response = log_in(&mut client, token).await;
    assert_eq!(response.error_code, 58);
    let text = response.error_message.unwrap();
    assert_eq!(&*text, r#"{"status":"invalid_token"}"#);
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(client.address).await, "login_failed");
    assert_eq!(world.seen.sample(&sample), before + 1, "{sample}");
}

/// Whoever has this token is served.
async fn is_let_in(world: &World, token: &str) {
    let mut client = world.client(BROKER_1).await;
    let response = log_in(&mut client, token).await;
    assert_eq!(response.error_code, 0, "{response:?}");
    client.exchange(3).await;
}

/// A server of keys, which says to everybody what the test wants.
struct Endpoint {
    says: Arc<Mutex<String>>,
    source: KeySource,
}

const ENDPOINT: &str = "kafka.example.com:443";

impl Endpoint {
    fn with(mesh: &crate::mesh::Mesh, issuers: &[&Issuer]) -> Self {
        let ca = Ca::new();
        let tls = TlsAcceptor::from(server_tls(&ca, ClientAuth::None).config);
        let mut connections = mesh.by_hand(ENDPOINT);
        let says = Arc::new(Mutex::new(ok(issuers)));
        let said = Arc::clone(&says);
        tokio::spawn(async move {
            while let Some(far) = connections.recv().await {
                let (tls, says) = (tls.clone(), said.lock().unwrap().clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(far.stream).await else {
                        return;
                    };
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(says.as_bytes()).await;
                    let _ = stream.flush().await;
                    // Silent from now on, until the client goes.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        let source = KeySource::Endpoint(Arc::new(JwksEndpoint {
            url: format!("https://{NAME}/keys").parse().unwrap(),
            trust: HttpsTrust::new(Some(ca.pem.into_bytes())).unwrap(),
            refresh_interval: 3600 * SECOND,
            timeout: FETCH_TIMEOUT,
        }));
        Self { says, source }
    }

    fn says(&self, response: String) {
        *self.says.lock().unwrap() = response;
    }
}

fn ok(issuers: &[&Issuer]) -> String {
    let body = jwks(issuers);
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How often keys have been fetched.
fn fetches(world: &World) -> usize {
    let dialled = world.mesh.dialled();
    dialled.iter().filter(|it| *it == ENDPOINT).count()
}

async fn world(issuers: &[&Issuer]) -> (World, Endpoint) {
    let mesh = crate::mesh::Mesh::default();
    let cluster = crate::world::cluster(&mesh);
    let endpoint = Endpoint::with(&mesh, issuers);
    let mut plan = crate::world::plan();
    secure(&mut plan, endpoint.source.clone());
    let mut world = World::cold(mesh, cluster, plan);
    world.warm_up().await;
    (world, endpoint)
}

#[tokio::test(start_paused = true)]
async fn a_session_lasts_as_long_as_its_token() {
    let issuer = Issuer::new("a");
    let world = World::with(|plan| secure(plan, file(&[&issuer]))).await;
    let mut client = world.client(BROKER_1).await;
    let response = log_in(&mut client, &issuer.token(&claims())).await;
    assert_eq!((response.error_code, response.auth_bytes.len()), (0, 0));
    let lifetime = response.session_lifetime_ms;
    assert!((50_000..=60_000).contains(&lifetime), "{lifetime}");
    client.exchange(3).await;
    assert_eq!(world.seen.closed(client.address).await, "session_expired");
    let lasted = world.seen.lasted(client.address).await.as_millis();
    assert!(lasted >= lifetime.unsigned_abs().into(), "{lasted} ms");
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_with_a_token_the_client_is_told_the_same() {
    let (issuer, other) = (Issuer::new("a"), Issuer::new("b"));
    let world = World::with(|plan| secure(plan, file(&[&issuer]))).await;
    let claims = claims();
    let (said, expired) = (seconds_from_now(60), seconds_from_now(-60));
    let expired = claims.replace("\"exp\":", &format!("\"exp\":{expired},\"was\":"));
    let later = claims.replace("}", &format!(",\"nbf\":{said}}}"));
    let good = issuer.token(&claims);
    let unsigned = issuer.signed(r#"{"alg":"none"}"#, &claims);
    for (token, reason) in [
        (issuer.token(&expired), "token_expired"),
        (issuer.token(&later), "token_not_yet_valid"),
        (
            issuer.token(&claims.replace("login", "evil")),
            "token_issuer",
        ),
        (
            issuer.token(&claims.replace("kafka", "other")),
            "token_audience",
        ),
        (
            issuer.token(&claims.replace("sub", "name")),
            "token_principal",
        ),
        (other.token(&claims), "token_unknown_key"),
        (unsigned, "token_algorithm"),
        (format!("{}AA", &good[..good.len() - 2]), "token_signature"),
        ("abc".to_owned(), "token_malformed"),
        (format!("{good}{:a>17000}", ""), "token_too_long"),
    ] {
        fails(&world, &token, reason).await;
    }
    is_let_in(&world, &good).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_knows_yet_is_fetched() {
    let (a, b, eve) = (Issuer::new("a"), Issuer::new("b"), Issuer::new("eve"));
    let started = tokio::time::Instant::now();
    let (world, endpoint) = world(&[&a]).await;
    is_let_in(&world, &a.token(&claims())).await;
    assert_eq!(fetches(&world), 1);
    pass(REST).await;
    endpoint.says(ok(&[&b]));
    is_let_in(&world, &b.token(&claims())).await;
    assert_eq!(fetches(&world), 2);
    // Keys that are gone hold no more, and whoever makes names up has little fetched.
    fails(&world, &a.token(&claims()), "token_unknown_key").await;
    for _ in 0..20 {
        fails(&world, &eve.token(&claims()), "token_unknown_key").await;
    }
    let most = 1 + started.elapsed().as_secs() / 10;
    let fetches = fetches(&world) as u64;
    assert!(fetches <= most && most < 20, "{fetches}, {most} at most");
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_for_all_who_wait() {
    let (a, b) = (Issuer::new("a"), Issuer::new("b"));
    let (world, endpoint) = world(&[&a]).await;
    pass(REST).await;
    endpoint.says(ok(&[&a, &b]));
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(world.client(BROKER_1).await);
    }
    let token = b.token(&claims());
    let message = BearerMessage::token(&Secret::new(token.as_bytes()), &[]).unwrap();
    for client in &mut clients {
        let body = SaslHandshakeRequest::default().with_mechanism("OAUTHBEARER".into());
        client.send(&request(17, 1, 1, &body)).await;
        client.frame().await;
        let bytes = message.expose().to_vec();
        let body = SaslAuthenticateRequest::default().with_auth_bytes(bytes.into());
        client.send(&request(36, 2, 2, &body)).await;
    }
    for client in &mut clients {
        let (_, response) = decoded::<SaslAuthenticateResponse>(2, &client.frame().await);
        assert_eq!((response.error_code, response.auth_bytes.len()), (0, 0));
    }
    assert_eq!(fetches(&world), 2);
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn while_no_keys_can_be_fetched_those_that_are_known_hold() {
    let (a, b) = (Issuer::new("a"), Issuer::new("b"));
    let (world, endpoint) = world(&[&a]).await;
    is_let_in(&world, &a.token(&claims())).await;
    let good = ok(&[&a, &b]);
    for response in [
        String::new(),
        good[..good.len() - 1].to_owned(),
        good.replace("200 OK", "500 Oops"),
        good.replace("200 OK", "302 Found\r\nlocation: https://evil.test/keys"),
        good.replace("keys", "kyes"),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 << 20),
        "nonsense\r\n\r\n".to_owned(),
    ] {
        endpoint.says(response);
        pass(REST + FETCH_TIMEOUT).await;
        fails(&world, &b.token(&claims()), "token_keys_unavailable").await;
        is_let_in(&world, &a.token(&claims())).await;
    }
    endpoint.says(good);
    pass(REST + FETCH_TIMEOUT).await;
    is_let_in(&world, &b.token(&claims())).await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_never_there_lets_nobody_in() {
    let a = Issuer::new("a");
    let (world, endpoint) = world(&[&a]).await;
    drop(endpoint);
    world.mesh.put(ENDPOINT, crate::mesh::Place::Refuses);
    pass(REST).await;
    // What was fetched before is still there.
    is_let_in(&world, &a.token(&claims())).await;
    world.stops_in_order().await;

    let mesh = crate::mesh::Mesh::default();
    let cluster = crate::world::cluster(&mesh);
    let endpoint = Endpoint::with(&mesh, &[&a]);
    mesh.put(ENDPOINT, crate::mesh::Place::Hangs);
    let mut plan = crate::world::plan();
    secure(&mut plan, endpoint.source.clone());
    let mut world = World::cold(mesh, cluster, plan);
    world.warm_up().await;
    fails(&world, &a.token(&claims()), "token_keys_unavailable").await;
    world.stops_in_order().await;
}

#[tokio::test(start_paused = true)]
async fn keys_change_without_a_restart() {
    let (a, b) = (Issuer::new("a"), Issuer::new("b"));
    let mut world = World::with(|plan| secure(plan, file(&[&a]))).await;
    is_let_in(&world, &a.token(&claims())).await;
    let changes = world.reload(|plan| {
        plan.listeners.last_mut().unwrap().logins = logins(file(&[&b]));
    });
    assert_eq!(
        changes.await.unwrap().to_string(),
        "listener secured: oauth"
    );
    fails(&world, &a.token(&claims()), "token_unknown_key").await;
    is_let_in(&world, &b.token(&claims())).await;
    // From an endpoint, they stay as long as it is configured, and are gone with it.
    let endpoint = Endpoint::with(&world.mesh, &[&a]);
    let source = endpoint.source.clone();
    let changes = world.reload(|plan| {
        plan.listeners.last_mut().unwrap().logins = logins(source);
    });
    assert!(!changes.await.unwrap().is_empty());
    is_let_in(&world, &a.token(&claims())).await;
    let changes = world.reload(|plan| plan.drain_timeout = SECOND);
    assert!(!changes.await.unwrap().is_empty());
    is_let_in(&world, &a.token(&claims())).await;
    assert_eq!(fetches(&world), 1);
    world.stops_in_order().await;
}

/// Whatever else changes, a session goes on by the token that it was let in by.
#[tokio::test(start_paused = true)]
async fn once_no_tokens_are_taken_whoever_came_with_one_is_gone() {
    let (a, b) = (Issuer::new("a"), Issuer::new("b"));
    let mut world = World::with(|plan| secure(plan, file(&[&a]))).await;
    let mut client = world.client(BROKER_1).await;
    let response = log_in(&mut client, &a.token(&claims())).await;
    assert_eq!(response.error_code, 0);
    let changes = world.reload(|plan| {
        plan.listeners.last_mut().unwrap().logins = logins(file(&[&b]));
    });
    assert!(!changes.await.unwrap().is_empty());
    client.exchange(3).await;
    let changes = world.reload(|plan| {
        let secured = plan.listeners.last_mut().unwrap();
        let login = secured.snapshot.login.as_mut().unwrap();
        let mut others = LoginSettings::clone(login);
        others.mechanisms = vec![Mechanism::Plain];
        *login = Arc::new(others);
        secured.logins = Some(crate::login::logins(&[("alice", "pencil")]));
    });
    assert!(!changes.await.unwrap().is_empty());
    assert_eq!(client.rest().await, b"");
    assert_eq!(world.seen.closed(client.address).await, "mechanism_removed");
    world.stops_in_order().await;
}
