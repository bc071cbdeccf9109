//! Whatever a server does, there is a response or a failure, and in time.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use doorkeeper_net::Ends;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::identity;
use crate::tls::server::{ClientAuth, ServerSettings, ServerTls};
use crate::tls::tests::ca::{Ca, Leaf, SERVER};

const URL: &str = "https://login.example.com/keys?a=b";
const SECOND: Duration = Duration::from_secs(1);

/// A server that says the same to everybody, and then waits.
#[derive(Clone)]
struct Server {
    tls: TlsAcceptor,
    says: Arc<str>,
}

impl Net for Server {
    type Stream = DuplexStream;
    type Listener = ();

    async fn bind(&self, _: SocketAddr) -> io::Result<()> {
        pending().await
    }

    async fn accept(&self, (): &mut ()) -> io::Result<(DuplexStream, SocketAddr)> {
        pending().await
    }

    async fn connect(&self, to: &HostPort) -> io::Result<DuplexStream> {
        assert_eq!(to.to_string(), "login.example.com:443");
        let (near, far) = duplex(64 * 1024);
        let (tls, says) = (self.tls.clone(), Arc::clone(&self.says));
        tokio::spawn(async move {
            let mut stream = tls.accept(far).await?;
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await?;
            let request = str::from_utf8(&request[..count]).unwrap();
            assert!(request.contains("host: login.example.com\r\n"), "{request}");
            // `ECHO` stands for what was asked.
            let first_line = request.lines().next().unwrap();
            let last_line = request.lines().last().unwrap();
            let echo = format!("{first_line}|{last_line}");
            let says = says.replace("ECHO", &echo);
            stream.write_all(says.as_bytes()).await?;
            let _ = stream.flush().await;
            pending::<io::Result<()>>().await
        });
        Ok(near)
    }

    fn ends(&self, _: &DuplexStream) -> Option<Ends> {
        None
    }
}

/// A server and whoever trusts it.
fn server(says: &str) -> (HttpsClient<Server>, HttpsTrust) {
    let ca = Ca::new();
    let (chain, key) = ca.pem_of(Leaf {
        name: "login.example.com",
        ..SERVER
    });
    let parameters = Parameters::default();
    let provider = parameters.provider().unwrap();
    let identity = identity::from_pem(&provider, chain.as_bytes(), key.as_bytes(), None);
    let tls = ServerTls::new(ServerSettings {
        parameters,
        identities: vec![identity.unwrap()],
        client_auth: ClientAuth::None,
    });
    let client = HttpsClient {
        net: Server {
            tls: TlsAcceptor::from(tls.unwrap().config),
            says: says.into(),
        },
        own: OwnAddresses::default(),
        clock: Clock::start(),
    };
    let trust = HttpsTrust::new(Some(ca.pem.into_bytes()));
    (client, trust.unwrap())
}

fn request<'a>(url: &'a HttpsUrl, trust: &'a HttpsTrust) -> HttpsRequest<'a> {
    HttpsRequest {
        url,
        trust,
        authorization: None,
        body: None,
        within: SECOND,
        response_bytes_max: 64,
    }
}

async fn get(says: &str) -> Result<HttpsResponse, HttpsFailure> {
    let (client, trust) = server(says);
    client
        .exchange(request(&URL.parse().unwrap(), &trust))
        .await
}

#[tokio::test(start_paused = true)]
async fn a_response_comes_whole() {
    let response = get("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!(response.unwrap().ok().unwrap(), "{}");
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
    assert_eq!(get(chunked).await.unwrap().body, "{}");
}

#[tokio::test(start_paused = true)]
async fn a_post_has_its_body_and_a_secret_that_is_not_shown() {
    let (client, trust) = server(
        "HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n24\r\nECHO\r\n0\r\n\r\n",
    );
    let url = URL.parse().unwrap();
    let (secret, body) = (Secret::new(*b"Basic abc"), Secret::new(*b"grant_type=x"));
    let request = HttpsRequest {
        authorization: Some(&secret),
        body: Some(PostedBody {
            content_type: "application/x-www-form-urlencoded",
            body: &body,
        }),
        ..request(&url, &trust)
    };
    assert!(!format!("{request:?}").contains("abc"));
    let response = client.exchange(request).await.unwrap();
    // The length of the chunk is that of this text.
    assert_eq!(response.status, 400);
    assert_eq!(response.body, "POST /keys?a=b HTTP/1.1|grant_type=x");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_not_200_is_no_body_to_be_used_and_no_redirect_is_followed() {
    let moved = "HTTP/1.1 302 Found\r\nlocation: https://evil.example.com/\r\n\
                 content-length: 0\r\n\r\n";
    let response = get(moved).await.unwrap();
    assert_eq!(response.ok(), Err(HttpsFailure::Status(302)));
}

#[tokio::test(start_paused = true)]
async fn a_response_is_bounded_in_size() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n{:65}", "");
    assert_eq!(get(&long).await, Err(HttpsFailure::TooLong));
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n41\r\n{:65}\r\n",
        ""
    );
    assert_eq!(get(&endless).await, Err(HttpsFailure::TooLong));
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    assert_eq!(get(&head).await, Err(HttpsFailure::BrokeOff));
}

#[tokio::test(start_paused = true)]
async fn a_response_is_bounded_in_time() {
    for begins in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{"] {
        let before = tokio::time::Instant::now();
        assert_eq!(get(begins).await, Err(HttpsFailure::TimedOut));
        let took = before.elapsed();
        assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    let (client, _) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let (_, trust) = server("");
    let url = URL.parse().unwrap();
    let failure = client.exchange(request(&url, &trust)).await.unwrap_err();
    assert!(
        matches!(failure, HttpsFailure::Connect(ConnectFailure::Tls(_))),
        "{failure:?}"
    );
}

#[test]
fn a_url_is_https_and_tells_no_password() {
    for (text, at) in [
        ("https://login.example.com/keys", "login.example.com:443"),
        ("https://login.example.com:8443", "login.example.com:8443"),
        ("https://[::1]:1/", "[::1]:1"),
        ("https://[::1]/", "[::1]:443"),
    ] {
        let url: HttpsUrl = text.parse().unwrap();
        assert_eq!(
            (url.at.to_string(), url.to_string()),
            (at.into(), text.into())
        );
    }
    for (text, why) in [
        ("http://login.example.com/", BadUrl::NotHttps),
        ("/keys", BadUrl::NotHttps),
        ("https://alice:pw@login.example.com/", BadUrl::UserInfo),
        ("https://login.example.com/#keys", BadUrl::Fragment),
        ("https:///keys", BadUrl::Shape),
        ("https://login.example.com:/keys", BadUrl::Shape),
        ("https://login.example.com:99999/", BadUrl::Shape),
        ("https://lo gin/", BadUrl::Shape),
    ] {
        assert_eq!(text.parse::<HttpsUrl>(), Err(why), "{text}");
    }
}
