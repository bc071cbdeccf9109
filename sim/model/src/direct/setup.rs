//! From the setting of a script to a world.

use std::sync::Arc;

use doorkeeper_core::Instant;
use doorkeeper_core::discovery::Discovery;
use doorkeeper_core::id::Seed;

use super::brokers::Brokers;
use super::buffers::Budgets;
use super::clients::Client;
use super::discovery::DiscoveryDriver;
use super::net::Net;
use super::{Options, World};
use crate::environment;
use crate::script::{Ordinal, Script};
use crate::watch::Watch;
use doorkeeper_kafka_model::Rng;

impl World {
    pub(super) fn new(script: &Script, options: Options) -> Self {
        let setting = &script.setting;
        let now = Instant::from_nanos(1_000_000_000);
        let snapshot = Arc::new(environment::snapshot(setting));
        let machine = Discovery::new(now, environment::discovery(&snapshot), Seed([0; 32]));
        let brokers = Brokers::new(environment::cluster(setting), environment::brokers(setting));
        Self {
            now,
            #[cfg(doorkeeper_mutants)]
            options,
            step: 0,
            net: Net::new(setting),
            rng: Rng::stream(setting.seed, 1),
            seed: setting.seed,
            clients: (0..Ordinal::MAX).map(|n| Client::new(Ordinal(n))).collect(),
            sessions: Vec::new(),
            open: Vec::new(),
            asking: DiscoveryDriver::new(machine),
            brokers,
            budgets: setting.buffered.map(|bytes| Budgets::new(bytes as usize)),
            watch: Watch::new(&snapshot, options.transcript, options.whole_trace)
                .with_timeline(options.timeline),
            snapshot,
            drain: None,
        }
    }
}
