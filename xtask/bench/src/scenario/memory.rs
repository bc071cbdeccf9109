//! Memory: of the process, of idle connections, of those that sent a few bytes, of slow readers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Bench, Scenario, Values};
use crate::client::{self, Client, Counts};
use crate::proxy::{Kind, Memory, Proxy, Setup};
use crate::report::{Bar, Figure};
use doorkeeper_bench::frames;

const IDLE_CONNECTIONS: usize = 4500;
const KNOCKS: usize = 4500;
const SLOW_READERS: usize = 64;
const SLOW_BYTES: usize = 10 << 20;
/// How long nothing must move before everything is taken to stand still.
const STILL: Duration = Duration::from_millis(300);

/// The relay has two threads and two buffers a connection: no measure for this.
const KINDS: &[Kind] = &[Kind::Doorkeeper, Kind::Haproxy];

type Run = fn(&Bench, &Proxy) -> Result<Values>;

/// Connections whose both legs have been used.
pub(super) fn idle_after_requests() -> Scenario {
    scenario(
        "idle connection after Metadata and Produce",
        ("RSS each", "KiB"),
        kib(5.0),
        idle_connections,
    )
}

fn scenario(
    name: &str,
    figure: (&'static str, &'static str),
    bar: Option<Bar>,
    run: Run,
) -> Scenario {
    Scenario {
        name: name.to_owned(),
        figures: vec![Figure::less(figure.0, figure.1, Kind::Haproxy, bar)],
        run: Box::new(run),
        setup: Setup::Plaintext,
        fresh: true,
        kinds: KINDS,
    }
}

const fn kib(most: f64) -> Option<Bar> {
    Some(Bar::ValueAtMost(most))
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("idle process", ("RSS", "KiB"), kib(8.0 * 1024.0), idle),
        idle_after_requests(),
        scenario(
            "connection that sent 3 bytes",
            ("RSS each", "KiB"),
            kib(5.0),
            knocks,
        ),
        scenario(
            "64 slow readers of 10 MiB, newest Fetch",
            ("peak RSS", "KiB"),
            kib(32.0 * 1024.0),
            |bench, proxy| slow_readers(bench, proxy, frames::FETCH),
        ),
        scenario(
            "64 slow readers of 10 MiB, Fetch 12",
            ("peak RSS", "KiB"),
            kib(32.0 * 1024.0),
            |bench, proxy| slow_readers(bench, proxy, frames::OLD_FETCH),
        ),
    ]
}

fn idle(_: &Bench, proxy: &Proxy) -> Result<Values> {
    Ok(vec![("RSS", proxy.memory()?.resident as f64)])
}

fn idle_connections(bench: &Bench, proxy: &Proxy) -> Result<Values> {
    let (metadata, produce) = (frames::metadata()?, frames::produce(10 << 10)?);
    let mut buffer = client::buffer();
    // What the process needs once is not charged to the connections.
    let mut first = Client::ready(&proxy.target, &mut buffer)?;
    first.exchange(&metadata, &mut buffer)?;
    first.exchange(&produce, &mut buffer)?;
    let before = settled(proxy)?;
    let mut clients = Vec::new();
    bench.checked(|| {
        clients = Client::many_ready(IDLE_CONNECTIONS, &proxy.target, &mut buffer)?;
        for client in &mut clients {
            client.exchange(&metadata, &mut buffer)?;
            client.exchange(&produce, &mut buffer)?;
        }
        let counted = clients
            .iter()
            .fold(Counts::default(), |all, client| all.and(client.counted));
        Ok((counted, ()))
    })?;
    let after = settled(proxy)?;
    Ok(each(before, after, clients.len()))
}

fn knocks(_: &Bench, proxy: &Proxy) -> Result<Values> {
    let before = settled(proxy)?;
    let mut clients = Vec::with_capacity(KNOCKS);
    for client in Client::many(KNOCKS, &proxy.target) {
        let mut client = client?;
        client.knock(&[0, 0, 0])?;
        clients.push(client);
    }
    let after = settled(proxy)?;
    Ok(each(before, after, KNOCKS))
}

fn each(before: Memory, after: Memory, count: usize) -> Values {
    let more = after.resident.saturating_sub(before.resident);
    vec![("RSS each", more as f64 / count as f64)]
}

fn slow_readers(bench: &Bench, proxy: &Proxy, version: (i16, i16)) -> Result<Values> {
    bench.sink.respond_to_fetch_with(SLOW_BYTES)?;
    let request = frames::fetch(version)?;
    let mut buffer = client::buffer();
    bench.checked(|| {
        let mut readers = Vec::with_capacity(SLOW_READERS);
        for _ in 0..SLOW_READERS {
            let mut client = Client::ready(&proxy.target, &mut buffer)?;
            client.send(&request)?;
            readers.push((client, 0));
        }
        for (client, left) in &mut readers {
            *left = client.receive_head()?;
        }
        still(|| Ok(bench.sink.seen.written.load(Ordering::Relaxed)))?;
        while readers.iter().any(|(_, left)| *left > 0) {
            for (client, left) in readers.iter_mut().filter(|(_, left)| *left > 0) {
                *left -= client.receive_some((*left).min(64 << 10), &mut buffer)?;
            }
        }
        let peak = proxy.memory()?.peak;
        let counted = readers.iter().fold(Counts::default(), |all, (client, _)| {
            all.and(client.counted)
        });
        ensure!(
            counted.response_bytes > (SLOW_READERS * SLOW_BYTES) as u64,
            "bytes are missing"
        );
        Ok((counted, vec![("peak RSS", peak as f64)]))
    })
}

/// The memory once it has stopped to change.
fn settled(proxy: &Proxy) -> Result<Memory> {
    still(|| Ok(proxy.memory()?.resident))?;
    proxy.memory()
}

fn still(mut value: impl FnMut() -> Result<u64>) -> Result<()> {
    let (mut last, mut since) = (value()?, Instant::now());
    while since.elapsed() < STILL {
        std::thread::sleep(Duration::from_millis(5));
        let now = value()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}
