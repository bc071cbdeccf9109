//! A byte tap between the clients and doorkeeper: counts, and searches what goes to clients.
//!
//! doorkeeper binds one loopback address and advertises another one, where the taps listen with
//! the same port numbers. So a client that follows an advertised address always comes by here.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::leak::{Hit, Needles, Search, Secrets};
use crate::ports::{BEHIND, FRONT, Ports};

/// What a TLS connection begins with, and no request does that is shorter than 369 MB.
const TLS_HANDSHAKE: u8 = 22;
/// Connections of a client that has not said its name.
const UNKNOWN: &str = "?";

/// The taps of one doorkeeper; they end when this is dropped.
pub(crate) struct Taps {
    book: Arc<Book>,
    _listeners: JoinSet<()>,
}

/// What crossed a tap for one scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) connections: u64,
    /// From clients to doorkeeper, in bytes.
    pub(crate) up: u64,
    /// From doorkeeper to clients, in bytes.
    pub(crate) down: u64,
}

#[derive(Debug)]
struct Book {
    needles: Needles,
    connections: Mutex<Vec<Arc<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    number: usize,
    peer: SocketAddr,
    port: u16,
    client_id: OnceLock<String>,
    up: AtomicU64,
    down: AtomicU64,
    leaks: Mutex<Vec<String>>,
}

impl Taps {
    pub(crate) async fn open(ports: Ports, count: u16, secrets: &Secrets) -> Result<Self> {
        let book = Arc::new(Book {
            needles: Needles::new(secrets),
            connections: Mutex::default(),
        });
        let mut listeners = JoinSet::new();
        for index in 0..count {
            let port = ports.at(index);
            let listener = TcpListener::bind((FRONT, port))
                .await
                .with_context(|| format!("cannot tap {FRONT}:{port}"))?;
            listeners.spawn(accept(listener, port, Arc::clone(&book)));
        }
        Ok(Self {
            book,
            _listeners: listeners,
        })
    }

    /// What crossed for the scenario whose client ids begin with `prefix` and a dot.
    pub(crate) fn flow(&self, prefix: &str) -> Flow {
        self.sum(|connection| connection.scenario() == prefix)
    }

    /// What crossed in all.
    pub(crate) fn total(&self) -> Flow {
        self.sum(|_| true)
    }

    fn sum(&self, wanted: impl Fn(&Connection) -> bool) -> Flow {
        let mut flow = Flow::default();
        for connection in self.book.all().iter().filter(|it| wanted(it)) {
            flow.connections += 1;
            flow.up += connection.up.load(Ordering::Relaxed);
            flow.down += connection.down.load(Ordering::Relaxed);
        }
        flow
    }

    /// What clients received and must not know; for one scenario, or for all.
    pub(crate) fn leaks(&self, prefix: Option<&str>) -> Vec<String> {
        let all = self.book.all();
        let wanted = all
            .iter()
            .filter(|it| prefix.is_none_or(|prefix| it.scenario() == prefix));
        wanted.flat_map(|it| lock(&it.leaks).clone()).collect()
    }
}

impl Book {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        lock(&self.connections)
    }

    fn enter(&self, peer: SocketAddr, port: u16) -> Arc<Connection> {
        let mut all = self.all();
        let connection = Arc::new(Connection {
            number: all.len() + 1,
            peer,
            port,
            client_id: OnceLock::new(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            leaks: Mutex::default(),
        });
        all.push(Arc::clone(&connection));
        connection
    }
}

impl Connection {
    fn client_id(&self) -> &str {
        self.client_id.get().map_or(UNKNOWN, String::as_str)
    }

    fn leaked(&self, hits: Vec<Hit>) {
        for hit in hits {
            lock(&self.leaks).push(format!(
                "{} at byte {} towards {} (connection {} from {} on port {})",
                hit.needle,
                hit.offset,
                self.client_id(),
                self.number,
                self.peer,
                self.port,
            ));
        }
    }

