//! What a client asks for.

use std::fmt;
use std::str::FromStr;

use arbitrary::Arbitrary;

use super::share::Share;
use super::words::{Bad, Words, hex, names, read, unhex};

/// One request: what it asks for, in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The version of the API.
    pub version: u8,
    /// What is asked for.
    pub what: What,
}

/// The topics that scripts speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Arbitrary)]
pub enum Topic {
    /// Is there.
    Orders,
    /// Is there as well.
    Audit,
    /// Is there; what policies like to deny.
    Secret,
    /// Is not there at first.
    Missing,
}

names!(Topic {
    Topic::Orders = "orders",
    Topic::Audit = "audit",
    Topic::Secret = "secret",
    Topic::Missing = "missing",
});

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Orders, Self::Audit, Self::Secret, Self::Missing];

    /// Its name in the cluster.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Audit => "audit",
            Self::Secret => "secret",
            Self::Missing => "missing",
        }
    }
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Of this topic.
    pub topic: Topic,
    /// Its number.
    pub partition: u8,
}

/// A batch for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it goes.
    pub place: TopicPartition,
    /// How long the value of its one record is.
    pub bytes: u32,
}

/// Who must have a Produce before its response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Acks {
    /// All in-sync replicas.
    All,
    /// Nobody, and there is no response.
    None,
    /// The leader.
    Leader,
}

names!(Acks { Acks::All = "-1", Acks::None = "0", Acks::Leader = "1" });

/// What a Fetch says about fetch sessions (KIP-227).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum FetchSession {
    /// It wants none.
    None,
    /// It wants a new one.
    New,
    /// It goes on in the one that the client has, if it has one.
    Known,
    /// It goes on in one that another client was given, if there is any.
    Foreign,
    /// It goes on in its own, with an epoch that is not the next one.
    Stale,
}

names!(FetchSession {
    FetchSession::None = "none",
    FetchSession::New = "new",
    FetchSession::Known = "known",
    FetchSession::Foreign = "foreign",
    FetchSession::Stale = "stale",
});

/// A producer whose batches have sequence numbers (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Arbitrary)]
pub enum Producer {
    /// The idempotent one that each client may have.
    Idempotent,
    /// The one with this transactional id, which clients share.
    Transactional(u8),
}

/// Which batch an idempotent producer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum BatchChoice {
    /// The next one.
    Next,
    /// The last one of that partition once more, byte by byte, if there was one.
    Again,
}

names!(BatchChoice { BatchChoice::Next = "next", BatchChoice::Again = "again" });

/// How a transaction shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum TransactionResult {
    /// What was written counts.
    Commit,
    /// It does not.
    Abort,
}

names!(TransactionResult {
    TransactionResult::Commit = "commit",
    TransactionResult::Abort = "abort"
});

/// What a member of a consumer group says (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Beat {
    /// It comes, or comes again from the beginning.
    Join,
    /// It is there, and has what it was given last.
    Stay,
    /// It goes.
    Leave,
}

