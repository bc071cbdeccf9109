//! The model as a value: time passes only in waits.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_core::time::Instant;
use doorkeeper_kafka_model::{Cluster, ClusterConfig, ConnectionId, Output};
use doorkeeper_model::client::TopicIds;
use doorkeeper_model::environment;
use doorkeeper_model::frames::{Cutter, with_length, without_length};
use doorkeeper_model::script::Setting;

use super::brokers::{Brokers, IDS};

/// The model's cluster.
#[derive(Debug)]
pub(super) struct Simulated {
    cluster: Cluster,
    now: Instant,
    responses: Vec<(ConnectionId, Option<Bytes>)>,
}

/// One connection to it.
#[derive(Debug)]
pub(super) struct Wire {
    id: ConnectionId,
    cutter: Cutter,
}

impl Simulated {
    /// A cluster with the settings of the real one, which advertises the same addresses.
    pub(super) fn new(seed: u64, places: &[HostPort]) -> Self {
        let ids = IDS.into_iter().map(BrokerId);
        let plain = environment::cluster_config(&Setting::default());
        let config = ClusterConfig {
            brokers: ids.zip(places.iter().cloned()).collect(),
            seed,
            limits: doorkeeper_kafka_model::Limits {
                auto_create_topics: false,
                // What followers do takes time of its own.
                default_replication_factor: 1,
                ..plain.limits
            },
        };
        let mut cluster = Cluster::new(config);
        environment::create_topics(&mut cluster);
        Self {
            cluster,
            now: Instant::from_nanos(1),
            responses: Vec::new(),
        }
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.cluster.poll() {
            self.responses.push(match output {
                Output::Frame { connection, bytes } => (connection, Some(with_length(&bytes))),
                Output::Close { connection, .. } => (connection, None),
            });
        }
    }
}

impl Brokers for Simulated {
    type Wire = Wire;

    async fn connect(&mut self, broker: i32) -> Result<Wire> {
        let id = self.cluster.connected(self.now, BrokerId(broker));
        Ok(Wire {
            id,
            cutter: Cutter::default(),
        })
    }

    async fn send(&mut self, wire: &mut Wire, bytes: &[u8]) -> Result<()> {
        wire.cutter.push(bytes);
        while let Some(frame) = wire.cutter.next_frame() {
            self.cluster
                .request(self.now, wire.id, without_length(frame));
        }
        self.take_outputs();
        Ok(())
    }

    async fn receive(&mut self, wire: &mut Wire) -> Result<Option<Bytes>> {
        loop {
            let mine = self.responses.iter().position(|(id, _)| *id == wire.id);
            if let Some(at) = mine {
                return Ok(self.responses.remove(at).1);
            }
            self.now = match self.cluster.deadline() {
                Some(deadline) => deadline.max(self.now),
                None => anyhow::bail!("it waits for ever"),
            };
            self.cluster.tick(self.now);
            self.take_outputs();
        }
    }

    fn topic_ids(&self) -> &dyn TopicIds {
        &self.cluster
    }

    async fn pause(&mut self) {
        self.now = self.now.after(Duration::from_millis(100));
        self.cluster.tick(self.now);
        self.take_outputs();
    }
}
