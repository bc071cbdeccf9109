//! What only real sockets show, on loopback: resets, halves, and how a close arrives.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_core::id::{HostPort, Seed};
use doorkeeper_io_tokio::bulk::Bulk;
use doorkeeper_io_tokio::net::{ListeningSocket, TokioNet};
use doorkeeper_io_tokio::serve::{self, Context, Plan, Readiness};
use doorkeeper_io_tokio::{Ends, Interest, Net};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::frames::*;
use crate::recorder::{Recorder, Seen};
use crate::world::{listener, upstream};

/// doorkeeper on loopback, in front of one broker whose sessions are played by hand.
struct Loopback {
    listen_addr: SocketAddr,
    seen: Arc<Recorder>,
    brokers: UnboundedReceiver<TcpStream>,
    stop: CancellationToken,
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The sockets of this machine, which no other runtime can take over.
#[derive(Clone)]
struct Immovable(TokioNet);

impl Net for Immovable {
    type Stream = <TokioNet as Net>::Stream;
    type Listener = ListeningSocket;

    async fn bind(&self, at: SocketAddr) -> io::Result<ListeningSocket> {
        self.0.bind(at).await
    }

    async fn accept(&self, on: &mut ListeningSocket) -> io::Result<(Self::Stream, SocketAddr)> {
        self.0.accept(on).await
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        self.0.connect(to).await
    }

    fn ends(&self, stream: &Self::Stream) -> Option<Ends> {
        self.0.ends(stream)
    }

    fn take_over(&self, _: &mut Self::Stream) -> io::Result<()> {
        // `epoll_ctl` at `fs.epoll.max_user_watches`.
        Err(ErrorKind::StorageFull.into())
    }
}

/// Streams that keep what they take until they are flushed, with the socket inside, as of TLS.
#[derive(Clone)]
struct Buffering(TokioNet);

impl Net for Buffering {
    type Stream = BufWriter<<TokioNet as Net>::Stream>;
    type Listener = ListeningSocket;

    async fn bind(&self, at: SocketAddr) -> io::Result<ListeningSocket> {
        self.0.bind(at).await
    }

    async fn accept(&self, on: &mut ListeningSocket) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept(on).await?;
        Ok((BufWriter::with_capacity(1 << 20, stream), peer))
    }

    async fn connect(&self, to: &HostPort) -> io::Result<Self::Stream> {
        let stream = self.0.connect(to).await?;
        Ok(BufWriter::with_capacity(1 << 20, stream))
    }

    fn ends(&self, stream: &Self::Stream) -> Option<Ends> {
        self.0.ends(stream.get_ref())
    }

    fn is_ready(&self, stream: &Self::Stream, interest: Interest) -> bool {
        self.0.is_ready(stream.get_ref(), interest)
    }

    fn take_over(&self, stream: &mut Self::Stream) -> io::Result<()> {
        self.0.take_over(stream.get_mut())
    }
}

impl Loopback {
    async fn start() -> Self {
        Self::start_on(TokioNet::default()).await
    }

    async fn start_on(net: impl Net) -> Self {
        let broker = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = broker.local_addr().unwrap();
        let (sessions, brokers) = unbounded_channel();
        tokio::spawn(accept(broker, sessions));
        let at = at.to_string();
        let mut listener = listener("local", "main", &[&at], 1);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let listen_addr = free.local_addr().unwrap();
        listener.binds.truncate(1);
        listener.binds[0].at = listen_addr;
        let plan = Plan {
            clusters: vec![upstream("main", &[&at])],
            listeners: vec![listener],
            drain_timeout: Duration::from_secs(1),
            buffered_bytes_max: 1 << 30,
            connections_max: usize::MAX,
        };
        let seen = Arc::new(Recorder::new(["local".into()]));
        let stop = CancellationToken::new();
        let context = Context {
            observer: Arc::clone(&seen) as _,
            seed: Arc::new(|| Seed([0; 32])),
            recorder: None,
            bulk: Some(Bulk::default()),
            ready: Arc::new(Readiness::new(["main".into()])),
            stop: stop.clone(),
            kill: CancellationToken::new(),
        };
        drop(free);
        tokio::spawn(serve::serve(net, plan, context));
        Self {
            listen_addr,
            seen,
            brokers,
            stop,
        }
    }

    /// A client whose heartbeat has come to the broker.
    async fn pair(&mut self) -> (TcpStream, TcpStream, SocketAddr) {
        let mut client = loop {
            match TcpStream::connect(self.listen_addr).await {
                Ok(client) => break client,
                // It has not been bound yet.
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            }
            tokio::task::yield_now().await;
        };
        let address = client.local_addr().unwrap();
        client.write_all(&heartbeat(1)).await.unwrap();
        let mut broker = tokio::select! {
            broker = self.brokers.recv() => broker.unwrap(),
            reason = self.seen.closed(address) => panic!("closed: {reason}"),
        };
        assert_eq!(next_frame(&mut broker).await, Some(heartbeat(1)));
        (client, broker, address)
    }
}

