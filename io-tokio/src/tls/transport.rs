//! A connection with TLS or without, as the rest of the adapter sees it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use doorkeeper_core::tls_facts::{TlsFacts, TlsVersion};
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::peer::{Peer, PeerCertificate};
use super::read_ahead::ReadAhead;

/// A read over TLS that leaves less than one part in so many of its buffer empty has filled it: the
/// rest is what TLS adds to its records.
const OVERHEAD_PART: usize = 16;

/// A stream of a network, or TLS over one.
#[derive(Debug)]
pub(crate) enum Transport<S> {
    Plaintext(S),
    /// In a box: what TLS remembers of a connection is larger than any socket.
    Tls(Box<TlsStream<ReadAhead<S>>>),
}

impl<S> Transport<S> {
    /// What the peer has shown of itself.
    pub(crate) fn peer(&self) -> Peer {
        let Self::Tls(stream) = self else {
            return Peer::Plaintext;
        };
        match stream.get_ref().1.peer_certificates() {
            None => Peer::Anonymous,
            Some(chain) => Peer::Certified(Arc::new(PeerCertificate::new(chain))),
        }
    }

    /// How many bytes of a read of this size fill it.
    pub(crate) const fn full_read(&self, size: usize) -> usize {
        match self {
            Self::Plaintext(_) => size,
            Self::Tls(_) => size - size / OVERHEAD_PART,
        }
    }

    /// The stream of the network.
    pub(crate) fn socket(&self) -> &S {
        match self {
            Self::Plaintext(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0.socket(),
        }
    }

    /// The certificates that the peer has shown, its own first.
    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Plaintext(_) => None,
            Self::Tls(stream) => stream.get_ref().1.peer_certificates(),
        }
    }

    /// What the handshake agreed on; nothing without TLS.
    pub(crate) fn tls_facts(&self) -> Option<TlsFacts> {
        let Self::Tls(stream) = self else {
            return None;
        };
        let (_, connection) = stream.get_ref();
        // rustls has no other versions.
        let version = if connection.protocol_version()? == ProtocolVersion::TLSv1_3 {
            TlsVersion::V1_3
        } else {
            TlsVersion::V1_2
        };
        let suite = connection.negotiated_cipher_suite()?.suite();
        let server_name = match &**stream {
            TlsStream::Server(stream) => stream.get_ref().1.server_name(),
            TlsStream::Client(_) => None,
        };
        Some(TlsFacts {
            version,
            cipher_suite: suite.as_str().unwrap_or_default().into(),
            server_name: server_name.map(Into::into),
        })
    }

    /// The same, for whoever registers it with another runtime.
    pub(crate) fn socket_mut(&mut self) -> &mut S {
        match self {
            Self::Plaintext(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0.socket_mut(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => poll_read_records(stream, cx, buffer),
        }
    }
}

/// Reads as many records as have come, while there is much room: TLS hands on one at a time.
fn poll_read_records<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut TlsStream<ReadAhead<S>>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buffer.filled().len();
    let room_min = buffer.remaining() / OVERHEAD_PART;
    let last = loop {
        let so_far = buffer.filled().len();
        stream.get_mut().0.set_room(buffer.remaining());
        let read = Pin::new(&mut *stream).poll_read(cx, buffer);
        let is_more = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() > so_far;
        if !is_more || buffer.remaining() <= room_min {
            break read;
        }
    };
    stream.get_mut().0.settle();
    // An end or a failure that came behind bytes comes again.
    if buffer.filled().len() > before {
        return Poll::Ready(Ok(()));
    }
    last
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plaintext(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plaintext(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
