//! What is said: a little of everything, one step after the other, each of which waits for what it
//! needs. Races of connections do not show.

use std::time::Duration;

use bytes::Bytes;
use doorkeeper_core::id::{BrokerId, HostPort};
use doorkeeper_net::Net;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, DescribeConfigsRequest, FetchRequest,
    FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::world::link::Link;
use crate::world::trace::Trace;
use crate::world::workload;

const TOPIC: &str = "orders";
const WITHIN: Duration = Duration::from_secs(20);

/// Somebody who talks to doorkeeper over a network.
pub(super) struct Talker<N> {
    pub(super) net: N,
    /// Where each door is.
    pub(super) doors: Vec<(Option<BrokerId>, HostPort)>,
}

/// Why it could not be said.
type Said = Result<(), String>;

fn failed(error: std::io::Error) -> String {
    error.to_string()
}

impl<N: Net> Talker<N> {
    async fn connect(&self, door: Option<BrokerId>) -> Result<Link<N::Stream>, String> {
        let at = self.doors.iter().find(|(it, _)| *it == door);
        let (_, at) = at.ok_or("no such door")?;
        let stream = self.net.connect(at).await.map_err(failed)?;
        Ok(Link::new(stream, "talker", &Trace::default()))
    }

    /// Says it all.
    pub(super) async fn talk(&self) -> Said {
        let (id, leader) = self.ask_around().await?;
        self.write_and_read(id, leader).await?;
        let other = BrokerId(1 + leader.0 % 3);
        self.ask_the_wrong_one(id, other).await?;
        self.ask_for_an_unknown_version().await?;
        for bytes in [&b"\xff\xff\xff\xff"[..], &bad_key()] {
            self.be_thrown_out(bytes).await?;
        }
        self.leave_in_the_middle().await
    }

    /// The topic's id and who leads it.
    async fn ask_around(&self) -> Result<(Uuid, BrokerId), String> {
        let mut link = self.connect(None).await?;
        let versions = ApiVersionsRequest::default()
            .with_client_software_name(text("talker"))
            .with_client_software_version(text("1"));
        link.call(4, &versions, WITHIN).await.map_err(failed)?;
        let topic = MetadataRequestTopic::default().with_name(Some(topic()));
        let metadata = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(true);
        // The first one creates the topic.
        link.call(12, &metadata, WITHIN).await.map_err(failed)?;
        let told = link.call(12, &metadata, WITHIN).await.map_err(failed)?;
        let topic = told.topics.first().ok_or("no topic")?;
        let partition = topic.partitions.iter().find(|it| it.partition_index == 0);
        let leader = BrokerId(partition.ok_or("no partition")?.leader_id.0);
        // All at once, answered one after the other.
        let coordinator = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
        let cluster = DescribeClusterRequest::default();
        let resource = DescribeConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(text("1"))
            .with_configuration_keys(None);
        let configs = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let everything = MetadataRequest::default().with_topics(None);
        link.send(4, &coordinator).await.map_err(failed)?;
        link.send(1, &cluster).await.map_err(failed)?;
        link.send(4, &configs).await.map_err(failed)?;
        link.send(9, &everything).await.map_err(failed)?;
        for _ in 0..4 {
            link.frame().await.map_err(failed)?;
        }
        Ok((topic.topic_id, leader))
    }

    async fn write_and_read(&self, id: Uuid, leader: BrokerId) -> Said {
        let mut link = self.connect(Some(leader)).await?;
        for (version, acks, bytes) in [(9, -1, 100), (3, 0, 50), (11, 1, 70_000), (13, -1, 10)] {
            let request = produce(id, acks, bytes)?;
            if acks == 0 {
                link.send(version, &request).await.map_err(failed)?;
                // It has no answer, and the next one is given after it.
                let versions = ApiVersionsRequest::default();
                link.forget_last();
                link.call(0, &versions, WITHIN).await.map_err(failed)?;
            } else {
                link.call(version, &request, WITHIN).await.map_err(failed)?;
            }
        }
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(topic())
            .with_partitions(vec![partition]);
        let offsets = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![topic]);
        link.call(7, &offsets, WITHIN).await.map_err(failed)?;
        for version in [4, 11, 17] {
            let request = fetch(id);
            link.call(version, &request, WITHIN).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Answers that say who leads instead, with its address.
    async fn ask_the_wrong_one(&self, id: Uuid, broker: BrokerId) -> Said {
        let mut link = self.connect(Some(broker)).await?;
        let request = produce(id, -1, 10)?;
        link.call(11, &request, WITHIN).await.map_err(failed)?;
        let request = fetch(id);
        link.call(17, &request, WITHIN).await.map_err(failed)?;
        Ok(())
    }

    async fn ask_for_an_unknown_version(&self) -> Said {
        let mut link = self.connect(None).await?;
        // `ApiVersions` version 99, correlation id 7, no client id.
        let bytes = [0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff];
        link.stream().write_all(&bytes).await.map_err(failed)?;
        link.frame().await.map(|_| ()).map_err(failed)
    }

    async fn be_thrown_out(&self, bytes: &[u8]) -> Said {
        let mut link = self.connect(None).await?;
        link.stream().write_all(bytes).await.map_err(failed)?;
        match link.frame().await {
            Err(_) => Ok(()),
            Ok(frame) => Err(format!("an end was expected, not {frame:?}")),
        }
    }

    async fn leave_in_the_middle(&self) -> Said {
        let mut link = self.connect(Some(BrokerId(3))).await?;
        link.stream()
            .write_all(&[0, 0, 0, 90, 0, 3])
            .await
            .map_err(failed)?;
        link.stream().shutdown().await.map_err(failed)?;
        match link.frame().await {
            Err(_) => Ok(()),
            Ok(frame) => Err(format!("an end was expected, not {frame:?}")),
        }
    }
}

/// `LeaderAndIsr`, which only a controller may send.
fn bad_key() -> Vec<u8> {
    vec![0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff]
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic() -> TopicName {
    TopicName(text(TOPIC))
}

fn produce(id: Uuid, acks: i16, bytes: usize) -> Result<ProduceRequest, String> {
    let value = Bytes::from(vec![b'x'; bytes]);
    let batch = workload::batch(-1, -1, std::iter::once(value))?;
    let data = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(topic())
        .with_topic_id(id)
        .with_partition_data(vec![data]);
    Ok(ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(1000)
        .with_topic_data(vec![topic]))
}

fn fetch(id: Uuid) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(topic())
        .with_topic_id(id)
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}
