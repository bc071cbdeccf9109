//! A network in memory: every address belongs to the test, which can refuse connections, hang,
//! stall, reset.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use doorkeeper_core::id::HostPort;
use doorkeeper_io_tokio::{Ends, Interest, Net};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How many bytes may be under way in one direction before the writer has to wait.
pub const UNDER_WAY_MAX: usize = 64 * 1024;

/// What the next accept gives.
pub enum Arrival {
    Comes(Line, SocketAddr),
    Fails(io::Error),
    /// A panic below us.
    Panics,
}

/// The network. What is not in it has no address.
#[derive(Clone, Default)]
pub struct Mesh(Arc<Inner>);

#[derive(Default)]
struct Inner {
    places: Mutex<BTreeMap<HostPort, Place>>,
    listeners: Mutex<BTreeMap<SocketAddr, UnboundedSender<Arrival>>>,
    dialled: Mutex<Vec<HostPort>>,
    own_ports: AtomicU16,
    /// To bind this port takes for ever.
    hanging_port: AtomicU16,
}

/// What becomes of an attempt to connect.
#[derive(Clone)]
pub enum Place {
    Refuses,
    /// Packets vanish.
    Hangs,
    /// The resolver says nothing.
    HangsInLookup,
    /// No route.
    Unreachable,
    /// The far end of each connection goes here.
    Serves(UnboundedSender<Far>),
    /// The name leads to this address of doorkeeper itself.
    Doorkeeper(SocketAddr),
}

impl Mesh {
    pub fn put(&self, name: &str, place: Place) {
        let mut places = self.0.places.lock().unwrap();
        places.insert(name.parse().unwrap(), place);
    }

    pub fn remove(&self, name: &str) {
        let mut places = self.0.places.lock().unwrap();
        places.remove(&name.parse().unwrap());
    }

    /// Connections to this name are played by the test, by hand.
    pub fn by_hand(&self, name: &str) -> UnboundedReceiver<Far> {
        let (connections, accepted) = unbounded_channel();
        self.put(name, Place::Serves(connections));
        accepted
    }

    /// A client comes in from an address.
    pub fn visit(&self, at: SocketAddr, from: SocketAddr) -> Far {
        let (line, far) = line();
        self.arrive(at, Arrival::Comes(line, from));
        far
    }

    /// To bind this port takes for ever.
    pub fn hang_bind(&self, port: u16) {
        self.0.hanging_port.store(port, Ordering::Relaxed);
    }

    /// The next accept at this address gives an error.
    pub fn fail_accept(&self, at: SocketAddr, error: io::Error) {
        self.arrive(at, Arrival::Fails(error));
    }

    /// The next accept at this address panics.
    pub fn panic_accept(&self, at: SocketAddr) {
        self.arrive(at, Arrival::Panics);
    }

    fn arrive(&self, at: SocketAddr, arrival: Arrival) {
        let listeners = self.0.listeners.lock().unwrap();
        let listener = listeners.get(&at).expect("somebody listens there");
        assert!(listener.send(arrival).is_ok(), "somebody accepts there");
    }

    /// A connection whose other end is accepted at a listen address like that of any client.
    fn to_ourselves(&self, at: SocketAddr) -> Line {
        let port = self.0.own_ports.fetch_add(1, Ordering::Relaxed);
        let local = SocketAddr::from((OURSELVES, 20_000 + port));
        let (near, far) = duplex(UNDER_WAY_MAX);
        let end = |stream, ends| Line {
            stream,
            state: Arc::default(),
            ends,
        };
        self.arrive(at, Arrival::Comes(end(far, None), local));
        end(near, Some(Ends { local, peer: at }))
    }

    /// Whether somebody listens at an address.
    pub fn listens(&self, at: SocketAddr) -> bool {
        let listeners = self.0.listeners.lock().unwrap();
        listeners
            .get(&at)
            .is_some_and(|listener| !listener.is_closed())
    }

    /// Whom doorkeeper has dialled so far, in order.
    pub fn dialled(&self) -> Vec<String> {
        let dialled = self.0.dialled.lock().unwrap();
        dialled.iter().map(ToString::to_string).collect()
    }
}

impl Net for Mesh {
    type Stream = Line;
    type Listener = UnboundedReceiver<Arrival>;

