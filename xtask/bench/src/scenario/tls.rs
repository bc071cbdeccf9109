//! The same over TLS, beside haproxy, which speaks the same TLS: what is compared is the work.

use super::{Scenario, at_most, bulk, connections, latency, memory, tls_storm};
use crate::proxy::{Kind, Setup};
use crate::report::{Bar, Figure};

const KINDS: &[Kind] = &[Kind::Doorkeeper, Kind::Haproxy];

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (setup, bars) in [(Setup::Tls, [1.0, 0.7]), (Setup::TlsOnBothLegs, [1.0, 1.0])] {
        for is_fetch in [false, true] {
            for (connections, bar) in [1, 64].into_iter().zip(bars) {
                let figures = vec![
                    Figure::less("CPU per GiB", "s", Kind::Haproxy, at_most(bar)),
                    Figure::more("throughput", "MiB/s", Kind::Haproxy, None),
                ];
                let base = bulk::large(is_fetch, connections);
                all.push(over(setup, figures, base));
            }
        }
    }
    for setup in [Setup::Tls, Setup::TlsOnBothLegs] {
        let figures = vec![
            Figure::less("p50", "us", Kind::Haproxy, at_most(1.05)),
            Figure::less("p99", "us", Kind::Haproxy, None),
            Figure::less("CPU per request", "us", Kind::Haproxy, None),
        ];
        all.push(over(setup, figures, latency::alone()));
    }
    let bar = Some(Bar::RatioAtLeast(1.5));
    for (setup, bar) in [(Setup::Tls, bar), (Setup::HybridTls, None)] {
        let figures = vec![
            Figure::more("connections per CPU second", "1/s", Kind::Haproxy, bar),
            Figure::more("connections per second", "1/s", Kind::Haproxy, None),
        ];
        let mut scenario = over(setup, figures, connections::scenario());
        if setup == Setup::HybridTls {
            // The OpenSSL that haproxy has need not know it.
            scenario.kinds = &[Kind::Doorkeeper];
        }
        all.push(scenario);
    }
    let bar = at_most(1.0);
    let each = vec![Figure::less("RSS each", "KiB", Kind::Haproxy, bar)];
    all.push(over(Setup::Tls, each, memory::idle_after_requests()));
    let mut storm = tls_storm::scenario();
    storm.name = format!("{}, {}", Setup::Tls.name(), storm.name);
    all.push(storm);
    all
}

/// A scenario with other figures of what it measures.
fn over(setup: Setup, figures: Vec<Figure>, scenario: Scenario) -> Scenario {
    Scenario {
        name: format!("{}, {}", setup.name(), scenario.name),
        figures,
        setup,
        kinds: KINDS,
        ..scenario
    }
}
