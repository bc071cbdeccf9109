//! Whether a client address that takes all it can get slows the round trips of another address.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use socket2::{Domain, Socket, Type};

use super::{Bench, Scenario, Values};
use crate::client::{self, Client};
use crate::proxy::{Kind, Proxy};
use crate::report::{Bar, Figure};
use doorkeeper_bench::frames::{self, Request};

/// Where the attack comes from; the measured client has 127.0.0.1.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Connections with the beginning of a request, or with a response that is not read.
const CONNECTIONS: usize = 100;
const RECORD_BYTES: usize = 100;
const LARGE_BYTES: usize = 8 << 20;
/// How often a connection is opened and left. Without a pause the attack would measure who gets
/// the processor: generator, proxy and sink share the machine.
const STORM_PAUSE: Duration = Duration::from_millis(2);

/// How often each half-sent request is given one byte more: seldom enough to cost nobody a
/// processor, often enough that it is not taken for one that stands still.
const DRIP_PAUSE: Duration = Duration::from_millis(100);

type Attack = fn(u16, &AtomicBool, &AtomicU64) -> Result<Vec<TcpStream>>;

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |name: &str, attack: Attack| Scenario {
        name: format!("round trip beside {name} of another address"),
        figures: vec![
            Figure::less("p99", "us", Kind::Doorkeeper, None),
            Figure::less(
                "p99 over quiet",
                "x",
                Kind::Doorkeeper,
                Some(Bar::ValueAtMost(2.0)),
            ),
        ],
        run: Box::new(move |bench, proxy| run(bench, proxy, attack)),
        fresh: true,
        kinds: &[Kind::Doorkeeper],
    };
    vec![
        scenario("half-sent requests", half_sent),
        scenario("slow readers", slow_readers),
        scenario("a storm of connections", storm),
    ]
}

/// The same client before the attack and during it: its connection must live through it.
fn run(bench: &Bench, proxy: &Proxy, attack: Attack) -> Result<Values> {
    bench.sink.answer_fetch_with(LARGE_BYTES)?;
    let request = frames::produce(RECORD_BYTES)?;
    let mut buffer = client::buffer();
    let mut client = Client::ready(proxy.port, &mut buffer)?;
    p99(&mut client, &request, bench.amount.trips / 4, &mut buffer)?;
    let quiet = p99(&mut client, &request, bench.amount.trips, &mut buffer)?;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let attacker = {
        let (stop, done, port) = (Arc::clone(&stop), Arc::clone(&done), proxy.port);
        thread::spawn(move || attack(port, &stop, &done))
    };
    let begun = Instant::now();
    while done.load(Ordering::SeqCst) < CONNECTIONS as u64 {
        ensure!(begun.elapsed().as_secs() < 20, "the attack does not begin");
        thread::yield_now();
    }
    let during = p99(&mut client, &request, bench.amount.trips, &mut buffer);
    stop.store(true, Ordering::SeqCst);
    let held = attacker
        .join()
        .map_err(|_| anyhow!("the attack panicked"))??;
    drop(held);
    let during = during?;
    Ok(vec![("p99", during), ("p99 over quiet", during / quiet)])
}

/// In microseconds.
fn p99(client: &mut Client, request: &Request, trips: usize, buffer: &mut [u8]) -> Result<f64> {
    let mut times = Vec::with_capacity(trips);
    for _ in 0..trips {
        let begun = Instant::now();
        client.exchange(request, buffer)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let place = trips.saturating_mul(99) / 100;
    Ok(times.get(place).copied().unwrap_or(0.0) * 1e6)
}

fn connect(port: u16) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((ATTACKER, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// The beginning of a large Produce, and then a byte now and again.
fn half_sent(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<Vec<TcpStream>> {
    let request = frames::produce(LARGE_BYTES)?;
    let (begin, rest) = request.frame.split_at(request.frame.len() / 8);
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut stream = connect(port)?;
        stream.write_all(begin)?;
        open.push(stream);
        done.fetch_add(1, Ordering::SeqCst);
    }
    let mut dripped = Instant::now();
    let mut rest = rest.iter().cycle();
    while !stop.load(Ordering::SeqCst) {
        if dripped.elapsed() >= DRIP_PAUSE {
            dripped = Instant::now();
            for (stream, byte) in open.iter_mut().zip(&mut rest) {
                // One that was closed is an attack that was stopped.
                let _ = stream.write_all(&[*byte]);
            }
        }
        thread::sleep(STORM_PAUSE);
    }
    Ok(open)
}

/// Responses of which the beginning is read and nothing more.
fn slow_readers(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<Vec<TcpStream>> {
    let request = frames::fetch(frames::FETCH)?;
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut stream = connect(port)?;
        stream.write_all(&request.frame)?;
        stream.read_exact(&mut [0; 8])?;
        open.push(stream);
        done.fetch_add(1, Ordering::SeqCst);
    }
    while !stop.load(Ordering::SeqCst) {
        thread::sleep(STORM_PAUSE);
    }
    Ok(open)
}

/// Connections that ask something and leave without reading.
fn storm(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<Vec<TcpStream>> {
    let request = frames::metadata()?;
    while !stop.load(Ordering::SeqCst) {
        if let Ok(mut stream) = connect(port) {
            let _ = stream.write_all(&request.frame);
        }
        done.fetch_add(1, Ordering::SeqCst);
        thread::sleep(STORM_PAUSE);
    }
    Ok(Vec::new())
}
