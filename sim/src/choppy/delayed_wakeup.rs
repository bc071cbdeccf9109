//! Bytes that have arrived on a connection while the runtime of its reader does not know: the
//! process stands still, or was late to ask the system.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Sleep;

/// Bytes, or an end where there are none, that a reader learns of late, or once it asks the
/// network itself.
#[derive(Debug)]
pub(super) struct DelayedWakeup {
    bytes: Vec<u8>,
    wakeup: Pin<Box<Sleep>>,
    asked: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl DelayedWakeup {
    pub(super) fn new(bytes: &[u8], for_so_long: Duration) -> Self {
        Self {
            bytes: bytes.to_vec(),
            wakeup: Box::pin(tokio::time::sleep(for_so_long)),
            asked: AtomicBool::new(false),
            reader: Mutex::default(),
        }
    }

    /// The reader has asked.
    pub(super) fn notice(&self) {
        self.asked.store(true, Ordering::Relaxed);
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = reader.take() {
            reader.wake();
        }
    }

    /// Ready once the reader knows.
    pub(super) fn poll_noticed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.asked.load(Ordering::Relaxed) || self.wakeup.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        *reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Moves bytes into the buffer; what has no room is still there.
    pub(super) fn rest(mut self, buf: &mut ReadBuf<'_>) -> Option<Self> {
        let count = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes.drain(..count).collect::<Vec<u8>>());
        self.asked.store(true, Ordering::Relaxed);
        (!self.bytes.is_empty()).then_some(self)
    }
}
