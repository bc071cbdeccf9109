//! Connections that ask for versions and close.

use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::{Bench, Scenario, Values};
use crate::client::{self, Client, Target};
use crate::proxy::{Kind, Proxy, Setup};
use crate::report::{Bar, Figure};
use doorkeeper_bench::frames;

const AT_ONCE: usize = 4;

pub(super) fn scenario() -> Scenario {
    let bar = Some(Bar::RatioAtLeast(0.9));
    Scenario {
        name: "connect, ApiVersions, close".to_owned(),
        figures: vec![
            Figure::more("connections per second", "1/s", Kind::Haproxy, bar),
            Figure::less("CPU per connection", "us", Kind::Haproxy, None),
        ],
        run: Box::new(run),
        setup: Setup::Plaintext,
        fresh: false,
        kinds: &Kind::ALL,
    }
}

fn run(bench: &Bench, proxy: &Proxy) -> Result<Values> {
    let each = bench.amount.connects / AT_ONCE;
    let (cpu, begun) = (proxy.cpu()?, Instant::now());
    let clients: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let target = proxy.target.clone();
            thread::spawn(move || come_and_go(&target, each))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = proxy.cpu()? - cpu;
    let count = (each * AT_ONCE) as f64;
    Ok(vec![
        ("connections per second", count / seconds),
        ("CPU per connection", cpu / count * 1e6),
        ("connections per CPU second", count / cpu),
    ])
}

fn come_and_go(target: &Target, count: usize) -> Result<()> {
    let request = frames::api_versions()?;
    let mut buffer = client::buffer();
    for _ in 0..count {
        Client::connect(target)?.exchange(&request, &mut buffer)?;
    }
    Ok(())
}