    async fn bind(&self, at: SocketAddr) -> io::Result<Self::Listener> {
        if at.port() == self.0.hanging_port.load(Ordering::Relaxed) {
            return pending().await;
        }
        if self.listens(at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (listener, arrivals) = unbounded_channel();
        self.0.listeners.lock().unwrap().insert(at, listener);
        Ok(arrivals)
    }

    async fn accept(&self, on: &mut Self::Listener) -> io::Result<(Line, SocketAddr)> {
        match on.recv().await {
            Some(Arrival::Comes(line, from)) => Ok((line, from)),
            Some(Arrival::Fails(error)) => Err(error),
            Some(Arrival::Panics) => panic!("as was asked"),
            None => pending().await,
        }
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Line> {
        self.0.dialled.lock().unwrap().push(to.clone());
        let place = self.0.places.lock().unwrap().get(to).cloned();
        match place {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Place::Refuses) => Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Place::Unreachable) => Err(io::ErrorKind::HostUnreachable.into()),
            Some(Place::Hangs | Place::HangsInLookup) => pending().await,
            Some(Place::Serves(connections)) => {
                let (line, far) = line();
                let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
                connections.send(far).map_err(gone)?;
                Ok(line)
            }
            Some(Place::Doorkeeper(at)) => Ok(self.to_ourselves(at)),
        }
    }

    fn is_resolving(&self, name: &HostPort) -> bool {
        let places = self.0.places.lock().unwrap();
        matches!(places.get(name), Some(Place::HangsInLookup))
    }

    fn ends(&self, stream: &Line) -> Option<Ends> {
        stream.ends
    }

    /// A caller learns of what has come unnoticed, and so does the runtime.
    fn is_ready(&self, stream: &Line, interest: Interest) -> bool {
        let unnoticed = stream.state.unnoticed.load(Ordering::Relaxed);
        if interest.read && unnoticed {
            stream.state.unnoticed.store(false, Ordering::Relaxed);
            if let Some(reader) = stream.state.reader.lock().unwrap().take() {
                reader.wake();
            }
        }
        interest.read && unnoticed
    }
}

/// Where connections of doorkeeper come from that it opens to itself.
const OURSELVES: [u8; 4] = [127, 0, 0, 1];

fn line() -> (Line, Far) {
    let (near, far) = duplex(UNDER_WAY_MAX);
    let state = Arc::new(State::default());
    let line = Line {
        stream: near,
        state: Arc::clone(&state),
        ends: None,
    };
    (line, Far { stream: far, state })
}

#[derive(Default)]
struct State {
    is_reset: AtomicBool,
    panics: AtomicBool,
    /// What comes from here, again and again without a pause.
    flood: OnceLock<Vec<u8>>,
    /// Whatever is written is gone at once.
    swallows: AtomicBool,
    /// Bytes that doorkeeper has read.
    taken: AtomicU64,
    /// What comes from here is there, but the runtime does not know.
    unnoticed: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

/// doorkeeper's end of a connection.
pub struct Line {
    stream: DuplexStream,
    state: Arc<State>,
    ends: Option<Ends>,
}

/// The test's end.
pub struct Far {
    pub stream: DuplexStream,
    state: Arc<State>,
}

impl Far {
    /// Breaks the connection: reads and writes at the other end fail.
    pub fn reset(self) {
        self.state.is_reset.store(true, Ordering::Relaxed);
    }

    /// The next read at the other end panics.
    pub fn panic(&self) {
        self.state.panics.store(true, Ordering::Relaxed);
    }

    /// Sends these bytes for ever, and never makes the other end wait for them.
    pub async fn flood(&mut self, bytes: Vec<u8>) {
        assert!(self.state.flood.set(bytes).is_ok(), "one flood");
        self.state.taken.store(0, Ordering::Relaxed);
        self.say(b"wakes the reader").await;
    }

    /// Takes whatever is written, and never makes the other end wait.
    pub fn swallow(&self) {
        self.state.swallows.store(true, Ordering::Relaxed);
    }

    /// The runtime does not learn of what is said from now on, unless the network itself is asked.
    pub fn go_unnoticed(&self) {
        self.state.unnoticed.store(true, Ordering::Relaxed);
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends from the front of `rest` for as long as the other end takes it.
    pub async fn try_say(&mut self, rest: &mut &[u8]) {
        while !rest.is_empty() {
            match self.stream.write(rest).await {
                Ok(count) => *rest = &rest[count..],
                Err(_) => return,
            }
        }
    }

    /// How many bytes doorkeeper has read from here.
    pub fn taken(&self) -> u64 {
        self.state.taken.load(Ordering::Relaxed)
    }
}

impl Line {
    fn is_whole(&self) -> io::Result<()> {
        if self.state.is_reset.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.state.panics.load(Ordering::Relaxed), "as was asked");
        self.is_whole()?;
        if let Some(flood) = self.state.flood.get() {
            let taken = self.state.taken.load(Ordering::Relaxed);
            let rest = &flood[usize::try_from(taken).unwrap() % flood.len()..];
            let count = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..count]);
            self.state.taken.fetch_add(count as u64, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        if self.state.unnoticed.load(Ordering::Relaxed) {
            *self.state.reader.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        self.state.taken.fetch_add(count as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_whole()?;
        if self.state.swallows.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
