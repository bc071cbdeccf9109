"""What happens to requests when their client then ends the connection, in every way that TCP has.
Standard library only."""

import sys

from kafka_frames import (
    CREATE_TOPICS,
    FETCH,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
    Connection,
    brokers_and_leader,
    create_topic,
    fetch,
    fetched,
    latest_offset,
    list_offsets,
    produce,
    produced,
    text,
)
from shared import Deadline, Play, check, check_equal, main

# How often each case is played, on as many connections at once.
TRIES = 10


class HalfClose(Play):
    def __init__(self, bootstrap, prefix):
        super().__init__(bootstrap, prefix)
        self.first = bootstrap.split(",")[0]
        self.topic = self.name("topic")
        # Nothing is ever produced to it.
        self.quiet = self.name("quiet")
        self.leaders = {}
        # By case: how many records of each connection must be stored, and the values it sent.
        self.sent = {}
        # The offset of each value whose Produce got a response.
        self.acknowledged = {}
        # Python closes a socket without references.
        self.half_closed = []

    def connect(self, address):
        return Connection(address, self.client_id("raw"))

    def ask(self, topic, key, body):
        connection = self.connect(self.leaders[topic])
        body = connection.ask(key, body)
        connection.close()
        return body

    def metadata(self, topic):
        connection = self.connect(self.first)
        body = connection.ask(METADATA, b"\0\0\0\1" + text(topic))
        connection.close()
        return brokers_and_leader(body, topic)

    def nodes(self):
        nodes, _ = self.metadata(self.topic)
        return {str(node): address for node, address in nodes.items()}

    def begin(self, topic):
        deadline = Deadline(60, "a leader of the new topic")
        connection = self.connect(self.first)
        connection.ask(CREATE_TOPICS, create_topic(topic))
        connection.close()
        while True:
            nodes, leader = self.metadata(topic)
            if leader in nodes:
                self.leaders[topic] = nodes[leader]
                error, offset = latest_offset(self.ask(topic, LIST_OFFSETS, list_offsets(topic)))
                if error == 0:
                    check_equal(0, offset, "the end of a new topic")
                    return
            deadline.check(leader)

    def opened(self, topic, is_warm):
        connection = self.connect(self.leaders[topic])
        if is_warm:
            error, _ = latest_offset(connection.ask(LIST_OFFSETS, list_offsets(topic)))
            check_equal(0, error, "ListOffsets")
        return connection

    def produces(self, case, acks, count, sure):
        """`count` Produce requests in a row, each with a value of its own. The first `sure` of them
        must be stored."""
        _, sent = self.sent.setdefault(case, (sure, []))

        def make():
            values = [f"{case} {len(sent)}/{number}".encode() for number in range(count)]
            sent.append(values)
            self.sent_bytes += sum(map(len, values))
            return [(PRODUCE, produce(self.topic, acks, value), value) for value in values]

        return self.topic, make

    def long_polls(self):
        wait = (FETCH, fetch(self.quiet, 0, 300), None)
        return self.quiet, lambda: [wait, wait]

    def played(self, is_warm, requests, ends, behind=b""):
        """Every try of a case: its connection, the number before its first request, and the
        requests."""
        topic, make = requests
        tries = []
        for _ in range(TRIES):
            connection = self.opened(topic, is_warm)
            before, made = connection.number, make()
            connection.send(*[connection.frame(key, body) for key, body, _ in made], behind)
            ends(connection)
            tries.append((connection, before, made))
        return tries

    def outcomes(self, is_warm, requests, behind=b"", ends=Connection.half_close):
        """Which responses a client gets that ends its half after its requests and reads on, with
        which errors, and how the connection ends; each outcome with how many tries had it."""
        seen = {}
        for connection, before, made in self.played(is_warm, requests, ends, behind):
            responses, end = connection.responses()
            connection.close()
            results = []
            for number, body in responses:
                which = number - before - 1
                check(0 <= which < len(made), f"a response to request {number}")
                results.append(f"{which}: {self.result(body, *made[which])}")
            outcome = ", ".join([*results, end])
            seen[outcome] = seen.get(outcome, 0) + 1
        return seen

    def result(self, body, key, _, value):
        if key == FETCH:
            error, values = fetched(body)
            return f"error {error}, {len(values)} records"
        error, offset = produced(body)
        if error == 0:
            self.acknowledged[value] = offset
        return f"error {error}"

    def records(self):
        """All of the topic, in their order, with their offsets."""
        _, end = latest_offset(self.ask(self.topic, LIST_OFFSETS, list_offsets(self.topic)))
        records = []
        while len(records) < end:
            error, more = fetched(self.ask(self.topic, FETCH, fetch(self.topic, len(records), 0)))
            check_equal(0, error, "Fetch")
            records += more
        return records

    def stored(self):
        """How many records of each case are stored; where not all must be, only how many must. No
        record may be stored twice, out of order, or at another offset than its response said, and
        no record of a connection may be missing before one that is stored."""
        deadline = Deadline(60, "what is sure to be stored")
        while True:
            records = self.records()
            offsets = {value: offset for offset, value in records}
            missing = [
                value
                for sure, connections in self.sent.values()
                for values in connections
                for value in values[:sure]
                if value not in offsets
            ]
            if not missing:
                break
            deadline.check(f"{len(missing)} are missing, such as {missing[0]}")
        check_equal(len(records), len(offsets), "different values")
        for value, offset in self.acknowledged.items():
            check_equal(offset, offsets.get(value), f"offset of {value}")
        result = {}
        for case, (sure, connections) in self.sent.items():
            count = 0
            for values in connections:
                found = sorted(offsets.pop(value) for value in values if value in offsets)
                kept = values[: len(found)]
                check_equal(kept, [records[offset][1] for offset in found], f"stored of {case}")
                count += len(found)
            is_exact = all(len(values) == sure for values in connections)
            result[case] = count if is_exact else f"{TRIES * sure} or more"
            print(f"{case}: {count} stored", file=sys.stderr)
        check_equal({}, offsets, "values that nobody sent")
        return result


