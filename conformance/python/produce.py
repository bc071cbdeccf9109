"""Records go in with each kind of producer and come out the same, in order, each once."""

import moving
import records
from shared import PARTITIONS, check_equal

RECORDS = 2000


def acks(run, level):
    topic = run.topic("records")
    sent = records.Log()
    # acks=0 into partitions whose leaders are not ready yet loses records without a word.
    first = run.producer("first", {"acks": "all"})
    for partition in range(PARTITIONS):
        moving.produce(run, first, sent, topic, partition, partition)
    moving.flush(first)
    return _produce(run, topic, sent, RECORDS, {"acks": level})


def idempotent(run):
    # Small batches, many in flight: sequences have to be kept in order.
    config = {"enable.idempotence": True, "batch.size": 4000}
    return _produce(run, run.topic("records"), records.Log(), RECORDS, config)


def compression(run):
    agree = {}
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        config = {"compression.type": codec, "linger.ms": 20}
        agree[codec] = _produce(run, run.topic(codec), records.Log(), RECORDS // 8, config)
    return agree


def _produce(run, topic, sent, count, config):
    producer = run.producer("producer", config)
    for i in range(count):
        moving.produce(run, producer, sent, topic, i % PARTITIONS, i)
    moving.flush(producer)
    consumer = run.consumer("consumer")
    received = moving.read_all(run, consumer, topic, sent.count)
    consumer.close()
    check_equal(sent.count, received.count, f"records of {topic}")
    check_equal(sent.hash(), received.hash(), f"digest of {topic}")
    return {"records": received.count, "digest": received.hash()}
