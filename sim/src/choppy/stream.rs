//! One connection of a choppy network.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::FaultRates;
use super::delayed_wakeup::DelayedWakeup;
use super::fault::{self, Direction, Fault};
use crate::net::Reset;
use crate::splitmix64::SplitMix64;

/// So many bytes of a connection may come one by one.
const ONE_BYTE_PIECES: u64 = 1 << 10;

/// The largest piece is at least one part in so many of what has passed: a megabyte in pieces of a
/// few bytes would take for ever. Small pieces keep coming, among larger ones.
const PASSED_PER_PIECE: u64 = 4;

/// A stream that reads and writes in pieces, stalls and ends as its dice say.
#[derive(Debug)]
pub struct ChoppyStream<S> {
    inner: S,
    read: Half,
    write: Half,
    /// What was read before the reader is to know of it.
    delayed_wakeup: Option<DelayedWakeup>,
    /// Cut by an fault: all that is left is to be dropped.
    cut: bool,
}

/// One direction.
#[derive(Debug)]
struct Half {
    rng: SplitMix64,
    fault_rates: FaultRates,
    one_byte: bool,
    passed: u64,
    /// The nearest one last.
    faults: Vec<(u64, Fault)>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// How late the reader learns of what is read next.
    late: Option<Duration>,
    /// The writing half was ended by an fault.
    finished: bool,
}

impl Half {
    fn new(mut rng: SplitMix64, fault_rates: FaultRates, one_byte: bool, way: Direction) -> Self {
        let faults = fault::drawn(&mut rng, &fault_rates, way);
        Self {
            rng,
            fault_rates,
            one_byte,
            passed: 0,
            faults,
            stalled: None,
            late: None,
            finished: false,
        }
    }

    /// Waits out a stall, and now and then says "not yet" for no reason.
    fn poll_going(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(stalled) = &mut self.stalled {
            ready!(stalled.as_mut().poll(cx));
            self.stalled = None;
        }
        if self.rng.chance(self.fault_rates.not_yet_permille) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// What is due before the next byte.
    fn due(&mut self) -> Option<Fault> {
        let due = |(at, _): &mut (u64, Fault)| *at <= self.passed;
        self.faults.pop_if(due).map(|(_, fault)| fault)
    }

    /// How many bytes the next piece has at most; never over the next fault.
    fn piece(&mut self) -> usize {
        let most = if self.one_byte && self.passed < ONE_BYTE_PIECES {
            1
        } else if self.fault_rates.piece_bytes_max == 0 {
            u64::MAX
        } else {
            let grown = self.passed / PASSED_PER_PIECE;
            self.rng.size(self.fault_rates.piece_bytes_max.max(grown))
        };
        let left = self
            .faults
            .last()
            .map_or(u64::MAX, |(at, _)| at.saturating_sub(self.passed).max(1));
        usize::try_from(most.min(left)).unwrap_or(usize::MAX)
    }

    const fn pass(&mut self, count: usize) {
        self.passed += count as u64;
    }
}

impl<S: Reset> ChoppyStream<S> {
    pub(super) const fn inner(&self) -> &S {
        &self.inner
    }

    pub(super) fn new(inner: S, mut rng: SplitMix64, fault_rates: FaultRates) -> Self {
        let one_byte = rng.chance(fault_rates.one_byte_permille);
        let half = |stream, way| {
            let rng = SplitMix64::new(rng.clone().next(), stream);
            Half::new(rng, fault_rates, one_byte, way)
        };
        Self {
            inner,
            read: half(1, Direction::Read),
            write: half(2, Direction::Write),
            delayed_wakeup: None,
            cut: false,
        }
    }

    /// Whether something has come that the reader does not know of. It does, now.
    pub(super) fn notice(&self) -> bool {
        self.delayed_wakeup
            .as_ref()
            .map(DelayedWakeup::notice)
            .is_some()
    }

