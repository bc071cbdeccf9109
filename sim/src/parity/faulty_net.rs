//! A broker's network that does what a script wants: responses change, come late or not at all,
//! connections stand still, end or are reset.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use doorkeeper_core::id::HostPort;
use doorkeeper_model::frames::Cutter;
use doorkeeper_model::script::{Direction, Ending, Tamper};
use doorkeeper_net::{Ends, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::rig::{Rig, WireId};
use crate::net::Reset;

/// Where the client id of a request begins: behind length, key, version, correlation id and its
/// own length.
const CLIENT_ID_AT: usize = 14;

/// The network of one broker.
#[derive(Clone, Debug)]
pub(super) struct FaultyNet<N> {
    inner: N,
    broker: usize,
    rig: Rig,
}

impl<N> FaultyNet<N> {
    pub(super) const fn new(inner: N, broker: usize, rig: Rig) -> Self {
        Self { inner, broker, rig }
    }

    fn wrap<S: Reset>(&self, inner: S) -> FaultyStream<S> {
        FaultyStream {
            inner,
            wire: self.rig.connected(self.broker),
            rig: self.rig.clone(),
            head: Some(Vec::new()),
            cutter: Cutter::default(),
            out: VecDeque::new(),
            ending: None,
            ended: false,
        }
    }
}

impl<N: Net> Net for FaultyNet<N>
where
    N::Stream: Reset,
{
    type Stream = FaultyStream<N::Stream>;
    type Listener = N::Listener;

    async fn bind(&self, at: SocketAddr) -> io::Result<N::Listener> {
        let listener = self.inner.bind(at).await?;
        self.rig.listens(self.broker, true);
        Ok(listener)
    }

    async fn accept(&self, on: &mut N::Listener) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.inner.accept(on).await?;
        Ok((self.wrap(stream), peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        Ok(self.wrap(self.inner.connect(to).await?))
    }

    fn ends(&self, stream: &Self::Stream) -> Option<Ends> {
        self.inner.ends(&stream.inner)
    }
}

/// One connection of a broker.
#[derive(Debug)]
pub(super) struct FaultyStream<S: Reset> {
    inner: S,
    wire: WireId,
    rig: Rig,
    /// The beginning of what came, until it is known whose it is.
    head: Option<Vec<u8>>,
    cutter: Cutter,
    out: VecDeque<Response>,
    /// How it ends once everything is written.
    ending: Option<Ending>,
    ended: bool,
}

/// What is left of a response to be written.
#[derive(Debug)]
struct Response {
    late: Option<Pin<Box<Sleep>>>,
    bytes: Bytes,
}

impl Response {
    const fn now(bytes: Bytes) -> Self {
        Self { late: None, bytes }
    }
}

impl<S: Reset> FaultyStream<S> {
    /// Clients of scripts are called `c1` and the like, and discovery is not.
    fn look_at(&mut self, came: &[u8]) {
        let Some(head) = &mut self.head else {
            return;
        };
        head.extend_from_slice(came);
        let length = head.get(CLIENT_ID_AT - 2..CLIENT_ID_AT);
        let Some(length) = length.and_then(|it| it.try_into().ok()) else {
            return;
        };
        let length = usize::try_from(i16::from_be_bytes(length)).unwrap_or(0);
        let Some(client_id) = head.get(CLIENT_ID_AT..CLIENT_ID_AT + length) else {
            return;
        };
        let client_id = std::str::from_utf8(client_id).unwrap_or_default();
        let client = client_id.strip_prefix('c');
        if let Some(client) = client.and_then(|it| it.parse().ok()) {
            self.rig.belongs(self.wire, client);
        }
        self.head = None;
    }

    fn respond(&mut self, frame: Bytes) {
        let Some(tamper) = self.rig.tamper(self.wire) else {
            self.out.push_back(Response::now(frame));
            return;
        };
        let first_byte_is = |byte: u8| {
            let mut changed = BytesMut::from(&*frame);
            if let Some(first) = changed.first_mut() {
                *first = byte;
            }
            Response::now(changed.freeze())
        };
        match tamper {
            Tamper::WrongId => {
                let mut changed = BytesMut::from(&*frame);
                if let Some(byte) = changed.get_mut(4) {
                    *byte ^= 0x40;
                }
                self.out.push_back(Response::now(changed.freeze()));
            }
            Tamper::Extra => {
                self.out.push_back(Response::now(frame.clone()));
                self.out.push_back(Response::now(frame));
            }
            Tamper::Missing => {}
            Tamper::Negative => self.out.push_back(first_byte_is(0xff)),
            Tamper::Huge => self.out.push_back(first_byte_is(0x7f)),
            Tamper::Cut(at, how) => {
                let at = usize::from(at).min(frame.len());
                self.out.push_back(Response::now(frame.slice(..at)));
                self.ending = Some(how);
            }
            Tamper::Late(tenths) => {
                let late = Duration::from_millis(u64::from(tenths) * 100);
                self.out.push_back(Response {
                    late: Some(Box::pin(tokio::time::sleep(late))),
                    bytes: frame,
                });
            }
        }
        self.out.retain(|response| !response.bytes.is_empty());
    }
}

impl<S: AsyncWrite + Reset + Unpin> FaultyStream<S> {
    /// Writes what is left.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.ended {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let cut = self.rig.cut(self.wire);
            if let Some((0, how)) = cut {
                self.out.clear();
                self.ending = Some(how);
            }
            let Some(response) = self.out.front_mut() else {
                match self.ending {
                    None => return Pin::new(&mut self.inner).poll_flush(cx),
                    Some(Ending::Fin | Ending::Truncated) => {
                        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
                    }
                    Some(Ending::Reset) => self.inner.reset(),
                }
                self.ended = true;
                continue;
            };
            if self.rig.is_buffered(self.wire, Direction::Down, cx) {
                return Poll::Pending;
            }
            if let Some(late) = &mut response.late {
                ready!(late.as_mut().poll(cx));
                response.late = None;
            }
            let most = cut.map_or(usize::MAX, |(left, _)| left);
            let most = most.min(response.bytes.len());
            let bytes = response.bytes.get(..most).unwrap_or_default();
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
            response.bytes.advance(count.min(most));
            self.rig.wrote(self.wire, count);
            if response.bytes.is_empty() {
                self.out.pop_front();
            }
        }
    }
}

impl<S: Reset> Drop for FaultyStream<S> {
    fn drop(&mut self) {
        if self.rig.is_crashing(self.wire) {
            self.inner.reset();
        }
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for FaultyStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rig.is_buffered(self.wire, Direction::Up, cx) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.look_at(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

/// Takes everything at once: a broker flushes after each response, and waits there.
impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for FaultyStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.cutter.push(bytes);
        while let Some(frame) = self.cutter.next_frame() {
            // Nothing has a response behind the end.
            if self.ending.is_none() {
                self.respond(frame);
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
