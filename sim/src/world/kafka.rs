//! A Kafka client as far as simulations need one: it finds the cluster through a doorkeeper, knows
//! who leads what, and asks again when that has changed.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_net::Net;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    InitProducerIdRequest, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use uuid::Uuid;

use super::link::Link;
use super::requests::Requests;
use super::trace::Trace;
use super::{ClientParts, doorkeeper};
use crate::choppy::Choppy;
use crate::net::TurmoilNet;

/// Kafka's `request.timeout.ms` and `socket.connection.setup.timeout.ms`.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Kafka's `retry.backoff.ms`.
const RETRY_AFTER: Duration = Duration::from_millis(100);

const METADATA: i16 = 12;
const INIT_PRODUCER_ID: i16 = 4;

type Connection = Link<<Choppy<TurmoilNet> as Net>::Stream>;

/// What a client knows of one topic.
#[derive(Clone, Debug, Default)]
pub struct TopicView {
    /// Its id.
    pub id: Uuid,
    /// Who leads each partition.
    pub leaders: BTreeMap<i32, BrokerId>,
}

/// A client of one topic.
#[derive(Debug)]
pub struct Kafka {
    name: String,
    net: Choppy<TurmoilNet>,
    doorkeeper: String,
    trace: Trace,
    requests: Requests,
    /// Counts its connections.
    connections: u32,
    topic: String,
    known: TopicView,
    brokers: BTreeMap<BrokerId, HostPort>,
    links: BTreeMap<BrokerId, Connection>,
}

impl Kafka {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(parts: &ClientParts, topic: &str) -> Self {
        Self {
            name: parts.name.clone(),
            net: parts.net.clone(),
            doorkeeper: parts.doorkeeper.clone(),
            trace: parts.trace.clone(),
            requests: parts.requests.clone(),
            connections: 0,
            topic: topic.to_owned(),
            known: TopicView::default(),
            brokers: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What happened.
    pub(super) const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What is known of it.
    #[must_use]
    pub const fn known(&self) -> &TopicView {
        &self.known
    }

    /// Kafka's pause before anything is tried again.
    pub async fn pause(&self) {
        tokio::time::sleep(RETRY_AFTER).await;
    }

    /// Asks the bootstrap address until the topic is there and every partition has a leader.
    ///
    /// # Errors
    /// doorkeeper's address makes no sense.
    pub async fn refresh(&mut self) -> Result<(), String> {
        let at = doorkeeper::address(&self.doorkeeper, None)?;
        loop {
            match self.ask_metadata(&at).await {
                Ok(response) if self.learn(&response) => return Ok(()),
                Ok(_) => {}
                Err(error) => self.note("metadata", &error),
            }
            self.pause().await;
        }
    }

    async fn ask_metadata(&mut self, at: &HostPort) -> io::Result<MetadataResponse> {
        let mut link = self.connect(at, None).await?;
        let name = TopicName(StrBytes::from_string(self.topic.clone()));
        let topic = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(true);
        link.call(METADATA, &request, REQUEST_WITHIN).await
    }

    /// Whether the response says all that is needed.
    fn learn(&mut self, response: &MetadataResponse) -> bool {
        self.brokers.clear();
        for broker in &response.brokers {
            let id = BrokerId(broker.node_id.0);
            let advertised = format!("{}:{}", &*broker.host, broker.port);
            match doorkeeper::address(&self.doorkeeper, Some(id)) {
                Ok(at) if at.to_string() == advertised => {
                    self.brokers.insert(id, at);
                }
                _ => {
                    let name = &self.name;
                    self.trace.violation(
                        18,
                        format_args!("{name} learned that broker {id} is at {advertised}"),
                    );
                }
            }
        }
        let Some(topic) = response
            .topics
            .first()
            .filter(|topic| topic.error_code == 0)
        else {
            return false;
        };
        let leaders = topic.partitions.iter();
        let leaders = leaders.map(|it| (it.partition_index, BrokerId(it.leader_id.0)));
        self.known = TopicView {
            id: topic.topic_id,
            leaders: leaders.collect(),
        };
        let leaders = &self.known.leaders;
        !leaders.is_empty() && leaders.values().all(|id| self.brokers.contains_key(id))
    }

    /// An id for a producer that repeats itself without repeating records.
    ///
    /// # Errors
    /// doorkeeper's address makes no sense.
    pub async fn producer_id(&mut self) -> Result<i64, String> {
        loop {
            let brokers: Vec<BrokerId> = self.brokers.keys().copied().collect();
            for id in brokers {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(None)
                    .with_transaction_timeout_ms(60_000);
                let response = self.call(id, INIT_PRODUCER_ID, &request).await;
                if let Some(response) = response.filter(|it| it.error_code == 0) {
                    return Ok(response.producer_id.0);
                }
            }
            self.pause().await;
            self.refresh().await?;
        }
    }

    /// Asks one broker. None if there is no response; its connection is given up then.
    pub async fn call<R: Request>(
        &mut self,
        broker: BrokerId,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        match self.try_call(broker, version, request).await {
            Ok(response) => Some(response),
            Err(error) => {
                self.note("call", &error);
                self.links.remove(&broker);
                None
            }
        }
    }

    async fn try_call<R: Request>(
        &mut self,
        broker: BrokerId,
        version: i16,
        request: &R,
    ) -> io::Result<R::Response> {
        let mut link = match self.links.remove(&broker) {
            Some(link) => link,
            None => {
                let at = self.brokers.get(&broker).cloned();
                let at = at.ok_or(io::ErrorKind::NotFound)?;
                self.connect(&at, Some(broker)).await?
            }
        };
        let response = link.call(version, request, REQUEST_WITHIN).await?;
        self.links.insert(broker, link);
        Ok(response)
    }

    async fn connect(&mut self, at: &HostPort, broker: Option<BrokerId>) -> io::Result<Connection> {
        self.connections += 1;
        let name = format!("{}/{}", self.name, self.connections);
        let connect = tokio::time::timeout(CONNECT_WITHIN, self.net.connect(at));
        let Ok(connected) = connect.await else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        let link = Link::new(connected?, &name, &self.trace);
        Ok(link.counted(&self.requests, &self.doorkeeper, broker))
    }

    fn note(&self, what: &str, error: &io::Error) {
        let (name, kind) = (&self.name, error.kind());
        self.trace
            .event(format_args!("{name} {what} failed: {kind:?}"));
    }
}