# How a connection ends, how many Produce with acks=1 are sent before, and how many of them a broker
# stores for certain. A broker reads a request only after it has written the response to the one
# before. If the client has closed, its system responds to that with a reset, and the broker's next
# write fails: requests that were not read by then are lost (`Selector.pollSelectionKeys`). So of
# three requests the broker mostly stores two after a close and one after a reset, and all three
# when it is fast. Of 30 requests on 10 connections, brokers of 3.9.2 and 4.4.0 stored 16 to 22 and 10 to
# 28 without doorkeeper, and 25 to 30 and 13 to 30 through it: doorkeeper forwards what it has read,
# on a connection that no client resets.
ENDS = [
    (Connection.half_close, 1, 1),
    (Connection.half_close, 3, 3),
    (Connection.close, 1, 1),
    (Connection.close, 3, 1),
    (Connection.reset, 1, 1),
    (Connection.reset, 3, 1),
]

# Bytes that are no request, or that brokers close the connection for.
BAD = {
    "negative length": b"\xff\xff\xff\xff",
    "unknown API": b"\0\0\0\x0a\x7f\x7f" + bytes(8),
    "malformed Metadata": b"\0\0\0\x0c\0\3\0\1" + bytes(4) + b"\xff\xff\x7f\xff",
}


def stays(_):
    """The client waits for the broker to end the connection."""


def half_close(play):
    play.begin(play.topic)
    play.begin(play.quiet)
    result = {}
    for warmth, is_warm in (("cold", False), ("warm", True)):
        for ends, count, sure in ENDS:
            for acks in (0, 1):
                case = f"{warmth}, acks={acks}, {count} then {ends.__name__}"
                sure_of = count if acks == 0 else sure
                requests = play.produces(case, acks, count, sure_of)
                play.half_closed += play.played(is_warm, requests, ends)

        def reads(case, acks, count, *how):
            case = f"{warmth}, {case}"
            requests = play.produces(case, acks, count, count) if count else play.long_polls()
            result[case] = play.outcomes(is_warm, requests, *how)

        reads("acks=0, half-closed", 0, 1)
        reads("acks=1, half-closed", 1, 1)
        reads("three, half-closed", 1, 3)
        reads("long polls, half-closed", 1, 0)
        # The beginning of a request is no request.
        reads("part behind three", 1, 3, b"\0\0\1\0\0\0\0\7")
        for name, bad in BAD.items():
            reads(f"{name} behind three", 1, 3, bad, stays)
            reads(f"{name} behind long polls", 1, 0, bad, stays)
    result["stored"] = play.stored()
    return result


if __name__ == "__main__":
    main(HalfClose, {"half_close": half_close})
