"""Runs one scenario with kcat; topics are made with librdkafka's admin client."""

import json
import subprocess

import records
from run import Run
from shared import PARTITIONS, Deadline, check, check_equal, main

RECORDS = 300


class Kcat(Run):
    def kcat(self, role, *words, given=""):
        command = ["kcat", "-b", self.bootstrap, "-X", f"client.id={self.client_id(role)}", *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=200)
        check(done.returncode == 0, f"{words}: {done.stderr}{done.stdout[-500:]}")
        return done.stdout

    def metadata(self, *words):
        return json.loads(self.kcat("metadata", "-L", "-J", "-m", "60", *words))

    def nodes(self):
        return {str(broker["id"]): broker["name"] for broker in self.metadata()["brokers"]}

    def produce(self, topic, partition, *words):
        values = [f"key-{i}:{text(partition, i)}" for i in range(RECORDS)]
        self.sent_bytes += sum(len(value) - 1 for value in values)
        words = ["-P", "-t", topic, "-p", str(partition), "-K", ":", *words]
        # Else a batch that is sent again comes behind the one that followed it.
        words += ["-X", "max.in.flight=1"]
        self.kcat("producer", *words, given="\n".join(values) + "\n")

    def read(self, topic):
        """Everything from the beginning, compared with what was produced."""
        deadline = Deadline(120, f"reading {topic}")
        while True:
            words = ["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %k %s\n"]
            found = sorted(self.kcat("consumer", *words).splitlines())
            if len(found) >= RECORDS * PARTITIONS:
                break
            # With acks=0 the last ones may still be on their way when this begins.
            deadline.check(len(found))
        expected = sorted(
            f"{p} {i} key-{i} {text(p, i)}" for p in range(PARTITIONS) for i in range(RECORDS)
        )
        check_equal(expected, found, "records")
        self.received_bytes += sum(len(line.split(" ", 2)[2]) - 1 for line in found)
        return len(found)


def text(partition, i):
    return f"{partition}-{i}-" + (records.make(i)["value"] or b"").hex()[:200]


def acks(level):
    def scenario(play):
        topic = play.topic("records")
        for partition in range(PARTITIONS):
            play.produce(topic, partition, "-X", f"acks={level}")
        return {"records": play.read(topic)}

    return scenario


def compression(play):
    agree = {}
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        topic = play.topic(codec)
        for partition in range(PARTITIONS):
            play.produce(topic, partition, "-z", codec)
        agree[codec] = play.read(topic)
    # What the taps see of it is smaller.
    play.sent_bytes = play.received_bytes = 0
    return agree


def topics(play):
    topic = play.topic("topic")
    play.produce(topic, 1)
    (found,) = play.metadata("-t", topic)["topics"]
    agree = {"partitions": len(found["partitions"])}
    agree["replicas"] = sorted(len(p["replicas"]) for p in found["partitions"])
    agree["latest"] = play.kcat("query", "-Q", "-t", f"{topic}:1:-1").removeprefix(topic).strip()
    group = play.name("group")
    words = ["-G", group, "-c", str(RECORDS), "-q", "-f", "%p %o\n", "-X", "auto.offset.reset=earliest"]
    agree["by_group"] = len(play.kcat("group", *words, topic).splitlines())
    return agree


SCENARIOS = {
    "acks_0": acks("0"),
    "acks_1": acks("1"),
    "acks_all": acks("all"),
    "compression": compression,
    "topics": topics,
}


if __name__ == "__main__":
    main(Kcat, SCENARIOS)
