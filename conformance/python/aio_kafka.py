"""Runs one scenario with aiokafka."""

import asyncio
import struct
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

import records
import tls
from shared import EVENTS, PARTITIONS, Deadline, Event, Pace, Play, check, check_equal, main


class Aio(Play):
    def __init__(self, bootstrap, prefix):
        super().__init__(bootstrap, prefix)
        self.addresses = {}

    def base(self, role):
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id(role),
            "request_timeout_ms": 20000,
            "metadata_max_age_ms": 2000,
            **tls.aiokafka(tls.given()),
        }

    def nodes(self):
        return self.addresses

    async def play(self, scenario):
        self.admin = AIOKafkaAdminClient(**self.base("admin"))
        await self.admin.start()
        agree = await scenario(self)
        brokers = (await self.admin.describe_cluster())["brokers"]
        self.addresses = {str(b["node_id"]): f"{b['host']}:{b['port']}" for b in brokers}
        return agree

    async def topic(self, what, partitions=PARTITIONS):
        topic = self.name(what)
        code = await self.create(topic, partitions)
        check_equal(0, code, f"creating {topic}")
        await self.described(topic, partitions)
        return topic

    async def described(self, topic, partitions):
        """How many partitions it has, once the broker that is asked knows of all."""
        deadline = Deadline(120, f"leaders of {topic}")
        while True:
            (found,) = await self.admin.describe_topics([topic])
            leaders = [p["leader"] for p in found["partitions"]]
            if len(leaders) == partitions and min(leaders) >= 0:
                return len(leaders)
            deadline.check(found)

    async def create(self, topic, partitions):
        response = await self.admin.create_topics([NewTopic(topic, partitions, 3)])
        return response.topic_errors[0][1]

    async def producer(self, role, **more):
        producer = AIOKafkaProducer(**(self.base(role) | {"linger_ms": 5} | more))
        await producer.start()
        return producer

    async def consumer(self, role, *topics, **more):
        config = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
        consumer = AIOKafkaConsumer(*topics, **(self.base(role) | config | more))
        await consumer.start()
        return consumer

    async def send(self, producer, log, topic, partition, i):
        record = records.something(i)
        log.sent(partition, record)
        self.sent_bytes += records.size(record["key"], record["value"])
        return await producer.send(
            topic,
            partition=partition,
            key=record["key"],
            value=record["value"],
            timestamp_ms=record["timestamp"],
            headers=record["headers"],
        )

    async def read(self, topic, expected, **more):
        consumer = await self.consumer("consumer", **more)
        places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(places)
        log = records.Log()
        deadline = Deadline(120, f"reading {topic}")
        while log.count < expected:
            deadline.check(f"{log.count} of {expected} records")
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for r in batch:
                    log.received(r.partition, r.key, r.value, r.timestamp, list(r.headers))
                    self.received_bytes += records.size(r.key, r.value)
        await consumer.stop()
        return log


async def produce(play, topic, count, sent=None, **config):
    sent = sent or records.Log()
    producer = await play.producer("producer", **config)
    futures = [await play.send(producer, sent, topic, i % PARTITIONS, i) for i in range(count)]
    await producer.flush()
    await asyncio.gather(*futures)
    await producer.stop()
    received = await play.read(topic, sent.count)
    check_equal(sent.hash(), received.hash(), f"digest of {topic}")
    return {"records": received.count, "digest": received.hash()}


async def bad_certificates(play):
    return {name: await failure(play, name, case) for name, case in tls.cases().items()}


async def failure(play, name, case):
    config = {**play.base(name), "bootstrap_servers": case["bootstrap"]}
    client = AIOKafkaAdminClient(**(config | tls.aiokafka(case["tls"])))
    try:
        await client.start()
    except KafkaError as failure:
        print(name, repr(failure), file=sys.stderr)
        return type(failure).__name__
    finally:
        await client.close()
    raise AssertionError(f"{name} was let in")


def acks(level):
    async def scenario(play):
        topic = await play.topic("records")
        sent = records.Log()
        # acks=0 into partitions whose leaders are not ready yet loses records without a word.
        first = await play.producer("first", acks="all")
        for partition in range(PARTITIONS):
            await (await play.send(first, sent, topic, partition, partition))
        await first.stop()
        return await produce(play, topic, 1000, sent, acks=level)

    return scenario


async def compression(play):
    # The other codecs want packages of their own.
    return {"gzip": await produce(play, await play.topic("gzip"), 250, compression_type="gzip")}


async def idempotent(play):
    topic = await play.topic("records")
    return await produce(play, topic, 1000, enable_idempotence=True, max_batch_size=4000)


