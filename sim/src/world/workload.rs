//! The workload of clients, with records that name their writer: nothing may change, be lost,
//! arrive twice or out of order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorkeeper_core::id::BrokerId;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::ClientParts;
use super::kafka::Kafka;
use super::trace::Trace;
use crate::splitmix64::SplitMix64;

/// The largest record; each size up to it is as likely as its order of magnitude.
const RECORD_BYTES_MAX: u64 = 200 << 10;
/// How long a broker may hold a fetch that finds nothing.
const FETCH_WAIT_MS: i32 = 500;
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// `Errors.DUPLICATE_SEQUENCE_NUMBER`: it was there already.
const DUPLICATE_SEQUENCE: i16 = 46;
/// `Errors.OUT_OF_ORDER_SEQUENCE_NUMBER`: something before it is missing.
const OUT_OF_ORDER_SEQUENCE: i16 = 45;

/// What one client has to do.
#[derive(Clone, Debug)]
pub struct Work {
    /// The topic.
    pub topic: String,
    /// How many records to write, or to have read in all.
    pub records: usize,
    /// Which versions to speak.
    pub generation: Generation,
    /// How long to wait between two requests at most.
    pub think_max: Duration,
    /// Where to write it down.
    pub ledger: Ledger,
}

/// The generation of a client: which versions it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Topics by name, as before KIP-516.
    Names,
    /// Fetches by topic id, and responses that may say who leads instead (KIP-951).
    Ids,
}

impl Generation {
    const fn produce(self) -> i16 {
        match self {
            Self::Names => 9,
            Self::Ids => 13,
        }
    }

    const fn fetch(self) -> i16 {
        match self {
            Self::Names => 11,
            Self::Ids => 17,
        }
    }
}

/// What was written and what was read, which must be the same in the end. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

/// One writer's records in one partition.
type Lane = (String, i32);

#[derive(Debug, Default)]
struct Entries {
    written: BTreeMap<Lane, Vec<u64>>,
    read: BTreeMap<Lane, Vec<u64>>,
    read_in_all: usize,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, lane: Lane, records: Range<u64>) {
        let mut entries = self.entries();
        entries.written.entry(lane).or_default().extend(records);
    }

    /// How many records were read.
    #[must_use]
    pub fn read(&self) -> usize {
        self.entries().read_in_all
    }

    /// Holds what was read against what was written.
    ///
    /// # Errors
    /// They differ.
    pub fn compare(&self, written: usize) -> Result<(), String> {
        let entries = self.entries();
        let all = entries.written.values().map(Vec::len).sum::<usize>();
        if all != written {
            return Err(format!("{all} records were acknowledged, not {written}"));
        }
        for (lane, written) in &entries.written {
            if entries.read.get(lane) != Some(written) {
                let read = entries.read.get(lane);
                return Err(format!("{lane:?}: written {written:?}, read {read:?}"));
            }
        }
        match entries.written.len() == entries.read.len() {
            true => Ok(()),
            false => Err("somebody was read who has not written".to_owned()),
        }
    }
}

/// The record of a writer: who, where, which, and bytes that follow from these.
fn payload(writer: &str, number: u64) -> Bytes {
    let stream = super::trace::hash(writer.as_bytes());
    let mut rng = SplitMix64::new(number, stream);
    let length = usize::try_from(rng.size(RECORD_BYTES_MAX)).unwrap_or(1);
    let mut bytes = format!("{writer} {number} ").into_bytes();
    bytes.extend((0..length).map(|_| b'a' + rng.next().to_be_bytes()[0] % 26));
    bytes.into()
}

/// Who wrote a record, and which one it is. None if it is not as it was written.
fn author(value: &[u8]) -> Option<(String, u64)> {
    let head = value.get(..value.len().min(64))?;
    let head = String::from_utf8_lossy(head);
    let mut words = head.split(' ');
    let (writer, number) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    (payload(&writer, number) == value).then_some((writer, number))
}

/// Writes so many records, each until it is acknowledged, in batches of a few.
///
/// # Errors
/// A broker responded with an error that is final, and must not.
pub async fn produce(mut parts: ClientParts, work: Work) -> Result<(), String> {
    let records = work.records as u64;
    let mut kafka = Kafka::new(&parts, &work.topic);
    kafka.refresh().await?;
    let producer_id = kafka.producer_id().await?;
    let partitions = i32::try_from(kafka.known().leaders.len()).unwrap_or(1);
    let mut sequences: BTreeMap<i32, i32> = BTreeMap::new();
    let mut next = 0;
    while next < records {
        let count = (1 + parts.rng.below(4)).min(records - next);
        let partition = i32::try_from(parts.rng.below(u64::from(partitions.unsigned_abs())));
        let partition = partition.unwrap_or(0);
        let sequence = sequences.entry(partition).or_default();
        let values = (next..next + count).map(|number| payload(&parts.name, number));
        let batch = batch(producer_id, *sequence, values)?;
        write(&mut kafka, work.generation, partition, batch).await?;
        *sequence += i32::try_from(count).unwrap_or(i32::MAX);
        let lane = (parts.name.clone(), partition);
        work.ledger.wrote(lane, next..next + count);
        next += count;
        tokio::time::sleep(parts.rng.duration(work.think_max)).await;
    }
    Ok(())
}

