"""Records of 10 MB, a topic of 200 partitions, a thousand topics."""

import random

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import NewTopic

import moving
import records
from shared import Deadline, check_equal

LARGE = 10 * 1024 * 1024
PARTITIONS = 200
TOPICS = 1000
BATCH = 100


def large_records(run):
    topic = run.topic("large", 1, {"max.message.bytes": "12000000"})
    producer = run.producer("producer", {"message.max.bytes": 12000000})
    sent = records.Log()
    for i in range(3):
        record = {
            "key": None,
            "value": random.Random(i).randbytes(LARGE),
            "timestamp": records.EPOCH_MS + i,
            "headers": [],
        }
        sent.sent(0, record)
        run.sent_bytes += LARGE
        producer.produce(topic, partition=0, on_delivery=moving.delivered, **record)
        moving.flush(producer)
    return verify(run, topic, 1, sent)


def many_partitions(run):
    topic = run.topic("wide", PARTITIONS)
    producer = run.producer("producer")
    sent = records.Log()
    for i in range(3 * PARTITIONS):
        moving.produce(run, producer, sent, topic, i % PARTITIONS, i)
    moving.flush(producer)
    agree = verify(run, topic, PARTITIONS, sent)
    found = run.admin.list_topics(topic, timeout=60).topics[topic].partitions
    agree["leaders"] = len({partition.leader for partition in found.values()})
    run.admin.delete_topics([topic])[topic].result(60)
    return agree


def verify(run, topic, partitions, sent):
    consumer = run.consumer("consumer")
    received = moving.read_all(run, consumer, topic, sent.count, partitions)
    consumer.close()
    check_equal(sent.hash(), received.hash(), f"digest of {topic}")
    return {"records": received.count, "digest": received.hash()}


def many_topics(run):
    names = [run.name(f"t{i}") for i in range(TOPICS)]
    batches = [names[first : first + BATCH] for first in range(0, TOPICS, BATCH)]
    for batch in batches:
        wait(run.admin.create_topics([NewTopic(name, 1, 1) for name in batch], request_timeout=120))
    agree = {"described": described(run, names)}
    deadline = Deadline(120, "a thousand topics")
    while not set(names) <= set(run.admin.list_topics(timeout=60).topics):
        deadline.check("not all are listed")
    agree["listed"] = len(names)
    agree["offsets"] = run.await_leaders([TopicPartition(name, 0) for name in names])
    for batch in batches:
        wait(run.admin.delete_topics(batch, request_timeout=120))
    deadline = Deadline(120, "topics to go")
    while set(names) & set(run.admin.list_topics(timeout=60).topics):
        deadline.check("not all are gone")
    return agree


def described(run, names):
    deadline = Deadline(120, "a thousand topics")
    while True:
        try:
            futures = run.admin.describe_topics(TopicCollection(names), request_timeout=120)
            return len(wait(futures))
        except KafkaException as failure:
            # The broker that was asked may not have heard of all of them.
            deadline.check(failure)


def wait(futures):
    return [future.result(120) for future in futures.values()]
