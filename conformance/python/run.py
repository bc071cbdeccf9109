"""What every scenario shares: names, clients, counters and the one line of JSON at the end."""

import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 3


class Deadline:
    """A moment by which something must have happened; scenarios poll, never sleep blindly."""

    def __init__(self, seconds, what):
        self.at = time.monotonic() + seconds
        self.what = what

    def check(self, state):
        if time.monotonic() > self.at:
            raise TimeoutError(f"timed out: {self.what}; {state}")


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_equal(expected, actual, what):
    check(expected == actual, f"{what}: expected {expected}, got {actual}")


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
        future.result(30)
    except KafkaException as failure:
        return failure.args[0].name()
    raise AssertionError("no error")


class Run:
    def __init__(self, bootstrap, prefix):
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.sent_bytes = 0
        self.received_bytes = 0
        self.admin = AdminClient(self.base("admin"))

    def base(self, role):
        """The tap attributes a connection by the part of its client id before the first dot."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": f"{self.prefix}.{role}",
            # A new topic reaches all brokers only after a while when the machine is busy.
            "topic.metadata.refresh.interval.ms": 2000,
            "topic.metadata.propagation.max.ms": 30000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
        }

    def name(self, what):
        return f"{self.prefix}-{what}"

    def topic(self, what, partitions=PARTITIONS, config=None):
        topic = NewTopic(self.name(what), partitions, 3, config=config or {})
        for future in self.admin.create_topics([topic]).values():
            future.result(30)
        for address in self.nodes().values():
            self.await_topic(address, topic.topic, partitions)
        return topic.topic

    def await_topic(self, address, topic, partitions):
        """Waits until this broker knows a new topic. A consumer that joins its group before is
        assigned nothing, and librdkafka does not always notice when the topic appears."""
        deadline = Deadline(30, f"{topic} at {address}")
        while True:
            client = AdminClient({**self.base("admin"), "bootstrap.servers": address})
            known = client.list_topics(topic, timeout=30).topics[topic]
            if known.error is None and len(known.partitions) == partitions:
                return
            deadline.check(f"{known.error}, {len(known.partitions)} of {partitions} partitions")

    def producer(self, role, more=None):
        config = {"linger.ms": 5, "delivery.timeout.ms": 60000}
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
        """The addresses that this client was told, by node id."""
        nodes = self.admin.describe_cluster(request_timeout=30).result(30).nodes
        return {str(node.id): f"{node.host}:{node.port}" for node in nodes}

    def hand_over(self):
        """Tells the suite that its part may begin, and waits until it says that it is done."""
        print("ready", flush=True)
        check(sys.stdin.readline(), "the suite went away")

    def report(self, agree):
        line = {
            "agree": agree,
            "nodes": self.nodes(),
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
        }
        print(json.dumps(line, sort_keys=True), flush=True)


def report_failure(failure):
    print(json.dumps({"error": f"{type(failure).__name__}: {failure}"}), flush=True)
