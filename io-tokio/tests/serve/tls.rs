//! TLS on either leg, on loopback: who gets a session, and what is reported of who does not.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorkeeper_core::id::Seed;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::proxy_protocol::Header;
use doorkeeper_core::tls_facts::TlsVersion;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::{ConnectFailure, discovery};
use doorkeeper_io_tokio::bulk::Bulk;
use doorkeeper_io_tokio::net::TokioNet;
use doorkeeper_io_tokio::proxy_protocol::ProxyProtocol;
use doorkeeper_io_tokio::serve::{self, Context, Plan, Readiness, Reloader};
use doorkeeper_io_tokio::tls::client::{ClientSettings, ServerTrust};
use doorkeeper_io_tokio::tls::client_rules::ClientRules;
use doorkeeper_io_tokio::tls::identity;
use doorkeeper_io_tokio::tls::parameters::Parameters;
use doorkeeper_io_tokio::tls::server::{ClientAuth, ServerSettings, ServerTls, Trust};
use doorkeeper_io_tokio::tls::upstream::UpstreamTls;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::ca::{CLIENT, Ca, Leaf, NAME, SERVER};
use crate::frames::*;
use crate::proxied::proxy_header;
use crate::recorder::{Recorder, Seen};
use crate::world::{listener, upstream};

/// Long enough for a response to be moved to the threads for bulk.
const RECORDS: usize = 3 << 20;

/// The heartbeat at which a broker drops its connection, without a word of TLS that it does.
const BREAKS_OFF: i32 = 99;

/// A stream of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub fn identity_of(ca: &Ca, leaf: Leaf) -> Arc<CertifiedKey> {
    let (chain, key) = ca.pem_of(leaf);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    identity::from_pem(&provider, chain.as_bytes(), key.as_bytes(), None).unwrap()
}

pub fn trust(ca: &Ca) -> Trust {
    Trust {
        ca: ca.pem.clone().into_bytes(),
        crls: Vec::new(),
        rules: ClientRules::default(),
    }
}

pub fn server_tls(ca: &Ca, client_auth: ClientAuth) -> ServerTls {
    let settings = ServerSettings {
        parameters: Parameters::default(),
        identities: vec![identity_of(ca, SERVER)],
        client_auth,
    };
    ServerTls::new(settings).unwrap()
}

pub fn client_tls(ca: &Ca, leaf: Option<Leaf>) -> Arc<rustls::ClientConfig> {
    upstream_tls(ca, leaf, None).config
}

/// How each leg is spoken.
#[derive(Default)]
pub struct Legs {
    pub listener: Option<ServerTls>,
    pub upstream: Option<UpstreamTls>,
    pub broker: Option<ServerTls>,
    pub handshake_timeout: Option<Duration>,
    pub silent_connections: Option<usize>,
    /// Clients come by a proxy on this machine, and brokers want a header.
    pub has_proxies: bool,
}

/// The headers that brokers got.
type Headers = Arc<Mutex<Vec<Header>>>;

/// doorkeeper on loopback in front of one broker that responds to everything.
pub struct World {
    pub at: SocketAddr,
    pub seen: Arc<Recorder>,
    headers: Headers,
    stop: CancellationToken,
    plan: Plan,
    reloader: Reloader,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub async fn start(legs: Legs) -> Self {
        let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let broker_at = broker.local_addr().unwrap();
        let headers = Headers::default();
        let wanted = legs.has_proxies.then(|| Arc::clone(&headers));
        let tls = legs.broker.map(|it| it.config);
        tokio::spawn(brokers(broker, tls, wanted));
        let name = format!("localhost:{}", broker_at.port());
        let mut local = listener("local", "main", &[&name], 1);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = free.local_addr().unwrap();
        local.binds.truncate(1);
        local.binds[0].at = at;
        local.tls = legs.listener;
        if let Some(timeout) = legs.handshake_timeout {
            local.handshake_timeout = timeout;
        }
        if let Some(connections) = legs.silent_connections {
            local.silent.connections = connections;
        }
        let mut cluster = upstream("main", &[&name]);
        cluster.tls = legs.upstream;
        if legs.has_proxies {
            cluster.sends_proxy_header = true;
            local.proxy_protocol = Some(ProxyProtocol {
                trusted: vec!["127.0.0.0/8".parse().unwrap()],
                takes_direct_clients: false,
                timeout: Duration::from_secs(10),
            });
        }
        let plan = Plan {
            clusters: vec![cluster],
            listeners: vec![local],
            drain_timeout: Duration::from_secs(1),
            buffered_bytes_max: 1 << 30,
            connections_max: usize::MAX,
        };
        let seen = Arc::new(Recorder::new(["local".into()]));
        let stop = CancellationToken::new();
        let context = Context {
            observer: Arc::clone(&seen) as _,
            seed: Arc::new(|| Seed([0; 32])),
            recorder: None,
            bulk: Some(Bulk::default()),
            ready: Arc::new(Readiness::new(["main".into()])),
            stop: stop.clone(),
            kill: CancellationToken::new(),
        };
        drop(free);
        let net = TokioNet::default();
        let bound = serve::bind(&net, &plan).await.unwrap();
        let reloader = bound.reloader();
        tokio::spawn(serve::serve_bound(net, plan.clone(), bound, context));
        Self {
            at,
            seen,
            headers,
            stop,
            plan,
            reloader,
        }
    }

