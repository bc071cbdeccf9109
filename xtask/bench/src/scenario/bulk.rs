//! Records in bulk: Produce and Fetch, large and small, on one connection and on many.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};

use super::{Bench, Scenario, Values, at_most};
use crate::client::{self, Client, Counts, Target};
use crate::proxy::{Kind, Proxy, Setup};
use crate::report::Figure;
use doorkeeper_bench::frames::{self, Request};

/// Requests that a client has under way, as many as a producer has by default.
const WINDOW: usize = 5;
const MIB: usize = 1 << 20;
const KIB: usize = 1 << 10;
const GIB: f64 = (1 << 30) as f64;
const STACK_BYTES: usize = 128 * 1024;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (api, is_fetch) in [("Produce", false), ("Fetch", true)] {
        for connections in [1, 64] {
            let bar = if connections == 1 { 1.1 } else { 1.2 };
            all.push(scenario(api, is_fetch, ("1 MiB", MIB), connections, bar));
            all.push(scenario(
                api,
                is_fetch,
                ("10 KiB", 10 * KIB),
                connections,
                1.2,
            ));
        }
    }
    all
}

/// Records of 1 MiB.
pub(super) fn large(is_fetch: bool, connections: usize) -> Scenario {
    let api = if is_fetch { "Fetch" } else { "Produce" };
    scenario(api, is_fetch, ("1 MiB", MIB), connections, 1.0)
}

fn scenario(
    api: &str,
    is_fetch: bool,
    (size, record_bytes): (&str, usize),
    connections: usize,
    bar: f64,
) -> Scenario {
    let name = format!("{api} {size}, {connections} connections");
    let cpu = if record_bytes < MIB {
        Figure::less("CPU per request", "us", Kind::Relay, at_most(bar))
    } else {
        Figure::less("CPU per GiB", "s", Kind::Relay, at_most(bar))
    };
    let speed = Figure::more("throughput", "MiB/s", Kind::Relay, None);
    Scenario {
        name,
        figures: vec![cpu, speed],
        run: Box::new(move |bench, proxy| run(bench, proxy, is_fetch, record_bytes, connections)),
        setup: Setup::Plaintext,
        fresh: false,
        kinds: &Kind::ALL,
    }
}

fn run(
    bench: &Bench,
    proxy: &Proxy,
    is_fetch: bool,
    record_bytes: usize,
    connections: usize,
) -> Result<Values> {
    let request = if is_fetch {
        bench.sink.respond_to_fetch_with(record_bytes)?;
        frames::fetch(frames::FETCH)?
    } else {
        frames::produce(record_bytes)?
    };
    // Small records cost more each, so there are fewer bytes of them.
    let all = bench.amount.bulk_bytes / if record_bytes < MIB { 8 } else { 1 };
    let each = usize::try_from(all)? / record_bytes / connections;
    let (cpu, seconds) = bench.checked(|| pump(proxy, &request, connections, each.max(1)))?;
    let requests = (each.max(1) * connections) as f64;
    let bytes = requests * record_bytes as f64;
    Ok(vec![
        ("CPU per request", cpu / requests * 1e6),
        ("CPU per GiB", cpu / bytes * GIB),
        ("throughput", bytes / seconds / MIB as f64),
    ])
}

/// Sends `each` requests on every connection; the CPU that the proxy took, and how long.
pub(super) fn pump(
    proxy: &Proxy,
    request: &Request,
    connections: usize,
    each: usize,
) -> Result<(Counts, (f64, f64))> {
    // Every connection has had a response before the clock starts.
    let warm = Arc::new(Barrier::new(connections + 1));
    let start = Arc::new(Barrier::new(connections + 1));
    let spawn = |_| {
        let (warm, start) = (Arc::clone(&warm), Arc::clone(&start));
        let (request, target) = (request.clone(), proxy.target.clone());
        let body = move || one(&target, &request, each, &warm, &start);
        thread::Builder::new().stack_size(STACK_BYTES).spawn(body)
    };
    let clients: Vec<_> = (0..connections).map(spawn).collect::<Result<_, _>>()?;
    warm.wait();
    let (cpu, begun) = (proxy.cpu()?, Instant::now());
    start.wait();
    let mut counted = Counts::default();
    let mut open = Vec::new();
    for client in clients {
        let client = client.join().map_err(|_| anyhow!("a client panicked"))??;
        counted = counted.and(client.counted);
        open.push(client);
    }
    let taken = (proxy.cpu()? - cpu, begun.elapsed().as_secs_f64());
    drop(open);
    Ok((counted, taken))
}

fn one(
    target: &Target,
    request: &Request,
    each: usize,
    warm: &Barrier,
    start: &Barrier,
) -> Result<Client> {
    let mut buffer = client::buffer();
    let ready = warmed(target, request, &mut buffer);
    // A client that failed does not keep the others waiting.
    warm.wait();
    start.wait();
    let mut client = ready.context("before the clock started")?;
    for _ in 0..each {
        client.send(request)?;
        if client.owed() == WINDOW {
            client.receive(&mut buffer)?;
        }
    }
    while client.owed() > 0 {
        client.receive(&mut buffer)?;
    }
    Ok(client)
}

fn warmed(target: &Target, request: &Request, buffer: &mut [u8]) -> Result<Client> {
    let mut client = Client::ready(target, buffer)?;
    client.exchange(request, buffer)?;
    Ok(client)
}
