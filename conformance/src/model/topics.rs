//! The same topics on both sides, new for each script: their leaders and replicas are those that
//! the model has chosen.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, BytesMut};
use doorkeeper_model::frames::Cutter;
use doorkeeper_model::script::Topic;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    GroupId, ListOffsetsRequest, MetadataRequest, RequestHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion as _, Request, StrBytes};
use uuid::Uuid;

use super::brokers::{Brokers, IDS};

/// The replicas of each partition, the leader first, by topic.
pub(super) type Layout = BTreeMap<String, Vec<Vec<i32>>>;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// Nothing is tried more often: half a minute.
const TRIES: usize = 300;

/// The topics that a cluster has now.
pub(super) async fn layout<B: Brokers>(brokers: &mut B) -> Result<Layout> {
    let mut layout = Layout::new();
    for topic in metadata(brokers, 1, false).await? {
        let name = topic.name.context("a topic without a name")?.to_string();
        let mut partitions = topic.partitions;
        partitions.sort_by_key(|it| it.partition_index);
        let replicas = partitions.iter().map(|partition| {
            let (leader, all) = (partition.leader_id, &partition.replica_nodes);
            let others = all.iter().filter(|id| **id != leader);
            std::iter::once(&leader)
                .chain(others)
                .map(|id| id.0)
                .collect()
        });
        layout.insert(name, replicas.collect());
    }
    Ok(layout)
}

/// Deletes the topics that scripts speak of and creates those of the layout, empty; waits until
/// all leaders serve them. Their ids.
pub(super) async fn again<B: Brokers>(
    brokers: &mut B,
    layout: &Layout,
) -> Result<BTreeMap<String, Uuid>> {
    let names = Topic::ALL.iter().map(|topic| named(topic.name()));
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(names.collect())
        .with_timeout_ms(30_000);
    call(brokers, 1, 5, &delete).await?;
    for id in IDS {
        until(brokers, id, |topics| {
            let mut codes = topics.iter().map(|it| it.error_code);
            codes.all(|code| code == UNKNOWN_TOPIC_OR_PARTITION)
        })
        .await
        .context("topics are not deleted")?;
    }
    let create = CreateTopicsRequest::default()
        .with_topics(layout.iter().map(creatable).collect())
        .with_timeout_ms(30_000);
    for topic in call(brokers, 1, 7, &create).await?.topics {
        ensure!(topic.error_code == 0, "{topic:?}");
    }
    let mut ids = BTreeMap::new();
    for id in IDS {
        let topics = until(brokers, id, |topics| {
            topics.iter().all(|topic| is_there(topic, layout))
        });
        for topic in topics.await.context("topics are not created")? {
            if let Some(name) = topic.name.filter(|_| topic.error_code == 0) {
                ids.insert(name.to_string(), topic.topic_id);
            }
        }
    }
    for (name, partitions) in layout {
        for (replicas, partition) in partitions.iter().zip(0..) {
            let leader = replicas.first().copied().context("no replica")?;
            serves(brokers, leader, name, partition).await?;
        }
    }
    Ok(ids)
}

/// The broker that coordinates the group of scripts, once it does.
pub(super) async fn coordinator<B: Brokers>(brokers: &mut B) -> Result<i32> {
    let group = StrBytes::from_static_str("g1");
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.clone()]);
    let describe = DescribeGroupsRequest::default().with_groups(vec![GroupId(group)]);
    for _ in 0..TRIES {
        let found = call(brokers, 1, 4, &find).await?;
        let found = found.coordinators.first().filter(|it| it.error_code == 0);
        if let Some(node) = found.map(|it| it.node_id.0) {
            let described = call(brokers, node, 5, &describe).await?;
            if described.groups.iter().all(|it| it.error_code == 0) {
                return Ok(node);
            }
        }
        brokers.pause().await;
    }
    bail!("the group has no coordinator")
}

