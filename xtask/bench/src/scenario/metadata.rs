//! Metadata of 1,000 partitions, whose addresses only doorkeeper rewrites.

use anyhow::Result;

use super::{Bench, Scenario, Values, at_most};
use crate::client::{self, Client, Counts};
use crate::proxy::{Kind, Proxy, Setup};
use crate::report::Figure;
use doorkeeper_bench::frames;

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: "Metadata of 1,000 partitions".to_owned(),
        figures: vec![Figure::less(
            "CPU per response",
            "us",
            Kind::Relay,
            at_most(2.0),
        )],
        run: Box::new(run),
        setup: Setup::Plaintext,
        fresh: false,
        kinds: &Kind::ALL,
    }
}

fn run(bench: &Bench, proxy: &Proxy) -> Result<Values> {
    let count = bench.amount.trips;
    let request = frames::metadata()?;
    let mut buffer = client::buffer();
    let mut client = Client::ready(&proxy.target, &mut buffer)?;
    for _ in 0..100 {
        client.exchange(&request, &mut buffer)?;
    }
    let cpu = proxy.cpu()?;
    for _ in 0..count {
        client.exchange(&request, &mut buffer)?;
    }
    let cpu = proxy.cpu()? - cpu;
    bench.checked(|| Ok((Counts::default(), ())))?;
    Ok(vec![("CPU per response", cpu / count as f64 * 1e6)])
}
