//! Discovery and what surrounds it, driven by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use doorkeeper_core::discovery::{Config, Discovery, Effect, Event, Failure, Input};
use doorkeeper_core::id::{HostPort, Seed};
use doorkeeper_core::sasl::broker::TokenRequest;
use doorkeeper_core::topology::{DialMap, Topology};
use doorkeeper_core::{Instant, Target};
use kafka_protocol::messages::api_versions_response::ApiVersion as Range;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{ApiVersionsResponse, MetadataResponse};
use kafka_protocol::protocol::Encodable;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) discovery: Discovery,
    pub(crate) now: Instant,
    pub(crate) targets: Vec<Target>,
    pub(crate) published: Vec<Arc<Topology>>,
    pub(crate) events: Vec<Event>,
    pub(crate) connected: bool,
    pub(crate) sent: Vec<u8>,
    pub(crate) requested: Vec<TokenRequest>,
}

pub(crate) fn at(text: &str) -> HostPort {
    text.parse().unwrap()
}

pub(crate) fn config() -> Config {
    Config {
        bootstrap: vec![at("first:1"), at("second:2")],
        dial: DialMap::default(),
        refresh_interval: 30 * SECOND,
        refresh_interval_min: 2 * SECOND,
        connect_timeout: 5 * SECOND,
        request_timeout: 5 * SECOND,
        backoff_min: SECOND,
        backoff_max: 8 * SECOND,
        frame_bytes_max: 1 << 20,
        learns_versions: false,
        logs_in: false,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = Instant::from_nanos(1);
        let mut world = Self {
            discovery: Discovery::new(now, config.clone(), Seed([0; 32])),
            config,
            now,
            targets: Vec::new(),
            published: Vec::new(),
            events: Vec::new(),
            connected: false,
            sent: Vec::new(),
            requested: Vec::new(),
        };
        world.settle();
        world
    }

    pub(crate) fn settle(&mut self) {
        while let Some(effect) = self.discovery.poll() {
            match effect {
                Effect::Connect(target) => self.targets.push(target),
                Effect::Disconnect => self.connected = false,
                Effect::RequestToken(request) => self.requested.push(request),
                Effect::Publish(topology) => self.published.push(topology),
                Effect::Report(event) => self.events.push(event),
            }
        }
        let due: Vec<u8> = self
            .discovery
            .egress()
            .slices()
            .flatten()
            .copied()
            .collect();
        if self.connected && !due.is_empty() {
            self.sent.extend_from_slice(&due);
            self.input(Input::Wrote(due.len()));
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.discovery.handle(self.now, input);
        self.settle();
    }

    /// Lets time pass until the next deadline that does something.
    pub(crate) fn until_connect(&mut self) {
        let count = self.targets.len();
        while self.targets.len() == count {
            self.now = self.discovery.demand().deadline.unwrap();
            self.input(Input::Tick);
        }
    }

    pub(crate) fn connect(&mut self) {
        self.connected = true;
        self.input(Input::Connected);
    }

    /// The correlation id of the request that was sent last.
    pub(crate) fn asked(&mut self) -> i32 {
        let sent = std::mem::take(&mut self.sent);
        i32::from_be_bytes(sent[8..12].try_into().unwrap())
    }

    pub(crate) fn respond(&mut self, id: i32, version: i16, body: &impl Encodable) {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i32(id);
        body.encode(&mut frame, version).unwrap();
        let len = i32::try_from(frame.len()).unwrap() - 4;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        // In two pieces, as a network may bring it.
        let tail = frame.split_off(5);
        self.input(Input::Bytes(frame.freeze()));
        self.input(Input::Bytes(tail.freeze()));
    }

    pub(crate) fn offer(&mut self, first: i16, last: i16) {
        let id = self.asked();
        let range = Range::default()
            .with_api_key(3)
            .with_min_version(first)
            .with_max_version(last);
        self.respond(
            id,
            0,
            &ApiVersionsResponse::default().with_api_keys(vec![range]),
        );
    }

    pub(crate) fn list(&mut self, cluster: &str, brokers: &[(i32, &str, i32)]) {
        let id = self.asked();
        let entry = |(id, host, port): &(i32, &str, i32)| {
            MetadataResponseBroker::default()
                .with_node_id((*id).into())
                .with_host((*host).to_string().into())
                .with_port(*port)
        };
        let body = MetadataResponse::default()
            .with_brokers(brokers.iter().map(entry).collect())
            .with_cluster_id(Some(cluster.to_string().into()));
        self.respond(id, 8, &body);
    }

    pub(crate) fn round(&mut self, cluster: &str, brokers: &[(i32, &str, i32)]) {
        self.connect();
        self.offer(0, 13);
        self.list(cluster, brokers);
    }

    pub(crate) fn newest(&self) -> Vec<(i32, String)> {
        let newest = self.published.last().unwrap();
        newest
            .brokers()
            .map(|(id, at)| (id.0, at.to_string()))
            .collect()
    }

    pub(crate) fn failures(&self) -> Vec<Failure> {
        let failed = |event: &Event| match event {
            Event::Failed { why, .. } => Some(*why),
            Event::Refreshed { .. } | Event::Ignored { .. } => None,
        };
        self.events.iter().filter_map(failed).collect()
    }
}

pub(crate) fn pairs(brokers: &[(i32, &str)]) -> Vec<(i32, String)> {
    brokers
        .iter()
        .map(|(id, at)| (*id, (*at).to_string()))
        .collect()
}