    fn half(&mut self, way: Direction) -> &mut Half {
        match way {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    /// Ready when bytes may move; an error when they never will again.
    fn poll_faults(&mut self, cx: &mut Context<'_>, way: Direction) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        loop {
            if self.cut {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if way == Direction::Write && self.write.finished {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let half = self.half(way);
            ready!(half.poll_going(cx));
            match half.due() {
                None => return Poll::Ready(Ok(())),
                Some(Fault::Stall(how_long)) => {
                    half.stalled = Some(Box::pin(tokio::time::sleep(how_long)));
                }
                Some(Fault::DelayedWakeup(for_so_long)) => half.late = Some(for_so_long),
                Some(Fault::Reset) => {
                    self.inner.reset();
                    self.cut = true;
                }
                Some(Fault::Finish) => {
                    half.finished = true;
                    // Whoever is gone already needs no end.
                    let _ = Pin::new(&mut self.inner).poll_shutdown(cx);
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> AsyncRead for ChoppyStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(delayed_wakeup) = &mut self.delayed_wakeup {
                ready!(delayed_wakeup.poll_noticed(cx));
                self.delayed_wakeup = self.delayed_wakeup.take().and_then(|it| it.rest(buf));
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_faults(cx, Direction::Read))?;
            let piece = self.read.piece();
            if piece >= buf.remaining() && self.read.late.is_none() {
                let before = buf.filled().len();
                ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
                self.read.pass(buf.filled().len() - before);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = vec![0; piece.min(buf.remaining())];
            let mut part = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
            self.read.pass(part.filled().len());
            match self.read.late.take() {
                Some(for_so_long) => {
                    self.delayed_wakeup = Some(DelayedWakeup::new(part.filled(), for_so_long));
                }
                None => {
                    buf.put_slice(part.filled());
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for ChoppyStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Takes as many bytes as the piece has, from however many slices, and may end at any byte of
    /// any of them.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_faults(cx, Direction::Write))?;
        let piece = self.write.piece();
        let mut bytes = Vec::new();
        for slice in slices {
            let room = piece - bytes.len();
            bytes.extend_from_slice(slice.get(..room).unwrap_or(slice));
        }
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes))?;
        self.write.pass(count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut || self.write.finished {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    impl Reset for DuplexStream {
        fn reset(&mut self) {
            *self = duplex(1).0;
        }
    }

    const EVERYTHING: FaultRates = FaultRates {
        stall_permille: 1000,
        stall_max: Duration::from_secs(5),
        fault_bytes_max: 4000,
        ..FaultRates::choppy()
    };

    /// Sends bytes through a pair of choppy streams; what arrived, and how it ended.
    async fn sent(seed: u64, fault_rates: FaultRates, bytes: &[u8]) -> (Vec<u8>, io::Result<()>) {
        let (ours, theirs) = duplex(3000);
        let mut writer = ChoppyStream::new(ours, SplitMix64::new(seed, 1), fault_rates);
        let mut reader = ChoppyStream::new(theirs, SplitMix64::new(seed, 2), FaultRates::choppy());
        assert!(writer.is_write_vectored());
        let write = async {
            let mut rest = bytes;
            while !rest.is_empty() {
                let (one, other) = rest.split_at(rest.len() / 3);
                let slices = [IoSlice::new(one), IoSlice::new(other)];
                let count = writer.write_vectored(&slices).await?;
                rest = &rest[count..];
            }
            writer.shutdown().await
        };
        let mut seen = Vec::new();
        let (wrote, read) = tokio::join!(biased; write, reader.read_to_end(&mut seen));
        read.unwrap();
        (seen, wrote)
    }

    fn numbered(count: usize) -> Vec<u8> {
        (0..count)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_the_pieces_all_bytes_arrive_in_order() {
        let bytes = numbered(20_000);
        for seed in 0..40 {
            let (seen, wrote) = sent(seed, EVERYTHING, &bytes).await;
            wrote.unwrap();
            assert!(seen == bytes, "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_end_comes_at_any_byte_and_nothing_follows_it() {
        let bytes = numbered(4000);
        let mut ends = std::collections::BTreeSet::new();
        let finish = FaultRates {
            finish_permille: 1000,
            ..EVERYTHING
        };
        for seed in 0..40 {
            let (seen, wrote) = sent(seed, finish, &bytes).await;
            assert_eq!(wrote.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert!(bytes.starts_with(&seen));
            ends.insert(seen.len());
        }
        assert!(ends.len() > 20, "{ends:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_is_seen_by_its_own_side_too() {
        let reset = FaultRates {
            reset_permille: 1000,
            ..EVERYTHING
        };
        for seed in 0..10 {
            let (seen, wrote) = sent(seed, reset, &numbered(4000)).await;
            assert_eq!(wrote.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            assert!(seen.len() < 4000);
        }
    }
}
