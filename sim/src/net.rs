//! The simulated network: turmoil's sockets with what they lack.
//!
//! turmoil counts back-pressure in writes of any size and cannot reset a connection. Both ends of
//! a connection therefore share a `Wire`: how many bytes are on their way in either direction,
//! and whether somebody has cut it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use doorkeeper_core::id::HostPort;
use doorkeeper_net::{Ends, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// A stream that can be cut, so that both ends see a reset.
pub trait Reset {
    /// Cuts it now, whatever is on its way.
    fn reset(&mut self);
}

/// All connections of one simulation, which its hosts share.
#[derive(Debug)]
pub struct Hub {
    window_bytes: usize,
    wires: Mutex<BTreeMap<(SocketAddr, SocketAddr), Weak<Wire>>>,
}

impl Hub {
    /// Connections that take so many unread bytes in either direction.
    #[must_use]
    pub fn new(window_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            window_bytes,
            wires: Mutex::default(),
        })
    }

    /// The wire between two addresses; whichever end comes first makes it.
    fn wire(&self, dialled: SocketAddr, accepted: SocketAddr) -> Arc<Wire> {
        let mut wires = lock(&self.wires);
        let wire = wires.get(&(dialled, accepted)).and_then(Weak::upgrade);
        // A wire that had both of its ends is that of an earlier connection of the same ports.
        if let Some(wire) = wire.filter(|wire| !wire.whole.swap(true, Ordering::Relaxed)) {
            return wire;
        }
        wires.retain(|_, wire| wire.strong_count() > 0);
        let wire = Arc::new(Wire::default());
        wires.insert((dialled, accepted), Arc::downgrade(&wire));
        wire
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic fails the run; what it left behind is looked at by nobody.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, as both of its ends share it.
#[derive(Debug, Default)]
struct Wire {
    /// Both ends have come.
    whole: AtomicBool,
    /// From the end that dialled, and towards it.
    lanes: Mutex<[Lane; 2]>,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    unread: usize,
    cut: bool,
    reader_left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()] {
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

/// The network as one simulated host sees it.
#[derive(Clone, Debug)]
pub struct TurmoilNet {
    hub: Arc<Hub>,
    open: Arc<AtomicUsize>,
}

impl TurmoilNet {
    /// For one host.
    #[must_use]
    pub fn new(hub: &Arc<Hub>) -> Self {
        Self {
            hub: Arc::clone(hub),
            open: Arc::default(),
        }
    }

    /// How many connections the host holds.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn stream(&self, inner: TcpStream, end: End) -> io::Result<TurmoilStream> {
        let (local, peer) = (inner.local_addr()?, inner.peer_addr()?);
        let wire = match end {
            End::Dialled => self.hub.wire(local, peer),
            End::Accepted => self.hub.wire(peer, local),
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(TurmoilStream {
            inner,
            wire,
            end,
            window_bytes: self.hub.window_bytes,
            open: Arc::clone(&self.open),
        })
    }
}

impl Net for TurmoilNet {
    type Stream = TurmoilStream;
    type Listener = TcpListener;

    async fn bind(&self, at: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(at).await
    }

    async fn accept(&self, on: &mut TcpListener) -> io::Result<(TurmoilStream, SocketAddr)> {
        let (inner, peer) = on.accept().await?;
        Ok((self.stream(inner, End::Accepted)?, peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<TurmoilStream> {
        let inner = TcpStream::connect((to.host(), to.port())).await?;
        self.stream(inner, End::Dialled)
    }

    fn ends(&self, stream: &TurmoilStream) -> Option<Ends> {
        let inner = &stream.inner;
        let (local, peer) = (inner.local_addr().ok()?, inner.peer_addr().ok()?);
        Some(Ends { local, peer })
    }
}

/// Which end of a wire a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Dialled,
    Accepted,
}

/// One end of a simulated connection.
#[derive(Debug)]
pub struct TurmoilStream {
    inner: TcpStream,
    wire: Arc<Wire>,
    end: End,
    window_bytes: usize,
    open: Arc<AtomicUsize>,
}

impl TurmoilStream {
    /// What comes in, and what goes out.
    fn with_lanes<R>(&self, act: impl FnOnce(&mut Lane, &mut Lane) -> R) -> R {
        let [dialled, accepted] = &mut *lock(&self.wire.lanes);
        match self.end {
            End::Dialled => act(accepted, dialled),
            End::Accepted => act(dialled, accepted),
        }
    }
}

impl Reset for TurmoilStream {
    fn reset(&mut self) {
        self.with_lanes(|coming, going| {
            for lane in [coming, going] {
                lane.cut = true;
                lane.wake();
            }
        });
    }
}

impl Drop for TurmoilStream {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.with_lanes(|coming, _| {
            coming.reader_left = true;
            coming.wake();
        });
    }
}

impl AsyncRead for TurmoilStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let cut = self.with_lanes(|coming, _| {
            coming.reader = Some(cx.waker().clone());
            coming.cut
        });
        if cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            self.with_lanes(|coming, _| {
                coming.unread = coming.unread.saturating_sub(count);
                coming.writer.take().into_iter().for_each(Waker::wake);
            });
        }
        read
    }
}