names!(Beat { Beat::Join = "join", Beat::Stay = "stay", Beat::Leave = "leave" });

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Arbitrary)]
pub enum What {
    /// The ranges of versions.
    ApiVersions,
    /// Brokers and topics; nothing for all topics.
    Metadata(Option<Vec<Topic>>),
    /// Batches to append.
    Produce(Acks, Vec<Part>),
    /// Records, waiting for them at most this many milliseconds.
    Fetch(FetchSession, u16, Vec<TopicPartition>),
    /// The ends of logs.
    ListOffsets(Vec<TopicPartition>),
    /// The coordinators of groups with these numbers.
    FindCoordinator(Vec<u8>),
    /// A place in the group with this number.
    JoinGroup(u8),
    /// What the group's leader has given the member.
    SyncGroup(u8),
    /// A sign of life.
    Heartbeat(u8),
    /// The end of a membership.
    LeaveGroup(u8),
    /// An offset to keep for a group.
    OffsetCommit(u8, TopicPartition),
    /// What was kept.
    OffsetFetch(u8),
    /// An id for a producer, or the next epoch.
    InitProducerId(Producer),
    /// The coordinator of the transactional id with this number.
    FindTransactions(u8),
    /// A batch of a producer with sequence numbers.
    Write(Producer, BatchChoice, Part),
    /// Partitions for a transaction.
    AddPartitions(u8, Vec<TopicPartition>),
    /// A group, whose offsets belong to a transaction.
    AddOffsets(u8, u8),
    /// An offset that counts with the transaction: transactional id, group, partition.
    TxnOffsetCommit(u8, u8, TopicPartition),
    /// The end of a transaction.
    EndTxn(u8, TransactionResult),
    /// A sign of life of a member of a consumer group.
    ConsumerHeartbeat(u8, Beat),
    /// What a member of a share group asks for.
    Share(Share),
    /// New topics.
    CreateTopics(Vec<Topic>),
    /// The brokers.
    DescribeCluster,
    /// The configuration of a broker.
    DescribeConfigs(u8),
    /// Any API, with any bytes as its body.
    Other(u8, Vec<u8>),
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl FromStr for TopicPartition {
    type Err = Bad;

    fn from_str(word: &str) -> Result<Self, Bad> {
        let (topic, partition) = word
            .split_once('/')
            .ok_or_else(|| format!("{word:?} is no partition"))?;
        Ok(Self {
            topic: read(topic)?,
            partition: read(partition)?,
        })
    }
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idempotent => f.write_str("idempotent"),
            Self::Transactional(number) => write!(f, "t{number}"),
        }
    }
}

impl FromStr for Producer {
    type Err = Bad;

    fn from_str(word: &str) -> Result<Self, Bad> {
        match word.strip_prefix('t') {
            Some(number) => Ok(Self::Transactional(read(number)?)),
            None if word == "idempotent" => Ok(Self::Idempotent),
            None => Err(format!("{word:?} is no producer")),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place, self.bytes)
    }
}

impl FromStr for Part {
    type Err = Bad;

    fn from_str(word: &str) -> Result<Self, Bad> {
        let (place, bytes) = word
            .split_once(':')
            .ok_or_else(|| format!("{word:?} is no batch"))?;
        Ok(Self {
            place: place.parse()?,
            bytes: read(bytes)?,
        })
    }
}

pub(super) fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    items.iter().try_for_each(|item| write!(f, " {item}"))
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.version;
        match &self.what {
            What::ApiVersions => write!(f, "api-versions v{v}"),
            What::Metadata(None) => write!(f, "metadata v{v} *"),
            What::Metadata(Some(topics)) => {
                write!(f, "metadata v{v}")?;
                list(f, topics)
            }
            What::Produce(acks, parts) => {
                write!(f, "produce v{v} acks={acks}")?;
                list(f, parts)
            }
            What::Fetch(session, wait_ms, places) => {
                write!(f, "fetch v{v} session={session} wait={wait_ms}")?;
                list(f, places)
            }
            What::ListOffsets(places) => {
                write!(f, "list-offsets v{v}")?;
                list(f, places)
            }
            What::FindCoordinator(groups) => {
                write!(f, "find-coordinator v{v}")?;
                list(f, groups)
            }
            What::JoinGroup(group) => write!(f, "join-group v{v} {group}"),
            What::SyncGroup(group) => write!(f, "sync-group v{v} {group}"),
            What::Heartbeat(group) => write!(f, "heartbeat v{v} {group}"),
            What::LeaveGroup(group) => write!(f, "leave-group v{v} {group}"),
            What::OffsetCommit(group, place) => {
                write!(f, "offset-commit v{v} {group} {place}")
            }
            What::OffsetFetch(group) => write!(f, "offset-fetch v{v} {group}"),
            What::InitProducerId(producer) => write!(f, "init-producer-id v{v} {producer}"),
            What::FindTransactions(id) => write!(f, "find-transactions v{v} {id}"),
            What::Write(producer, turn, part) => write!(f, "write v{v} {producer} {turn} {part}"),
            What::AddPartitions(id, places) => {
                write!(f, "add-partitions v{v} {id}")?;
                list(f, places)
            }
            What::AddOffsets(id, group) => write!(f, "add-offsets v{v} {id} {group}"),
            What::TxnOffsetCommit(id, group, place) => {
                write!(f, "txn-offset-commit v{v} {id} {group} {place}")
            }
            What::EndTxn(id, result) => write!(f, "end-txn v{v} {id} {result}"),
            What::ConsumerHeartbeat(group, beat) => {
                write!(f, "consumer-heartbeat v{v} {group} {beat}")
            }
            What::Share(share) => share.write(f, v),
            What::CreateTopics(topics) => {
                write!(f, "create-topics v{v}")?;
                list(f, topics)
            }
            What::DescribeCluster => write!(f, "describe-cluster v{v}"),
            What::DescribeConfigs(broker) => write!(f, "describe-configs v{v} {broker}"),
            What::Other(key, body) => write!(f, "api-{key} v{v} x{}", hex(body)),
        }
    }
}