    /// Serves with a change, and says what that was.
    pub async fn reload(&mut self, change: impl FnOnce(&mut Plan)) -> String {
        change(&mut self.plan);
        let changes = self.reloader.reload(self.plan.clone()).await;
        changes.unwrap().to_string()
    }

    pub async fn connect(
        &self,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> io::Result<Box<dyn Stream>> {
        let socket = TcpStream::connect(self.at).await?;
        let Some(tls) = tls else {
            return Ok(Box::new(socket));
        };
        let name = ServerName::try_from(NAME).unwrap();
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, socket)
            .await?;
        Ok(Box::new(stream))
    }

    /// A heartbeat, and a Fetch that is long enough for the threads for bulk.
    async fn is_served(&self, tls: Option<&Arc<rustls::ClientConfig>>) {
        let mut client = self.connect(tls).await.unwrap();
        client.write_all(&heartbeat(1)).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(1)));
        for id in 2..5 {
            client.write_all(&fetch(id, 0)).await.unwrap();
            client.flush().await.unwrap();
            let response = next_frame(&mut client).await.unwrap();
            assert!(response == fetched(12, id, vec![7; RECORDS].into()), "{id}");
        }
    }

    /// Waits until so many handshakes have failed, and says why the last one did.
    pub async fn failed_handshake(&self, number: usize) -> TlsFailure {
        let failed = |seen: &[Seen]| {
            let mut all = seen.iter().filter_map(|seen| match seen {
                Seen::HandshakeFailed(_, failure) => Some(*failure),
                _ => None,
            });
            all.nth(number - 1)
        };
        self.seen.until("a handshake fails", failed).await
    }
}