impl AsyncWrite for TurmoilStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let window = self.window_bytes;
        let room = self.with_lanes(|_, going| {
            going.writer = Some(cx.waker().clone());
            let room = window.saturating_sub(going.unread);
            match going {
                Lane { cut: true, .. } => Err(io::ErrorKind::ConnectionReset),
                // Nobody will ever make room again, and turmoil wakes no writer for a reset.
                Lane {
                    reader_left: true, ..
                } if room == 0 => Err(io::ErrorKind::BrokenPipe),
                Lane { .. } => Ok(room),
            }
        })?;
        let Some(bytes) = bytes
            .get(..room.min(bytes.len()))
            .filter(|it| !it.is_empty())
        else {
            return if bytes.is_empty() {
                Poll::Ready(Ok(0))
            } else {
                Poll::Pending
            };
        };
        let wrote = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = wrote {
            self.with_lanes(|_, going| going.unread += count);
        }
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const WINDOW: usize = 1000;

    /// Lets virtual time pass.
    async fn virtually(how_long: Duration) {
        let _ = tokio::time::timeout(how_long, std::future::pending::<()>()).await;
    }

    /// Runs a server and a client that is handed its stream.
    fn between<S, C>(serve: fn(TurmoilStream) -> S, client: fn(TurmoilStream) -> C)
    where
        S: Future<Output = turmoil::Result> + 'static,
        C: Future<Output = turmoil::Result> + 'static,
    {
        let mut sim = turmoil::Builder::new().rng_seed(1).build();
        let hub = Hub::new(WINDOW);
        let (server, dialler) = (TurmoilNet::new(&hub), TurmoilNet::new(&hub));
        let nets = [server.clone(), dialler.clone()];
        sim.host("server", move || {
            let net = server.clone();
            async move {
                let mut listener = net.bind(([0, 0, 0, 0], 1).into()).await?;
                let (stream, _) = net.accept(&mut listener).await?;
                serve(stream).await
            }
        });
        sim.client("client", async move {
            let to = HostPort::new("server", 1)?;
            client(dialler.connect(&to).await?).await
        });
        sim.run().unwrap();
        assert_eq!(nets.map(|net| net.sockets()), [0, 0]);
    }

    #[test]
    fn a_writer_waits_for_its_reader_by_bytes() {
        async fn serve(mut stream: TurmoilStream) -> turmoil::Result {
            virtually(Duration::from_secs(3)).await;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            assert_eq!(all.len(), 3 * WINDOW);
            Ok(())
        }
        async fn client(mut stream: TurmoilStream) -> turmoil::Result {
            let before = tokio::time::Instant::now();
            stream.write_all(&[1; WINDOW]).await?;
            assert!(before.elapsed() < Duration::from_secs(1));
            stream.write_all(&[2; 2 * WINDOW]).await?;
            assert!(before.elapsed() > Duration::from_secs(2));
            stream.shutdown().await?;
            // Until the other end has read all and is gone.
            assert_eq!(stream.read(&mut [0]).await?, 0);
            Ok(())
        }
        between(serve, client);
    }

    #[test]
    fn both_ends_see_a_reset_whatever_they_wait_for() {
        async fn serve(mut stream: TurmoilStream) -> turmoil::Result {
            let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            Ok(())
        }
        async fn client(mut stream: TurmoilStream) -> turmoil::Result {
            stream.write_all(b"before").await?;
            virtually(Duration::from_secs(1)).await;
            stream.reset();
            let error = stream.write_all(b"after").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            // The server's end must come to its end as well.
            virtually(Duration::from_millis(10)).await;
            Ok(())
        }
        between(serve, client);
    }

    #[test]
    fn a_writer_whose_reader_has_left_does_not_wait_for_ever() {
        async fn serve(stream: TurmoilStream) -> turmoil::Result {
            virtually(Duration::from_secs(1)).await;
            drop(stream);
            Ok(())
        }
        async fn client(mut stream: TurmoilStream) -> turmoil::Result {
            let error = stream.write_all(&[1; 10 * WINDOW]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            Ok(())
        }
        between(serve, client);
    }
}
