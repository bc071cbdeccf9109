//! One HTTPS request and its response, bounded in time and size: for keys and tokens that others
//! serve.
//!
//! Each request has a connection of its own. A redirect is not followed: whom to trust is a matter
//! of the configuration, and not of whoever responds.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::str::FromStr;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::id::HostPort;
use doorkeeper_core::secret::Secret;
use doorkeeper_core::{ConnectFailure, Target};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;

use crate::Net;
use crate::clock::Clock;
use crate::dial;
use crate::own_addresses::OwnAddresses;
use crate::tls::client::{BadClient, ClientSettings, ServerTrust};
use crate::tls::parameters::Parameters;
use crate::tls::upstream::UpstreamTls;

/// The port of an https URL without one.
const PORT: u16 = 443;

/// What the head of a response may take.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// An https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUrl {
    text: String,
    at: HostPort,
    /// Host, and port where the URL has one.
    authority: HeaderValue,
    /// Path and query.
    path: Uri,
}

/// Why a text is no URL that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It is no URL.
    #[error("expected a URL, like https://login.example.com/keys")]
    Shape,
    /// Of another scheme.
    #[error("must begin with https://")]
    NotHttps,
    /// It has user or password in it, which whoever logs it would tell.
    #[error("has a user name in it")]
    UserInfo,
    /// It has a fragment, which is never sent.
    #[error("has a fragment (#) in it")]
    Fragment,
}

impl FromStr for HttpsUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        if text.contains('#') {
            return Err(BadUrl::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl::Shape)?;
        if uri.scheme_str() != Some("https") {
            return Err(BadUrl::NotHttps);
        }
        let authority = uri.authority().ok_or(BadUrl::Shape)?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::UserInfo);
        }
        let host = authority.host();
        let host = host.strip_prefix('[').map_or(host, |rest| {
            rest.strip_suffix(']').unwrap_or_default() // Empty is no host.
        });
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // A port that is none is not left out.
            None if authority.as_str().ends_with(authority.host()) => PORT,
            None => return Err(BadUrl::Shape),
        };
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        Ok(Self {
            text: text.to_owned(),
            at: HostPort::new(host, port).map_err(|_| BadUrl::Shape)?,
            authority: authority.as_str().parse().map_err(|_| BadUrl::Shape)?,
            path: path.parse().map_err(|_| BadUrl::Shape)?,
        })
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whose certificates hold.
#[derive(Clone, Debug)]
pub struct HttpsTrust(UpstreamTls);

impl HttpsTrust {
    /// Those of the system's CAs, or of these, in PEM.
    ///
    /// # Errors
    /// There is none among them.
    pub fn new(ca: Option<Vec<u8>>) -> Result<Self, BadClient> {
        let settings = ClientSettings {
            parameters: Parameters::default(),
            trust: ca.map_or(ServerTrust::System, ServerTrust::Ca),
            identity: None,
        };
        UpstreamTls::new(settings, None).map(Self)
    }
}

impl PartialEq for HttpsTrust {
    fn eq(&self, other: &Self) -> bool {
        self.0.differences(&other.0).is_empty()
    }
}

impl Eq for HttpsTrust {}

/// One request.
#[derive(Debug)]
pub(crate) struct HttpsRequest<'a> {
    pub(crate) url: &'a HttpsUrl,
    pub(crate) trust: &'a HttpsTrust,
    /// The value of the header Authorization.
    pub(crate) authorization: Option<&'a Secret>,
    /// What is posted; without it, the request is a GET.
    pub(crate) body: Option<PostedBody<'a>>,
    /// From the look-up of the name to the last byte of the response.
    pub(crate) within: Duration,
    /// The longest body of a response.
    pub(crate) response_bytes_max: usize,
}

