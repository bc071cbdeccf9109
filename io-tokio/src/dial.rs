//! The connection that a machine asks for: absent, being opened, or open.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use doorkeeper_core::proxy_protocol::Header;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::{ConnectFailure, Target};
use tokio::io::AsyncWriteExt as _;

use crate::Net;
use crate::clock::Clock;
use crate::own_addresses::OwnAddresses;
use crate::stream::LegStream;
use crate::tls::transport::Transport;
use crate::tls::upstream::UpstreamTls;

type Opening<S> = Pin<Box<dyn Future<Output = Result<Transport<S>, ConnectFailure>> + Send>>;

/// The state of a machine's upstream connection.
pub(crate) enum Dial<S> {
    /// Nothing was asked for.
    Absent,
    /// An attempt is under way. Dropping it gives it up.
    Opening(Opening<S>),
    /// The connection, whether or not it has ended.
    Open(LegStream<S>),
}

impl<S> Dial<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    /// Starts an attempt. One that leads to ourselves fails, whatever the address was called, and
    /// is sent nothing. A PROXY header comes before everything else, TLS included.
    pub(crate) fn to<N: Net<Stream = S>>(
        net: &N,
        own: &OwnAddresses,
        clock: &Clock,
        proxy_header: Option<Header>,
        tls: Option<Arc<UpstreamTls>>,
        target: Target,
    ) -> Self {
        let (net, own, clock) = (net.clone(), own.clone(), clock.clone());
        Self::Opening(Box::pin(async move {
            open(&net, &own, &clock, proxy_header, tls.as_deref(), target).await
        }))
    }

    /// Ready once, when the attempt has ended.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        let Self::Opening(opening) = self else {
            return Poll::Pending;
        };
        Poll::Ready(match ready!(opening.as_mut().poll(cx)) {
            Ok(stream) => {
                *self = Self::Open(LegStream::new(stream));
                Ok(())
            }
            Err(failure) => {
                *self = Self::Absent;
                Err(failure)
            }
        })
    }

    pub(crate) const fn stream(&mut self) -> Option<&mut LegStream<S>> {
        match self {
            Self::Open(stream) => Some(stream),
            Self::Absent | Self::Opening(_) => None,
        }
    }
}

/// One attempt to open a connection, as [`Dial::to`] says.
pub(crate) async fn open<N: Net>(
    net: &N,
    own: &OwnAddresses,
    clock: &Clock,
    proxy_header: Option<Header>,
    tls: Option<&UpstreamTls>,
    target: Target,
) -> Result<Transport<N::Stream>, ConnectFailure> {
    if own.contains(&target.dial) {
        return Err(ConnectFailure::Loop);
    }
    let by = clock.now().after(target.within);
    let mut socket = match clock.until(by, net.connect(&target.dial)).await {
        Some(Ok(stream)) if net.ends(&stream).is_some_and(|it| own.is_loop(it)) => {
            return Err(ConnectFailure::Loop);
        }
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return Err(failure(&error)),
        None if net.is_resolving(&target.dial) => return Err(ConnectFailure::Unresolved),
        None => return Err(ConnectFailure::TimedOut),
    };
    if let Some(header) = proxy_header {
        let header = header.encode();
        match clock.until(by, socket.write_all(&header)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(failure(&error)),
            None => return Err(ConnectFailure::TimedOut),
        }
    }
    let Some(tls) = tls else {
        return Ok(Transport::Plaintext(socket));
    };
    let handshake = tls.connect(target.name.host(), socket);
    let failed = match clock.until(by, handshake).await {
        Some(Ok(stream)) => return Ok(stream),
        Some(Err(failure)) => failure,
        None => TlsFailure::TimedOut,
    };
    Err(ConnectFailure::Tls(failed))
}

fn failure(error: &io::Error) -> ConnectFailure {
    let is = |kind| error.kind() == kind;
    if is(io::ErrorKind::NotFound) {
        ConnectFailure::Unresolved
    } else if is(io::ErrorKind::ConnectionRefused) {
        ConnectFailure::Refused
    } else if is(io::ErrorKind::TimedOut) {
        ConnectFailure::TimedOut
    } else {
        ConnectFailure::Unreachable
    }
}
