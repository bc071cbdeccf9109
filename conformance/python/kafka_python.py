"""Runs one scenario with kafka-python."""

import struct
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

import records
import tls
from shared import EVENTS, PARTITIONS, Deadline, Event, Pace, Play, check, check_equal, main


class KafkaPython(Play):
    def __init__(self, bootstrap, prefix):
        super().__init__(bootstrap, prefix)
        self.admin = KafkaAdminClient(**self.base("admin"))

    def base(self, role):
        return {
            "bootstrap_servers": self.bootstrap.split(","),
            "client_id": self.client_id(role),
            "reconnect_backoff_max_ms": 500,
            "request_timeout_ms": 20000,
            "metadata_max_age_ms": 2000,
            **tls.kafka_python(tls.given()),
        }

    def topic(self, what, partitions=PARTITIONS):
        wanted = {"num_partitions": partitions, "replication_factor": 3}
        topic = self.name(what)
        self.admin.create_topics({topic: wanted}, wait_for_metadata=True)
        return topic

    def producer(self, role, **more):
        return KafkaProducer(**(self.base(role) | {"linger_ms": 5} | more))

    def consumer(self, role, **more):
        config = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
        return KafkaConsumer(**(self.base(role) | config | more))

    def nodes(self):
        brokers = self.admin.describe_cluster()["brokers"]
        return {str(b["broker_id"]): f"{b['host']}:{b['port']}" for b in brokers}

    def send(self, producer, log, topic, partition, i):
        record = records.something(i)
        log.sent(partition, record)
        self.sent_bytes += records.size(record["key"], record["value"])
        return producer.send(
            topic,
            partition=partition,
            key=record["key"],
            value=record["value"],
            timestamp_ms=record["timestamp"],
            headers=record["headers"],
        )

    def read(self, topic, expected, **more):
        consumer = self.consumer("consumer", **more)
        places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        log = records.Log()
        deadline = Deadline(120, f"reading {topic}")
        while log.count < expected:
            deadline.check(f"{log.count} of {expected} records")
            self.poll(consumer, log)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            deadline.check(f"{log.count} records so far, ends {ends}")
            self.poll(consumer, log)
        consumer.close()
        return log

    def poll(self, consumer, log):
        for batch in consumer.poll(200).values():
            for r in batch:
                log.received(r.partition, r.key, r.value, r.timestamp, list(r.headers))
                self.received_bytes += records.size(r.key, r.value)


def produce(play, topic, count, sent=None, **config):
    sent = sent or records.Log()
    producer = play.producer("producer", **config)
    futures = [play.send(producer, sent, topic, i % PARTITIONS, i) for i in range(count)]
    producer.flush(120)
    for future in futures:
        future.get(120)
    producer.close()
    received = play.read(topic, sent.count)
    check_equal(sent.hash(), received.hash(), f"digest of {topic}")
    return {"records": received.count, "digest": received.hash()}


def acks(level):
    def scenario(play):
        topic = play.topic("records")
        sent = records.Log()
        # acks=0 into partitions whose leaders are not ready yet loses records without a word.
        first = play.producer("first", acks="all")
        for partition in range(PARTITIONS):
            play.send(first, sent, topic, partition, partition).get(120)
        config = {"acks": level, "enable_idempotence": False}
        in_order = {"max_in_flight_requests_per_connection": 1}
        return produce(play, topic, 1000, sent, **config, **in_order)

    return scenario


def bad_certificates(play):
    return {name: failure(play, name, case) for name, case in tls.cases().items()}


def failure(play, name, case):
    config = {key: value for key, value in play.base(name).items() if not key.startswith("ssl_")}
    config |= {"bootstrap_servers": case["bootstrap"], "bootstrap_timeout_ms": 2000}
    try:
        KafkaAdminClient(**(config | tls.kafka_python(case["tls"])))
    except KafkaError as failure:
        print(name, repr(failure), file=sys.stderr)
        return type(failure).__name__
    raise AssertionError(f"{name} was let in")


def compression(play):
    # The other codecs want packages of their own.
    return {"gzip": produce(play, play.topic("gzip"), 250, compression_type="gzip")}


def idempotent(play):
    return produce(play, play.topic("records"), 1000, enable_idempotence=True, batch_size=4000)


def transactions(play):
    topic = play.topic("in")
    producer = play.producer("producer", transactional_id=play.name("tx"))
    producer.init_transactions()
    everything, committed = records.Log(), records.Log()
    for transaction in range(4):
        producer.begin_transaction()
        for i in range(60):
            at = transaction * 60 + i
            play.send(producer, everything, topic, at % PARTITIONS, at)
            if transaction % 2 == 0:
                committed.sent(at % PARTITIONS, records.something(at))
        producer.flush(120)
        if transaction % 2 == 0:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    agree = {}
    for isolation, expected in [("read_committed", committed), ("read_uncommitted", everything)]:
        log = play.read(topic, expected.count, isolation_level=isolation)
        check_equal(expected.hash(), log.hash(), isolation)
        agree[isolation] = log.hash()
    return agree


