//! Whether a request costs the same however many connections there are: they take turns, with at
//! most so many requests under way at a time.

use anyhow::Result;

use super::{Bench, Scenario, Values};
use crate::client::{self, Client, Counts};
use crate::proxy::{Kind, Proxy, Setup};
use crate::report::{Bar, Figure};
use doorkeeper_bench::frames::{self, Request};

const RECORD_BYTES: usize = 10 << 10;
/// Requests under way at a time.
const AT_ONCE: usize = 64;
/// Both legs of each stay within a usual limit of 10,000 descriptors.
const MANY: usize = 4500;

pub(super) fn scenario() -> Scenario {
    let cost = |name| Figure::less(name, "us", Kind::Haproxy, None);
    Scenario {
        name: "Produce 10 KiB, connections in turns".to_owned(),
        figures: vec![
            cost("CPU per request, 1 connection"),
            cost("CPU per request, 64 connections"),
            cost("CPU per request, 4,500 connections"),
            Figure::less(
                "4,500 connections over 1",
                "",
                Kind::Haproxy,
                Some(Bar::ValueAtMost(1.3)),
            ),
        ],
        run: Box::new(run),
        setup: Setup::Plaintext,
        fresh: false,
        kinds: &[Kind::Doorkeeper, Kind::Haproxy],
    }
}

fn run(bench: &Bench, proxy: &Proxy) -> Result<Values> {
    let request = frames::produce(RECORD_BYTES)?;
    let cost =
        |connections| bench.checked(|| cost(proxy, &request, connections, bench.amount.trips));
    let (one, some, many) = (cost(1)?, cost(AT_ONCE)?, cost(MANY)?);
    Ok(vec![
        ("CPU per request, 1 connection", one),
        ("CPU per request, 64 connections", some),
        ("CPU per request, 4,500 connections", many),
        ("4,500 connections over 1", many / one),
    ])
}

fn cost(
    proxy: &Proxy,
    request: &Request,
    connections: usize,
    requests: usize,
) -> Result<(Counts, f64)> {
    let turns = requests.max(connections) / connections;
    let mut buffer = client::buffer();
    let mut clients = Client::many_ready(connections, &proxy.target, &mut buffer)?;
    for client in &mut clients {
        client.exchange(request, &mut buffer)?;
    }
    let cpu = proxy.cpu()?;
    for _ in 0..turns {
        for some in clients.chunks_mut(AT_ONCE) {
            for client in &mut *some {
                client.send(request)?;
            }
            for client in some {
                client.receive(&mut buffer)?;
            }
        }
    }
    let cpu = proxy.cpu()? - cpu;
    let counted = clients
        .iter()
        .fold(Counts::default(), |all, client| all.and(client.counted));
    Ok((counted, cpu / (turns * connections) as f64 * 1e6))
}
