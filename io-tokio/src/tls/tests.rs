//! Handshakes in memory: every failure has its reason, on both sides.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::certificate::mapping_rules::MappingRules;
use doorkeeper_core::certificate::principal::{AlternativeName, PrincipalSource};
use doorkeeper_core::certificate::subject_rule::SubjectRule;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::tls_failure::TlsFailure;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use self::ca::{CLIENT, Ca, Leaf, NAME, Purpose, SERVER};
use super::client::{ClientSettings, ServerTrust};
use super::client_rules::ClientRules;
use super::failure::failure;
use super::identity;
use super::listener::Handshakes;
use super::parameters::{Parameters, Version};
use super::server::{BadServer, ClientAuth, ServerSettings, ServerTls, Trust};

#[path = "../../tests/support/ca.rs"]
pub(crate) mod ca;

impl Ca {
    fn identity(&self, leaf: Leaf) -> Arc<CertifiedKey> {
        let (chain, key) = self.pem_of(leaf);
        let provider = Parameters::default().provider().unwrap();
        identity::from_pem(&provider, chain.as_bytes(), key.as_bytes(), None).unwrap()
    }

    fn trust(&self, crls: Vec<Vec<u8>>) -> Trust {
        Trust {
            ca: self.pem.clone().into_bytes(),
            crls,
            rules: ClientRules::default(),
        }
    }

    fn server(&self) -> ServerSettings {
        ServerSettings {
            parameters: Parameters::default(),
            identities: vec![self.identity(SERVER)],
            client_auth: ClientAuth::None,
        }
    }

    fn client(&self) -> ClientSettings {
        ClientSettings {
            parameters: Parameters::default(),
            trust: ServerTrust::Ca(self.pem.clone().into_bytes()),
            identity: None,
        }
    }
}

type Ended<T> = Result<T, TlsFailure>;

/// A handshake, and one byte each way behind it, which is when a client learns in TLS 1.3 what the
/// server made of its certificate.
async fn handshake(
    server: &ServerSettings,
    client: &ClientSettings,
) -> (
    Ended<server::TlsStream<DuplexStream>>,
    Ended<client::TlsStream<DuplexStream>>,
) {
    let (near, far) = duplex(1 << 16);
    let acceptor = TlsAcceptor::from(ServerTls::new(server.clone()).unwrap().config);
    let connector = TlsConnector::from(super::client::config(client).unwrap().0);
    let name = ServerName::try_from(NAME).unwrap();
    let serving = async {
        let mut stream = acceptor.accept(near).await?;
        stream.write_all(b"s").await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, b'c');
        Ok::<_, io::Error>(stream)
    };
    let asking = async {
        let mut stream = connector.connect(name, far).await?;
        stream.write_all(b"c").await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, b's');
        Ok::<_, io::Error>(stream)
    };
    let both = async { tokio::join!(serving, asking) };
    let both = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (server, client) = both.expect("a handshake ends");
    let reason = |error: io::Error| failure(&error);
    (server.map_err(reason), client.map_err(reason))
}

async fn fails(
    server: &ServerSettings,
    client: &ClientSettings,
    at_server: TlsFailure,
    at_client: TlsFailure,
) {
    let (server, client) = handshake(server, client).await;
    assert_eq!(server.err(), Some(at_server), "at the server");
    assert_eq!(client.err(), Some(at_client), "at the client");
}

#[tokio::test]
async fn both_versions_and_mutual_authentication_work() {
    let ca = Ca::new();
    for version in [Version::Tls12, Version::Tls13] {
        let (mut server, mut client) = (ca.server(), ca.client());
        server.parameters.min_version = version;
        for auth in [ClientAuth::Optional(ca.trust(Vec::new())), ClientAuth::None] {
            server.client_auth = auth;
            let (server, client) = handshake(&server, &client).await;
            assert!(server.is_ok() && client.is_ok(), "without a certificate");
        }
        server.client_auth = ClientAuth::Required(ca.trust(vec![ca.crl(77, (2020, 2100))]));
        client.identity = Some(ca.identity(CLIENT));
        let (server, client) = handshake(&server, &client).await;
        let server = server.unwrap();
        let shown = server.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown.len(), 1);
        assert!(client.is_ok());
    }
}

