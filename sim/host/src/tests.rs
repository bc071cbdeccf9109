//! Brokers served over a network of in-memory pipes, in virtual time.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::{BrokerConfig, Handle, Host, HostConfig};
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_net::{Ends, Net};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

const PIPE_BYTES: usize = 1 << 16;
const ADDRESS: &str = "127.0.0.1:9092";

/// A network with one address.
#[derive(Clone, Debug, Default)]
struct Pipes(Arc<Mutex<Option<UnboundedSender<DuplexStream>>>>);

impl Net for Pipes {
    type Stream = DuplexStream;
    type Listener = UnboundedReceiver<DuplexStream>;

    async fn bind(&self, _: SocketAddr) -> io::Result<Self::Listener> {
        let (sender, listener) = unbounded_channel();
        *self.0.lock().unwrap() = Some(sender);
        Ok(listener)
    }

    async fn accept(&self, on: &mut Self::Listener) -> io::Result<(DuplexStream, SocketAddr)> {
        match on.recv().await {
            Some(stream) => Ok((stream, ADDRESS.parse().unwrap())),
            None => std::future::pending().await,
        }
    }

    async fn connect(&self, _: &HostPort) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let sender = self.0.lock().unwrap().clone();
        let sent = sender.and_then(|sender| sender.send(theirs).ok());
        sent.map(|()| ours)
            .ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    fn ends(&self, _: &DuplexStream) -> Option<Ends> {
        None
    }
}

struct World {
    net: Pipes,
    handle: Handle,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), JoinError>>,
}

impl World {
    async fn new() -> Self {
        let net = Pipes::default();
        let broker = BrokerConfig {
            id: BrokerId(1),
            bind: ADDRESS.parse().unwrap(),
            advertised: ADDRESS.parse().unwrap(),
        };
        let config = HostConfig::new(vec![broker], 1);
        let host = Host::bind(net.clone(), config).await.unwrap();
        let (handle, stop) = (host.handle(), CancellationToken::new());
        let serving = tokio::spawn(host.serve(stop.clone()));
        Self {
            net,
            handle,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> DuplexStream {
        self.net.connect(&ADDRESS.parse().unwrap()).await.unwrap()
    }
}

async fn send(client: &mut DuplexStream, frame: &[u8]) {
    let length = u32::try_from(frame.len()).unwrap();
    client.write_all(&length.to_be_bytes()).await.unwrap();
    client.write_all(frame).await.unwrap();
}

async fn receive(client: &mut DuplexStream) -> Vec<u8> {
    let length = client.read_u32().await.unwrap();
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    client.read_exact(&mut frame).await.unwrap();
    frame
}

async fn is_closed(client: &mut DuplexStream) -> bool {
    client.read_u8().await.is_err()
}

/// `ApiVersions` version 0 without a client id.
const fn api_versions(correlation: u8) -> [u8; 10] {
    [0, 18, 0, 0, 0, 0, 0, correlation, 0xff, 0xff]
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_have_responses_in_order_until_the_stop() {
    let world = World::new().await;
    let mut client = world.connect().await;
    for correlation in 1..=40 {
        send(&mut client, &api_versions(correlation)).await;
    }
    for correlation in 1..=40 {
        assert_eq!(receive(&mut client).await[..4], [0, 0, 0, correlation]);
    }
    world.stop.cancel();
    world.serving.await.unwrap().unwrap();
    assert!(is_closed(&mut client).await);
}

#[tokio::test(start_paused = true)]
async fn a_bad_frame_closes_only_its_own_connection() {
    let world = World::new().await;
    let (mut bad, mut worse) = (world.connect().await, world.connect().await);
    let mut good = world.connect().await;
    bad.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert!(is_closed(&mut bad).await);
    send(&mut worse, &[0x7f; 10]).await;
    assert!(is_closed(&mut worse).await);
    send(&mut good, &api_versions(1)).await;
    assert_eq!(receive(&mut good).await[3], 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_frame_closes_behind_the_responses_to_earlier_requests() {
    for garbage in [&[0xff; 4][..], &[0, 0, 0, 3], &[0, 0, 0, 100, 7]] {
        let world = World::new().await;
        let mut client = world.connect().await;
        let metadata = [0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 1, b't'];
        send(&mut client, &metadata).await;
        receive(&mut client).await;
        send(&mut client, &fetch(5000)).await;
        send(&mut client, &api_versions(3)).await;
        client.write_all(garbage).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(receive(&mut client).await[..4], [0, 0, 0, 2]);
        assert_eq!(receive(&mut client).await[..4], [0, 0, 0, 3]);
        assert!(is_closed(&mut client).await);
    }
}

/// Fetch version 4: replica -1, so long a wait for 1 byte of `t`, partition 0, offset 0.
fn fetch(wait_ms: i32) -> Vec<u8> {
    let mut fetch = vec![0, 1, 0, 4, 0, 0, 0, 2, 0xff, 0xff];
    fetch.extend((-1_i32).to_be_bytes());
    fetch.extend(wait_ms.to_be_bytes());
    fetch.extend(1_i32.to_be_bytes());
    fetch.extend(1000_i32.to_be_bytes());
    fetch.push(0);
    fetch.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    fetch.extend(0_i64.to_be_bytes());
    fetch.extend(1000_i32.to_be_bytes());
    fetch
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_has_its_response_at_its_deadline() {
    let world = World::new().await;
    let mut client = world.connect().await;
    // Metadata version 0 for `t`, which creates it.
    let metadata = [0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 1, b't'];
    send(&mut client, &metadata).await;
    receive(&mut client).await;
    let before = tokio::time::Instant::now();
    send(&mut client, &fetch(5000)).await;
    assert_eq!(receive(&mut client).await[..4], [0, 0, 0, 2]);
    let waited = before.elapsed().as_millis();
    assert!((5000..5010).contains(&waited), "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_stopped_closes_its_connections() {
    let world = World::new().await;
    let mut client = world.connect().await;
    send(&mut client, &api_versions(1)).await;
    receive(&mut client).await;
    let stop = |handle: &Handle| handle.with(|cluster, now| cluster.stop_broker(now, BrokerId(1)));
    stop(&world.handle);
    assert!(is_closed(&mut client).await);
    assert!(is_closed(&mut world.connect().await).await);
    world
        .handle
        .with(|cluster, now| cluster.start_broker(now, BrokerId(1)));
    let mut client = world.connect().await;
    send(&mut client, &api_versions(2)).await;
    assert_eq!(receive(&mut client).await[3], 2);
}
