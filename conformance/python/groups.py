"""A second member joins and leaves a group; every record is consumed once, offsets stay."""

import moving
import records
from run import take
from shared import Deadline, check_equal
from transactions import committed_offsets

PARTITIONS = 6
WAVE = 300


def play(run, protocol):
    return Group(run, protocol).play()


class Group:
    def __init__(self, run, protocol):
        self.run = run
        self.topic = run.topic("work", PARTITIONS)
        self.group = run.name("group")
        self.producer = run.producer("producer")
        self.config = {"group.id": self.group, "group.protocol": protocol}
        if protocol == "classic":
            self.config |= {"heartbeat.interval.ms": 500, "session.timeout.ms": 10000}
        self.sent = records.Log()
        self.seen = set()
        self.duplicates = 0

    def play(self):
        agree = {}
        a = self.join("a")
        self.wave()
        self.consume([a], [PARTITIONS])
        agree["alone"] = len(a.assignment())

        b = self.join("b")
        halves = [PARTITIONS // 2, PARTITIONS // 2]
        self.consume([a, b], halves)
        self.wave()
        self.consume([a, b], halves)
        agree["together"] = len(a.assignment()) + len(b.assignment())
        group = self.run.admin.describe_consumer_groups([self.group])[self.group].result(60)
        check_equal(2, len(group.members), f"members of {self.group}")

        b.close()
        self.consume([a], [PARTITIONS])
        self.wave()
        self.consume([a], [PARTITIONS])
        a.close()
        agree["records"] = len(self.seen)
        agree["duplicates"] = self.duplicates
        offsets = committed_offsets(self.run, self.group, self.topic, PARTITIONS)
        agree["committed"] = sum(offsets.values())
        check_equal(self.sent.count, agree["committed"], "sum of the committed offsets")
        self.run.admin.delete_consumer_groups([self.group])[self.group].result(60)
        return agree

    def join(self, member):
        consumer = self.run.consumer(member, self.config)
        consumer.subscribe([self.topic])
        return consumer

    def wave(self):
        for i in range(self.sent.count, self.sent.count + WAVE):
            moving.produce(self.run, self.producer, self.sent, self.topic, i % PARTITIONS, i)
        moving.flush(self.producer)

    def consume(self, members, shares):
        """Polls the members in turn until all is seen and the partitions lie as they should."""
        deadline = Deadline(120, f"consuming with {len(members)}")
        while True:
            lying = [len(member.assignment()) for member in members]
            if len(self.seen) == self.sent.count and lying == shares:
                return
            deadline.check(f"{len(self.seen)} of {self.sent.count} records, {lying}")
            for member in members:
                self.take(member)

    def take(self, member):
        messages = take(member, 500, 0.1)
        for message in messages:
            self.run.received_bytes += records.size(message.key(), message.value())
            place = (message.partition(), message.offset())
            self.duplicates += place in self.seen
            self.seen.add(place)
        if messages:
            # Committed at once, so that no rebalance makes anybody read twice.
            member.commit(asynchronous=False)
