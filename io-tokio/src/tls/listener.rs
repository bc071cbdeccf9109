//! TLS on a connection of a client.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use doorkeeper_core::tls_failure::TlsFailure;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::sync::PollSemaphore;

use super::failure::failure;
use super::read_ahead::ReadAhead;
use super::transport::Transport;

/// How many handshakes of the process compute at a time. One takes about half a millisecond of a
/// thread; whatever else is ready on that thread waits for no more than these.
const COMPUTING_MAX: usize = 2;

/// The handshakes of all listeners of a process.
///
/// Any number may wait for their clients, as connections are limited elsewhere; few may compute, so
/// that clients that come back all at once do not stall those that are there.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes(Arc<Semaphore>);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(COMPUTING_MAX)))
    }
}

impl Handshakes {
    /// Shakes hands with a client.
    pub(crate) async fn accept<S>(
        &self,
        config: &Arc<ServerConfig>,
        socket: S,
    ) -> Result<Transport<S>, TlsFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accept = TlsAcceptor::from(Arc::clone(config)).accept(ReadAhead::new(socket));
        let paced = Paced {
            permits: PollSemaphore::new(Arc::clone(&self.0)),
            inner: pin!(accept),
        };
        let stream = paced.await.map_err(|error| failure(&error))?;
        Ok(Transport::Tls(Box::new(TlsStream::Server(stream))))
    }
}

/// A future that is polled with a permit only, and keeps none while it waits.
struct Paced<'a, F> {
    permits: PollSemaphore,
    inner: Pin<&'a mut F>,
}

impl<F: Future> Future for Paced<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let permit = ready!(this.permits.poll_acquire(cx));
        let output = this.inner.as_mut().poll(cx);
        drop(permit);
        output
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A future that is in the middle of its poll for as long as others are let in.
    struct Computes<'a> {
        polls: usize,
        at_once: &'a AtomicUsize,
    }

    impl Future for Computes<'_> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let now = self.at_once.fetch_add(1, Ordering::SeqCst);
            assert!(now < COMPUTING_MAX, "{now} others compute");
            std::thread::yield_now();
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            self.polls += 1;
            cx.waker().wake_by_ref();
            if self.polls < 20 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
    async fn few_compute_at_a_time_and_all_come_to_their_end() {
        static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
        let handshakes = Handshakes::default();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let permits = PollSemaphore::new(Arc::clone(&handshakes.0));
            tasks.spawn(async move {
                let computes = Computes {
                    polls: 0,
                    at_once: &AT_ONCE,
                };
                let inner = pin!(computes);
                Paced { permits, inner }.await;
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        assert_eq!(handshakes.0.available_permits(), COMPUTING_MAX);
    }
}
