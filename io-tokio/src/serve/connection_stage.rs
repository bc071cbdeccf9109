//! What a client connection goes through between accept and its session.
//!
//! It is admitted in two parts: among all connections when it is accepted, before it costs a task,
//! and for the address of its client once that is known. What has to be read before the session
//! begins is read in between. All deadlines of a connection count from when it was accepted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::{Accept, Instant};
use tokio_util::task::TaskTracker;

use crate::Net;
use crate::driver::{SessionContext, drive};
use crate::limits::{ConnectionLimiter, ConnectionPermit};
use crate::observer::{ClientConnection, ListenAddr, Rejection};
use crate::plan::Listener;
use crate::serve::tls_handshake::TlsHandshake;
use crate::silent::SilentConnections;
use crate::tls::transport::Transport;

/// The way into one listener, for all of its addresses.
pub(super) struct ConnectionStage<N> {
    /// A reload may replace it. A connection goes by what it was accepted with.
    pub(super) settings: ArcSwap<StageSettings<N>>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    pub(super) silent: Arc<SilentConnections>,
    pub(super) sessions: TaskTracker,
    pub(super) session_ids: Arc<AtomicU64>,
}

/// What connections of a listener go by until they have a session.
pub(super) struct StageSettings<N> {
    /// What the session goes by then.
    pub(super) context: Arc<SessionContext<N>>,
    /// What the configuration says.
    pub(super) listener: Listener,
}

/// A connection that has been accepted and has no session yet.
struct AcceptedConnection<N: Net> {
    stream: N::Stream,
    listen_addr: Arc<ListenAddr>,
    /// Where it comes from, as far as that is known.
    client: ClientAddress,
    accepted: Instant,
    settings: Arc<StageSettings<N>>,
}

impl<N: Net> ConnectionStage<N> {
    /// Connections that are accepted from now on go by this.
    pub(super) fn configure(&self, settings: StageSettings<N>) {
        self.limiter.set_limits(settings.listener.limits);
        self.silent.set_limits(settings.listener.silent);
        self.settings.store(Arc::new(settings));
    }

    /// Takes in a connection that has just been accepted.
    pub(super) fn enter(&self, listen_addr: &Arc<ListenAddr>, stream: N::Stream, peer: SocketAddr) {
        let settings = self.settings.load_full();
        let connection = AcceptedConnection {
            stream,
            listen_addr: Arc::clone(listen_addr),
            client: ClientAddress::Direct(peer),
            accepted: settings.context.process.clock.now(),
            settings,
        };
        match self.limiter.admit() {
            Ok(permit) => self.identified(connection, permit),
            Err(why) => reject(connection, why),
        }
    }

    /// The client of a connection is known: begins its session.
    fn identified(&self, connection: AcceptedConnection<N>, permit: ConnectionPermit) {
        let network = connection.client.network();
        let permit = match permit.of_client(network) {
            Ok(permit) => permit,
            Err(why) => return reject(connection, why),
        };
        let AcceptedConnection {
            stream,
            listen_addr,
            client,
            accepted,
            settings,
        } = connection;
        let mut accept = Accept {
            client,
            ..Accept::new(accepted, client.socket(), listen_addr.route)
        };
        let connection = ClientConnection {
            session: self.session_ids.fetch_add(1, Ordering::Relaxed) + 1,
            listen_addr,
            client,
        };
        let context = Arc::clone(&settings.context);
        let silent = self.silent.admit(network);
        let Some(tls) = &settings.listener.tls else {
            let transport = Transport::Plaintext(stream);
            self.sessions.spawn(async move {
                drive(context, connection, accept, silent, transport).await;
                drop(permit);
            });
            return;
        };
        let handshake = TlsHandshake {
            process: Arc::clone(&context.process),
            config: Arc::clone(&tls.config),
            by: accepted.after(settings.listener.handshake_timeout),
            silent,
        };
        self.sessions.spawn(async move {
            // In a box, so that a session does not keep its size to the end.
            match Box::pin(handshake.run(stream)).await {
                Ok((silent, transport)) => {
                    accept.tls = transport.tls_facts().map(Arc::new);
                    drive(context, connection, accept, silent, transport).await;
                }
                Err(Some(failure)) => {
                    let observer = &context.process.observer;
                    observer.tls_handshake_failed(&connection, failure);
                }
                Err(None) => {}
            }
            drop(permit);
        });
    }
}

fn reject<N: Net>(connection: AcceptedConnection<N>, why: Rejection) {
    drop(connection.stream);
    let observer = &connection.settings.context.process.observer;
    observer.connection_rejected(&connection.listen_addr, connection.client, why);
}
