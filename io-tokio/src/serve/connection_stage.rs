//! What a connection goes through between accept and its session.
//!
//! It is admitted in two parts: among all connections when it is accepted, before it costs a task,
//! and for the address of its client once that is known, which a PROXY header may say. What has to
//! be read before the session begins is read in between. All deadlines of a connection count from
//! when it was accepted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::proxy_protocol::Header;
use doorkeeper_core::tls_failure::TlsFailure;
use doorkeeper_core::{Accept, Instant};
use tokio_util::task::TaskTracker;

use crate::Net;
use crate::connection_rate::{ConnectionBuckets, TooFast};
use crate::driver::{SessionContext, drive};
use crate::limits::{ConnectionLimiter, ConnectionPermit};
use crate::observer::{ClientConnection, ListenAddr, Rejection};
use crate::open_sessions::{ClientIdentity, Registration};
use crate::plan::Listener;
use crate::proxy_protocol::{PeerRole, read_header};
use crate::serve::changes::of_client_tls;
use crate::serve::tls_handshake::TlsHandshake;
use crate::silent::{Silent, SilentConnections};
use crate::tls::connected::client_now;
use crate::tls::peer::Peer;
use crate::tls::transport::Transport;

/// The way into one listener, for all of its addresses.
pub(super) struct ConnectionStage<N> {
    /// A reload may replace it. A connection goes by what it was accepted with.
    pub(super) settings: ArcSwap<StageSettings<N>>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    pub(super) buckets: ConnectionBuckets,
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

impl<N> StageSettings<N> {
    fn now(&self) -> Instant {
        self.context.process.clock.now()
    }

    fn role_of(&self, peer: SocketAddr) -> PeerRole {
        let proxies = self.listener.proxy_protocol.as_ref();
        proxies.map_or(PeerRole::Client, |it| it.role_of(peer.ip()))
    }
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

/// One whose client is known, with its places.
struct IdentifiedConnection<N: Net> {
    stage: Arc<ConnectionStage<N>>,
    stream: N::Stream,
    connection: ClientConnection,
    accept: Accept,
    settings: Arc<StageSettings<N>>,
    silent: Silent,
    permit: ConnectionPermit,
}

impl<N: Net> ConnectionStage<N> {
    /// Connections that are accepted from now on go by this.
    pub(super) fn configure(&self, settings: StageSettings<N>) {
        self.limiter.set_limits(settings.listener.limits);
        self.silent.set_limits(settings.listener.silent);
        self.settings.store(Arc::new(settings));
    }

    /// How long it takes until the next connection may be accepted.
    pub(super) fn accepts_after(&self) -> Duration {
        let settings = self.settings.load();
        let next_at = self.buckets.next_at(settings.listener.rates);
        next_at.since(settings.now())
    }

    /// Takes in a connection that has just been accepted.
    pub(super) fn enter(
        self: &Arc<Self>,
        listen_addr: &Arc<ListenAddr>,
        stream: N::Stream,
        peer: SocketAddr,
    ) {
        let settings = self.settings.load_full();
        let connection = AcceptedConnection {
            stream,
            listen_addr: Arc::clone(listen_addr),
            client: ClientAddress::Direct(peer),
            accepted: settings.now(),
            settings,
        };
        let role = connection.settings.role_of(peer);
        if role == PeerRole::Stranger {
            return reject(connection, Rejection::PeerNotTrusted);
        }
        let permit = match self.limiter.admit() {
            Ok(permit) => permit,
            Err(why) => return reject(connection, why),
        };
        if role == PeerRole::Proxy {
            let stage = Arc::clone(self);
            self.sessions
                .spawn(stage.serve_behind_proxy(connection, permit));
        } else if let Some(identified) = self.identified(connection, permit) {
            self.sessions.spawn(serve(identified));
        }
    }

    /// Reads the PROXY header of a connection, and serves its client.
    async fn serve_behind_proxy(
        self: Arc<Self>,
        mut connection: AcceptedConnection<N>,
        permit: ConnectionPermit,
    ) {
        let proxy = connection.client.socket();
        let silent = self.silent.admit_unidentified(connection.client.network());
        let header = {
            let AcceptedConnection {
                stream,
                accepted,
                settings,
                ..
            } = &mut connection;
            let timeout = settings.listener.proxy_protocol.as_ref();
            let by = accepted.after(timeout.map_or(Duration::ZERO, |it| it.timeout));
            // In a box, so that a session does not keep its size to the end.
            Box::pin(read_header(&settings.context.process, stream, by, silent)).await
        };
        connection.client = match header {
            Ok(Header::Client { client, .. }) => ClientAddress::Proxied { client, proxy },
            Ok(Header::NoClient) => ClientAddress::Proxy(proxy),
            Err(Some(why)) => return reject(connection, why),
            Err(None) => return,
        };
        let identified = self.identified(connection, permit);
        // A session may outlive its listener.
        drop(self);
        if let Some(identified) = identified {
            serve(identified).await;
        }
    }

