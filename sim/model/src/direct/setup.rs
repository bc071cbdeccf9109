//! From the setting of a script to a world.

use std::sync::Arc;

use doorkeeper_core::Instant;
use doorkeeper_core::discovery::Discovery;
use doorkeeper_core::id::Seed;
use doorkeeper_core::mark::Mark;

use super::brokers::Brokers;
use super::clients::Client;
use super::discovery::Asking;
use super::held::Budgets;
use super::net::Net;
use super::{Options, World};
use crate::rng::Rng;
use crate::script::{Numbered, Script};
use crate::surroundings;
use crate::watch::Watch;

impl World {
    pub(super) fn new(script: &Script, options: Options) -> Self {
        let setting = &script.setting;
        let now = Instant::from_nanos(1_000_000_000);
        let snapshot = Arc::new(surroundings::snapshot(setting));
        let machine = Discovery::new(now, surroundings::discovery(&snapshot), Seed([0; 32]));
        let brokers = Brokers::new(
            surroundings::cluster(setting),
            surroundings::brokers(setting),
        );
        Self {
            now,
            #[cfg(doorkeeper_mutants)]
            options,
            step: 0,
            net: Net::new(setting),
            rng: Rng::stream(setting.seed, 1),
            seed: setting.seed,
            clients: (0..Numbered::MAX)
                .map(|n| Client::new(Numbered(n)))
                .collect(),
            guests: Vec::new(),
            open: Vec::new(),
            asking: Asking::new(machine),
            brokers,
            budgets: setting.held.map(|bytes| Budgets::new(bytes as usize)),
            watch: Watch::new(&snapshot, options.transcript, options.whole_trace)
                .with_story(options.story),
            snapshot,
            drain: None,
            marks: vec![0; Mark::ALL.len()],
        }
    }
}
