//! A broker as far as the bench needs one: reads requests, throws records away, responds with
//! frames that were encoded before, and counts.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use doorkeeper_bench::frames::{self, REQUEST_HEAD, RESPONSE_HEAD};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

const READ_BYTES: usize = 256 * 1024;

thread_local! {
    /// Read buffers would make the sink the largest process of the bench.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What the sink has seen since it began, of Produce and Fetch alone.
#[derive(Debug, Default)]
pub(crate) struct SinkCounts {
    pub(crate) requests: AtomicU64,
    /// The frames of the requests, whole.
    pub(crate) request_bytes: AtomicU64,
    /// The sum of the correlation ids, wrapping.
    pub(crate) ids: AtomicU64,
    /// Bytes of responses that were written, of every kind.
    pub(crate) written: AtomicU64,
    /// Connections that are open.
    pub(crate) open: AtomicU64,
}

/// Serves until it is dropped.
pub(crate) struct Sink {
    /// The first of [`frames::BROKERS`] consecutive ports, all served alike.
    pub(crate) port: u16,
    /// The first of as many that speak TLS.
    pub(crate) tls_port: u16,
    pub(crate) seen: Arc<SinkCounts>,
    responses: Arc<Responses>,
    _runtime: Runtime,
}

struct Responses {
    port: u16,
    produced: Bytes,
    described: Bytes,
    /// To Fetch in the newest version, and in the old one.
    fetched: RwLock<[Bytes; 2]>,
    configs: RwLock<Bytes>,
}

impl Sink {
    /// The first half of the listeners speaks plaintext, the second half TLS.
    pub(crate) fn start(listeners: Vec<StdListener>, tls: &Arc<ServerConfig>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let first = listeners.first().context("no port for the sink")?;
        let port = first.local_addr()?.port();
        let tls_port = port + u16::try_from(listeners.len() / 2)?;
        let responses = Arc::new(Responses {
            port,
            produced: frames::produced()?,
            described: frames::described(frames::METADATA.1, port)?,
            fetched: RwLock::default(),
            configs: RwLock::default(),
        });
        let seen = Arc::new(SinkCounts::default());
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let is_tls = listener.local_addr()?.port() >= tls_port;
            let acceptor = is_tls.then(|| TlsAcceptor::from(Arc::clone(tls)));
            let entered = runtime.enter();
            let listener = TcpListener::from_std(listener)?;
            drop(entered);
            let (responses, seen) = (Arc::clone(&responses), Arc::clone(&seen));
            runtime.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (responses, seen) = (Arc::clone(&responses), Arc::clone(&seen));
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        seen.open.fetch_add(1, Ordering::Relaxed);
                        // How a connection ends is the client's affair.
                        let _ = match acceptor {
                            None => serve(stream, &responses, &seen).await,
                            Some(tls) => serve_tls(&tls, stream, &responses, &seen).await,
                        };
                        seen.open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            });
        }
        Ok(Self {
            port,
            tls_port,
            seen,
            responses,
            _runtime: runtime,
        })
    }

    /// Makes responses to Fetch as large as this.
    pub(crate) fn respond_to_fetch_with(&self, record_bytes: usize) -> Result<()> {
        let new = frames::fetched(frames::FETCH, record_bytes)?;
        let old = frames::fetched(frames::OLD_FETCH, record_bytes)?;
        let fetched = self.responses.fetched.write();
        *fetched.unwrap_or_else(PoisonError::into_inner) = [new, old];
        Ok(())
    }

    /// Makes responses to DescribeConfigs as large as this.
    pub(crate) fn respond_to_describe_configs_with(&self, bytes: usize) -> Result<()> {
        let configs = self.responses.configs.write();
        *configs.unwrap_or_else(PoisonError::into_inner) = frames::configs(bytes)?;
        Ok(())
    }
}

impl Responses {
    fn to(&self, key: i16, version: i16) -> Result<Bytes> {
        Ok(match (key, version) {
            (0, _) => self.produced.clone(),
            (1, _) => {
                let [new, old] = &*self.fetched.read().unwrap_or_else(PoisonError::into_inner);
                if version == frames::FETCH.1 {
                    new.clone()
                } else {
                    old.clone()
                }
            }
            (3, _) if version == frames::METADATA.1 => self.described.clone(),
            (3, _) => frames::described(version, self.port)?,
            (18, _) => frames::ranges(version, [frames::APIS, frames::HELD_APIS].concat())?,
            (32, _) => {
                let configs = self.configs.read();
                configs.unwrap_or_else(PoisonError::into_inner).clone()
            }
            _ => anyhow::bail!("nobody sends API {key}"),
        })
    }
}

