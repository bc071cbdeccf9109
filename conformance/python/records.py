"""Records that any run makes alike, and digests of what came back, in order, per partition."""

import hashlib
import random
import struct

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from run import PARTITIONS, Deadline, take

EPOCH_MS = 1_700_000_000_000


def make(i):
    """Record i: random bytes (nothing compresses them), some nulls, headers, big ones."""
    value = None
    if i % 13:
        value = random.Random(i).randbytes(200_000 if i % 500 == 499 else 900 + i % 200)
    return {
        "key": b"key-%d" % i if i % 11 else None,
        "value": value,
        "timestamp": EPOCH_MS + i,
        "headers": [("n", b"%d" % i), ("none", None)] if i % 7 == 0 else [],
    }


def size(key, value):
    return len(key or b"") + len(value or b"")


def digest(key, value, timestamp, headers):
    sha = hashlib.sha256(struct.pack(">q", timestamp))
    fields = [key, value]
    for name, content in headers or []:
        fields += [name.encode(), content]
    for field in fields:
        sha.update(struct.pack(">i", -1 if field is None else len(field)))
        sha.update(field or b"")
    return sha.digest()


class Log:
    """Digests in the order of arrival, by partition."""

    def __init__(self):
        self.by_partition = {}
        self.count = 0

    def sent(self, partition, record):
        self._add(partition, digest(**record))

    def received(self, message):
        self._add(
            message.partition(),
            digest(message.key(), message.value(), message.timestamp()[1], message.headers()),
        )

    def _add(self, partition, entry):
        self.by_partition.setdefault(partition, []).append(entry)
        self.count += 1

    def hash(self):
        sha = hashlib.sha256()
        for partition, entries in sorted(self.by_partition.items()):
            sha.update(struct.pack(">ii", partition, len(entries)))
            for entry in entries:
                sha.update(entry)
        return sha.hexdigest()[:16]


def produce(run, producer, log, topic, partition, i):
    record = make(i)
    log.sent(partition, record)
    run.sent_bytes += size(record["key"], record["value"])
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
    left = producer.flush(60)
    if left:
        raise TimeoutError(f"{left} records not delivered")


def ends(consumer, topic, partitions):
    return {
        p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1]
        for p in range(partitions)
    }


def read_all(run, consumer, topic, expected):
    """Reads partitions from their beginning: as many records as it must, then to their end."""
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    log = Log()
    deadline = Deadline(40, f"reading {topic}")
    # With acks=0 the last ones may still be on their way when this begins.
    while log.count < expected:
        deadline.check(f"{log.count} of {expected} records")
        _poll(run, consumer, log)
    todo = ends(consumer, topic, PARTITIONS)
    while any(position(consumer, topic, p) < end for p, end in todo.items()):
        deadline.check(f"{log.count} records so far, ends {todo}")
        _poll(run, consumer, log)
    return log


def _poll(run, consumer, log):
    for message in take(consumer, 500, 0.2):
        log.received(message)
        run.received_bytes += size(message.key(), message.value())


def position(consumer, topic, partition):
    (at,) = consumer.position([TopicPartition(topic, partition)])
    return at.offset
