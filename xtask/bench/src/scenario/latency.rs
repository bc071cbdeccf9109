//! How long a small Produce takes there and back: alone, and while others send in bulk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::{Bench, Scenario, Values, at_most};
use crate::client::{self, Client, Counts, Target};
use crate::proxy::{Kind, Proxy, Setup};
use crate::report::{Bar, Figure};
use doorkeeper_bench::frames::{self, Request};

const RECORD_BYTES: usize = 100;
const BULK_BYTES: usize = 1 << 20;
const BULK_CONNECTIONS: usize = 2;

/// Round trips and nothing else.
pub(super) fn alone() -> Scenario {
    scenario("Produce 100 bytes, round trip alone", Vec::new(), 0)
}

fn scenario(name: &str, figures: Vec<Figure>, bulk: usize) -> Scenario {
    Scenario {
        name: name.to_owned(),
        figures,
        run: Box::new(move |bench, proxy| run(bench, proxy, bulk)),
        setup: Setup::Plaintext,
        fresh: false,
        kinds: &Kind::ALL,
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let times = |bar_p50, p99_base, bar_p99| {
        vec![
            Figure::less("p50", "us", Kind::Relay, bar_p50),
            Figure::less("p99", "us", p99_base, bar_p99),
            Figure::less("p99.9", "us", p99_base, None),
        ]
    };
    let mut of_alone = times(at_most(1.1), Kind::Relay, None);
    of_alone.push(Figure::less("CPU per request", "us", Kind::Relay, None));
    let beside = times(None, Kind::Haproxy, Some(Bar::RatioAtMost(1.0)));
    vec![
        Scenario {
            figures: of_alone,
            ..alone()
        },
        scenario(
            "Produce 100 bytes, round trip beside bulk",
            beside,
            BULK_CONNECTIONS,
        ),
    ]
}

fn run(bench: &Bench, proxy: &Proxy, bulk: usize) -> Result<Values> {
    let request = frames::produce(RECORD_BYTES)?;
    let large = frames::produce(BULK_BYTES)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (mut times, cpu) = bench.checked(|| {
        let spawn = |_| {
            let (stop, large) = (Arc::clone(&stop), large.clone());
            let target = proxy.target.clone();
            thread::spawn(move || noise(&target, &large, &stop))
        };
        let others: Vec<_> = (0..bulk).map(spawn).collect();
        let trips = trips(proxy, &request, bench.amount.trips);
        stop.store(true, Ordering::Relaxed);
        let mut counted = Counts::default();
        for other in others {
            let other = other.join().map_err(|_| anyhow!("a client panicked"))??;
            counted = counted.and(other);
        }
        let (own, times, cpu) = trips?;
        Ok((counted.and(own), (times, cpu)))
    })?;
    times.sort_by(f64::total_cmp);
    let at = |part: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in the list"
        )]
        let place = (times.len() as f64 * part) as usize;
        times.get(place).copied().unwrap_or(0.0) * 1e6
    };
    let each = cpu / times.len() as f64 * 1e6;
    Ok(vec![
        ("p50", at(0.5)),
        ("p99", at(0.99)),
        ("p99.9", at(0.999)),
        ("CPU per request", each),
    ])
}

fn trips(proxy: &Proxy, request: &Request, count: usize) -> Result<(Counts, Vec<f64>, f64)> {
    let mut buffer = client::buffer();
    let mut client = Client::ready(&proxy.target, &mut buffer)?;
    for _ in 0..100 {
        client.exchange(request, &mut buffer)?;
    }
    let cpu = proxy.cpu()?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        client.exchange(request, &mut buffer)?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let cpu = proxy.cpu()? - cpu;
    Ok((client.counted, times, cpu))
}

/// Sends without a pause until `stop` is set.
fn noise(target: &Target, request: &Request, stop: &AtomicBool) -> Result<Counts> {
    let mut buffer = client::buffer();
    let mut client = Client::ready(target, &mut buffer)?;
    while !stop.load(Ordering::Relaxed) {
        client.exchange(request, &mut buffer)?;
    }
    Ok(client.counted)
}
