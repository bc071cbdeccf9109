//! Where a client comes from, as its connection and a proxy in front of doorkeeper say.

use std::net::SocketAddr;

use crate::client_network::ClientNetwork;

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// The peer of the connection is the client.
    Direct(SocketAddr),
    /// A proxy forwards the connection, and its PROXY header names the client.
    Proxied {
        /// The client, as the proxy saw it.
        client: SocketAddr,
        /// The peer of the connection.
        proxy: SocketAddr,
    },
    /// A proxy whose PROXY header names no client: it connects for itself, as for a health check,
    /// or does not know the client. Its own address is no client's.
    Proxy(SocketAddr),
}

impl ClientAddress {
    /// The address that limits, log and recordings go by: the proxy's own where no other is known.
    #[must_use]
    pub const fn socket(self) -> SocketAddr {
        match self {
            Self::Direct(client) | Self::Proxied { client, .. } => client,
            Self::Proxy(proxy) => proxy,
        }
    }

    /// The proxy in between, if there is one.
    #[must_use]
    pub const fn proxy(self) -> Option<SocketAddr> {
        match self {
            Self::Direct(_) => None,
            Self::Proxied { proxy, .. } | Self::Proxy(proxy) => Some(proxy),
        }
    }

    /// As limits by client address count it.
    #[must_use]
    pub fn network(self) -> ClientNetwork {
        self.socket().ip().into()
    }
}
