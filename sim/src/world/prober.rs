//! A client that asks for a topic which is denied now and then, over connections that live
//! through reloads, several requests at a time.

use std::io;
use std::time::Duration;

use doorkeeper_core::id::BrokerId;
use doorkeeper_net::Net;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::link::Link;
use super::requests::TopicOutcome;
use super::rules::EMBARGOED;
use super::{ClientParts, doorkeeper, workload};
use crate::choppy::Choppy;
use crate::net::TurmoilNet;

/// A topic that nobody is denied.
const OPEN: &str = "open-7";

/// `Errors.TOPIC_AUTHORIZATION_FAILED`.
const DENIED: i16 = 29;

/// Versions that name topics.
const METADATA: i16 = 12;
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;

/// Partitions of a topic, as the model creates it.
const PARTITIONS: u64 = 3;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const FETCH_WAIT_MS: i32 = 50;

/// How long to wait between two bursts at most.
const THINK_MAX: Duration = Duration::from_millis(800);

/// How many requests are sent at once at most.
const BURST_MAX: u64 = 4;

/// Of a thousand bursts so many are the last ones of their connection.
const LEAVES_PERMILLE: u16 = 100;

type Connection = Link<<Choppy<TurmoilNet> as Net>::Stream>;

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Api {
    Metadata,
    Produce,
    Fetch,
}

/// A request that waits for its response.
struct PendingRequest {
    api: Api,
    correlation_id: i32,
}

/// Asks until that time.
///
/// # Errors
/// doorkeeper's address makes no sense.
pub async fn probe(mut parts: ClientParts, until: Duration) -> Result<(), String> {
    let (mut link, mut connections) = (None, 0);
    while parts.trace.now() < until {
        let mut at_work = match link.take() {
            Some(link) => link,
            None => {
                connections += 1;
                let broker = i32::try_from(parts.rng.below(4)).ok();
                let broker = broker.filter(|id| *id > 0).map(BrokerId);
                match connect(&parts, connections, broker).await? {
                    Some(link) => link,
                    None => continue,
                }
            }
        };
        let going = tokio::time::timeout(RESPONSE_TIMEOUT, burst(&mut parts, &mut at_work)).await;
        if matches!(going, Ok(Ok(()))) && !parts.rng.chance(LEAVES_PERMILLE) {
            link = Some(at_work);
        }
        tokio::time::sleep(parts.rng.duration(THINK_MAX)).await;
    }
    Ok(())
}

/// Comes through one address and asks for what may be denied, again and again until it is done.
///
/// # Errors
/// doorkeeper's address makes no sense.
pub async fn arrive(parts: ClientParts, broker: Option<BrokerId>) -> Result<(), String> {
    for number in 0.. {
        let Some(mut link) = connect(&parts, number, broker).await? else {
            continue;
        };
        let request = metadata(&topics(&[EMBARGOED]));
        let response = link.call(METADATA, &request, RESPONSE_TIMEOUT).await;
        let code = response
            .ok()
            .and_then(|it| Some(it.topics.first()?.error_code));
        if code == Some(0) {
            return Ok(());
        }
        tokio::time::sleep(THINK_MAX).await;
    }
    Ok(())
}

async fn connect(
    parts: &ClientParts,
    number: u32,
    broker: Option<BrokerId>,
) -> Result<Option<Connection>, String> {
    let at = doorkeeper::address(&parts.doorkeeper, broker)?;
    let connected = tokio::time::timeout(CONNECT_WITHIN, parts.net.connect(&at)).await;
    let Ok(Ok(stream)) = connected else {
        // A client that is denied at once does not try again at once.
        tokio::time::sleep(THINK_MAX).await;
        return Ok(None);
    };
    let name = format!("{}/{number}", parts.name);
    let link = Link::new(stream, &name, &parts.trace);
    Ok(Some(link.counted(
        &parts.requests,
        &parts.doorkeeper,
        broker,
    )))
}

