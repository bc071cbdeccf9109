"""Committed transactions are seen, aborted ones are not, offsets go with them, zombies are out."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

import moving
import records
from run import take
from shared import PARTITIONS, Deadline, check, check_equal

TRANSACTIONS = 6
RECORDS = 60


def play(run):
    topic = run.topic("in")
    identity = run.name("tx")
    producer = transactional(run, "producer", identity)
    producer.init_transactions(60)
    everything, committed = records.Log(), records.Log()
    following = 0
    for transaction in range(TRANSACTIONS):
        producer.begin_transaction()
        for _ in range(RECORDS):
            partition = following % PARTITIONS
            moving.produce(run, producer, everything, topic, partition, following)
            if transaction % 2 == 0:
                committed.sent(partition, records.make(following))
            following += 1
        # Everything is in the log before commit or abort, else there is nothing to abort.
        moving.flush(producer)
        if transaction % 2 == 0:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
    return {
        "read_committed": _read(run, topic, "read_committed", committed),
        "read_uncommitted": _read(run, topic, "read_uncommitted", everything),
        "forwarded": _forward(run, producer, topic, committed),
        "fenced": _fenced(run, producer, topic, identity),
    }


def transactional(run, role, identity):
    # librdkafka wants the transaction to live as long as what is in it.
    config = {"transactional.id": identity, "transaction.timeout.ms": 120000}
    return run.producer(role, config)


def _read(run, topic, isolation, expected):
    consumer = run.consumer(isolation, {"isolation.level": isolation})
    log = moving.read_all(run, consumer, topic, expected.count)
    consumer.close()
    check_equal(expected.count, log.count, isolation)
    check_equal(expected.hash(), log.hash(), isolation)
    return f"{log.count} {log.hash()}"


def _forward(run, producer, topic, expected):
    """Consume, transform, produce: the group's offsets are part of the transaction."""
    out = run.topic("out")
    group = run.name("forward")
    config = {"group.id": group, "isolation.level": "read_committed"}
    consumer = run.consumer("forward", config)
    consumer.subscribe([topic])
    forwarded = 0
    deadline = Deadline(120, "forwarding")
    while forwarded < expected.count:
        deadline.check(forwarded)
        messages = take(consumer, 50, 0.3)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            producer.produce(
                out,
                partition=message.partition(),
                key=message.key(),
                value=message.value(),
                timestamp=message.timestamp()[1],
                headers=message.headers() or [],
            )
            run.sent_bytes += records.size(message.key(), message.value())
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 60)
        producer.commit_transaction(60)
        forwarded += len(messages)
    positions = {p.partition: p.offset for p in consumer.position(consumer.assignment())}
    consumer.close()
    check_equal(positions, committed_offsets(run, group, topic, PARTITIONS), "offsets")
    return _read(run, out, "read_committed", expected)


def committed_offsets(run, group, topic, partitions):
    """The offsets of a group, after the transactions that change them have been settled."""
    places = [TopicPartition(topic, p) for p in range(partitions)]
    deadline = Deadline(60, f"the offsets of {group}")
    while True:
        request = ConsumerGroupTopicPartitions(group, places)
        futures = run.admin.list_consumer_group_offsets([request], require_stable=True)
        found = futures[group].result(60).topic_partitions
        if all(p.error is None for p in found):
            return {p.partition: p.offset for p in found}
        deadline.check(found)


def _fenced(run, old, topic, identity):
    """A second producer with the same id ends the first one's rights."""
    heir = transactional(run, "heir", identity)
    heir.init_transactions(60)
    try:
        old.begin_transaction()
        old.produce(topic, partition=0, value=b"too late")
        old.commit_transaction(60)
    except KafkaException as failure:
        check(failure.args[0].fatal(), f"another error: {failure}")
        return "fenced"
    raise AssertionError("the old producer could still commit")