/// Serves discovery, and hands the connections of sessions on with nothing read.
async fn accept(broker: TcpListener, sessions: UnboundedSender<TcpStream>) {
    let at = broker.local_addr().unwrap();
    let listed = [(1, at.ip().to_string(), i32::from(at.port()))];
    while let Ok((mut stream, _)) = broker.accept().await {
        let mut head = [0; 24];
        while stream.peek(&mut head).await.unwrap_or(24) < 24 {
            tokio::task::yield_now().await;
        }
        if !Asked::read(&head).by_discovery {
            let _ = sessions.send(stream);
            continue;
        }
        while let Some(frame) = next_frame(&mut stream).await {
            let Asked {
                api, version, id, ..
            } = Asked::read(&frame);
            let response = match api {
                API_VERSIONS => api_versions_response(version, id),
                _ => metadata_response(version, id, "main", &listed),
            };
            stream.write_all(&response).await.unwrap();
        }
    }
}

fn reset(stream: TcpStream) {
    let linger = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    linger.unwrap();
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    rest
}

/// What it had asked for is still done, as a broker does it.
#[tokio::test]
async fn a_client_that_resets() {
    let mut world = Loopback::start().await;
    let (mut client, mut broker, address) = world.pair().await;
    client.write_all(&heartbeat(2)).await.unwrap();
    assert_eq!(next_frame(&mut broker).await, Some(heartbeat(2)));
    reset(client);
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    broker.write_all(&heartbeat_response(2)).await.unwrap();
    assert_eq!(world.seen.closed(address).await, "client_reset");
    assert_eq!(
        rest(&mut broker).await,
        b"",
        "the broker sees an end in order"
    );
}

#[tokio::test]
async fn a_broker_that_resets() {
    let mut world = Loopback::start().await;
    let (mut client, broker, address) = world.pair().await;
    reset(broker);
    assert_eq!(
        rest(&mut client).await,
        b"",
        "the client sees an end in order"
    );
    assert_eq!(world.seen.closed(address).await, "upstream_reset");
}

/// It may still read, and gets all that it has asked for.
#[tokio::test]
async fn a_client_that_ends_its_half() {
    let mut world = Loopback::start().await;
    let (mut client, mut broker, address) = world.pair().await;
    client.write_all(&heartbeat(2)).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(next_frame(&mut broker).await, Some(heartbeat(2)));
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    broker.write_all(&heartbeat_response(2)).await.unwrap();
    assert_eq!(
        rest(&mut client).await,
        [heartbeat_response(1), heartbeat_response(2)].concat()
    );
    assert_eq!(world.seen.closed(address).await, "client_closed");
    assert_eq!(rest(&mut broker).await, b"");
}

/// The first response finds nobody and is reset; the requests are done.
#[tokio::test]
async fn a_client_that_closes_behind_its_requests() {
    let mut world = Loopback::start().await;
    let (mut client, mut broker, address) = world.pair().await;
    client.write_all(&heartbeat(2)).await.unwrap();
    drop(client);
    assert_eq!(next_frame(&mut broker).await, Some(heartbeat(2)));
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    broker.write_all(&heartbeat_response(2)).await.unwrap();
    assert_eq!(world.seen.closed(address).await, "client_closed");
    assert_eq!(
        rest(&mut broker).await,
        b"",
        "the broker sees an end in order"
    );
}

#[tokio::test]
async fn a_broker_that_ends_its_half_behind_a_response() {
    let mut world = Loopback::start().await;
    let (mut client, mut broker, address) = world.pair().await;
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    broker.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, heartbeat_response(1));
    assert_eq!(world.seen.closed(address).await, "upstream_closed");
}

/// The last response arrives although more requests were sent than are read.
#[tokio::test]
async fn responses_in_front_of_a_fault_arrive() {
    let mut world = Loopback::start().await;
    let (mut client, mut broker, address) = world.pair().await;
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(1)));
    client.write_all(&[0xff; 4]).await.unwrap();
    assert_eq!(rest(&mut client).await, b"");
    assert_eq!(world.seen.closed(address).await, "client_frame_negative");
    assert_eq!(rest(&mut broker).await, b"");
}

/// It moves to the threads for bulk, and nobody sees any of it.
#[tokio::test]
async fn frames_larger_than_all_buffers_pass() {
    large_frames_pass(Loopback::start().await).await;
}

/// Nothing stays in a stream, and its socket moves with it.
#[tokio::test]
async fn frames_pass_through_streams_that_buffer() {
    large_frames_pass(Loopback::start_on(Buffering(TokioNet::default())).await).await;
}

/// The stream has taken the last bytes, and is closed behind them.
#[tokio::test]
async fn a_response_in_front_of_a_close_leaves_a_stream_that_buffers() {
    let mut world = Loopback::start_on(Buffering(TokioNet::default())).await;
    let (mut client, mut broker, address) = world.pair().await;
    client.write_all(&heartbeat(2)).await.unwrap();
    client.shutdown().await.unwrap();
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    broker.write_all(&heartbeat_response(2)).await.unwrap();
    assert_eq!(
        rest(&mut client).await,
        [heartbeat_response(1), heartbeat_response(2)].concat()
    );
    assert_eq!(world.seen.closed(address).await, "client_closed");
}

