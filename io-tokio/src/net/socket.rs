//! A TCP connection that can be moved to another runtime while others refer to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection of the operating system.
///
/// A runtime lets a connection go only by value. So it is taken out for the move, and is missing
/// afterwards if the other runtime does not take it: then every use is an error.
#[derive(Debug)]
pub struct Socket(Option<TcpStream>);

impl Socket {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self(Some(stream))
    }

    /// The connection.
    ///
    /// # Errors
    /// It was lost in a move.
    pub fn tcp(&self) -> io::Result<&TcpStream> {
        self.0.as_ref().ok_or_else(lost)
    }

    fn pinned(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        self.get_mut().0.as_mut().map(Pin::new).ok_or_else(lost)
    }

    /// Moves the connection to the runtime that this is called on.
    pub(super) fn take_over(&mut self) -> io::Result<()> {
        let stream = self.0.take().ok_or_else(lost)?;
        self.0 = Some(TcpStream::from_std(stream.into_std()?)?);
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "lost between two runtimes")
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pinned()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pinned()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pinned()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned()?.poll_shutdown(cx)
    }
}