/// What a POST has.
#[derive(Debug)]
pub(crate) struct PostedBody<'a> {
    pub(crate) content_type: &'static str,
    pub(crate) body: &'a Secret,
}

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpsResponse {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl HttpsResponse {
    /// The body of a response of status 200.
    pub(crate) fn ok(self) -> Result<Bytes, HttpsFailure> {
        match self.status {
            200 => Ok(self.body),
            status => Err(HttpsFailure::Status(status)),
        }
    }
}

/// Why there is no response that could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpsFailure {
    /// There is no connection.
    #[error("cannot connect: {}", .0.name())]
    Connect(ConnectFailure),
    /// It took too long.
    #[error("no response in time")]
    TimedOut,
    /// The response is longer than it may be.
    #[error("the response is too long")]
    TooLong,
    /// Its status is not 200, be it a redirect.
    #[error("the status of the response is {0}")]
    Status(u16),
    /// What was sent or came is no HTTP, or the connection ended before its end.
    #[error("the exchange broke off")]
    BrokeOff,
}

/// What requests are sent by.
#[derive(Clone, Debug)]
pub(crate) struct HttpsClient<N> {
    pub(crate) net: N,
    pub(crate) own: OwnAddresses,
    pub(crate) clock: Clock,
}

impl<N: Net> HttpsClient<N> {
    /// Sends a request and waits for all of its response.
    pub(crate) async fn exchange(
        &self,
        request: HttpsRequest<'_>,
    ) -> Result<HttpsResponse, HttpsFailure> {
        let by = self.clock.now().after(request.within);
        let target = Target {
            name: request.url.at.clone(),
            dial: request.url.at.clone(),
            within: request.within,
        };
        let tls = Some(&request.trust.0);
        let stream = dial::open(&self.net, &self.own, &self.clock, None, tls, target).await;
        let stream = stream.map_err(HttpsFailure::Connect)?;
        let exchange = Box::pin(exchange_over(TokioIo::new(stream), &request));
        let response = self.clock.until(by, exchange).await;
        response.unwrap_or(Err(HttpsFailure::TimedOut))
    }
}

async fn exchange_over<S>(
    stream: TokioIo<S>,
    request: &HttpsRequest<'_>,
) -> Result<HttpsResponse, HttpsFailure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let broke_off = |_| HttpsFailure::BrokeOff;
    let message = message(request)?;
    let mut builder = http1::Builder::new();
    let opened = builder.max_buf_size(HEAD_BYTES_MAX).handshake(stream).await;
    let (mut sender, connection) = opened.map_err(broke_off)?;
    let exchange = async move {
        let response = sender.send_request(message).await.map_err(broke_off)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), request.response_bytes_max);
        let body = body.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                HttpsFailure::TooLong
            } else {
                HttpsFailure::BrokeOff
            }
        })?;
        Ok(HttpsResponse {
            status,
            body: body.to_bytes(),
        })
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    let mut is_open = true;
    // How the connection ended shows in the exchange.
    poll_fn(|cx| {
        is_open = is_open && connection.as_mut().poll(cx).is_pending();
        let polled: Poll<_> = exchange.as_mut().poll(cx);
        polled
    })
    .await
}

fn message(request: &HttpsRequest<'_>) -> Result<Request<Full<Bytes>>, HttpsFailure> {
    let broke_off = |_| HttpsFailure::BrokeOff;
    let mut message = Request::builder()
        .uri(request.url.path.clone())
        .header(HOST, request.url.authority.clone())
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close");
    if let Some(secret) = request.authorization {
        let value = HeaderValue::from_bytes(secret.expose());
        let mut value = value.map_err(|_| HttpsFailure::BrokeOff)?;
        value.set_sensitive(true);
        message = message.header(AUTHORIZATION, value);
    }
    let message = match &request.body {
        None => message.method(Method::GET).body(Full::default()),
        Some(posted) => {
            let body = Bytes::copy_from_slice(posted.body.expose());
            let message = message.method(Method::POST);
            let message = message.header(CONTENT_TYPE, posted.content_type);
            message.body(Full::new(body))
        }
    };
    message.map_err(broke_off)
}