async fn large_frames_pass(mut world: Loopback) {
    const RECORDS: usize = 3 << 20;
    let (mut client, mut broker, address) = world.pair().await;
    let (request, response) = (produce(2, RECORDS), produced(2));
    let serve = async {
        broker.write_all(&heartbeat_response(1)).await.unwrap();
        assert!(next_frame(&mut broker).await.unwrap() == request);
        broker.write_all(&response).await.unwrap();
        assert_eq!(next_frame(&mut broker).await, Some(heartbeat(3)));
        broker.write_all(&heartbeat_response(3)).await.unwrap();
    };
    let ask = async {
        assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(1)));
        assert_eq!(
            world.seen.bytes_in_bulk(),
            0,
            "a session that forwards little stays where it is"
        );
        client.write_all(&request).await.unwrap();
        assert_eq!(next_frame(&mut client).await.unwrap(), response);
        client.write_all(&heartbeat(3)).await.unwrap();
        assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(3)));
    };
    tokio::join!(serve, ask);
    drop(client);
    assert_eq!(world.seen.closed(address).await, "client_closed");
    assert!(world.seen.bytes_in_bulk() > RECORDS, "most of it moved");
    let opened = world.seen.all();
    let opened = opened
        .iter()
        .filter(|seen| matches!(seen, Seen::SessionOpened(_)));
    assert_eq!(opened.count(), 1);
}

/// A session that cannot move is lost, and has a reason of its own.
#[tokio::test]
async fn a_session_that_cannot_be_moved() {
    let mut world = Loopback::start_on(Immovable(TokioNet::default())).await;
    let (mut client, _broker, address) = world.pair().await;
    // As much of it as is taken: the connection ends in its middle.
    let _ = client.write_all(&produce(2, 3 << 20)).await;
    assert_eq!(world.seen.closed(address).await, "not_moved");
}

/// One that has moved is drained like any other.
#[tokio::test]
async fn bulk_is_drained() {
    let mut world = Loopback::start().await;
    let (mut client, mut broker, address) = world.pair().await;
    let request = produce(2, 3 << 20);
    let (sent, came) = tokio::join!(client.write_all(&request), async {
        broker.write_all(&heartbeat_response(1)).await.unwrap();
        next_frame(&mut broker).await.unwrap()
    });
    sent.unwrap();
    assert!(came == request);
    world.stop.cancel();
    broker.write_all(&produced(2)).await.unwrap();
    assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(1)));
    assert_eq!(next_frame(&mut client).await, Some(produced(2)));
    assert_eq!(rest(&mut client).await, b"");
    assert_eq!(world.seen.closed(address).await, "drained");
    assert!(world.seen.bytes_in_bulk() > 0);
}

/// Other threads accept while doorkeeper still begins to serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_of_the_first_moment_are_served() {
    for _ in 0..50 {
        let mut world = Loopback::start().await;
        let (mut client, mut broker, _) = world.pair().await;
        broker.write_all(&heartbeat_response(1)).await.unwrap();
        assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(1)));
    }
}

/// Many sessions on several threads: no wake-up is lost and no byte goes astray.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_sessions_at_once_on_several_threads() {
    const CLIENTS: i32 = 24;
    let mut world = Loopback::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (client, broker, _) = world.pair().await;
        tasks.spawn(echo(broker));
        tasks.spawn(ask(client, number));
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let closed = |all: &[Seen]| {
        let closed = all.iter().filter(|seen| matches!(seen, Seen::Closed(..)));
        (closed.count() == CLIENTS as usize).then_some(())
    };
    world.seen.until("all closed", closed).await;
    assert_eq!(world.seen.reasons()["client_closed"], CLIENTS as usize);
}

/// Responds to heartbeats, and to a Fetch with as many bytes as its correlation id says.
async fn echo(mut broker: TcpStream) {
    broker.write_all(&heartbeat_response(1)).await.unwrap();
    while let Some(frame) = next_frame(&mut broker).await {
        let Asked { api, id, .. } = Asked::read(&frame);
        let response = match api {
            FETCH => fetched(12, id, vec![7; id as usize].into()),
            _ => heartbeat_response(id),
        };
        if broker.write_all(&response).await.is_err() {
            return;
        }
    }
}

async fn ask(mut client: TcpStream, number: i32) {
    assert_eq!(next_frame(&mut client).await, Some(heartbeat_response(1)));
    for round in 1..=20 {
        let bytes = number * 10_000 + round * 1000;
        let both = [fetch(bytes, 0), heartbeat(round)].concat();
        client.write_all(&both).await.unwrap();
        let records = vec![7; bytes as usize];
        let response = next_frame(&mut client).await.unwrap();
        assert!(response == fetched(12, bytes, records.into()));
        assert_eq!(
            next_frame(&mut client).await,
            Some(heartbeat_response(round))
        );
    }
}
