"""Something happens to a broker or to doorkeeper while records flow: none that was acknowledged is
lost, order is kept."""

import struct
import time

from confluent_kafka import KafkaException, TopicPartition

from run import take
from shared import PARTITIONS, Deadline, Event, Pace, check, check_equal
from transactions import committed_offsets

BEFORE = 300
AFTER = 300
# How many records may wait for their acknowledgement: what piles up has to be read as well.
WAITING = 300


def play(run):
    return Flow(run).play()


class Flow:
    def __init__(self, run):
        self.run = run
        self.topic = run.topic("stream", config={"min.insync.replicas": "2"})
        self.group = run.name("group")
        # A broker that stands still is given up within this time, not within a minute.
        patience = {"socket.timeout.ms": 10000}
        config = {
            "acks": "all",
            "linger.ms": 1,
            "enable.idempotence": True,
            "delivery.timeout.ms": 180000,
        }
        self.producer = run.producer("producer", config | patience)
        self.consumer = run.consumer("consumer", {"group.id": self.group} | patience)
        self.acknowledged = [0] * PARTITIONS
        self.consumed = [0] * PARTITIONS
        # Where each partition goes on after the last record that was consumed.
        self.following = {}
        self.commit_at = time.monotonic()
        self.failed = None
        self.pace = Pace()
        self.event = Event(run)

    def play(self):
        self.consumer.subscribe([self.topic])
        sent, last = 0, None
        while (
            last is None
            or sent < last
            or sum(self.acknowledged) < sent
            or sum(self.consumed) < sum(self.acknowledged)
        ):
            self.event.check(
                f"{sent} sent, {sum(self.acknowledged)} acknowledged, "
                f"{sum(self.consumed)} consumed"
            )
            check(self.failed is None, str(self.failed))
            waiting = sent - sum(self.acknowledged)
            if (last is None or sent < last) and waiting < WAITING:
                for _ in range(self.pace.take()):
                    self.send(sent)
                    sent += 1
            self.producer.poll(0)
            self.take()
            self.commit_now_and_then()
            if sent >= BEFORE and sum(self.consumed) > 0:
                self.event.begin()
            if self.event.is_over and last is None:
                last = sent + AFTER
        self.commit()
        self.consumer.close()
        # Each offset is the count of records: the log holds none twice.
        offsets = committed_offsets(self.run, self.group, self.topic, PARTITIONS)
        check_equal(dict(enumerate(self.consumed)), offsets, "committed offsets")
        return {"lost": sum(self.acknowledged) - sum(self.consumed)}

    def commit(self):
        """The last one counts. A member that was taken for dead, or whose coordinator has moved,
        has to poll until it is one again: only then is a commit taken from it."""
        offsets = [TopicPartition(self.topic, p, at) for p, at in self.following.items()]
        deadline = Deadline(Event.STALL_SECONDS, "the last commit")
        while True:
            try:
                committed = self.consumer.commit(offsets=offsets, asynchronous=False)
                failures = [str(p.error) for p in committed if p.error is not None]
                if not failures:
                    return
            except KafkaException as failure:
                failures = [str(failure)]
            deadline.check(failures)
            self.take()

    def send(self, i):
        """Record n of a partition holds n, so that a gap or a swap shows."""
        value = struct.pack(">i", i // PARTITIONS) + bytes(196)
        self.run.sent_bytes += len(value)
        self.producer.produce(
            self.topic, partition=i % PARTITIONS, value=value, on_delivery=self.delivered
        )

    def delivered(self, error, message):
        if error is not None:
            self.failed = error
        else:
            self.acknowledged[message.partition()] += 1

    def take(self):
        for message in take(self.consumer, 500, 0.01):
            (n,) = struct.unpack_from(">i", message.value())
            following = self.consumed[message.partition()]
            self.run.received_bytes += len(message.value())
            check(n <= following, f"partition {message.partition()}: {n} after {following}")
            # A smaller n is legal: the position may have gone back to the last commit.
            if n == following:
                self.consumed[message.partition()] += 1
                self.following[message.partition()] = message.offset() + 1

    def commit_now_and_then(self):
        # Not after each batch: a busy coordinator would drown in commits.
        if sum(self.consumed) > 0 and time.monotonic() > self.commit_at:
            self.consumer.commit(asynchronous=True)
            self.commit_at = time.monotonic() + 1
