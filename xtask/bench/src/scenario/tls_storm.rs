//! Clients that come back all at once, as after a restart: whether all are served in time, and what
//! that does to a connection that is there already.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use doorkeeper_bench::frames::{self, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Bench, Scenario, Values};
use crate::client::{self, Client, Target};
use crate::proxy::{Kind, Proxy, Setup};
use crate::report::{Bar, Figure};
use crate::tls;

const CLIENTS: usize = 5000;
const RECORD_BYTES: usize = 100;
/// Longer than it may take: what is left then is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// `reconnect.backoff.max.ms` of Kafka's own clients.
const RECONNECT_BACKOFF: Duration = Duration::from_secs(1);

type Connected = TlsStream<TcpStream>;

pub(super) fn scenario() -> Scenario {
    let figure = |name, unit, bar| Figure::less(name, unit, Kind::Haproxy, bar);
    let at_most = |most| Some(Bar::ValueAtMost(most));
    Scenario {
        name: "5,000 clients come back at once".to_owned(),
        figures: vec![
            figure("until all are served", "s", at_most(30.0)),
            figure("peak RSS", "KiB", None),
            figure("p99 beside", "us", None),
            figure("p99 beside over quiet", "x", at_most(3.0)),
        ],
        run: Box::new(run),
        setup: Setup::Tls,
        fresh: true,
        kinds: &[Kind::Doorkeeper, Kind::Haproxy],
    }
}

fn run(bench: &Bench, proxy: &Proxy) -> Result<Values> {
    let request = frames::produce(RECORD_BYTES)?;
    let mut buffer = client::buffer();
    let mut client = Client::ready(&proxy.target, &mut buffer)?;
    let is_over = AtomicBool::new(false);
    let enough = |trips: usize| trips >= bench.amount.trips;
    p99(&mut client, &request, &mut buffer, enough)?;
    let quiet = p99(&mut client, &request, &mut buffer, enough)?;
    let (beside, served) = thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let served = storm(&proxy.target);
            is_over.store(true, Ordering::SeqCst);
            served
        });
        let until_over = |_| is_over.load(Ordering::SeqCst);
        let beside = p99(&mut client, &request, &mut buffer, until_over);
        let served = storm.join().map_err(|_| anyhow!("the storm panicked"))?;
        anyhow::Ok((beside?, served?))
    })?;
    Ok(vec![
        ("until all are served", served),
        ("peak RSS", proxy.memory()?.peak as f64),
        ("p99 beside", beside),
        ("p99 beside over quiet", beside / quiet),
    ])
}

/// Of round trips until there are enough of them, in microseconds.
fn p99(
    client: &mut Client,
    request: &Request,
    buffer: &mut [u8],
    is_enough: impl Fn(usize) -> bool,
) -> Result<f64> {
    let mut times = Vec::new();
    while !is_enough(times.len()) {
        let begun = Instant::now();
        client.exchange(request, buffer)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let place = times.len().saturating_mul(99) / 100;
    Ok(times.get(place).copied().unwrap_or(0.0) * 1e6)
}

/// How long it takes until each of them has had its first response, in seconds.
fn storm(target: &Target) -> Result<f64> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let config = target.tls.as_ref().context("a storm is over TLS")?;
    let connector = TlsConnector::from(Arc::clone(config));
    let request: Arc<[u8]> = frames::api_versions()?.frame.as_ref().into();
    let port = target.port;
    runtime.block_on(async {
        let begun = Instant::now();
        let mut clients = JoinSet::new();
        for address in client::addresses().take(CLIENTS) {
            let (connector, request) = (connector.clone(), Arc::clone(&request));
            clients.spawn(async move {
                loop {
                    let stream = client::connect_from(address, port)?;
                    match first_response(&connector, stream, &request).await {
                        Ok(stream) => return anyhow::Ok(stream),
                        // As clients do.
                        Err(_) => tokio::time::sleep(RECONNECT_BACKOFF).await,
                    }
                }
            });
        }
        let all = async {
            let mut open = Vec::with_capacity(CLIENTS);
            while let Some(client) = clients.join_next().await {
                open.push(client.context("a client panicked")??);
            }
            anyhow::Ok(open)
        };
        let open = tokio::time::timeout(PATIENCE, all)
            .await
            .context("not all are served")??;
        let served = begun.elapsed().as_secs_f64();
        drop(open);
        Ok(served)
    })
}

async fn first_response(
    connector: &TlsConnector,
    stream: std::net::TcpStream,
    request: &[u8],
) -> Result<Connected> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let stream = TcpStream::from_std(stream)?;
    let mut stream = connector.connect(tls::server_name(), stream).await?;
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut response = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut response).await?;
    Ok(stream)
}
