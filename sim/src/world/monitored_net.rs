//! The network of a broker, monitored: the ledger gets each whole request that comes in.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_model::frames::Cutter;
use doorkeeper_net::{Ends, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::requests::Requests;

/// A network whose incoming connections are listened to.
#[derive(Clone, Debug)]
pub(super) struct MonitoredNet<N> {
    inner: N,
    broker: BrokerId,
    requests: Requests,
}

impl<N> MonitoredNet<N> {
    pub(super) const fn new(inner: N, broker: BrokerId, requests: Requests) -> Self {
        Self {
            inner,
            broker,
            requests,
        }
    }

    fn listen<S>(&self, inner: S) -> MonitoredStream<S> {
        MonitoredStream {
            inner,
            broker: self.broker,
            requests: self.requests.clone(),
            cutter: Cutter::default(),
        }
    }
}

impl<N: Net> Net for MonitoredNet<N> {
    type Stream = MonitoredStream<N::Stream>;
    type Listener = N::Listener;

    async fn bind(&self, at: SocketAddr) -> io::Result<N::Listener> {
        self.inner.bind(at).await
    }

    async fn accept(&self, on: &mut N::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.inner.accept(on).await?;
        Ok((self.listen(stream), peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        Ok(self.listen(self.inner.connect(to).await?))
    }

    fn ends(&self, stream: &Self::Stream) -> Option<Ends> {
        self.inner.ends(&stream.inner)
    }
}

/// A connection that is listened to.
#[derive(Debug)]
pub(super) struct MonitoredStream<S> {
    inner: S,
    broker: BrokerId,
    requests: Requests,
    cutter: Cutter,
}

impl<S: AsyncRead + Unpin> AsyncRead for MonitoredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let Self {
            broker,
            requests,
            cutter,
            ..
        } = &mut *self;
        cutter.push(buf.filled().get(before..).unwrap_or_default());
        while let Some(frame) = cutter.next_frame() {
            requests.arrived(*broker, &frame);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MonitoredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