fn named(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn creatable((name, partitions): (&String, &Vec<Vec<i32>>)) -> CreatableTopic {
    let assignments = partitions.iter().zip(0..).map(|(replicas, partition)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(replicas.iter().map(|id| (*id).into()).collect())
    });
    CreatableTopic::default()
        .with_name(named(name))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(assignments.collect())
}

/// Whether a topic is as it should be: it exists if the layout has it, and has leaders.
fn is_there(topic: &MetadataResponseTopic, layout: &Layout) -> bool {
    let name = topic.name.as_ref().map(|name| name.0.to_string());
    let Some(replicas) = name.and_then(|name| layout.get(&name)) else {
        return topic.error_code == UNKNOWN_TOPIC_OR_PARTITION;
    };
    let is_led = |it: &kafka_protocol::messages::metadata_response::MetadataResponsePartition| {
        let at = usize::try_from(it.partition_index).ok();
        let wanted = at.and_then(|at| replicas.get(at));
        it.error_code == 0
            && wanted.is_some_and(|wanted| {
                wanted.first() == Some(&it.leader_id.0) && wanted.len() == it.isr_nodes.len()
            })
    };
    topic.error_code == 0
        && topic.partitions.len() == replicas.len()
        && topic.partitions.iter().all(is_led)
}

/// Asks a broker of the topics until they are so.
async fn until<B: Brokers>(
    brokers: &mut B,
    broker: i32,
    is_so: impl Fn(&[MetadataResponseTopic]) -> bool,
) -> Result<Vec<MetadataResponseTopic>> {
    for _ in 0..TRIES {
        let topics = metadata(brokers, broker, true).await?;
        if is_so(&topics) {
            return Ok(topics);
        }
        brokers.pause().await;
    }
    bail!("broker {broker} does not say so")
}

/// What a broker says of the topics of scripts, or of all that there are.
async fn metadata<B: Brokers>(
    brokers: &mut B,
    broker: i32,
    is_of_scripts: bool,
) -> Result<Vec<MetadataResponseTopic>> {
    let names = Topic::ALL.iter();
    let names = names.map(|it| MetadataRequestTopic::default().with_name(Some(named(it.name()))));
    let request = MetadataRequest::default()
        .with_topics(is_of_scripts.then(|| names.collect()))
        .with_allow_auto_topic_creation(false);
    Ok(call(brokers, broker, 12, &request).await?.topics)
}

/// Waits until a leader knows that it leads.
async fn serves<B: Brokers>(
    brokers: &mut B,
    leader: i32,
    name: &str,
    partition: i32,
) -> Result<()> {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_timestamp(-1);
    let topic = ListOffsetsTopic::default()
        .with_name(named(name))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic]);
    for _ in 0..TRIES {
        let response = call(brokers, leader, 7, &request).await?;
        let mut partitions = response.topics.iter().flat_map(|it| &it.partitions);
        if partitions.all(|it| it.error_code == 0) {
            return Ok(());
        }
        brokers.pause().await;
    }
    bail!("broker {leader} does not serve {name}")
}

/// One request over a connection of its own.
async fn call<B: Brokers, R: Request>(
    brokers: &mut B,
    broker: i32,
    version: i16,
    request: &R,
) -> Result<R::Response> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(1)
        .with_client_id(Some(StrBytes::from_static_str("setup")));
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    let length = u32::try_from(frame.len() - 4)?;
    frame.get_mut(..4).unwrap_or_default().put_u32(length);
    let mut wire = brokers.connect(broker).await?;
    brokers.send(&mut wire, &frame).await?;
    let mut cutter = Cutter::default();
    let mut response = loop {
        if let Some(response) = cutter.next_frame() {
            break response;
        }
        let bytes = brokers.receive(&mut wire).await?;
        cutter.push(&bytes.with_context(|| format!("api {} closed", R::KEY))?);
    };
    // Length and correlation id, and the header's tagged fields, of which there are none.
    let head = if R::Response::header_version(version) >= 1 {
        9
    } else {
        8
    };
    response.advance(head);
    R::Response::decode(&mut response, version)
}
