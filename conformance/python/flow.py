"""Something happens to a broker or to doorkeeper while records flow: none that was acknowledged is
lost, order is kept."""

import struct
import threading
import time

from confluent_kafka import KafkaException

from run import take
from shared import PARTITIONS, Deadline, check, check_equal
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
        self.commit_at = time.monotonic()
        self.failed = None
        self.happened = threading.Event()

    def play(self):
        self.consumer.subscribe([self.topic])
        suite = threading.Thread(target=self.hand_over, daemon=True)
        sent, last = 0, None
        deadline = Deadline(500, "the event")
        while (
            last is None
            or sent < last
            or sum(self.acknowledged) < sent
            or sum(self.consumed) < sum(self.acknowledged)
        ):
            deadline.check(
                f"{sent} sent, {sum(self.acknowledged)} acknowledged, "
                f"{sum(self.consumed)} consumed"
            )
            check(self.failed is None, str(self.failed))
            waiting = sent - sum(self.acknowledged)
            if (last is None or sent < last) and waiting < WAITING:
                for _ in range(PARTITIONS):
                    self.send(sent)
                    sent += 1
            self.producer.poll(0)
            self.take()
            if sent >= BEFORE and suite.ident is None and sum(self.consumed) > 0:
                suite.start()
            if self.happened.is_set() and last is None:
                last = sent + AFTER
        self.commit(deadline)
        self.consumer.close()
        # Each offset is the count of records: the log holds none twice.
        offsets = committed_offsets(self.run, self.group, self.topic, PARTITIONS)
        check_equal(dict(enumerate(self.consumed)), offsets, "committed offsets")
        return {"lost": sum(self.acknowledged) - sum(self.consumed)}

    def commit(self, deadline):
        """The last one counts: a coordinator that has just moved may want it again."""
        while True:
            try:
                self.consumer.commit(asynchronous=False)
                return
            except KafkaException as failure:
                deadline.check(failure)

    def hand_over(self):
        try:
            self.run.hand_over()
            self.happened.set()
        except Exception as failure:
            self.failed = failure

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
        # Not after each batch: a busy coordinator would drown in commits.
        if sum(self.consumed) > 0 and time.monotonic() > self.commit_at:
            self.consumer.commit(asynchronous=True)
            self.commit_at = time.monotonic() + 1
