//! A network that writes down what passes: [`Tap`] keeps the bytes of every connection of a
//! doorkeeper, so that what it did on one network can be held against what it did on another.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use doorkeeper_core::id::HostPort;
use doorkeeper_net::{Ends, Interest, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A network that is listened to.
#[derive(Clone, Debug)]
pub struct Tap<N> {
    inner: N,
    tape: Tape,
}

/// Everything that passed. Clones are the same tape.
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<Vec<Track>>>);

/// One connection.
#[derive(Clone, Debug)]
pub struct Track {
    /// Who is at its other end.
    pub peer: Peer,
    /// The task that moves its bytes: both connections of a session are one task's.
    pub task: Option<tokio::task::Id>,
    /// What was read.
    pub received: Vec<u8>,
    /// What was written.
    pub went: Vec<u8>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It came in from there.
    Accepted(SocketAddr),
    /// It was dialled.
    Dialled(HostPort),
}

impl Tape {
    fn tracks(&self) -> MutexGuard<'_, Vec<Track>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections in the order in which they began.
    #[must_use]
    pub fn all(&self) -> Vec<Track> {
        self.tracks().clone()
    }

    fn begin(&self, peer: Peer) -> usize {
        let mut tracks = self.tracks();
        tracks.push(Track {
            peer,
            task: None,
            received: Vec::new(),
            went: Vec::new(),
        });
        tracks.len() - 1
    }

    fn note(&self, number: usize, act: impl FnOnce(&mut Track)) {
        if let Some(track) = self.tracks().get_mut(number) {
            track.task = track.task.or_else(tokio::task::try_id);
            act(track);
        }
    }
}

impl<N> Tap<N> {
    /// Writes down what passes over a network.
    pub const fn new(inner: N, tape: Tape) -> Self {
        Self { inner, tape }
    }

    fn listen<S>(&self, inner: S, peer: Peer) -> TapStream<S> {
        TapStream {
            inner,
            number: self.tape.begin(peer),
            tape: self.tape.clone(),
        }
    }
}

impl<N: Net> Net for Tap<N> {
    type Stream = TapStream<N::Stream>;
    type Listener = N::Listener;

    async fn bind(&self, at: SocketAddr) -> io::Result<N::Listener> {
        self.inner.bind(at).await
    }

    async fn accept(&self, on: &mut N::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.inner.accept(on).await?;
        Ok((self.listen(stream, Peer::Accepted(peer)), peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        let stream = self.inner.connect(to).await?;
        Ok(self.listen(stream, Peer::Dialled(to.clone())))
    }

    fn ends(&self, stream: &Self::Stream) -> Option<Ends> {
        self.inner.ends(&stream.inner)
    }

    fn is_ready(&self, stream: &Self::Stream, interest: Interest) -> bool {
        self.inner.is_ready(&stream.inner, interest)
    }
}

/// One connection that is listened to.
#[derive(Debug)]
pub struct TapStream<S> {
    inner: S,
    number: usize,
    tape: Tape,
}

impl<S: AsyncRead + Unpin> AsyncRead for TapStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let received = buf.filled().get(before..).unwrap_or_default();
        self.tape.note(self.number, |track| {
            track.received.extend_from_slice(received)
        });
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TapStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, slices))?;
        self.tape.note(self.number, |track| {
            let bytes = slices.iter().flat_map(|slice| slice.iter());
            track.went.extend(bytes.take(count));
        });
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