    /// The client of a connection is known: it takes its places, or is rejected.
    fn identified(
        self: &Arc<Self>,
        connection: AcceptedConnection<N>,
        permit: ConnectionPermit,
    ) -> Option<IdentifiedConnection<N>> {
        let network = connection.client.network();
        let (now, rates) = (
            connection.settings.now(),
            connection.settings.listener.rates,
        );
        let admitted = match self.buckets.take(rates, now, network) {
            Ok(()) => permit.of_client(network),
            Err(TooFast) => Err(Rejection::ConnectionRatePerAddress),
        };
        let permit = match admitted {
            Ok(permit) => permit,
            Err(why) => {
                reject(connection, why);
                return None;
            }
        };
        let AcceptedConnection {
            stream,
            listen_addr,
            client,
            accepted,
            settings,
        } = connection;
        let accept = Accept {
            client,
            ..Accept::new(accepted, client.socket(), listen_addr.route)
        };
        let connection = ClientConnection {
            session: self.session_ids.fetch_add(1, Ordering::Relaxed) + 1,
            listen_addr,
            client,
        };
        Some(IdentifiedConnection {
            stage: Arc::clone(self),
            stream,
            connection,
            accept,
            settings,
            silent: self.silent.admit(network),
            permit,
        })
    }

    /// Lets reloads find a session from now on, if its client may come in not only by the settings
    /// that it was accepted with, but also by those that are in force now. With it comes who the
    /// client is by those.
    fn register(
        &self,
        settings: &Arc<StageSettings<N>>,
        connection: &ClientConnection,
        client: &Peer,
        mut principal: Option<Principal>,
    ) -> Result<(Registration, Option<Principal>), TlsFailure> {
        let SessionContext {
            process, cluster, ..
        } = &*settings.context;
        let sessions = &process.open_sessions;
        let registration =
            sessions.register(connection, &cluster.id, client.clone(), principal.clone());
        // What changes after this finds the session as it was identified last.
        let mut by = Arc::clone(settings);
        loop {
            let now = self.settings.load_full();
            if Arc::ptr_eq(&now, &by) || of_client_tls(&by.listener, &now.listener).is_empty() {
                return Ok((registration, principal));
            }
            principal = client_now(now.listener.tls.as_ref(), client)?;
            registration.identify(ClientIdentity::WithoutLogin(principal.clone()));
            by = now;
        }
    }
}

/// Shakes hands with a client where the listener has TLS, and drives its session.
async fn serve<N: Net>(identified: IdentifiedConnection<N>) {
    let IdentifiedConnection {
        stage,
        stream,
        connection,
        mut accept,
        settings,
        silent,
        permit,
    } = identified;
    let context = Arc::clone(&settings.context);
    let shaken = match &settings.listener.tls {
        None => Ok((silent, Transport::Plaintext(stream))),
        Some(tls) => {
            let handshake = TlsHandshake {
                process: Arc::clone(&context.process),
                config: Arc::clone(&tls.config),
                by: accept.at.after(settings.listener.handshake_timeout),
                silent,
            };
            // In a box, so that a session does not keep its size to the end.
            Box::pin(handshake.run(stream)).await
        }
    };
    let begun = shaken.and_then(|(silent, transport)| {
        let tls = settings.listener.tls.as_ref();
        let principal = tls.map(|tls| tls.principal(transport.peer_certificates()));
        let principal = principal.transpose()?.flatten();
        let (registration, principal) =
            stage.register(&settings, &connection, &transport.peer(), principal)?;
        accept.principal = principal;
        Ok((registration, silent, transport))
    });
    // A session outlives the settings that it began with, and may outlive its listener.
    drop((stage, settings));
    match begun {
        Ok((place, silent, transport)) => {
            accept.tls = transport.tls_facts().map(Arc::new);
            drive(context, connection, place, accept, silent, transport).await;
        }
        Err(Some(failure)) => {
            let observer = &context.process.observer;
            observer.tls_handshake_failed(&connection, failure);
        }
        Err(None) => {}
    }
    drop(permit);
}

fn reject<N: Net>(connection: AcceptedConnection<N>, why: Rejection) {
    drop(connection.stream);
    let observer = &connection.settings.context.process.observer;
    observer.connection_rejected(&connection.listen_addr, connection.client, why);
}
