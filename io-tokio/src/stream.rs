//! One connection of a machine: reads into as little memory as it needs, writes whole ropes.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use doorkeeper_core::End;
use doorkeeper_net::{Interest, Net};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::tls::peer::Peer;
use crate::tls::transport::Transport;

/// The sizes of read buffers. A leg begins with the first, and goes on to the next when a read
/// fills its buffer.
const READ_SIZES: [usize; 4] = [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB];
const KIB: usize = 1024;

/// A read that fills less than one part in so many of its buffer is copied out of it: what is
/// handed on may lie around for long, and must not keep a mostly empty buffer alive.
const FILLED_MIN: usize = 4;

/// How many slices of a rope go into one vectored write.
const WRITE_SLICES_MAX: usize = 64;

thread_local! {
    /// One buffer of each size, lent to whichever leg reads on this thread. An idle leg has
    /// none, and one whose bytes have been written in the meantime is still warm in the cache.
    static SPARE: RefCell<[BytesMut; READ_SIZES.len()]> = RefCell::default();
}

/// A stream with what the driver has to remember of it.
#[derive(Debug)]
pub(crate) struct LegStream<S> {
    stream: Transport<S>,
    /// Which of [`READ_SIZES`] the next read gets.
    read_size: u8,
    /// No end was read and nothing failed.
    readable: bool,
    /// The writing half has not been ended and nothing failed.
    writable: bool,
    /// How many bytes at the front of the rope the stream has taken and not flushed yet.
    unflushed: usize,
    /// The writing half is to be ended once all is written.
    finishing: bool,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Bytes, at least one.
    Bytes(Bytes),
    /// Nothing more will come.
    End(End),
}

/// How much memory bytes that were read may keep alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Up to [`FILLED_MIN`] times their length: they are written soon.
    Loose,
    /// Their length.
    Exact,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LegStream<S> {
    pub(crate) const fn new(stream: Transport<S>) -> Self {
        Self {
            stream,
            read_size: 0,
            readable: true,
            writable: true,
            unflushed: 0,
            finishing: false,
        }
    }

    /// The stream itself.
    pub(crate) fn socket(&self) -> &S {
        self.stream.socket()
    }

    /// The same, to be changed.
    pub(crate) fn socket_mut(&mut self) -> &mut S {
        self.stream.socket_mut()
    }

    /// What the peer has shown of itself.
    pub(crate) fn peer(&self) -> Peer {
        self.stream.peer()
    }

    /// Ends the writing half as soon as the rope is written.
    pub(crate) const fn finish(&mut self) {
        self.finishing = true;
    }

    /// The next bytes. After an end it is pending for ever.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, fit: Fit) -> Poll<Arrived> {
        if !self.readable {
            return Poll::Pending;
        }
        match ready!(self.poll_read_bytes(cx, fit)) {
            Ok(bytes) if !bytes.is_empty() => Poll::Ready(Arrived::Bytes(bytes)),
            Ok(_) => {
                self.readable = false;
                Poll::Ready(Arrived::End(End::Fin))
            }
            Err(error) => Poll::Ready(Arrived::End(self.fail(&error))),
        }
    }

    /// Whether a read or write that was pending would not be, if the runtime knew all that the
    /// network knows. The runtime learns it soon, and wakes the task.
    pub(crate) fn is_ready<N: Net<Stream = S>>(&self, net: &N, interest: Interest) -> bool {
        let interest = Interest {
            read: interest.read && self.readable,
            write: interest.write && self.writable,
        };
        interest != Interest::default() && net.is_ready(self.stream.socket(), interest)
    }

    fn poll_read_bytes(&mut self, cx: &mut Context<'_>, fit: Fit) -> Poll<io::Result<Bytes>> {
        let class = usize::from(self.read_size);
        let size = READ_SIZES.get(class).copied().unwrap_or(4 * KIB);
        let mut buffer = lend(class, size);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut buffer);
        let filled_min = match fit {
            Fit::Loose => size / FILLED_MIN,
            Fit::Exact => size,
        };
        let bytes = match read {
            Poll::Ready(Ok(count)) if count >= filled_min => buffer.split().freeze(),
            Poll::Ready(Ok(_)) => {
                let bytes = Bytes::copy_from_slice(&buffer);
                buffer.clear();
                bytes
            }
            Poll::Ready(Err(_)) | Poll::Pending => Bytes::new(),
        };
        give_back(class, buffer);
        let count = ready!(read)?;
        if count >= self.stream.full_read(size) && class + 1 < READ_SIZES.len() {
            self.read_size += 1;
        } else if count < size / FILLED_MIN {
            self.read_size = self.read_size.saturating_sub(1);
        }
        Poll::Ready(Ok(bytes))
    }

    /// Writes from the front of the rope, and says how much of it has been written and flushed.
    ///
    /// A stream may keep what it takes, as one of TLS does: that is no more written than what it
    /// did not take. It stays at the front of the rope, and is counted by a later call, once it is
    /// flushed. Ends the writing half when that is due: call it also when the rope is empty.
    pub(crate) fn poll_write<'a>(
        &mut self,
        cx: &mut Context<'_>,
        rope: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<Result<usize, End>> {
        if !self.writable {
            return Poll::Pending;
        }
        if self.unflushed == 0 {
            let Some(wrote) = self.poll_write_rope(cx, rope) else {
                self.poll_finish(cx);
                return Poll::Pending;
            };
            match ready!(wrote) {
                Ok(bytes) => self.unflushed = bytes,
                Err(error) => return Poll::Ready(Err(self.fail(&error))),
            }
        }
        match ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            Ok(()) => Poll::Ready(Ok(std::mem::take(&mut self.unflushed))),
            Err(error) => Poll::Ready(Err(self.fail(&error))),
        }
    }

    /// Hands the stream the front of the rope; nothing if the rope is empty, which it is at most
    /// looks. A rope of one slice, as most are, needs no list of slices.
    fn poll_write_rope<'a>(
        &mut self,
        cx: &mut Context<'_>,
        mut rope: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Poll<io::Result<usize>>> {
        let first = rope.next()?;
        let stream = Pin::new(&mut self.stream);
        let wrote = match rope.next() {
            None => stream.poll_write(cx, first),
            Some(second) => {
                let mut slices = [IoSlice::new(first); WRITE_SLICES_MAX];
                let mut count = 1;
                let rest = std::iter::once(second).chain(rope);
                for (slot, bytes) in slices.iter_mut().skip(1).zip(rest) {
                    *slot = IoSlice::new(bytes);
                    count += 1;
                }
                stream.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
            }
        };
        Some(wrote.map(|wrote| match wrote {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            wrote => wrote,
        }))
    }

    /// Ends the writing half, if that is due now that all is written.
    fn poll_finish(&mut self, cx: &mut Context<'_>) {
        // A peer that is gone already needs no end.
        if self.finishing && Pin::new(&mut self.stream).poll_shutdown(cx).is_ready() {
            self.writable = false;
        }
    }

    fn fail(&mut self, error: &io::Error) -> End {
        self.readable = false;
        self.writable = false;
        // No socket says so: it is what rustls makes of an end without close_notify.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            End::Truncated
        } else {
            End::Reset
        }
    }
}

