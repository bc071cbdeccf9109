//! The network that doorkeeper runs over: one trait.
//!
//! Everything that serves or dials is generic over [`Net`], so the very same code runs on the
//! operating system's sockets in production and on a simulated network under test.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use doorkeeper_core::id::HostPort;
use tokio::io::{AsyncRead, AsyncWrite};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
}

/// What a connection may be ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// There are bytes to be read, or an end.
    pub read: bool,
    /// There is room for bytes to be written.
    pub write: bool,
}

/// A network: where connections come in, and how others are opened.
pub trait Net: Clone + Send + Sync + 'static {
    /// One connection. Dropping it closes it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A bound address that connections come in at. Dropping it frees the address.
    type Listener: Send + 'static;

    /// Takes an address.
    ///
    /// # Errors
    /// The address is taken, not ours, or may not be used.
    fn bind(&self, at: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// The next connection and where it comes from. Dropping the future loses no connection.
    ///
    /// # Errors
    /// Whatever the network says; the listener is as good as before.
    fn accept(
        &self,
        on: &mut Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Opens a connection: resolves the name anew and tries all its addresses. The caller limits
    /// the time and cancels by dropping the future.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the name has no address, otherwise the failure of the last
    /// address tried.
    fn connect(&self, to: &HostPort) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Whether a look-up of this name is under way: an attempt to connect that is given up then
    /// failed in the resolver, not at the address.
    fn is_resolving(&self, _name: &HostPort) -> bool {
        false
    }

    /// The ends of a connection that was opened here, as addresses that could be bound and dialled
    /// on this network; nothing where that is not known.
    fn ends(&self, stream: &Self::Stream) -> Option<Ends>;

    /// Whether the network itself, asked now, has a connection ready for any of this: a runtime may
    /// not know yet what has happened while it did not run. Where a runtime cannot be late, never.
    fn is_ready(&self, _stream: &Self::Stream, _interest: Interest) -> bool {
        false
    }

    /// Moves a connection to the runtime that this is called on, which may be another one than
    /// opened it. Where runtimes have nothing to do with it, there is nothing to do. By reference,
    /// so that a connection inside of another stream, as of TLS, can be moved as well.
    ///
    /// # Errors
    /// The connection is lost.
    fn take_over(&self, _stream: &mut Self::Stream) -> io::Result<()> {
        Ok(())
    }
}
