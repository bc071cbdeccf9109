"""What every scenario of librdkafka shares: names, clients and topics."""

import os

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

import tls
from shared import PARTITIONS, Deadline, Play, check


def take(consumer, count, seconds):
    """Messages, without the errors that librdkafka gets over by itself."""
    messages = []
    for message in consumer.consume(count, timeout=seconds):
        error = message.error()
        if error is None:
            messages.append(message)
            continue
        # A broker that has not heard of a new topic yet says so.
        new = error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        check(new or error.retriable(), str(error))
    return messages


def error_of(futures):
    """The name of the error that the only future of an admin call ends with."""
    (future,) = futures.values()
    try:
        future.result(60)
    except KafkaException as failure:
        return failure.args[0].name()
    raise AssertionError("no error")


class Run(Play):
    def __init__(self, bootstrap, prefix):
        super().__init__(bootstrap, prefix)
        self.admin = AdminClient(self.base("admin"))

    def base(self, role):
        # For whoever looks for the reason of a failure: the contexts that librdkafka logs.
        debug = os.environ.get("CONFORMANCE_DEBUG")
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.client_id(role),
            **({"debug": debug} if debug else {}),
            # A new topic reaches all brokers only after a while when the machine is busy.
            "topic.metadata.refresh.interval.ms": 2000,
            "topic.metadata.propagation.max.ms": 30000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            **tls.librdkafka(tls.given()),
        }

    def topic(self, what, partitions=PARTITIONS, config=None):
        topic = NewTopic(self.name(what), partitions, 3, config=config or {})
        for future in self.admin.create_topics([topic]).values():
            future.result(60)
        for address in self.nodes().values():
            self.await_topic(address, topic.topic, partitions)
        self.await_leaders([TopicPartition(topic.topic, p) for p in range(partitions)])
        return topic.topic

    def await_leaders(self, partitions):
        """Waits until the leader of each partition serves it: what a producer sends before that
        is sent again, and may change its place."""
        deadline = Deadline(120, "leaders of new topics")
        while True:
            latest = {partition: OffsetSpec.latest() for partition in partitions}
            futures = self.admin.list_offsets(latest, request_timeout=60)
            try:
                return len([future.result(60) for future in futures.values()])
            except KafkaException as failure:
                deadline.check(failure)

    def await_topic(self, address, topic, partitions):
        """Waits until this broker knows a new topic. A consumer that joins its group before is
        assigned nothing, and librdkafka does not always notice when the topic appears."""
        deadline = Deadline(60, f"{topic} at {address}")
        while True:
            client = AdminClient({**self.base("admin"), "bootstrap.servers": address})
            known = client.list_topics(topic, timeout=60).topics[topic]
            if known.error is None and len(known.partitions) == partitions:
                return
            deadline.check(f"{known.error}, {len(known.partitions)} of {partitions} partitions")

    def producer(self, role, more=None):
        config = {"linger.ms": 5, "delivery.timeout.ms": 120000}
        if not (more or {}).keys() & {"enable.idempotence", "transactional.id"}:
            # Else a batch that is sent again comes behind the one that followed it.
            config["max.in.flight"] = 1
        return Producer({**self.base(role), **config, **(more or {})})

    def consumer(self, role, more=None):
        config = {
            "group.id": self.name("unused"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
        }
        return Consumer({**self.base(role), **config, **(more or {})})

    def nodes(self):
        """The addresses that this client has received, by node id."""
        nodes = self.admin.describe_cluster(request_timeout=60).result(60).nodes
        return {str(node.id): f"{node.host}:{node.port}" for node in nodes}
