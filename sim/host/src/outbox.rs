//! Responses on their way to one client.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use doorkeeper_kafka_model::CloseReason;
use tokio::sync::Notify;

/// What the writer of a connection has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write a frame.
    Frame(Bytes),
    /// Everything is written, and the model has closed the connection.
    Close(CloseReason),
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    close: Option<CloseReason>,
}

/// Responses of one connection that are not yet written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Queue>,
    news: Notify,
    room: Notify,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, frame: Bytes) {
        let mut waiting = self.lock();
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        drop(waiting);
        self.news.notify_one();
        // A request that has its response may leave room for the next.
        self.room.notify_one();
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.lock().close = Some(reason);
        self.news.notify_one();
    }

    /// For the writer: waits for something to do.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.news.notified().await;
        }
    }

    fn try_next(&self) -> Option<Next> {
        let mut waiting = self.lock();
        match waiting.frames.pop_front() {
            Some(frame) => Some(Next::Frame(frame)),
            None => waiting.close.take().map(Next::Close),
        }
    }

    /// A frame of so many bytes is written.
    pub(crate) fn written(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        drop(waiting);
        self.room.notify_one();
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// For the reader: a response was made or written since the last call.
    pub(crate) async fn progress(&self) {
        self.room.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_close_follows_the_responses_pushed_before_it() {
        let outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"response"));
        outbox.close(CloseReason::MalformedHeader);
        assert_eq!(
            outbox.next().await,
            Next::Frame(Bytes::from_static(b"response"))
        );
        assert_eq!(outbox.unsent_bytes(), 8);
        outbox.written(8);
        assert_eq!(
            outbox.next().await,
            Next::Close(CloseReason::MalformedHeader)
        );
        assert_eq!(outbox.unsent_bytes(), 0);
    }
}
