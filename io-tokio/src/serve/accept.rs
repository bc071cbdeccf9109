//! Accepts at one bound address, for as long as doorkeeper serves.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::Net;
use crate::driver::{SessionContext, drive};
use crate::limits::ConnectionLimiter;
use crate::observer::{ClientConnection, ListenAddr};
use crate::silent::SilentConnections;

/// The first pause after a failure to accept; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// One bound address and what its clients need.
pub(super) struct Accepting<N> {
    pub(super) context: Arc<SessionContext<N>>,
    pub(super) listen_addr: Arc<ListenAddr>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    pub(super) silent: Arc<SilentConnections>,
    pub(super) sessions: TaskTracker,
    pub(super) session_ids: Arc<AtomicU64>,
}

impl<N: Net> Accepting<N> {
    /// Never ends: an error is reported and followed by a pause, because it is one of this
    /// process (no descriptor left, no memory) and goes away when other connections close.
    pub(super) async fn run(self, mut listener: N::Listener) -> Infallible {
        let mut pause = PAUSE_MIN;
        loop {
            match self.context.process.net.accept(&mut listener).await {
                Ok((stream, peer)) => {
                    pause = PAUSE_MIN;
                    self.admit(stream, peer);
                }
                // A client that left before it was accepted says nothing about the next one.
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    let observer = &self.context.process.observer;
                    observer.accept_failed(&self.listen_addr, &error, pause);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn admit(&self, stream: N::Stream, peer: SocketAddr) {
        let permit = match self.limiter.admit(peer.ip().into()) {
            Ok(permit) => permit,
            Err(why) => {
                drop(stream);
                self.context
                    .process
                    .observer
                    .connection_rejected(&self.listen_addr, peer, why);
                return;
            }
        };
        let connection = ClientConnection {
            session: self.session_ids.fetch_add(1, Ordering::Relaxed) + 1,
            listen_addr: Arc::clone(&self.listen_addr),
            peer,
        };
        let context = Arc::clone(&self.context);
        let silent = self.silent.admit(peer.ip().into());
        self.sessions.spawn(async move {
            drive(context, connection, silent, stream).await;
            drop(permit);
        });
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