/// A batch of records; a producer id of -1 is that of nobody in particular.
pub(crate) fn batch(
    producer_id: i64,
    sequence: i32,
    values: impl Iterator<Item = Bytes>,
) -> Result<Bytes, String> {
    let records: Vec<Record> = (0_i32..)
        .zip(values)
        .map(|(i, value)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id,
            producer_epoch: 0,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(i),
            sequence: sequence + i,
            timestamp: 1000 + i64::from(i),
            key: None,
            value: Some(value),
            headers: Default::default(),
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut bytes = BytesMut::new();
    let encoded = RecordBatchEncoder::encode(&mut bytes, &records, &options);
    encoded.map_err(|error| error.to_string())?;
    Ok(bytes.freeze())
}

async fn write(
    kafka: &mut Kafka,
    generation: Generation,
    partition: i32,
    batch: Bytes,
) -> Result<(), String> {
    loop {
        let request = produce_request(kafka, partition, batch.clone());
        let leader = kafka.known().leaders.get(&partition).copied();
        let leader = leader.unwrap_or(BrokerId(-1));
        let response = kafka.call(leader, generation.produce(), &request).await;
        let code = response.and_then(|response| {
            let topic = response.responses.into_iter().next()?;
            let partition = topic.partition_responses.into_iter().next()?;
            Some(partition.error_code)
        });
        match code {
            Some(0 | DUPLICATE_SEQUENCE) => return Ok(()),
            Some(OUT_OF_ORDER_SEQUENCE) => {
                let what = format!("a gap in {partition}");
                return Err(broken(kafka.trace(), 16, &what));
            }
            Some(_) | None => {
                kafka.pause().await;
                kafka.refresh().await?;
            }
        }
    }
}

/// Something does not hold; the client gives up.
fn broken(trace: &Trace, invariant: u8, what: &str) -> String {
    trace.violation(invariant, format_args!("{what}"));
    what.to_owned()
}

fn produce_request(kafka: &Kafka, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(name(kafka))
        .with_topic_id(kafka.known().id)
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(-1)
        .with_timeout_ms(5000)
        .with_topic_data(vec![topic])
}

fn name(kafka: &Kafka) -> TopicName {
    TopicName(StrBytes::from_string(kafka.topic().to_owned()))
}

/// Reads a topic from its beginning until so many records were read.
///
/// # Errors
/// A record is not as it was written, or comes where it must not.
pub async fn consume(mut parts: ClientParts, work: Work) -> Result<(), String> {
    let mut kafka = Kafka::new(&parts, &work.topic);
    kafka.refresh().await?;
    let partitions = kafka.known().leaders.keys();
    let mut reader = Reader {
        offsets: partitions.map(|partition| (*partition, 0)).collect(),
        ledger: work.ledger,
        trace: parts.trace.clone(),
    };
    while reader.ledger.read() < work.records {
        let mut by_leader: BTreeMap<BrokerId, Vec<i32>> = BTreeMap::new();
        for (partition, leader) in &kafka.known().leaders {
            by_leader.entry(*leader).or_default().push(*partition);
        }
        for (leader, partitions) in by_leader {
            let request = reader.request(&kafka, &partitions);
            let response = kafka.call(leader, work.generation.fetch(), &request).await;
            if !reader.take(response)? {
                kafka.pause().await;
                kafka.refresh().await?;
            }
        }
        tokio::time::sleep(parts.rng.duration(work.think_max)).await;
    }
    Ok(())
}

struct Reader {
    offsets: BTreeMap<i32, i64>,
    ledger: Ledger,
    trace: Trace,
}

impl Reader {
    fn request(&self, kafka: &Kafka, partitions: &[i32]) -> FetchRequest {
        let partitions = partitions.iter().map(|partition| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(self.offsets.get(partition).copied().unwrap_or(0))
                .with_partition_max_bytes(FETCH_BYTES_MAX)
        });
        let topic = FetchTopic::default()
            .with_topic(name(kafka))
            .with_topic_id(kafka.known().id)
            .with_partitions(partitions.collect());
        FetchRequest::default()
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES_MAX)
            .with_session_epoch(-1)
            .with_topics(vec![topic])
    }

    /// Whether the metadata is still good.
    fn take(&mut self, response: Option<FetchResponse>) -> Result<bool, String> {
        let Some(response) = response.filter(|response| response.error_code == 0) else {
            return Ok(false);
        };
        let mut good = true;
        for partition in response.responses.into_iter().flat_map(|it| it.partitions) {
            if partition.error_code == 0 {
                self.partition(partition)?;
            } else {
                good = false;
            }
        }
        Ok(good)
    }

    fn partition(&mut self, data: PartitionData) -> Result<(), String> {
        let index = data.partition_index;
        let Some(mut bytes) = data.records.filter(|records| !records.is_empty()) else {
            return Ok(());
        };
        let sets = RecordBatchDecoder::decode_all(&mut bytes).map_err(|it| it.to_string())?;
        for record in sets.into_iter().flat_map(|set| set.records) {
            let expected = self.offsets.entry(index).or_default();
            // A batch comes whole, also when it was asked for from its middle.
            if record.offset < *expected {
                continue;
            }
            if record.offset > *expected {
                let what = format!("{index}: {} instead of {expected}", record.offset);
                return Err(broken(&self.trace, 4, &what));
            }
            *expected += 1;
            let value = record.value.unwrap_or_default();
            let Some((writer, number)) = author(&value) else {
                let what = format!("{index}: record {} was changed", record.offset);
                return Err(broken(&self.trace, 4, &what));
            };
            self.trace
                .event(format_args!("read {writer} {number} in {index}"));
            let mut entries = self.ledger.entries();
            entries
                .read
                .entry((writer, index))
                .or_default()
                .push(number);
            entries.read_in_all += 1;
        }
        Ok(())
    }
}