/// Sends some requests, and looks at what comes of each.
async fn burst(parts: &mut ClientParts, link: &mut Connection) -> io::Result<()> {
    let mut all = Vec::new();
    for _ in 0..=parts.rng.below(BURST_MAX) {
        let named: &[&str] = match parts.rng.below(4) {
            0 => &[OPEN],
            1 => &[OPEN, EMBARGOED],
            _ => &[EMBARGOED],
        };
        let topics = topics(named);
        let partition = i32::try_from(parts.rng.below(PARTITIONS)).unwrap_or(0);
        let (api, correlation_id) = match parts.rng.below(8) {
            0 => (
                Api::Metadata,
                link.send(METADATA, &metadata(&topics)).await?,
            ),
            1..4 => {
                let request = fetch(&topics, partition);
                (Api::Fetch, link.send(FETCH, &request).await?)
            }
            4 => {
                link.send(PRODUCE, &produce(&topics, partition, 0)?).await?;
                link.forget_last();
                continue;
            }
            _ => {
                let request = produce(&topics, partition, -1)?;
                (Api::Produce, link.send(PRODUCE, &request).await?)
            }
        };
        all.push(PendingRequest {
            api,
            correlation_id,
        });
    }
    for asked in all {
        let codes = codes(link, asked.api).await?;
        check(parts, link, asked.correlation_id, &codes);
    }
    Ok(())
}

/// What the next response says of each topic.
async fn codes(link: &mut Connection, api: Api) -> io::Result<Vec<(String, i16)>> {
    let codes = match api {
        Api::Metadata => {
            let response = link.receive::<MetadataRequest>(METADATA).await?;
            let topics = response.topics.into_iter();
            topics.map(|it| (name_of(it.name), it.error_code)).collect()
        }
        Api::Produce => {
            let response = link.receive::<ProduceRequest>(PRODUCE).await?;
            let topics = response.responses.into_iter();
            let partitions = topics.flat_map(|topic| {
                let name = name_of(Some(topic.name));
                let partitions = topic.partition_responses.into_iter();
                partitions.map(move |it| (name.clone(), it.error_code))
            });
            partitions.collect()
        }
        Api::Fetch => {
            let response = link.receive::<FetchRequest>(FETCH).await?;
            let topics = response.responses.into_iter();
            let partitions = topics.flat_map(|topic| {
                let name = name_of(Some(topic.topic));
                let partitions = topic.partitions.into_iter();
                partitions.map(move |it| (name.clone(), it.error_code))
            });
            partitions.collect()
        }
    };
    Ok(codes)
}

fn check(parts: &ClientParts, link: &Connection, correlation_id: i32, codes: &[(String, i16)]) {
    for (topic, code) in codes {
        match (topic.as_str(), *code) {
            (EMBARGOED, DENIED) => link.topic_outcome(correlation_id, TopicOutcome::Denied),
            (EMBARGOED, 0) => link.topic_outcome(correlation_id, TopicOutcome::Done),
            (_, DENIED) => {
                let name = &parts.name;
                parts
                    .trace
                    .violation(5, format_args!("{name} was denied {topic}"));
            }
            // What brokers say of partitions that they do not lead.
            _ => {}
        }
    }
}

fn name_of(name: Option<TopicName>) -> String {
    name.map_or_else(String::new, |name| name.0.to_string())
}

fn topics(named: &[&str]) -> Vec<TopicName> {
    let names = named.iter().map(|name| (*name).to_owned());
    names
        .map(|name| TopicName(StrBytes::from_string(name)))
        .collect()
}

fn metadata(topics: &[TopicName]) -> MetadataRequest {
    let topics = topics.iter().cloned();
    let topics = topics.map(|name| MetadataRequestTopic::default().with_name(Some(name)));
    MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(true)
}

fn produce(topics: &[TopicName], partition: i32, acks: i16) -> io::Result<ProduceRequest> {
    let value = bytes::Bytes::from_static(b"a record of nobody in particular");
    let records = workload::batch(-1, -1, std::iter::once(value)).map_err(io::Error::other)?;
    let topics = topics.iter().cloned().map(|name| {
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(records.clone()));
        TopicProduceData::default()
            .with_name(name)
            .with_partition_data(vec![data])
    });
    Ok(ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(acks)
        .with_timeout_ms(5000)
        .with_topic_data(topics.collect()))
}

fn fetch(topics: &[TopicName], partition: i32) -> FetchRequest {
    let topics = topics.iter().cloned().map(|name| {
        let partition = FetchPartition::default()
            .with_partition(partition)
            .with_partition_max_bytes(1 << 20);
        FetchTopic::default()
            .with_topic(name)
            .with_partitions(vec![partition])
    });
    FetchRequest::default()
        .with_max_wait_ms(FETCH_WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(topics.collect())
}