    fn scenario(&self) -> &str {
        let id = self.client_id();
        id.split_once('.').map_or(id, |(scenario, _)| scenario)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, port: u16, book: Arc<Book>) {
    let mut relays = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, peer)) = accepted {
                    relays.spawn(relay(client, peer, port, Arc::clone(&book)));
                }
            }
            Some(_done) = relays.join_next() => {}
        }
    }
}

/// When doorkeeper is not there the client sees its connection close, as it would without a tap.
async fn relay(client: TcpStream, peer: SocketAddr, port: u16, book: Arc<Book>) {
    let connection = book.enter(peer, port);
    let Ok(server) = TcpStream::connect((BEHIND, port)).await else {
        return;
    };
    // Timing should be that of the two sides, as far as a relay can.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut up = Box::pin(forward_up(from_client, to_server, &connection));
    let mut down = Box::pin(forward_down(
        from_server,
        to_client,
        &connection,
        &book.needles,
    ));
    tokio::select! {
        // If doorkeeper closes, both directions are closed; after the end of a client's stream
        // responses may still come.
        () = &mut down => {}
        () = &mut up => down.await,
    }
}

async fn forward_up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, connection: &Connection) {
    let mut buffer = vec![0; 64 * 1024];
    let mut head = Vec::new();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..count) else {
            return;
        };
        if connection.client_id.get().is_none() && head.len() < 4096 {
            head.extend_from_slice(bytes);
            if let Some(id) = client_id(&head) {
                let _ = connection.client_id.set(id);
            }
        }
        connection.up.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn forward_down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    connection: &Connection,
    needles: &Needles,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut search = Search::default();
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..count) else {
            return;
        };
        connection.leaked(search.feed(needles, bytes));
        connection.down.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    connection.leaked(search.end(needles));
    let _ = to.shutdown().await;
}

/// The client id in the head of a connection's first request: after size, key, version and
/// correlation id stands its length in two bytes, then the text.
fn client_id(head: &[u8]) -> Option<String> {
    if head.first() == Some(&TLS_HANDSHAKE) {
        return None;
    }
    let (length, rest) = head.get(12..)?.split_first_chunk::<2>()?;
    let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
    Some(String::from_utf8_lossy(rest.get(..length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_id_is_read_when_it_is_all_there() {
        let mut head = vec![0, 0, 0, 40, 0, 18, 0, 4, 0, 0, 0, 1, 0, 5];
        head.extend(b"a.b-c more");
        assert_eq!(client_id(&head).unwrap(), "a.b-c");
        assert_eq!(client_id(&head[..18]), None);
        assert_eq!(client_id(&head[..13]), None);
        head[12] = 0xff;
        assert_eq!(client_id(&head), None);
        let tls = [&[22, 3, 1][..], &[0; 40]].concat();
        assert_eq!(client_id(&tls), None);
    }

    #[tokio::test]
    async fn a_canary_that_crosses_is_found_and_bytes_are_counted() {
        let ports = Ports::find(1).unwrap();
        let server = TcpListener::bind((BEHIND, ports.at(0))).await.unwrap();
        let secrets = Secrets {
            texts: vec!["canary".to_owned()],
            ports: Vec::new(),
        };
        let taps = Taps::open(ports, 1, &secrets).await.unwrap();
        let mut client = TcpStream::connect((FRONT, ports.at(0))).await.unwrap();
        let mut request = vec![0, 0, 0, 40, 0, 18, 0, 4, 0, 0, 0, 1, 0, 5];
        request.extend(b"one.a");
        client.write_all(&request).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let mut got = vec![0; request.len()];
        accepted.read_exact(&mut got).await.unwrap();
        accepted.write_all(b"..canary..").await.unwrap();
        drop(accepted);
        let mut response = Vec::new();
        client.read_to_end(&mut response).await.unwrap();
        assert_eq!(response, b"..canary..");
        assert_eq!(
            taps.flow("one"),
            Flow {
                connections: 1,
                up: 19,
                down: 10
            }
        );
        assert_eq!(taps.flow("two"), Flow::default());
        let leaks = taps.leaks(Some("one"));
        assert!(
            leaks[0].starts_with("canary at byte 2 towards one.a"),
            "{leaks:?}"
        );
    }
}