#[tokio::test]
async fn one_read_takes_all_records_that_have_come_and_the_next_one_their_end() {
    let ca = Ca::new();
    let (near, far) = duplex(1 << 20);
    let config = ServerTls::new(ca.server()).unwrap().config;
    let connector = TlsConnector::from(super::client::config(&ca.client()).unwrap().0);
    let name = ServerName::try_from(NAME).unwrap();
    let handshakes = Handshakes::default();
    let accepting = handshakes.accept(&config, near);
    let (server, client) = tokio::join!(accepting, connector.connect(name, far));
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let sent = vec![7; 200 << 10];
    client.write_all(&sent).await.unwrap();
    client.shutdown().await.unwrap();
    let mut buffer = vec![0; 256 << 10];
    let count = server.read(&mut buffer).await.unwrap();
    assert_eq!(buffer.get(..count), Some(sent.as_slice()));
    assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
}

#[tokio::test]
async fn certificates_of_clients_fail_for_their_reason() {
    use TlsFailure as Failure;
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let (mut server, mut client) = (ca.server(), ca.client());
    server.client_auth = ClientAuth::Required(ca.trust(Vec::new()));
    fails(
        &server,
        &client,
        Failure::NoCertificate,
        Failure::NoCertificate,
    )
    .await;
    for (identity, reason) in [
        (other.identity(CLIENT), Failure::CertificateUnknownCa),
        (
            ca.identity(Leaf {
                years: (2020, 2021),
                ..CLIENT
            }),
            Failure::CertificateExpired,
        ),
        (
            ca.identity(Leaf {
                years: (2090, 2100),
                ..CLIENT
            }),
            Failure::CertificateNotYetValid,
        ),
        (
            ca.identity(Leaf {
                purpose: Purpose::Server,
                ..CLIENT
            }),
            Failure::CertificatePurpose,
        ),
    ] {
        for auth in [ClientAuth::Required, ClientAuth::Optional] {
            server.client_auth = auth(ca.trust(Vec::new()));
            client.identity = Some(Arc::clone(&identity));
            fails(&server, &client, reason, Failure::OurCertificate).await;
        }
    }
}

/// What a listener with these rules makes of the client alice, with each version of TLS.
async fn judged(ca: &Ca, alice: &Arc<CertifiedKey>, rules: &ClientRules) -> Ended<Principal> {
    let mut ends = Vec::new();
    for version in [Version::Tls12, Version::Tls13] {
        let (mut server, mut client) = (ca.server(), ca.client());
        (server.parameters.min_version, client.parameters.min_version) = (version, version);
        server.client_auth = ClientAuth::Required(Trust {
            rules: rules.clone(),
            ..ca.trust(Vec::new())
        });
        client.identity = Some(Arc::clone(alice));
        let tls = ServerTls::new(server.clone()).unwrap();
        let (server, client) = handshake(&server, &client).await;
        let learned = client.as_ref().err();
        let expected = server.is_err().then_some(&TlsFailure::OurCertificate);
        assert_eq!(learned, expected, "the client learns of it by an alert");
        let principal = |it: server::TlsStream<_>| {
            let shown = it.get_ref().1.peer_certificates();
            tls.principal(shown).unwrap().unwrap()
        };
        ends.push(server.map(principal));
    }
    assert_eq!(ends.first(), ends.last());
    ends.pop().unwrap()
}

