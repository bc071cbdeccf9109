"""Records go in and come out by librdkafka."""

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

import records
from run import take
from shared import PARTITIONS, Deadline


def produce(run, producer, log, topic, partition, i):
    record = records.make(i)
    log.sent(partition, record)
    run.sent_bytes += records.size(record["key"], record["value"])
    while True:
        try:
            producer.produce(topic, partition=partition, on_delivery=delivered, **record)
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)


def delivered(error, _message):
    # An error of this callback comes out of poll() or flush() in the scenario.
    if error is not None:
        raise AssertionError(f"not delivered: {error}")


def flush(producer):
    left = producer.flush(120)
    if left:
        raise TimeoutError(f"{left} records not delivered")


def ends(consumer, topic, partitions):
    return {
        p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60)[1]
        for p in range(partitions)
    }


def read_all(run, consumer, topic, expected, partitions=PARTITIONS):
    """Reads partitions from their beginning: as many records as it must, then to their end."""
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    log = records.Log()
    deadline = Deadline(120, f"reading {topic}")
    # With acks=0 the last ones may still be on their way when this begins.
    while log.count < expected:
        deadline.check(f"{log.count} of {expected} records")
        _poll(run, consumer, log)
    todo = ends(consumer, topic, partitions)
    while any(position(consumer, topic, p) < end for p, end in todo.items()):
        deadline.check(f"{log.count} records so far, ends {todo}")
        _poll(run, consumer, log)
    return log


def _poll(run, consumer, log):
    for message in take(consumer, 500, 0.2):
        log.received(
            message.partition(),
            message.key(),
            message.value(),
            message.timestamp()[1],
            message.headers(),
        )
        run.received_bytes += records.size(message.key(), message.value())


def position(consumer, topic, partition):
    (at,) = consumer.position([TopicPartition(topic, partition)])
    return at.offset
