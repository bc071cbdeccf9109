//! Whether a client address that takes all it can get slows the round trips of another address.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{Bench, Scenario, Values};
use crate::client::{self, Client};
use crate::proxy::{Kind, Proxy, Setup};
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

/// How long the sink must have written nothing before an attack has what it can get.
const SETTLED: Duration = Duration::from_millis(200);

/// The connections of an attack when it is over.
#[derive(Default)]
struct AttackEnd {
    open: Vec<TcpStream>,
    /// Connections that were not accepted, or were closed before they sent a request.
    failed: u64,
}

type Attack = fn(u16, &AtomicBool, &AtomicU64) -> Result<AttackEnd>;

pub(super) fn scenarios() -> Vec<Scenario> {
    let figure = |name, unit, bar| Figure::less(name, unit, Kind::Doorkeeper, bar);
    let scenario = |name: &str, attack: Attack, settles: bool| Scenario {
        name: format!("round trip beside {name} of another address"),
        figures: vec![
            figure("p99", "us", None),
            figure("p99 over quiet", "x", Some(Bar::ValueAtMost(2.0))),
        ],
        run: Box::new(move |bench, proxy| run(bench, proxy, attack, settles)),
        setup: Setup::Plaintext,
        fresh: true,
        kinds: &[Kind::Doorkeeper],
    };
    let mut stormed = scenario("a storm of connections", storm, false);
    // Any proxy has a part of it where generator, proxy and sink share the processors.
    stormed.kinds = &Kind::ALL;
    // A storm of rejected connections is none.
    let all_let_in = Some(Bar::ValueAtMost(0.0));
    stormed
        .figures
        .push(figure("connections not let in", "", all_let_in));
    vec![
        scenario("half-sent requests", half_sent, true),
        scenario("buffered requests", buffered_requests, true),
        scenario("slow readers", slow_readers, true),
        scenario("buffered responses", buffered_responses, true),
        stormed,
    ]
}

/// The same client before the attack and during it: its connection must live through it.
fn run(bench: &Bench, proxy: &Proxy, attack: Attack, settles: bool) -> Result<Values> {
    bench.sink.respond_to_fetch_with(LARGE_BYTES)?;
    bench.sink.respond_to_describe_configs_with(LARGE_BYTES)?;
    let request = frames::produce(RECORD_BYTES)?;
    let mut buffer = client::buffer();
    let mut client = Client::ready(&proxy.target, &mut buffer)?;
    p99(&mut client, &request, bench.amount.trips / 4, &mut buffer)?;
    let quiet = p99(&mut client, &request, bench.amount.trips, &mut buffer)?;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let attacker = {
        let (stop, done, port) = (Arc::clone(&stop), Arc::clone(&done), proxy.target.port);
        thread::spawn(move || attack(port, &stop, &done))
    };
    let begun = Instant::now();
    while done.load(Ordering::SeqCst) < CONNECTIONS as u64 {
        ensure!(begun.elapsed().as_secs() < 20, "the attack does not begin");
        thread::yield_now();
    }
    if settles {
        settle(bench)?;
    }
    let during = p99(&mut client, &request, bench.amount.trips, &mut buffer);
    stop.store(true, Ordering::SeqCst);
    let left = attacker
        .join()
        .map_err(|_| anyhow!("the attack panicked"))??;
    drop(left.open);
    let during = during?;
    Ok(vec![
        ("p99", during),
        ("p99 over quiet", during / quiet),
        ("connections not let in", left.failed as f64),
    ])
}

/// Until as much of responses is buffered as may be: the sink has no more to write, or cannot.
fn settle(bench: &Bench) -> Result<()> {
    let written = &bench.sink.seen.written;
    let begun = Instant::now();
    let (mut last, mut since) = (written.load(Ordering::SeqCst), Instant::now());
    while since.elapsed() < SETTLED {
        ensure!(begun.elapsed().as_secs() < 20, "responses go on and on");
        thread::sleep(STORM_PAUSE);
        let now = written.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
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
    client::connect_from(ATTACKER, port)
}

/// The beginning of a large Produce, and then a byte now and again.
fn half_sent(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<AttackEnd> {
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
    Ok(AttackEnd { open, failed: 0 })
}

/// Responses of which the beginning is read and nothing more.
fn slow_readers(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<AttackEnd> {
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
    Ok(AttackEnd { open, failed: 0 })
}

/// Requests that are buffered to their end, and whose last byte does not come. A connection that is
/// closed before it has sent so much is opened again.
fn buffered_requests(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<AttackEnd> {
    let request = frames::alter_configs(LARGE_BYTES)?;
    let (_, begin) = request.frame.split_last().context("an empty frame")?;
    let connect = || {
        let stream = connect(port)?;
        stream.set_nonblocking(true)?;
        anyhow::Ok((stream, begin))
    };
    let mut open: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect::<Result<_>>()?;
    while !stop.load(Ordering::SeqCst) {
        let mut moved = 0;
        for (stream, rest) in &mut open {
            match stream.write(rest) {
                Ok(count) => {
                    *rest = rest.get(count..).unwrap_or_default();
                    moved += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => (*stream, *rest) = connect()?,
            }
        }
        if moved == 0 {
            // All that is taken has been given.
            done.fetch_max(CONNECTIONS as u64, Ordering::SeqCst);
            thread::sleep(STORM_PAUSE);
        }
    }
    let open = open.into_iter().map(|(stream, _)| stream).collect();
    Ok(AttackEnd { open, failed: 0 })
}

/// Responses that are buffered to their end, and then not read.
fn buffered_responses(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<AttackEnd> {
    let request = frames::describe_configs()?;
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut stream = connect(port)?;
        stream.write_all(&request.frame)?;
        open.push(stream);
        done.fetch_add(1, Ordering::SeqCst);
    }
    while !stop.load(Ordering::SeqCst) {
        thread::sleep(STORM_PAUSE);
    }
    Ok(AttackEnd { open, failed: 0 })
}

/// Connections that send a request and close without reading.
fn storm(port: u16, stop: &AtomicBool, done: &AtomicU64) -> Result<AttackEnd> {
    let request = frames::metadata()?;
    let mut failed = 0;
    while !stop.load(Ordering::SeqCst) {
        match connect(port).and_then(|mut it| Ok(it.write_all(&request.frame)?)) {
            Ok(()) => {
                done.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => failed += 1,
        }
        thread::sleep(STORM_PAUSE);
    }
    let open = Vec::new();
    Ok(AttackEnd { open, failed })
}