/// Takes this thread's buffer of a size, or a new one if bytes of the old are still in use.
fn lend(class: usize, size: usize) -> BytesMut {
    let spare = SPARE.with_borrow_mut(|spare| spare.get_mut(class).map(std::mem::take));
    let mut buffer = spare.unwrap_or_default();
    // Only the whole buffer will do: its tail alone would keep all of it alive.
    if buffer.try_reclaim(size) {
        buffer
    } else {
        BytesMut::with_capacity(size)
    }
}

fn give_back(class: usize, buffer: BytesMut) {
    SPARE.with_borrow_mut(|spare| {
        if let Some(place) = spare.get_mut(class) {
            *place = buffer;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex};

    fn stream(capacity: usize) -> (LegStream<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(capacity);
        (LegStream::new(Transport::Plaintext(ours)), theirs)
    }

    async fn read(stream: &mut LegStream<DuplexStream>) -> Arrived {
        poll_fn(|cx| stream.poll_read(cx, Fit::Loose)).await
    }

    /// How much memory the bytes keep alive, as the thread's own buffer shows.
    fn is_copied(bytes: Bytes) -> bool {
        bytes
            .try_into_mut()
            .is_ok_and(|bytes| bytes.capacity() < 4 * bytes.len() + 16)
    }

    #[tokio::test]
    async fn few_bytes_are_copied_out_of_their_buffer() {
        let (mut stream, mut peer) = stream(1 << 20);
        peer.write_all(b"abc").await.unwrap();
        let Arrived::Bytes(bytes) = read(&mut stream).await else {
            panic!("an end")
        };
        assert_eq!(bytes, "abc");
        assert!(is_copied(bytes));
    }

    #[tokio::test]
    async fn what_is_kept_for_long_fits_its_buffer() {
        let (mut stream, mut peer) = stream(1 << 20);
        for (fit, fits) in [(Fit::Loose, false), (Fit::Exact, true)] {
            peer.write_all(&[1; 2 << 10]).await.unwrap();
            let Arrived::Bytes(bytes) = poll_fn(|cx| stream.poll_read(cx, fit)).await else {
                panic!("an end")
            };
            assert_eq!(is_copied(bytes), fits);
        }
    }

    #[tokio::test]
    async fn buffers_grow_while_reads_fill_them_and_shrink_again() {
        let (mut stream, mut peer) = stream(1 << 20);
        let sizes = [4, 16, 64, 256, 256].map(|kib| kib << 10);
        let all = vec![7; sizes.iter().sum()];
        peer.write_all(&all).await.unwrap();
        for size in sizes {
            let Arrived::Bytes(bytes) = read(&mut stream).await else {
                panic!("an end")
            };
            assert_eq!(bytes.len(), size);
        }
        for read_size in [2, 1, 0, 0] {
            peer.write_all(b"x").await.unwrap();
            read(&mut stream).await;
            assert_eq!(stream.read_size, read_size);
        }
    }

    #[tokio::test]
    async fn a_buffer_whose_bytes_are_gone_is_used_again() {
        let (mut stream, mut peer) = stream(1 << 16);
        let mut places = Vec::new();
        for _ in 0..3 {
            peer.write_all(&[1; 2 << 10]).await.unwrap();
            let Arrived::Bytes(bytes) = read(&mut stream).await else {
                panic!("an end")
            };
            places.push(bytes.as_ptr());
        }
        assert!(places.iter().all(|place| *place == places[0]));
        // While the bytes are in use, their buffer is left alone.
        peer.write_all(&[1; 2 << 10]).await.unwrap();
        let kept = read(&mut stream).await;
        peer.write_all(&[2; 2 << 10]).await.unwrap();
        let Arrived::Bytes(bytes) = read(&mut stream).await else {
            panic!("an end")
        };
        assert_ne!(bytes.as_ptr(), places[0]);
        assert_eq!(kept, Arrived::Bytes(Bytes::from(vec![1; 2 << 10])));
    }

    #[tokio::test]
    async fn a_rope_is_written_across_short_writes_and_then_finished() {
        let (mut stream, mut peer) = stream(3);
        let all = b"abcdefghij".to_vec();
        let written = all.clone();
        let writer = tokio::spawn(async move {
            stream.finish();
            let mut rest: &[u8] = &written;
            poll_fn(|cx| {
                while let Poll::Ready(wrote) = stream.poll_write(cx, rest.chunks(4)) {
                    rest = &rest[wrote.unwrap()..];
                }
                if stream.writable {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            stream
        });
        let mut seen = Vec::new();
        peer.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, all);
        let mut stream = writer.await.unwrap();
        // The other half is still open, and its end is reported once.
        peer.write_all(b"z").await.unwrap();
        drop(peer);
        assert_eq!(
            read(&mut stream).await,
            Arrived::Bytes(Bytes::from_static(b"z"))
        );
        assert_eq!(read(&mut stream).await, Arrived::End(End::Fin));
        let again = poll_fn(|cx| Poll::Ready(stream.poll_read(cx, Fit::Loose))).await;
        assert!(again.is_pending());
    }

    /// As under TLS: the stream takes all and has sent nothing yet.
    #[tokio::test]
    async fn bytes_are_written_once_they_are_flushed() {
        let (ours, mut peer) = duplex(4);
        let mut stream = LegStream::new(Transport::Plaintext(BufWriter::new(ours)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let rope = || [&b"abc"[..], &b"defghij"[..]].into_iter();
        let mut seen = [0; 4];
        for part in [&b"abcd"[..], &b"efgh"[..]] {
            assert!(stream.poll_write(&mut cx, rope()).is_pending());
            peer.read_exact(&mut seen).await.unwrap();
            assert_eq!(seen, part);
        }
        let wrote = stream.poll_write(&mut cx, rope());
        assert_eq!(wrote, Poll::Ready(Ok(10)), "counted once, in all");
        stream.finish();
        assert!(stream.poll_write(&mut cx, std::iter::empty()).is_pending());
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"ij");
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_a_reset() {
        let (mut stream, peer) = stream(64);
        drop(peer);
        let wrote = poll_fn(|cx| stream.poll_write(cx, [&b"abc"[..]].into_iter())).await;
        assert_eq!(wrote, Err(End::Reset));
    }
}