impl Request {
    pub(super) fn take(words: &mut Words<'_>) -> Result<Self, Bad> {
        let name = words.next()?;
        let version = words.next()?;
        let version = version
            .strip_prefix('v')
            .ok_or_else(|| format!("{version:?} is no version"))?;
        let version = read(version)?;
        let what = match name {
            "api-versions" => What::ApiVersions,
            "metadata" => What::Metadata(topics_or_all(words)?),
            "produce" => What::Produce(words.option("acks")?, words.list()?),
            "fetch" => What::Fetch(
                words.option("session")?,
                words.option("wait")?,
                words.list()?,
            ),
            "list-offsets" => What::ListOffsets(words.list()?),
            "find-coordinator" => What::FindCoordinator(words.list()?),
            "join-group" => What::JoinGroup(words.read()?),
            "sync-group" => What::SyncGroup(words.read()?),
            "heartbeat" => What::Heartbeat(words.read()?),
            "leave-group" => What::LeaveGroup(words.read()?),
            "offset-commit" => What::OffsetCommit(words.read()?, words.read()?),
            "offset-fetch" => What::OffsetFetch(words.read()?),
            "init-producer-id" => What::InitProducerId(words.read()?),
            "find-transactions" => What::FindTransactions(words.read()?),
            "write" => What::Write(words.read()?, words.read()?, words.read()?),
            "add-partitions" => What::AddPartitions(words.read()?, words.list()?),
            "add-offsets" => What::AddOffsets(words.read()?, words.read()?),
            "txn-offset-commit" => {
                What::TxnOffsetCommit(words.read()?, words.read()?, words.read()?)
            }
            "end-txn" => What::EndTxn(words.read()?, words.read()?),
            "consumer-heartbeat" => What::ConsumerHeartbeat(words.read()?, words.read()?),
            "share-heartbeat" | "share-fetch" | "share-acknowledge" => {
                What::Share(Share::take(name, words)?)
            }
            "create-topics" => What::CreateTopics(words.list()?),
            "describe-cluster" => What::DescribeCluster,
            "describe-configs" => What::DescribeConfigs(words.read()?),
            other => {
                let key = other
                    .strip_prefix("api-")
                    .ok_or_else(|| format!("{other:?} is no request"))?;
                let body = words.next()?;
                let body = body.strip_prefix('x').unwrap_or(body);
                What::Other(read(key)?, unhex(body)?)
            }
        };
        Ok(Self { version, what })
    }
}

fn topics_or_all(words: &mut Words<'_>) -> Result<Option<Vec<Topic>>, Bad> {
    let all: Vec<&str> = words.rest().collect();
    if all == ["*"] {
        return Ok(None);
    }
    all.into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}
