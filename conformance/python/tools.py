"""Runs one scenario with Kafka's command line tools.

CONFORMANCE_JAVA is the command that starts a JVM with them, CONFORMANCE_TOOLS their version.
"""

import json
import os
import re
import subprocess
import tempfile

from shared import PARTITIONS, Deadline, Play, check, check_equal, main

JAVA = json.loads(os.environ["CONFORMANCE_JAVA"])
MAJOR = int(os.environ["CONFORMANCE_TOOLS"].split(".")[0])

# Some moved to another package in 4.0.
CONSOLE_PRODUCER = f"{'org.apache.kafka.tools' if MAJOR > 3 else 'kafka.tools'}.ConsoleProducer"
VERSIONS = f"{'org.apache.kafka.tools' if MAJOR > 3 else 'kafka.admin'}.BrokerApiVersionsCommand"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
TOPICS = "org.apache.kafka.tools.TopicCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONFIGS = "kafka.admin.ConfigCommand"
OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
LOG_DIRS = "org.apache.kafka.tools.LogDirsCommand"
QUORUM = "org.apache.kafka.tools.MetadataQuorumCommand"
ELECTION = "org.apache.kafka.tools.LeaderElectionCommand"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
PRODUCER = "org.apache.kafka.tools.VerifiableProducer"
CONSUMER = "org.apache.kafka.tools.VerifiableConsumer"

RECORDS = 300


class Tools(Play):
    def __init__(self, bootstrap, prefix):
        super().__init__(bootstrap, prefix)
        self.folder = tempfile.mkdtemp()
        self.files = []

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.files.append(path)
        return path

    def config(self, role):
        return self.file(f"{role}.properties", f"client.id={self.client_id(role)}\n")

    def run(self, tool, *words, given=None, config="--command-config"):
        done = self.done(tool, *words, given=given, config=config)
        check(done.returncode == 0, f"{tool} {words}: {done.stdout}{done.stderr}")
        return done.stdout

    def done(self, tool, *words, given=None, config="--command-config"):
        server = ["--bootstrap-server", self.bootstrap]
        role = tool.rsplit(".", 1)[1]
        command = [*JAVA, tool, *server, config, self.config(role), *words]
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=200)

    def topic(self, what):
        topic = self.name(what)
        shape = ["--partitions", str(PARTITIONS), "--replication-factor", "3"]
        self.run(TOPICS, "--create", "--topic", topic, *shape)
        deadline = Deadline(120, f"{topic} to be there")
        while True:
            # A broker that has not heard of the topic yet makes the tool fail.
            done = self.done(TOPICS, "--describe", "--topic", topic)
            leaders = re.findall(r"Leader: (\d+)", done.stdout)
            if done.returncode == 0 and len(leaders) == PARTITIONS:
                return topic
            deadline.check(done.stdout + done.stderr)

    def nodes(self):
        """No tool prints the addresses alone; one prints them before the versions of each node."""
        output = self.run(VERSIONS)
        nodes = re.findall(r"(?m)^(\S+:\d+) \(id: (\d+) ", output)
        return {node: address for address, node in nodes}

    def report(self, agree):
        super().report(agree)
        for path in self.files:
            if os.path.exists(path):
                os.remove(path)
        os.rmdir(self.folder)


def console(play):
    topic = play.topic("records")
    lines = [f"key-{i}:value {i}" for i in range(RECORDS)]
    given = "\n".join(lines) + "\n"
    keyed = ["--property", "parse.key=true", "--property", "key.separator=:"]
    words = ["--topic", topic, "--request-required-acks", "all", *keyed]
    play.sent_bytes += len(given) - 2 * RECORDS
    play.run(CONSOLE_PRODUCER, *words, given=given, config="--producer.config")
    shown = ["--property", "print.key=true", "--property", "key.separator=:"]
    group = play.name("group")
    words = ["--topic", topic, "--from-beginning", "--max-messages", str(RECORDS), "--group", group]
    output = play.run(CONSOLE_CONSUMER, *words, *shown, config="--consumer.config")
    # Newer ones say on the same stream which of their options have better names now.
    read = [line for line in output.splitlines() if line.startswith("key-")]
    check_equal(sorted(lines), sorted(read), "records")
    play.received_bytes += len(given) - 2 * RECORDS
    agree = {"records": len(read)}
    output = play.run(GROUPS, "--describe", "--group", group, "--offsets")
    lags = re.findall(rf"{topic}\s+\d+\s+\d+\s+\d+\s+(\d+)", output)
    agree["lag"] = sum(int(lag) for lag in lags)
    agree["groups"] = group in play.run(GROUPS, "--list").split()
    output = play.run(OFFSETS, "--topic", topic)
    agree["offsets"] = sum(int(line.rsplit(":", 1)[1]) for line in output.splitlines())
    change = ["--alter", "--add-config", "retention.ms=4567000"]
    where = ["--entity-type", "topics", "--entity-name", topic]
    play.run(CONFIGS, *where, *change)
    agree["config"] = "retention.ms=4567000" in play.run(CONFIGS, *where, "--describe")
    where = ["--entity-type", "brokers", "--entity-name", "1", "--all"]
    agree["broker_config"] = "node.id=1 " in play.run(CONFIGS, *where, "--describe")
    output = play.run(LOG_DIRS, "--describe", "--topic-list", topic)
    replicas = json.loads(output.splitlines()[-1])["brokers"]
    agree["log_dirs"] = sorted(len(it["logDirs"][0]["partitions"]) for it in replicas)
    output = play.run(QUORUM, "describe", "--replication")
    agree["quorum"] = len(re.findall(r"(?m)\s(Leader|Follower|Observer)\s*$", output))
    where = {"partitions": [{"topic": topic, "partition": 0, "offset": 1}], "version": 1}
    path = play.file("delete.json", json.dumps(where))
    play.run(DELETE_RECORDS, "--offset-json-file", path)
    output = play.run(OFFSETS, "--topic", topic, "--time", "earliest")
    agree["earliest"] = output.splitlines()[0].removeprefix(topic)
    play.run(TOPICS, "--delete", "--topic", topic)
    play.run(GROUPS, "--delete", "--group", group)
    return agree


def verifiable(play):
    topic = play.topic("records")
    words = ["--topic", topic, "--max-messages", "500"]
    output = play.run(PRODUCER, *words, config="--producer.config")
    sent = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    acknowledged = [it for it in sent if it["name"] == "producer_send_success"]
    check_equal(500, len(acknowledged), "acknowledged records")
    words = ["--topic", topic, "--max-messages", "500", "--verbose"]
    words += ["--group-id", play.name("group"), "--reset-policy", "earliest"]
    output = play.run(CONSUMER, *words, config="--consumer.config")
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    seen = {(it["partition"], it["offset"]) for it in events if it["name"] == "record_data"}
    check_equal({(it["partition"], it["offset"]) for it in acknowledged}, seen, "records")
    values = sum(len(it["value"]) for it in acknowledged)
    play.sent_bytes += values
    play.received_bytes += values
    return {"records": len(seen)}


SCENARIOS = {"tools": console, "verifiable": verifiable}


if __name__ == "__main__":
    main(Tools, SCENARIOS)