/// Serves whoever comes, discovery included.
async fn brokers(
    broker: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    headers: Option<Headers>,
) {
    let port = broker.local_addr().unwrap().port();
    while let Ok((mut socket, _)) = broker.accept().await {
        let (tls, headers) = (tls.clone(), headers.clone());
        tokio::spawn(async move {
            if let Some(headers) = headers {
                let header = proxy_header(&mut socket).await;
                headers.lock().unwrap().push(header);
            }
            let mut stream: Box<dyn Stream> = match tls {
                None => Box::new(socket),
                Some(tls) => match TlsAcceptor::from(tls).accept(socket).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
            };
            while let Some(frame) = next_frame(&mut stream).await {
                let listed = [(1, "localhost".to_owned(), i32::from(port))];
                let Asked {
                    api, version, id, ..
                } = Asked::read(&frame);
                let response = match api {
                    API_VERSIONS => api_versions_response(version, id),
                    HEARTBEAT if id == BREAKS_OFF => return,
                    HEARTBEAT => heartbeat_response(id),
                    FETCH => fetched(version, id, vec![7; RECORDS].into()),
                    _ => metadata_response(version, id, "main", &listed),
                };
                if stream.write_all(&response).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        });
    }
}

pub fn upstream_tls(ca: &Ca, leaf: Option<Leaf>, server_name: Option<&str>) -> UpstreamTls {
    let settings = ClientSettings {
        parameters: Parameters::default(),
        trust: ServerTrust::Ca(ca.pem.clone().into_bytes()),
        identity: leaf.map(|leaf| identity_of(ca, leaf)),
    };
    let server_name = server_name.map(|name| ServerName::try_from(name.to_owned()).unwrap());
    UpstreamTls::new(settings, server_name).unwrap()
}

#[tokio::test]
async fn every_mix_of_plaintext_and_tls_is_served() {
    let ca = Ca::new();
    let client = client_tls(&ca, Some(CLIENT));
    let required = || server_tls(&ca, ClientAuth::Required(trust(&ca)));
    for is_tls_in_front in [false, true] {
        for is_tls_behind in [false, true] {
            let world = World::start(Legs {
                listener: is_tls_in_front.then(required),
                upstream: is_tls_behind.then(|| upstream_tls(&ca, Some(CLIENT), Some(NAME))),
                broker: is_tls_behind.then(required),
                ..Legs::default()
            })
            .await;
            world.is_served(is_tls_in_front.then_some(&client)).await;
            let accepts = world.seen.accepts();
            let principal = accepts[0].principal.as_ref().map(Principal::as_str);
            assert_eq!(principal, is_tls_in_front.then_some("User:CN=alice"));
            if is_tls_in_front {
                assert!(
                    world.seen.bytes_in_bulk() > 0,
                    "it stayed where small requests are"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_session_knows_what_the_handshake_agreed_on() {
    let ca = Ca::new();
    let world = World::start(Legs {
        listener: Some(server_tls(&ca, ClientAuth::None)),
        ..Legs::default()
    })
    .await;
    let client = world.connect(Some(&client_tls(&ca, None))).await.unwrap();
    let opened = |seen: &[Seen]| {
        let mut all = seen.iter();
        all.any(|it| matches!(it, Seen::SessionOpened(_)))
            .then_some(())
    };
    world.seen.until("a session", opened).await;
    let accepts = world.seen.accepts();
    let tls = accepts[0].tls.as_deref().unwrap();
    assert_eq!(tls.version, TlsVersion::V1_3);
    assert_eq!(&*tls.cipher_suite, "TLS13_AES_256_GCM_SHA384");
    assert_eq!(tls.server_name.as_deref(), Some(NAME));
    drop(client);
}

/// Anybody in between can end a TCP connection; only the peer can say that it does.
#[tokio::test]
async fn a_connection_that_ends_without_close_notify_is_truncated() {
    let ca = Ca::new();
    let client = client_tls(&ca, None);
    let world = World::start(Legs {
        listener: Some(server_tls(&ca, ClientAuth::None)),
        upstream: Some(upstream_tls(&ca, None, Some(NAME))),
        broker: Some(server_tls(&ca, ClientAuth::None)),
        ..Legs::default()
    })
    .await;
    let ended = |reason: &'static str| {
        world.seen.until(reason, move |seen| {
            let is_it = |seen: &Seen| matches!(seen, Seen::Closed(_, ended, _) if *ended == reason);
            seen.iter().any(is_it).then_some(())
        })
    };
    drop(world.connect(Some(&client)).await.unwrap());
    ended("client_truncated").await;
    let mut in_order = world.connect(Some(&client)).await.unwrap();
    in_order.shutdown().await.unwrap();
    ended("client_closed").await;
    let mut cut_behind = world.connect(Some(&client)).await.unwrap();
    cut_behind.write_all(&heartbeat(BREAKS_OFF)).await.unwrap();
    ended("upstream_truncated").await;
    assert!(cut_behind.read_u8().await.is_err());
}

/// The header comes before TLS on either leg, and takes nothing of it.
#[tokio::test]
async fn tls_begins_behind_a_proxy_header() {
    let ca = Ca::new();
    let world = World::start(Legs {
        listener: Some(server_tls(&ca, ClientAuth::None)),
        upstream: Some(upstream_tls(&ca, None, Some(NAME))),
        broker: Some(server_tls(&ca, ClientAuth::None)),
        has_proxies: true,
        ..Legs::default()
    })
    .await;
    let client = "192.0.2.7:51221".parse().unwrap();
    let header = Header::Client {
        client,
        destination: world.at,
    };
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    socket.write_all(&header.encode()).await.unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let connector = TlsConnector::from(client_tls(&ca, None));
    let mut stream = connector.connect(name, socket).await.unwrap();
    stream.write_all(&heartbeat(1)).await.unwrap();
    assert_eq!(next_frame(&mut stream).await, Some(heartbeat_response(1)));
    let accept = world.seen.accepts().pop().unwrap();
    assert_eq!(accept.client.socket(), client);
    assert!(accept.tls.is_some());
    stream.write_all(&fetch(2, 0)).await.unwrap();
    let response = next_frame(&mut stream).await.unwrap();
    assert!(response == fetched(12, 2, vec![7; RECORDS].into()));
    assert!(
        world.seen.bytes_in_bulk() > 0,
        "it stayed where small requests are"
    );
    let headers = world.headers.lock().unwrap();
    assert!(headers.contains(&Header::NoClient), "of discovery");
    assert!(headers.contains(&header), "of the session: {headers:?}");
}

#[tokio::test]
async fn a_client_without_the_right_certificate_gets_no_session() {
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let legs = Legs {
        listener: Some(server_tls(&ca, ClientAuth::Required(trust(&ca)))),
        ..Legs::default()
    };
    let world = World::start(legs).await;
    let expired = Leaf {
        years: (2020, 2021),
        ..CLIENT
    };
    let mut foreign = (*client_tls(&ca, None)).clone();
    let foreign_key = identity_of(&other, CLIENT);
    let resolver = rustls::sign::SingleCertAndKey::from(foreign_key);
    foreign.client_auth_cert_resolver = Arc::new(resolver);
    let cases = [
        (client_tls(&ca, None), TlsFailure::NoCertificate),
        (
            client_tls(&ca, Some(expired)),
            TlsFailure::CertificateExpired,
        ),
        (Arc::new(foreign), TlsFailure::CertificateUnknownCa),
    ];
    for (number, (tls, expected)) in (1..).zip(cases) {
        // With TLS 1.3 the client learns of it when it reads.
        if let Ok(mut client) = world.connect(Some(&tls)).await {
            assert!(client.read_u8().await.is_err());
        }
        assert_eq!(world.failed_handshake(number).await, expected);
    }
    // Nobody else notices.
    world.is_served(Some(&client_tls(&ca, Some(CLIENT)))).await;
    let all = world.seen.all();
    let opened = all
        .iter()
        .filter(|seen| matches!(seen, Seen::SessionOpened(_)));
    assert_eq!(opened.count(), 1);
}

#[tokio::test]
async fn a_client_that_speaks_plaintext_to_a_tls_listener_is_named() {
    let ca = Ca::new();
    let legs = Legs {
        listener: Some(server_tls(&ca, ClientAuth::None)),
        ..Legs::default()
    };
    let world = World::start(legs).await;
    let mut client = world.connect(None).await.unwrap();
    client.write_all(&heartbeat(1)).await.unwrap();
    assert_eq!(world.failed_handshake(1).await, TlsFailure::Plaintext);
    drop(world.connect(None).await.unwrap());
    assert_eq!(world.failed_handshake(2).await, TlsFailure::Closed);
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_ends_at_its_deadline() {
    let ca = Ca::new();
    let mut legs = Legs {
        listener: Some(server_tls(&ca, ClientAuth::None)),
        ..Legs::default()
    };
    legs.handshake_timeout = Some(Duration::from_millis(100));
    let world = World::start(legs).await;
    let mut client = world.connect(None).await.unwrap();
    // The beginning of a record.
    client.write_all(b"\x16\x03\x01").await.unwrap();
    assert_eq!(world.failed_handshake(1).await, TlsFailure::TimedOut);
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

/// The connection of the address with most of them goes, and says why.
#[tokio::test]
async fn a_handshake_gives_way_to_a_newer_connection() {
    let ca = Ca::new();
    let legs = Legs {
        listener: Some(server_tls(&ca, ClientAuth::None)),
        silent_connections: Some(1),
        ..Legs::default()
    };
    let world = World::start(legs).await;
    let waits = world.connect(None).await.unwrap();
    world.is_served(Some(&client_tls(&ca, None))).await;
    assert_eq!(world.failed_handshake(1).await, TlsFailure::SilentLimit);
    drop(waits);
}

#[tokio::test]
async fn a_broker_without_the_right_certificate_gets_no_request() {
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    for (broker, server_name, expected) in [
        (
            server_tls(&other, ClientAuth::None),
            Some(NAME),
            TlsFailure::CertificateUnknownCa,
        ),
        // The cluster calls it localhost.
        (
            server_tls(&ca, ClientAuth::None),
            None,
            TlsFailure::CertificateName,
        ),
    ] {
        let world = World::start(Legs {
            broker: Some(broker),
            upstream: Some(upstream_tls(&ca, None, server_name)),
            ..Legs::default()
        })
        .await;
        let why = discovery::Failure::Connect(ConnectFailure::Tls(expected));
        let failed = |seen: &[Seen]| {
            let is_it = |seen: &Seen| {
                matches!(seen, Seen::Discovery(_, discovery::Event::Failed { why: it, .. })
                    if *it == why)
            };
            seen.iter().any(is_it).then_some(())
        };
        world.seen.until("discovery fails", failed).await;
    }
}