async def transactions(play):
    topic = await play.topic("in")
    producer = await play.producer("producer", transactional_id=play.name("tx"))
    everything, committed = records.Log(), records.Log()
    for transaction in range(4):
        await producer.begin_transaction()
        for i in range(60):
            at = transaction * 60 + i
            await play.send(producer, everything, topic, at % PARTITIONS, at)
            if transaction % 2 == 0:
                committed.sent(at % PARTITIONS, records.something(at))
        await producer.flush()
        if transaction % 2 == 0:
            await producer.commit_transaction()
        else:
            await producer.abort_transaction()
    agree = {}
    for isolation, expected in [("read_committed", committed), ("read_uncommitted", everything)]:
        log = await play.read(topic, expected.count, isolation_level=isolation)
        check_equal(expected.hash(), log.hash(), isolation)
        agree[isolation] = log.hash()
    await producer.stop()
    return agree


async def group(play):
    """A second member comes and takes its half; all is read once, offsets stay."""
    topic = await play.topic("work", 6)
    name = play.name("group")
    producer = await play.producer("producer")
    sent = records.Log()
    seen = set()

    async def wave():
        for i in range(sent.count, sent.count + 300):
            await play.send(producer, sent, topic, i % 6, i)
        await producer.flush()

    async def join(role):
        config = {"group_id": name, "heartbeat_interval_ms": 500}
        return await play.consumer(role, topic, **config)

    async def consume(members, shares):
        deadline = Deadline(150, f"consuming with {len(members)}")
        while len(seen) < sent.count or [len(m.assignment()) for m in members] != shares:
            deadline.check(f"{len(seen)} of {sent.count}, {[m.assignment() for m in members]}")
            for member in members:
                batches = await member.getmany(timeout_ms=100)
                for batch in batches.values():
                    seen.update((r.partition, r.offset) for r in batch)
                    play.received_bytes += sum(records.size(r.key, r.value) for r in batch)
                if batches:
                    await member.commit()

    a = await join("a")
    await wave()
    await consume([a], [6])
    b = await join("b")
    await wave()
    await consume([a, b], [3, 3])
    await b.stop()
    await wave()
    await consume([a], [6])
    await a.stop()
    offsets = await play.admin.list_consumer_group_offsets(name)
    committed = sum(offset.offset for offset in offsets.values())
    check_equal(sent.count, committed, "sum of the committed offsets")
    return {"records": len(seen), "committed": committed}


async def topics(play):
    topic = await play.topic("topic")
    agree = {"exists": await play.create(topic, 1)}
    check_equal(TopicAlreadyExistsError.errno, agree["exists"], "creating it again")
    agree["partitions"] = await play.described(topic, PARTITIONS)
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "123456"})
    await play.admin.alter_configs([resource])
    deadline = Deadline(60, "the changed config")
    while True:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (response,) = await play.admin.describe_configs([resource])
        entries = {entry[0]: entry[1] for entry in response.resources[0][4]}
        if entries["max.message.bytes"] == "123456":
            break
        deadline.check(entries["max.message.bytes"])
    agree["config"] = entries["max.message.bytes"]
    await play.admin.delete_topics([topic])
    deadline = Deadline(60, "a topic to go")
    while topic in await play.admin.list_topics():
        deadline.check(topic)
    response = await play.admin.delete_topics([topic])
    agree["missing"] = response.topic_error_codes[0][1]
    check_equal(UnknownTopicOrPartitionError.errno, agree["missing"], "deleting it again")
    return agree


async def flow(play):
    """None that was acknowledged is lost while something happens; order is kept."""
    topic = await play.topic("stream")
    producer = await play.producer("producer", enable_idempotence=True, request_timeout_ms=10000)
    consumer = await play.consumer("consumer")
    consumer.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
    futures, failures, consumed = [], [], [0] * PARTITIONS
    event, pace = Event(play), Pace()
    last = None

    def delivered(future):
        if future.exception() is not None:
            failures.append(future.exception())

    while last is None or len(futures) < last or sum(consumed) < len(futures):
        event.check(f"{len(futures)} sent, {consumed} consumed")
        check(not failures, f"not delivered: {failures}")
        count = pace.take() if last is None or len(futures) < last else 0
        for _ in range(count):
            i = len(futures)
            value = struct.pack(">i", i // PARTITIONS) + bytes(196)
            try:
                future = await producer.send(topic, partition=i % PARTITIONS, value=value)
                future.add_done_callback(delivered)
                futures.append(future)
                play.sent_bytes += len(value)
            except KafkaTimeoutError:
                # Its partition takes no more while its leader stands still: not sent, so once more.
                pass
        for batch in (await consumer.getmany(timeout_ms=10)).values():
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
    await asyncio.wait_for(asyncio.gather(*futures), 120)
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


def synchronous(scenario):
    return lambda play: asyncio.run(play.play(scenario))


if __name__ == "__main__":
    main(Aio, {name: synchronous(scenario) for name, scenario in SCENARIOS.items()})