#[tokio::test]
async fn clients_are_let_in_and_named_by_rules() {
    use TlsFailure as Failure;
    let ca = Ca::new();
    let (alice, other) = (ca.identity(CLIENT), ca.identity(CLIENT));
    let subjects = |rules: &[&str]| ClientRules {
        subjects: rules
            .iter()
            .map(|it| SubjectRule::parse(it).unwrap())
            .collect(),
        ..ClientRules::default()
    };
    let pinned = |to: &CertifiedKey| ClientRules {
        pinned: to.cert.first().cloned(),
        ..ClientRules::default()
    };
    let named = |principal| ClientRules {
        principal,
        ..ClientRules::default()
    };
    let mapped = |rules| {
        named(PrincipalSource::Subject(
            MappingRules::parse(rules).unwrap(),
        ))
    };
    let user = |name: &str| Ok(Principal::new(name));
    for (rules, expected) in [
        (ClientRules::default(), user("User:CN=alice")),
        (
            subjects(&["s:/CN=[bob]", "r:/CN=[^al]"]),
            user("User:CN=alice"),
        ),
        (subjects(&["s:/CN=[bob]"]), Err(Failure::CertificateSubject)),
        (pinned(&alice), user("User:CN=alice")),
        (pinned(&other), Err(Failure::CertificateNotPinned)),
        (mapped("RULE:^CN=(.*)$/$1/U,DEFAULT"), user("User:ALICE")),
        (
            mapped("RULE:^CN=bob$/bob/"),
            Err(Failure::PrincipalUnmapped),
        ),
        (mapped("RULE:^CN=.*$//"), Err(Failure::PrincipalName)),
        (
            named(PrincipalSource::Alternative(AlternativeName::Dns)),
            user("User:alice"),
        ),
        (
            named(PrincipalSource::Alternative(AlternativeName::Email)),
            Err(Failure::PrincipalName),
        ),
    ] {
        assert_eq!(judged(&ca, &alice, &rules).await, expected, "{rules:?}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_anonymous_where_none_is_required() {
    let ca = Ca::new();
    let mut server = ca.server();
    let pinned = ca.identity(CLIENT);
    server.client_auth = ClientAuth::Optional(Trust {
        rules: ClientRules {
            pinned: pinned.cert.first().cloned(),
            ..ClientRules::default()
        },
        ..ca.trust(Vec::new())
    });
    let (ended, _) = handshake(&server, &ca.client()).await;
    let ended = ended.unwrap();
    let tls = ServerTls::new(server).unwrap();
    let principal = tls.principal(ended.get_ref().1.peer_certificates());
    assert_eq!(principal, Ok(None));
}

#[tokio::test]
async fn revocation_fails_closed() {
    use TlsFailure as Failure;
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let (mut server, mut client) = (ca.server(), ca.client());
    client.identity = Some(ca.identity(CLIENT));
    for (crl, reason) in [
        (
            ca.crl(CLIENT.serial, (2020, 2100)),
            Failure::CertificateRevoked,
        ),
        (
            ca.crl(77, (2020, 2021)),
            Failure::CertificateRevocationUnknown,
        ),
        (
            other.crl(77, (2020, 2100)),
            Failure::CertificateRevocationUnknown,
        ),
    ] {
        server.client_auth = ClientAuth::Required(ca.trust(vec![crl]));
        let (ended, _) = handshake(&server, &client).await;
        assert_eq!(ended.err(), Some(reason));
    }
}

/// rustls would look at the first alone, and let in who is on the second.
#[test]
fn two_lists_of_one_ca_are_an_error() {
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let with = |lists: Vec<Vec<u8>>| {
        let mut server = ca.server();
        server.client_auth = ClientAuth::Required(ca.trust(lists));
        ServerTls::new(server)
    };
    let list = |of: &Ca, serial| of.crl(serial, (2020, 2100));
    with(vec![list(&ca, 2), list(&other, 2)]).unwrap();
    for twice in [
        vec![list(&ca, 2), list(&ca, 3)],
        vec![[list(&ca, 2), list(&ca, 3)].concat()],
    ] {
        assert!(matches!(with(twice), Err(BadServer::SecondCrl)));
    }
}

#[tokio::test]
async fn certificates_of_brokers_fail_for_their_reason() {
    use TlsFailure as Failure;
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let (mut server, mut client) = (ca.server(), ca.client());
    for (identity, reason) in [
        (other.identity(SERVER), Failure::CertificateUnknownCa),
        (
            ca.identity(Leaf {
                name: "b2.example.com",
                ..SERVER
            }),
            Failure::CertificateName,
        ),
        (
            ca.identity(Leaf {
                years: (2020, 2021),
                ..SERVER
            }),
            Failure::CertificateExpired,
        ),
        (
            ca.identity(Leaf {
                purpose: Purpose::Client,
                ..SERVER
            }),
            Failure::CertificatePurpose,
        ),
    ] {
        server.identities = vec![identity];
        fails(&server, &client, Failure::OurCertificate, reason).await;
    }
    // What is insecure says so, and lets through what it says and nothing else.
    server.identities = vec![ca.identity(Leaf {
        name: "b2.example.com",
        ..SERVER
    })];
    let any_name = ServerTrust::InsecureAnyName(Some(ca.pem.clone().into_bytes()));
    client.trust = any_name.clone();
    assert!(handshake(&server, &client).await.1.is_ok());
    server.identities = vec![other.identity(SERVER)];
    fails(
        &server,
        &client,
        Failure::OurCertificate,
        Failure::CertificateUnknownCa,
    )
    .await;
    client.trust = ServerTrust::InsecureAnyCertificate;
    assert!(handshake(&server, &client).await.1.is_ok());
}

#[tokio::test]
async fn parameters_that_do_not_meet_fail_for_their_reason() {
    use TlsFailure as Failure;
    let ca = Ca::new();
    let suites = |names: &[&str]| Parameters {
        cipher_suites: names.iter().map(|it| (*it).to_owned()).collect(),
        ..Parameters::default()
    };
    let (mut server, mut client) = (ca.server(), ca.client());
    server.parameters.min_version = Version::Tls13;
    client.parameters = suites(&["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]);
    let (ended, _) = handshake(&server, &client).await;
    assert!(matches!(
        ended.err(),
        Some(Failure::Version | Failure::CipherSuite)
    ));
    server.parameters = suites(&["TLS_AES_128_GCM_SHA256"]);
    client.parameters = suites(&["TLS_AES_256_GCM_SHA384"]);
    let (ended, _) = handshake(&server, &client).await;
    assert_eq!(ended.err(), Some(Failure::CipherSuite));
    server.parameters = Parameters::default();
    server.parameters.groups = vec!["secp384r1".to_owned()];
    client.parameters = Parameters::default();
    client.parameters.groups = vec!["X25519".to_owned()];
    let (ended, _) = handshake(&server, &client).await;
    assert_eq!(ended.err(), Some(Failure::KeyExchange));
}

#[tokio::test]
async fn whoever_speaks_no_tls_is_named() {
    let ca = Ca::new();
    let config = ServerTls::new(ca.server()).unwrap().config;
    let request = b"\0\0\0\x14\0\x12\0\x03\0\0\0\x01\0\x02me\0\x01a\x01b\0";
    for (bytes, expected) in [
        (&request[..], TlsFailure::Plaintext),
        (b"GET / HTTP/1.1\r\n\r\n", TlsFailure::Plaintext),
        (b"\x16\x03\x01", TlsFailure::Closed),
        (b"", TlsFailure::Closed),
    ] {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(bytes).await.unwrap();
        drop(far);
        let ended = TlsAcceptor::from(Arc::clone(&config)).accept(near).await;
        assert_eq!(failure(&ended.err().unwrap()), expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn an_identity_is_chosen_by_the_name_that_the_client_asks_for() {
    let ca = Ca::new();
    let mut server = ca.server();
    let other = ca.identity(Leaf {
        name: "other.example.com",
        ..SERVER
    });
    let star = ca.identity(Leaf {
        name: "*.example.com",
        ..SERVER
    });
    for (identities, works) in [
        (vec![Arc::clone(&other), ca.identity(SERVER)], true),
        (vec![Arc::clone(&other), star], true),
        (vec![other], false),
    ] {
        server.identities = identities;
        let (_, client) = handshake(&server, &ca.client()).await;
        assert_eq!(client.is_ok(), works);
    }
}

/// How a name is verified that the certificate of a broker is for, or is not.
async fn is_broker(ca: &Ca, leaf: Leaf, name: &'static str) -> bool {
    let mut server = ca.server();
    server.identities = vec![ca.identity(leaf)];
    let (near, far) = duplex(1 << 16);
    let acceptor = TlsAcceptor::from(ServerTls::new(server).unwrap().config);
    let connector = TlsConnector::from(super::client::config(&ca.client()).unwrap().0);
    let name = ServerName::try_from(name).unwrap();
    let (_, connected) = tokio::join!(acceptor.accept(near), connector.connect(name, far));
    connected.is_ok()
}

#[tokio::test]
async fn a_broker_may_be_called_by_an_address() {
    let ca = Ca::new();
    let at = |name| Leaf { name, ..SERVER };
    for (name, asked, holds) in [
        ("127.0.0.1", "127.0.0.1", true),
        ("::1", "::1", true),
        ("127.0.0.1", "127.0.0.2", false),
        ("localhost", "127.0.0.1", false),
    ] {
        assert_eq!(
            is_broker(&ca, at(name), asked).await,
            holds,
            "{name}, {asked}"
        );
    }
}

#[tokio::test]
async fn a_common_name_is_no_host_name() {
    let ca = Ca::new();
    let leaf = Leaf {
        is_in_alternative_names: false,
        ..SERVER
    };
    assert!(!is_broker(&ca, leaf, NAME).await);
    assert!(is_broker(&ca, SERVER, NAME).await);
}

#[tokio::test]
async fn a_certificate_that_nobody_asks_for_is_not_shown() {
    let (ca, other) = (Ca::new(), Ca::called("other CA"));
    let mut client = ca.client();
    client.identity = Some(other.identity(CLIENT));
    let (server, client) = handshake(&ca.server(), &client).await;
    assert!(client.is_ok());
    assert!(server.unwrap().get_ref().1.peer_certificates().is_none());
}

/// Passes on so many bytes from one to the other, one at a time.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, bytes: usize) {
    for _ in 0..bytes {
        let Ok(byte) = from.read_u8().await else {
            break;
        };
        if to.write_u8(byte).await.is_err() {
            break;
        }
    }
}

/// A handshake, of which so many bytes of the client and of the server arrive.
async fn handshake_of(bytes: (usize, usize)) -> Ended<()> {
    let ca = Ca::new();
    let mut server = ca.server();
    server.client_auth = ClientAuth::Required(ca.trust(Vec::new()));
    let mut client = ca.client();
    client.identity = Some(ca.identity(CLIENT));
    let ((client_end, near), (far, server_end)) = (duplex(1 << 16), duplex(1 << 16));
    let acceptor = TlsAcceptor::from(ServerTls::new(server).unwrap().config);
    let connector = TlsConnector::from(super::client::config(&client).unwrap().0);
    let name = ServerName::try_from(NAME).unwrap();
    let between = async {
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let up = pass(near_read, far_write, bytes.0);
        let down = pass(far_read, near_write, bytes.1);
        // Where one way ends, the connection does.
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    };
    let accepting = async {
        let ended = acceptor.accept(server_end).await;
        ended.map(drop).map_err(|error| failure(&error))
    };
    let asking = connector.connect(name, client_end);
    let all = async { tokio::join!(accepting, async { drop(asking.await) }, between) };
    let ended = tokio::time::timeout(Duration::from_secs(20), all).await;
    ended.expect("a handshake ends").0
}

#[tokio::test]
async fn a_handshake_may_come_byte_by_byte() {
    assert_eq!(handshake_of((usize::MAX, usize::MAX)).await, Ok(()));
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_in_a_handshake_is_closed_and_nothing_else() {
    for bytes in [0, 1, 5, 6, 100, 300, 1000, 1500] {
        let ended = handshake_of((bytes, usize::MAX)).await;
        assert_eq!(
            ended,
            Err(TlsFailure::Closed),
            "{bytes} bytes of the client"
        );
    }
    for bytes in [0, 1, 5, 100, 500] {
        let ended = handshake_of((usize::MAX, bytes)).await;
        assert_eq!(
            ended,
            Err(TlsFailure::Closed),
            "{bytes} bytes of the server"
        );
    }
}