/// The request that is coming in.
#[derive(Default)]
struct Incoming {
    head: [u8; REQUEST_HEAD],
    have: usize,
    left: usize,
}

struct SinkRequest {
    key: i16,
    version: i16,
    id: [u8; 4],
    bytes: u64,
}

impl Incoming {
    /// Takes from the front of `input`; a request once all of it has been taken.
    fn take(&mut self, input: &mut &[u8]) -> Option<SinkRequest> {
        while self.have < REQUEST_HEAD {
            let (byte, rest) = input.split_first()?;
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = *byte;
            }
            *input = rest;
            self.have += 1;
            if self.have == REQUEST_HEAD {
                self.left = (self.len() + 4).saturating_sub(REQUEST_HEAD);
            }
        }
        let now = self.left.min(input.len());
        *input = input.split_at(now).1;
        self.left -= now;
        if self.left > 0 {
            return None;
        }
        self.have = 0;
        let [_, _, _, _, k0, k1, v0, v1, i0, i1, i2, i3] = self.head;
        Some(SinkRequest {
            key: i16::from_be_bytes([k0, k1]),
            version: i16::from_be_bytes([v0, v1]),
            id: [i0, i1, i2, i3],
            bytes: self.len() as u64 + 4,
        })
    }

    fn len(&self) -> usize {
        let [l0, l1, l2, l3, ..] = self.head;
        u32::from_be_bytes([l0, l1, l2, l3]) as usize
    }
}

async fn serve(mut stream: TcpStream, responses: &Responses, seen: &SinkCounts) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut incoming = Incoming::default();
    let mut asked = Vec::new();
    loop {
        stream.readable().await?;
        let read = BUFFER.with_borrow_mut(|buffer| {
            let count = stream.try_read(buffer)?;
            let mut input = buffer.get(..count).unwrap_or_default();
            while let Some(request) = incoming.take(&mut input) {
                asked.push(request);
            }
            Ok(count)
        });
        match read {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                let error: io::Error = error;
                if error.kind() == io::ErrorKind::WouldBlock {
                    continue;
                }
                return Err(error.into());
            }
        }
        respond(&mut stream, &mut asked, responses, seen).await?;
    }
}

/// The same with TLS, and with a buffer for each connection: of these there are few.
async fn serve_tls(
    tls: &TlsAcceptor,
    stream: TcpStream,
    responses: &Responses,
    seen: &SinkCounts,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = tls.accept(stream).await?;
    let mut incoming = Incoming::default();
    let mut asked = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut input = buffer.get(..count).unwrap_or_default();
        while let Some(request) = incoming.take(&mut input) {
            asked.push(request);
        }
        respond(&mut stream, &mut asked, responses, seen).await?;
        stream.flush().await?;
    }
}

async fn respond(
    stream: &mut (impl AsyncWrite + Unpin),
    asked: &mut Vec<SinkRequest>,
    responses: &Responses,
    seen: &SinkCounts,
) -> Result<()> {
    for request in asked.drain(..) {
        let response = responses.to(request.key, request.version)?;
        write(stream, &response, request.id, seen).await?;
        if request.key <= 1 {
            seen.requests.fetch_add(1, Ordering::Relaxed);
            seen.request_bytes
                .fetch_add(request.bytes, Ordering::Relaxed);
            let id = u32::from_be_bytes(request.id);
            seen.ids.fetch_add(id.into(), Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Writes a response with this correlation id, and counts what was taken as it goes.
async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &Bytes,
    id: [u8; 4],
    seen: &SinkCounts,
) -> Result<()> {
    let mut head = [0; RESPONSE_HEAD];
    let (from, rest) = response
        .split_at_checked(RESPONSE_HEAD)
        .context("a short response")?;
    head.copy_from_slice(from);
    head.last_chunk_mut::<4>()
        .context("no id")?
        .copy_from_slice(&id);
    let mut due = bytes::Buf::chain(&head[..], rest);
    while bytes::Buf::has_remaining(&due) {
        let count = stream.write_buf(&mut due).await?;
        seen.written.fetch_add(count as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Consecutive ports, bound so that nobody else takes them; below those that the system gives to
/// clients, of which there may be many.
pub(crate) fn consecutive(count: u16) -> Result<Vec<StdListener>> {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 32_000;
    let own = u16::try_from(std::process::id() % u32::from(LAST - FIRST))?;
    let starts = (0..LAST - FIRST).map(|offset| FIRST + (own + offset) % (LAST - FIRST));
    for first in starts {
        let bind = |offset| StdListener::bind((Ipv4Addr::LOCALHOST, first + offset)).ok();
        if let Some(bound) = (0..count).map(bind).collect() {
            return Ok(bound);
        }
    }
    anyhow::bail!("no {count} consecutive ports are free")
}
