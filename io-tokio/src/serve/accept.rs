//! Accepts at one bound address, for as long as doorkeeper serves.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::Net;
use crate::observer::{ListenAddr, Observer};
use crate::serve::connection_stage::ConnectionStage;

/// The first pause after a failure to accept; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where connections that come in at an address go.
pub(super) struct Destination<N> {
    pub(super) listen_addr: Arc<ListenAddr>,
    pub(super) stage: Arc<ConnectionStage<N>>,
}

/// One bound address.
pub(super) struct Accepting<N> {
    pub(super) net: N,
    pub(super) observer: Arc<dyn Observer>,
    /// A reload may replace it: the address stays bound meanwhile.
    pub(super) destination: Arc<ArcSwap<Destination<N>>>,
}

impl<N: Net> Accepting<N> {
    /// Never ends: an error is reported and followed by a pause, because it is one of this
    /// process (no descriptor left, no memory) and goes away when other connections close.
    pub(super) async fn run(self, mut listener: N::Listener) -> Infallible {
        let mut pause = PAUSE_MIN;
        loop {
            self.until_one_may_come().await;
            match self.net.accept(&mut listener).await {
                Ok((stream, peer)) => {
                    pause = PAUSE_MIN;
                    let Destination { listen_addr, stage } = &*self.destination.load_full();
                    stage.enter(listen_addr, stream, peer);
                }
                // A client that left before it was accepted says nothing about the next one.
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    let listen_addr = Arc::clone(&self.destination.load().listen_addr);
                    self.observer.accept_failed(&listen_addr, &error, pause);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Waits while all connections together come faster than they may.
    async fn until_one_may_come(&self) {
        loop {
            let destination = self.destination.load_full();
            let wait = destination.stage.accepts_after();
            if wait.is_zero() {
                return;
            }
            self.observer.accept_delayed(&destination.listen_addr, wait);
            drop(destination);
            tokio::time::sleep(wait).await;
        }
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