def group(play):
    """A second member comes and takes its half; all is read once, offsets stay."""
    topic = play.topic("work", 6)
    name = play.name("group")
    producer = play.producer("producer")
    sent = records.Log()
    seen = set()

    def wave():
        for i in range(sent.count, sent.count + 300):
            play.send(producer, sent, topic, i % 6, i)
        producer.flush(120)

    def join(role):
        config = {"group_id": name, "heartbeat_interval_ms": 500, "session_timeout_ms": 10000}
        consumer = play.consumer(role, **config)
        consumer.subscribe([topic])
        return consumer

    def consume(members, shares):
        deadline = Deadline(150, f"consuming with {len(members)}")
        while len(seen) < sent.count or [len(m.assignment()) for m in members] != shares:
            deadline.check(f"{len(seen)} of {sent.count}, {[m.assignment() for m in members]}")
            for member in members:
                batches = member.poll(100)
                for batch in batches.values():
                    seen.update((r.partition, r.offset) for r in batch)
                    play.received_bytes += sum(records.size(r.key, r.value) for r in batch)
                if batches:
                    member.commit()

    a = join("a")
    wave()
    consume([a], [6])
    b = join("b")
    wave()
    consume([a, b], [3, 3])
    b.close()
    wave()
    consume([a], [6])
    a.close()
    offsets = play.admin.list_group_offsets({name: None})[name]
    committed = sum(offset.offset for offset in offsets.values())
    check_equal(sent.count, committed, "sum of the committed offsets")
    return {"records": len(seen), "committed": committed}


def topics(play):
    topic = play.topic("topic")
    agree = {"exists": error(TopicAlreadyExistsError, lambda: play.admin.create_topics([topic]))}
    deadline = Deadline(120, f"partitions of {topic}")
    while True:
        # A broker that has not heard of it yet says that it has none.
        (described,) = play.admin.describe_topics([topic])
        agree["partitions"] = len(described["partitions"])
        if agree["partitions"] == PARTITIONS:
            break
        deadline.check(described)
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "123456"})
    deadline = Deadline(60, "a broker that knows the configs of the topic")
    while True:
        # It asks first which configs there are, of a broker that may not know the topic yet.
        try:
            play.admin.alter_configs([resource])
            break
        except ValueError as unknown:
            deadline.check(unknown)
    deadline = Deadline(60, "the changed config")
    while True:
        # Without names, all that differ from the defaults.
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = play.admin.describe_configs([resource])["topic"][topic]
        if "max.message.bytes" in found:
            break
        deadline.check(found)
    agree["config"] = found["max.message.bytes"]["value"]
    play.admin.create_partitions({topic: 5})
    play.admin.delete_topics([topic])
    deadline = Deadline(60, "a topic to go")
    while topic in play.admin.list_topics():
        deadline.check(topic)
    missing = lambda: play.admin.delete_topics([topic])
    agree["missing"] = error(UnknownTopicOrPartitionError, missing)
    return agree


def error(expected, call):
    try:
        call()
    except BrokerResponseError as failure:
        check(isinstance(failure, expected), f"another error: {failure!r}")
        return expected.__name__
    raise AssertionError("no error")


def flow(play):
    """None that was acknowledged is lost while something happens; order is kept."""
    topic = play.topic("stream")
    producer = play.producer("producer", delivery_timeout_ms=180000, request_timeout_ms=10000)
    consumer = play.consumer("consumer", request_timeout_ms=10000)
    places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    futures, failures, consumed = [], [], [0] * PARTITIONS
    event, pace = Event(play), Pace()
    last = None
    while last is None or len(futures) < last or sum(consumed) < len(futures):
        event.check(f"{len(futures)} sent, {consumed} consumed")
        check(not failures, f"not delivered: {failures}")
        count = pace.take() if last is None or len(futures) < last else 0
        for i in range(len(futures), len(futures) + count):
            value = struct.pack(">i", i // PARTITIONS) + bytes(196)
            play.sent_bytes += len(value)
            future = producer.send(topic, partition=i % PARTITIONS, value=value)
            futures.append(future.add_errback(failures.append))
        for batch in consumer.poll(10).values():
            for r in batch:
                (n,) = struct.unpack_from(">i", r.value)
                following = consumed[r.partition]
                check(n <= following, f"partition {r.partition}: {n} after {following}")
                # A smaller n is legal: an old leader that came back as an empty follower knows
                # no such offset, and a client without leader epochs then starts over.
                if n == following:
                    consumed[r.partition] += 1
                play.received_bytes += len(r.value)
        if sum(consumed) > 100:
            event.begin()
        if event.is_over and last is None:
            last = len(futures) + 300
    for future in futures:
        future.get(60)
    return {"lost": len(futures) - sum(consumed)}


SCENARIOS = {
    "acks_0": acks(0),
    "acks_1": acks(1),
    "acks_all": acks("all"),
    "compression": compression,
    "idempotent": idempotent,
    "transactions": transactions,
    "group_classic": group,
    "topics": topics,
    "bad_certificates": bad_certificates,
} | dict.fromkeys(EVENTS, flow)


if __name__ == "__main__":
    main(KafkaPython, SCENARIOS)
