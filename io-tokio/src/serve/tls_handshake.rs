//! The TLS handshake of a client connection, before its session.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use doorkeeper_core::Instant;
use doorkeeper_core::tls_failure::TlsFailure;
use rustls::ServerConfig;

use crate::Net;
use crate::process::ProcessContext;
use crate::shutdown::Stage;
use crate::silent::Silent;
use crate::tls::transport::Transport;

/// A handshake that is to be done.
pub(super) struct TlsHandshake<N> {
    pub(super) process: Arc<ProcessContext<N>>,
    pub(super) config: Arc<ServerConfig>,
    /// When it is too late.
    pub(super) by: Instant,
    /// Until its client has sent a whole request, the connection gives way to others.
    pub(super) silent: Silent,
}

impl<N: Net> TlsHandshake<N> {
    /// The connection with TLS; the failure, or nothing where doorkeeper stops.
    pub(super) async fn run(
        mut self,
        stream: N::Stream,
    ) -> Result<(Silent, Transport<N::Stream>), Option<TlsFailure>> {
        let process = Arc::clone(&self.process);
        let mut shutdown = process.shutdown.subscribe();
        let accept = process.handshakes.accept(&self.config, stream);
        let mut accept = pin!(process.clock.until(self.by, accept));
        let done = poll_fn(|cx| {
            if Stage::from_value(shutdown.poll(cx)) != Stage::Run {
                return Poll::Ready(Err(None));
            }
            if self.silent.poll_gives_way(cx).is_ready() {
                return Poll::Ready(Err(Some(TlsFailure::SilentLimit)));
            }
            accept.as_mut().poll(cx).map(|done| match done {
                Some(Ok(transport)) => Ok(transport),
                Some(Err(failure)) => Err(Some(failure)),
                None => Err(Some(TlsFailure::TimedOut)),
            })
        });
        let transport = done.await?;
        Ok((self.silent, transport))
    }
}
