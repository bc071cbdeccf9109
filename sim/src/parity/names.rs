//! doorkeeper's network, where the names of brokers lead to where they are now.

use std::io;
use std::net::SocketAddr;

use doorkeeper_core::id::HostPort;
use doorkeeper_net::{Ends, Interest, Net};

use super::brokers::place;
use super::rig::{Destination, Rig};

/// A network with names of its own.
#[derive(Clone, Debug)]
pub(super) struct NamedNet<N> {
    inner: N,
    rig: Rig,
}

impl<N> NamedNet<N> {
    pub(super) const fn new(inner: N, rig: Rig) -> Self {
        Self { inner, rig }
    }
}

impl<N: Net> Net for NamedNet<N> {
    type Stream = N::Stream;
    type Listener = N::Listener;

    async fn bind(&self, at: SocketAddr) -> io::Result<N::Listener> {
        self.inner.bind(at).await
    }

    async fn accept(&self, on: &mut N::Listener) -> io::Result<(N::Stream, SocketAddr)> {
        self.inner.accept(on).await
    }

    async fn connect(&self, to: &HostPort) -> io::Result<N::Stream> {
        match self.rig.reach(to) {
            Destination::Broker(broker) => self.inner.connect(&place(broker)?).await,
            Destination::Nobody => Err(io::ErrorKind::ConnectionRefused.into()),
            Destination::Silence => std::future::pending().await,
        }
    }

    fn ends(&self, stream: &N::Stream) -> Option<Ends> {
        self.inner.ends(stream)
    }

    fn is_ready(&self, stream: &N::Stream, interest: Interest) -> bool {
        self.inner.is_ready(stream, interest)
    }
}
