//! Transactions from the first request to what readers see.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse,
    OffsetFetchRequest, OffsetFetchResponse, ProducerId, TransactionalId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::*;

const ID: &str = "tx";

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str(ID))
}

/// A batch of a transactional producer, sealed anew.
fn batch(value: &str, producer: (i64, i16, i32)) -> Bytes {
    let mut bytes = batch_of(&[value], Some(producer)).to_vec();
    bytes[22] |= 0x10;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

impl World {
    fn coordinator(&mut self, key_type: i8, key: &'static str) -> ConnectionId {
        let connection = self.connect(1);
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec![StrBytes::from_static_str(key)]);
        let response: FindCoordinatorResponse =
            self.ask(connection, ApiKey::FindCoordinator, 4, &request);
        assert_eq!(response.coordinators[0].error_code, 0);
        let broker = response.coordinators[0].node_id.0;
        self.connect(broker)
    }

    fn init(&mut self, connection: ConnectionId) -> (i16, i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let response: InitProducerIdResponse =
            self.ask(connection, ApiKey::InitProducerId, 5, &request);
        (
            response.error_code,
            response.producer_id.0,
            response.producer_epoch,
        )
    }

    fn write(&mut self, connection: ConnectionId, version: i16, records: Bytes) -> i16 {
        let data = PartitionProduceData::default()
            .with_index(0)
            .with_records(Some(records));
        let topic = TopicProduceData::default()
            .with_name(topic_name("t"))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(id()))
            .with_acks(-1)
            .with_topic_data(vec![topic]);
        let response: ProduceResponse = self.ask(connection, ApiKey::Produce, version, &request);
        response.responses[0].partition_responses[0].error_code
    }

    fn end(
        &mut self,
        connection: ConnectionId,
        version: i16,
        producer: (i64, i16),
        committed: bool,
    ) -> (i16, i64, i16) {
        let request = EndTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(ProducerId(producer.0))
            .with_producer_epoch(producer.1)
            .with_committed(committed);
        let response: EndTxnResponse = self.ask(connection, ApiKey::EndTxn, version, &request);
        (
            response.error_code,
            response.producer_id.0,
            response.producer_epoch,
        )
    }

    /// Last stable offset, bytes, and aborted transactions that a reader of what is committed gets.
    fn committed(&mut self, connection: ConnectionId) -> (i64, usize, Vec<(i64, i64)>) {
        let request = self.fetch(0, 0, (0, -1), true).with_isolation_level(1);
        let response = self.fetched(connection, &request);
        let partition = &response.responses[0].partitions[0];
        let aborted = partition.aborted_transactions.as_ref().unwrap();
        (
            partition.last_stable_offset,
            partition.records.as_ref().unwrap().len(),
            aborted
                .iter()
                .map(|a| (a.producer_id.0, a.first_offset))
                .collect(),
        )
    }
}

#[test]
fn what_a_transaction_wrote_is_read_once_it_is_committed() {
    let mut world = World::with_topic();
    let (coordinator, leader) = (world.coordinator(1, ID), world.connect(1));
    assert_eq!(world.init(coordinator), (0, 0, 0));
    assert_eq!(world.write(leader, 12, batch("a", (0, 0, 0))), 0);
    assert_eq!(world.committed(leader), (0, 0, vec![]));
    assert_eq!(world.end(coordinator, 5, (0, 0), true), (0, 0, 1));
    let (stable, bytes, aborted) = world.committed(leader);
    assert_eq!((stable, aborted), (2, vec![]), "a record and a marker");
    assert!(bytes > 0);
    // The next transaction begins again at sequence 0, in the next epoch.
    let fenced = ResponseError::InvalidProducerEpoch.code();
    assert_eq!(world.write(leader, 12, batch("b", (0, 0, 1))), fenced);
    assert_eq!(world.write(leader, 12, batch("b", (0, 1, 0))), 0);
    assert_eq!(world.end(coordinator, 5, (0, 1), false), (0, 0, 2));
    let (stable, _, aborted) = world.committed(leader);
    assert_eq!((stable, aborted), (4, vec![(0, 2)]));
}

#[test]
fn older_clients_add_partitions_first() {
    let mut world = World::with_topic();
    let (coordinator, leader) = (world.coordinator(1, ID), world.connect(1));
    world.init(coordinator);
    let outside = ResponseError::InvalidTxnState.code();
    assert_eq!(world.write(leader, 9, batch("a", (0, 0, 0))), outside);
    let abortable = ResponseError::TransactionAbortable.code();
    let add = |world: &mut World, topics: &[&str]| {
        let topic = |name: &&str| {
            AddPartitionsToTxnTopic::default()
                .with_name(topic_name(name))
                .with_partitions(vec![0])
        };
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_producer_id(ProducerId(0))
            .with_v3_and_below_topics(topics.iter().map(topic).collect());
        let response: AddPartitionsToTxnResponse =
            world.ask(coordinator, ApiKey::AddPartitionsToTxn, 3, &request);
        let topics = response.results_by_topic_v3_and_below.iter();
        let codes = topics.map(|t| t.results_by_partition[0].partition_error_code);
        codes.collect::<Vec<_>>()
    };
    let not_attempted = ResponseError::OperationNotAttempted.code();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(add(&mut world, &["t", "no"]), [not_attempted, unknown]);
    assert_eq!(world.write(leader, 11, batch("a", (0, 0, 0))), abortable);
    assert_eq!(add(&mut world, &["t"]), [0]);
    assert_eq!(world.write(leader, 9, batch("a", (0, 0, 0))), 0);
    assert_eq!(world.end(coordinator, 4, (0, 0), true), (0, -1, -1));
    assert_eq!(world.committed(leader).0, 2);
    // The same epoch goes on, and so do its sequences.
    assert_eq!(add(&mut world, &["t"]), [0]);
    assert_eq!(world.write(leader, 9, batch("b", (0, 0, 1))), 0);
}

