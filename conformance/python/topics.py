"""Topics are created, described, changed, emptied and deleted; the cluster is described."""

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

import moving
import records
from run import error_of
from shared import Deadline, check, check_equal

# Broker settings that name addresses: their values differ on every way to the cluster.
ADDRESSES = {
    "listeners",
    "advertised.listeners",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
}


def play(run):
    agree = {}
    names = [run.name(f"topic-{i}") for i in range(4)]
    config = {"segment.bytes": "12345678"}
    _all(run.admin.create_topics([NewTopic(name, 3, 3, config=config) for name in names]))
    first = _await(run, names[0], 3)
    agree["created"] = len(names)
    agree["described"] = _describe(run, first)
    agree["exists"] = error_of(run.admin.create_topics([NewTopic(names[0], 1, 1)]))
    agree["configs"] = _configs(run, names[0])
    _all(run.admin.create_partitions([NewPartitions(names[1], 5)]))
    _await(run, names[1], 5)
    agree["offsets"] = _offsets(run, names[0])
    _all(run.admin.delete_topics(names))
    deadline = Deadline(60, "topics to go")
    while set(names) & set(run.admin.list_topics(timeout=60).topics):
        deadline.check(names)
    agree["missing"] = error_of(run.admin.delete_topics(names[:1]))
    return agree


def cluster(run):
    found = run.admin.describe_cluster(request_timeout=60).result(60)
    ids = sorted(node.id for node in found.nodes)
    check(found.controller.id in ids, "an unknown controller")
    names = set()
    for node in ids:
        resource = ConfigResource(ResourceType.BROKER, str(node))
        config = run.admin.describe_configs([resource])[resource].result(60)
        check_equal(str(node), config["node.id"].value, "node.id")
        names |= set(config)
    check("advertised.listeners" in names, "no advertised.listeners")
    names -= ADDRESSES
    return {"nodes": ids, "cluster_id": found.cluster_id, "configs": len(names)}


def _all(futures):
    for future in futures.values():
        future.result(60)


def _await(run, name, partitions):
    """Brokers learn of a change one after the other: asks until the response is the new one."""
    deadline = Deadline(60, f"describing {name}")
    while True:
        future = run.admin.describe_topics(TopicCollection([name]))[name]
        try:
            topic = future.result(60)
            if len(topic.partitions) == partitions and all(p.leader for p in topic.partitions):
                return topic
            deadline.check(topic)
        except KafkaException as failure:
            deadline.check(failure)


def _describe(run, topic):
    nodes = run.nodes()
    for partition in topic.partitions:
        check_equal(3, len(partition.replicas), "replicas")
        for node in partition.replicas:
            check_equal(nodes[str(node.id)], f"{node.host}:{node.port}", f"node {node.id}")
    return f"{len(topic.partitions)} partitions"


def _configs(run, topic):
    change = ConfigEntry(
        "max.message.bytes", "123456", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    _all(run.admin.incremental_alter_configs([resource]))
    deadline = Deadline(60, "the changed config")
    while True:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        config = run.admin.describe_configs([resource])[resource].result(60)
        found = config["max.message.bytes"].value
        if found == "123456":
            return f"{found} {config['segment.bytes'].value}"
        deadline.check(found)


def _offsets(run, topic):
    producer = run.producer("producer")
    sent = records.Log()
    for i in range(30):
        moving.produce(run, producer, sent, topic, i % 3, i)
    moving.flush(producer)
    _all(run.admin.delete_records([TopicPartition(topic, 1, 4)]))
    found = {}
    specs = {
        "earliest": OffsetSpec.earliest(),
        "latest": OffsetSpec.latest(),
        "max_timestamp": OffsetSpec.max_timestamp(),
    }
    for name, spec in specs.items():
        (future,) = run.admin.list_offsets({TopicPartition(topic, 1): spec}).values()
        found[name] = future.result(60).offset
    check_equal({"earliest": 4, "latest": 10, "max_timestamp": 9}, found, "offsets")
    return found
