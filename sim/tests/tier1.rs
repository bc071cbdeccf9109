//! A few seeds of whole runs; many more run from the command line.

use std::collections::BTreeMap;

use doorkeeper_sim::tier1::{Options, run};
use doorkeeper_sim::world::Failure;

/// So many seeds reach what is listed below.
const SEEDS: u64 = 6;

/// Kinds of faults, of responses and of ends that a handful of seeds must have met.
const MET: [&str; 9] = [
    "Bounce",
    "CrashPower",
    "Hold",
    "Lead",
    "Storm",
    "request_timeout",
    "client_closed",
    "denied",
    "done",
];

#[test]
fn a_drawn_run_survives_its_faults_and_repeats_its_trace() -> Result<(), Failure> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let options = Options {
        fault_time: std::time::Duration::from_secs(20),
        records: 25,
        ..Options::default()
    };
    for seed in 1..=SEEDS {
        let outcome = run(seed, &options)?;
        if seed == 1 {
            assert_eq!(outcome, run(seed, &options)?);
        }
        for (what, count) in outcome.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    for met in MET {
        let times = counts.get(met).copied().unwrap_or(0);
        assert!(times > 0, "{met} is not among {counts:?}");
    }
    Ok(())
}