#[test]
fn a_transaction_is_aborted_by_the_next_producer_and_by_time() {
    let mut world = World::with_topic();
    let (coordinator, leader) = (world.coordinator(1, ID), world.connect(1));
    world.init(coordinator);
    assert_eq!(world.write(leader, 12, batch("a", (0, 0, 0))), 0);
    let later = ResponseError::ConcurrentTransactions.code();
    assert_eq!(world.init(coordinator).0, later);
    let (code, id, epoch) = world.init(coordinator);
    assert_eq!((code, id), (0, 0));
    assert_eq!(world.committed(leader).2, [(0, 0)]);
    let fenced = ResponseError::ProducerFenced.code();
    assert_eq!(world.end(coordinator, 5, (0, 0), true).0, fenced);
    assert_eq!(world.write(leader, 12, batch("b", (0, epoch, 0))), 0);
    world.pass(60_000);
    assert_eq!(world.committed(leader).2, [(0, 0), (0, 2)]);
    assert_eq!(world.cluster.deadline(), None);
}

#[test]
fn a_partition_without_a_leader_gets_its_marker_once_it_has_one() {
    let mut world = World::with_topic();
    let (coordinator, leader) = (world.coordinator(1, ID), world.connect(1));
    world.init(coordinator);
    assert_eq!(world.write(leader, 12, batch("a", (0, 0, 0))), 0);
    let topic = world.cluster.topics.get_mut("t").unwrap();
    topic.partitions[0].leader = None;
    assert_eq!(world.end(coordinator, 5, (0, 0), true).0, 0);
    let later = ResponseError::ConcurrentTransactions.code();
    assert_eq!(world.init(coordinator).0, later);
    assert!(world.cluster.move_leader(world.now, "t", 0, BrokerId(1)));
    assert_eq!(world.init(coordinator).0, 0);
    assert_eq!(world.committed(leader).0, 2);
}

#[test]
fn a_transaction_is_described() {
    let mut world = World::with_topic();
    let (coordinator, leader) = (world.coordinator(1, ID), world.connect(1));
    let describe = |world: &mut World| {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id()]);
        let response: DescribeTransactionsResponse =
            world.ask(coordinator, ApiKey::DescribeTransactions, 0, &request);
        response.transaction_states[0].clone()
    };
    let unknown = ResponseError::TransactionalIdNotFound.code();
    assert_eq!(describe(&mut world).error_code, unknown);
    world.init(coordinator);
    world.write(leader, 12, batch("a", (0, 0, 0)));
    let state = describe(&mut world);
    assert_eq!(&*state.transaction_state, "Ongoing");
    assert_eq!((state.producer_id.0, state.producer_epoch), (0, 0));
    assert_eq!(state.transaction_timeout_ms, 60_000);
    assert_eq!(state.topics[0].partitions, [0]);
    world.end(coordinator, 5, (0, 0), false);
    let state = describe(&mut world);
    assert_eq!(&*state.transaction_state, "CompleteAbort");
    assert_eq!((state.producer_epoch, state.topics.len()), (1, 0));
}

#[test]
fn transactional_records_without_a_transactional_id_are_denied() {
    let mut world = World::with_topic();
    let connection = world.connect(1);
    let denied = ResponseError::TransactionalIdAuthorizationFailed.code();
    let response = world.produced(connection, batch("a", (7, 0, 0)));
    assert_eq!(response, (denied, -1));
}

#[test]
fn offsets_of_a_transaction_count_once_it_is_committed() {
    let mut world = World::with_topic();
    let (transactions, group) = (world.coordinator(1, ID), world.coordinator(0, "g"));
    let group_id = GroupId(StrBytes::from_static_str("g"));
    world.init(transactions);
    let commit = |world: &mut World, version| {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(5);
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(group_id.clone())
            .with_producer_id(ProducerId(0))
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        let response: TxnOffsetCommitResponse =
            world.ask(group, ApiKey::TxnOffsetCommit, version, &request);
        response.topics[0].partitions[0].error_code
    };
    let stable = |world: &mut World| {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0]);
        let asked = OffsetFetchRequestGroup::default()
            .with_group_id(group_id.clone())
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default()
            .with_groups(vec![asked])
            .with_require_stable(true);
        let response: OffsetFetchResponse = world.ask(group, ApiKey::OffsetFetch, 8, &request);
        let partition = &response.groups[0].topics[0].partitions[0];
        (partition.error_code, partition.committed_offset)
    };
    let outside = ResponseError::InvalidTxnState.code();
    assert_eq!(commit(&mut world, 3), outside);
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(ProducerId(0))
        .with_group_id(group_id.clone());
    let response: AddOffsetsToTxnResponse =
        world.ask(transactions, ApiKey::AddOffsetsToTxn, 3, &request);
    assert_eq!(response.error_code, 0);
    assert_eq!(commit(&mut world, 3), 0);
    let unstable = ResponseError::UnstableOffsetCommit.code();
    assert_eq!(stable(&mut world), (unstable, -1));
    assert_eq!(world.end(transactions, 5, (0, 0), true), (0, 0, 1));
    assert_eq!(stable(&mut world), (0, 5));
}
