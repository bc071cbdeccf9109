//! Reads of TLS as large as those of plaintext: rustls asks for 4 KiB at a time, which would be
//! five system calls for each record.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// At most this is read ahead. As large as the largest read of a leg.
const AHEAD_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// Lent to whichever connection reads on this thread, so that an idle one has none.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream below TLS.
#[derive(Debug)]
pub(crate) struct ReadAhead<S> {
    socket: S,
    /// How much the reader above TLS has room for. Nothing more is read, so that hardly anything
    /// is ever left over.
    room: usize,
    ahead: Vec<u8>,
    /// How much of it has been handed on.
    taken: usize,
}

impl<S> ReadAhead<S> {
    pub(crate) const fn new(socket: S) -> Self {
        Self {
            socket,
            room: 0,
            ahead: Vec::new(),
            taken: 0,
        }
    }

    pub(crate) const fn socket(&self) -> &S {
        &self.socket
    }

    pub(crate) const fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Says how much the reader above TLS has room for.
    pub(crate) const fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// The reader leaves: what it has not taken stays, in no more memory than it needs.
    pub(crate) fn settle(&mut self) {
        self.room = 0;
        let rest = self.ahead.get(self.taken..).unwrap_or_default();
        if !rest.is_empty() && self.ahead.capacity() > rest.len() {
            let rest = rest.to_vec();
            give_back(std::mem::replace(&mut self.ahead, rest));
            self.taken = 0;
        }
    }

    /// Hands on what was read ahead, as much as there is room for.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = self.ahead.get(self.taken..).unwrap_or_default();
        let (now, _) = rest.split_at(rest.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.taken += now.len();
        if self.taken == self.ahead.len() {
            give_back(std::mem::take(&mut self.ahead));
            self.taken = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            let size = this.room.min(AHEAD_BYTES_MAX);
            if size <= buffer.remaining() {
                return Pin::new(&mut this.socket).poll_read(cx, buffer);
            }
            let mut ahead = lend();
            let mut place = (&mut ahead).limit(size);
            let read = poll_read_buf(Pin::new(&mut this.socket), cx, &mut place);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                give_back(ahead);
                return read.map_ok(drop);
            }
            this.ahead = ahead;
        }
        this.take(buffer);
        Poll::Ready(Ok(()))
    }
}

fn lend() -> Vec<u8> {
    let mut spare = SPARE.take();
    spare.reserve_exact(AHEAD_BYTES_MAX);
    spare
}

fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    if buffer.capacity() >= AHEAD_BYTES_MAX {
        SPARE.set(buffer);
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    async fn take<S: AsyncRead + Unpin>(stream: &mut S, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let count = stream.read(&mut bytes).await.unwrap();
        bytes.truncate(count);
        bytes
    }

    #[tokio::test]
    async fn one_large_read_serves_many_small_ones() {
        let (ours, mut peer) = duplex(1 << 20);
        let mut stream = ReadAhead::new(ours);
        peer.write_all(&[1; 100]).await.unwrap();
        stream.set_room(100);
        assert_eq!(take(&mut stream, 10).await, [1; 10]);
        // What comes now is not read before what was read ahead is gone.
        peer.write_all(&[2; 5]).await.unwrap();
        for _ in 0..9 {
            assert_eq!(take(&mut stream, 10).await, [1; 10]);
        }
        assert!(stream.ahead.is_empty(), "an idle connection has no buffer");
        assert_eq!(take(&mut stream, 10).await, [2; 5]);
    }

    #[tokio::test]
    async fn nothing_is_read_that_there_is_no_room_for() {
        let (ours, mut peer) = duplex(1 << 20);
        let mut stream = ReadAhead::new(ours);
        peer.write_all(&[1; 100]).await.unwrap();
        stream.set_room(20);
        take(&mut stream, 10).await;
        assert_eq!(stream.ahead.len(), 20);
        take(&mut stream, 10).await;
        // Without room, as in a handshake, it reads what it is asked for.
        stream.settle();
        assert_eq!(take(&mut stream, 30).await, [1; 30]);
        assert!(stream.ahead.is_empty());
    }

    #[tokio::test]
    async fn what_is_left_over_takes_no_more_memory_than_its_bytes() {
        let (ours, mut peer) = duplex(1 << 20);
        let mut stream = ReadAhead::new(ours);
        peer.write_all(b"abcdef").await.unwrap();
        stream.set_room(1000);
        assert_eq!(take(&mut stream, 4).await, b"abcd");
        stream.settle();
        assert!(stream.ahead.capacity() < 8, "{}", stream.ahead.capacity());
        assert_eq!(take(&mut stream, 4).await, b"ef");
    }

    #[tokio::test]
    async fn the_end_and_nothing_yet_are_passed_on() {
        let (ours, peer) = duplex(1 << 20);
        let mut stream = ReadAhead::new(ours);
        stream.set_room(1000);
        let mut bytes = [0; 4];
        let nothing = poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut bytes);
            Poll::Ready(
                Pin::new(&mut stream)
                    .poll_read(cx, &mut buffer)
                    .is_pending(),
            )
        });
        assert!(nothing.await);
        drop(peer);
        assert_eq!(take(&mut stream, 4).await, b"");
    }
}
