"""A consumer that says in which rack it stands reads from the replica there (KIP-392)."""

import json

from confluent_kafka import TopicCollection

import moving
import records
from shared import Deadline, check_equal

RECORDS = 300


def play(run):
    topic = run.topic("near", 1)
    producer = run.producer("producer")
    sent = records.Log()
    for i in range(RECORDS):
        moving.produce(run, producer, sent, topic, 0, i)
    moving.flush(producer)
    future = run.admin.describe_topics(TopicCollection([topic]))[topic]
    (partition,) = future.result(60).partitions
    leader = partition.leader.id
    follower = next(node.id for node in partition.replicas if node.id != leader)
    received_by = {}

    def statistics(text):
        for broker in json.loads(text)["brokers"].values():
            received_by[broker["nodeid"]] = broker["rxbytes"]

    # The suite names the racks after the brokers.
    config = {
        "client.rack": f"rack-{follower}",
        "statistics.interval.ms": 200,
        "stats_cb": statistics,
    }
    consumer = run.consumer("consumer", config)
    received = moving.read_all(run, consumer, topic, RECORDS, 1)
    check_equal(sent.hash(), received.hash(), "digest")
    deadline = Deadline(60, "bytes from the follower")
    while received_by.get(follower, 0) < run.received_bytes:
        deadline.check(f"{received_by}, the leader is {leader}")
        consumer.poll(0.1)
    consumer.close()
    return {"records": received.count, "from_follower": True}
