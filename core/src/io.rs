//! The whole boundary of a session on one page: what enters and what leaves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::client_address::ClientAddress;
use crate::connection::{ConnectFailure, End, Leg};
use crate::error::{CloseReason, Revocation};
use crate::event::Event;
use crate::id::{BrokerId, HostPort};
use crate::policy::Principal;
use crate::sasl::broker::{TokenReply, TokenRequest};
use crate::sasl::login::{ClientToken, Evaluation};
use crate::snapshot::Snapshot;
use crate::time::Instant;
use crate::tls_facts::TlsFacts;

/// Which listen address the client connected to, which decides whom the session dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The bootstrap address: any broker will do.
    Bootstrap,
    /// The address of one broker.
    Broker(BrokerId),
}

/// What is known of a client when its session begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// When its connection was accepted: deadlines count from then, whatever was read before the
    /// session.
    pub at: Instant,
    /// Where the client comes from.
    pub client: ClientAddress,
    /// The listen address it connected to.
    pub route: Route,
    /// What its TLS handshake agreed on; nothing on a plaintext listener.
    pub tls: Option<Arc<TlsFacts>>,
    /// Who the client is by its certificate; without one it is [`Principal::anonymous`].
    pub principal: Option<Principal>,
    /// The planted bug that is active.
    #[cfg(doorkeeper_mutants)]
    pub mutation: Option<crate::mutation::Mutation>,
}

impl Accept {
    /// A client without TLS or proxy from there, accepted then at that listen address.
    #[must_use]
    pub const fn new(at: Instant, peer: std::net::SocketAddr, route: Route) -> Self {
        Self {
            at,
            client: ClientAddress::Direct(peer),
            route,
            tls: None,
            principal: None,
            #[cfg(doorkeeper_mutants)]
            mutation: None,
        }
    }
}

/// Whom to dial: the name that the cluster uses, and the address to really connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address as the cluster or the configuration names it (what TLS will check).
    pub name: HostPort,
    /// Where to connect: `name` itself, unless the configuration dials another address.
    pub dial: HostPort,
    /// How long this attempt may take; afterwards it is a [`ConnectFailure::TimedOut`], or
    /// [`ConnectFailure::Unresolved`] if no address has been found by then.
    pub within: Duration,
}

/// What a session noticed of the cluster: a hint to refresh, never a fact to act upon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observation {
    /// A response names a broker that the topology does not know, or gives it another address.
    Endpoint {
        /// The broker.
        broker: BrokerId,
        /// The address that the response gave it.
        address: HostPort,
    },
    /// A broker could not be reached at the address of the topology.
    Unreachable {
        /// The broker, when the session was bound to one.
        broker: BrokerId,
    },
    /// An attempt to connect failed in a way that other sessions should not wait for.
    ConnectFailed {
        /// The address as the cluster or the configuration names it.
        address: HostPort,
        /// How it failed.
        why: ConnectFailure,
    },
}

/// Everything that can happen to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// Bytes arrived. They pin at most four times their length: a driver whose read filled less
    /// than a quarter of its buffer hands in a right-sized copy. Where a part of a frame is
    /// buffered already ([`crate::Session::buffered`]), they pin no more than their length.
    Bytes {
        /// From where.
        leg: Leg,
        /// What was read, never empty.
        bytes: Bytes,
    },
    /// This many bytes from the front of the leg's egress were written to the socket and flushed.
    Wrote {
        /// To where.
        leg: Leg,
        /// How many.
        bytes: usize,
    },
    /// The leg ended: no more bytes will come, and none can be counted on to arrive.
    Ended {
        /// Which one.
        leg: Leg,
        /// How.
        how: End,
    },
    /// The connection that [`Effect::Connect`] asked for is open.
    Connected,
    /// It could not be opened.
    ConnectFailed(ConnectFailure),
    /// What became of the token that [`Effect::Evaluate`] handed out. In a box, so that the inputs
    /// of every day stay small.
    Evaluated(Box<Evaluation>),
    /// What [`Effect::RequestToken`] led to.
    Token(Box<TokenReply>),
    /// A newer snapshot of everything reloadable.
    Snapshot(Arc<Snapshot>),
    /// Take no further request, give the owed responses, and be closed by then.
    Drain {
        /// When the session must be gone.
        by: Instant,
    },
    /// The listener, or the address of it that the client connected to, is removed: as
    /// [`Input::Drain`].
    ListenerRemoved {
        /// When the session must be gone.
        by: Instant,
    },
    /// The right of a peer to be connected has ended: nothing more is sent to anybody.
    Revoked(Revocation),
    /// There is no room for more of what this leg's frames make the session buffer
    /// ([`crate::Session::buffered_bytes`]): the leg is not read until there is.
    BufferPaused(Leg),
    /// There is room again for what this leg buffers.
    BufferResumed(Leg),
    /// Sessions together buffer more than they may, and this one is to drop what it buffers.
    BufferRejected,
    /// The deadline of [`Demand`] has come, and the driver has looked at both sockets since: bytes
    /// that came before the deadline are handed in before it.
    Tick,
}

/// How much memory a session keeps alive with bytes that are buffered until a decision, an edit or
/// their turn. What is merely on its way to a peer is not counted, it has water marks of its
/// own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferedBytes {
    /// For requests: frames that have to say more, those that wait for their turn, and responses
    /// of ours that wait for theirs.
    pub requests: usize,
    /// For the broker's responses: frames that have to be edited, and what of an edited one is
    /// more than the water mark of its client allows.
    pub responses: usize,
}

/// Everything that a session can ask of its driver.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open the upstream leg. At most one attempt is under way.
    Connect(Target),
    /// Evaluate a client's token: the response is [`Input::Evaluated`]. At most one evaluation is
    /// under way, and a session that closes waits for none.
    Evaluate(ClientToken),
    /// Give a token for the broker: the response is [`Input::Token`]. At most one request is under
    /// way, and a session that closes, or connects anew, waits for none.
    RequestToken(TokenRequest),
    /// Pass a hint on to discovery.
    Learn(Observation),
    /// Something to log or count.
    Report(Event),
    /// This leg's egress is empty and stays so: end the writing half in order.
    Finish(Leg),
    /// The last effect: drop both legs now.
    Close(CloseReason),
}

/// What the driver should do until the next input: a pure function of the session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Read the client leg. While false, not even its end is wanted.
    pub read_client: bool,
    /// Read the upstream leg.
    pub read_upstream: bool,
    /// Hand in a newer [`Snapshot`] as soon as there is one, without waiting for a read.
    pub snapshot: bool,
    /// When to hand in [`Input::Tick`], if nothing else came before.
    pub deadline: Option<Instant>,
}
