"""What becomes of requests whose client ends the connection behind them, in every way that TCP
has. Standard library only."""

import sys
import time

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
    latest_offset,
    list_offsets,
    produce,
    text,
)
from shared import Deadline, Play, check_equal, main

# How often each case is played.
TRIES = 10
VALUE = b"half-close"


class HalfClose(Play):
    def __init__(self, bootstrap, prefix):
        super().__init__(bootstrap, prefix)
        self.first = bootstrap.split(",")[0]
        self.topic = self.name("topic")
        self.leader = None

    def connect(self, address=None):
        return Connection(address or self.leader, self.client_id("raw"))

    def metadata(self):
        connection = self.connect(self.first)
        body = connection.ask(METADATA, b"\0\0\0\1" + text(self.topic))
        connection.close()
        return brokers_and_leader(body, self.topic)

    def nodes(self):
        return {str(node): address for node, address in self.metadata()[0].items()}

    def begin(self):
        deadline = Deadline(60, "a leader of the new topic")
        connection = self.connect(self.first)
        connection.ask(CREATE_TOPICS, create_topic(self.topic))
        connection.close()
        while True:
            nodes, leader = self.metadata()
            if leader in nodes:
                self.leader = nodes[leader]
                if self.latest()[0] == 0:
                    return
            deadline.check(leader)

    def latest(self):
        connection = self.connect()
        answer = latest_offset(connection.ask(LIST_OFFSETS, list_offsets(self.topic)))
        connection.close()
        return answer

    def stored(self, before, wanted):
        """How many records have come to the partition since, as soon as they are that many or a
        while has passed."""
        until = time.monotonic() + 10
        while True:
            error, offset = self.latest()
            check_equal(0, error, "ListOffsets")
            if offset - before >= wanted or time.monotonic() > until:
                return offset - before
            time.sleep(0.01)

    def opened(self, is_warm):
        connection = self.connect()
        if is_warm:
            connection.ask(LIST_OFFSETS, list_offsets(self.topic))
        return connection

    def produced(self, is_warm, acks, count, ends, sure):
        """Whether of so many Produce in a row those are stored that are sure to be, each time
        that their client ends the connection behind them."""
        _, before = self.latest()
        kept = []
        for _ in range(TRIES):
            connection = self.opened(is_warm)
            value = produce(self.topic, acks, VALUE)
            connection.send(*[connection.frame(PRODUCE, value) for _ in range(count)])
            ends(connection)
            kept.append(connection)
        self.sent_bytes += TRIES * count * len(VALUE)
        stored = self.stored(before, TRIES * sure)
        print(f"acks={acks} {count} {ends.__name__}: {stored} stored", file=sys.stderr)
        return min(stored, TRIES * sure)

    def answered(self, is_warm, make, behind=b"", ends=Connection.half_close):
        """The responses to requests whose client ends its half behind them, and reads on."""
        seen = set()
        for _ in range(TRIES):
            connection = self.opened(is_warm)
            first = connection.number
            connection.send(*make(connection), behind)
            ends(connection)
            numbers, how = connection.responses()
            connection.close()
            seen.add((tuple(number - first for number in numbers), how))
        return sorted([list(numbers), how] for numbers, how in seen)

    def produces(self, acks, count):
        value = produce(self.topic, acks, VALUE)
        return lambda it: [it.frame(PRODUCE, value) for _ in range(count)]

    def long_polls(self):
        _, end = self.latest()
        wait = fetch(self.topic, end, 300)
        return lambda it: [it.frame(FETCH, wait), it.frame(FETCH, wait)]


# How a connection ends, how many Produce with acks=1 are sent before, and how many of them a
# broker stores for certain. It reads one request after the other, and writes each response to a
# socket of which it may have heard by then that nobody reads there any more.
ENDS = [
    (Connection.half_close, 1, 1),
    (Connection.half_close, 3, 3),
    (Connection.close, 1, 1),
    (Connection.close, 3, 1),
    (Connection.reset, 1, 1),
    (Connection.reset, 3, 1),
]

# What no broker takes for a request, or closes the connection for.
BAD = {
    "negative length": b"\xff\xff\xff\xff",
    "unknown API": b"\0\0\0\x0a\x7f\x7f" + bytes(8),
    "malformed Metadata": b"\0\0\0\x0c\0\3\0\1" + bytes(4) + b"\xff\xff\x7f\xff",
}


def stays(_):
    """The client waits for the broker to end the connection."""


def half_close(play):
    play.begin()
    result = {}
    for warmth, is_warm in (("cold", False), ("warm", True)):
        for ends, count, sure in ENDS:
            for acks in (0, 1):
                case = f"{warmth}, acks={acks}, {count} then {ends.__name__}"
                sure_of = count if acks == 0 else sure
                result[case] = play.produced(is_warm, acks, count, ends, sure_of)
        for name, make in (
            ("acks=0", play.produces(0, 1)),
            ("acks=1", play.produces(1, 1)),
            ("three", play.produces(1, 3)),
            ("long polls", play.long_polls()),
        ):
            result[f"{warmth}, {name}, half-closed"] = play.answered(is_warm, make)
        # The beginning of a request is not one.
        part = b"\0\0\1\0\0\0\0\7"
        three = play.produces(1, 3)
        result[f"{warmth}, part behind three"] = play.answered(is_warm, three, part)
        for name, bad in BAD.items():
            three, polls = play.produces(1, 3), play.long_polls()
            case = f"{warmth}, {name} behind"
            result[f"{case} three"] = play.answered(is_warm, three, bad, stays)
            result[f"{case} long polls"] = play.answered(is_warm, polls, bad, stays)
    return result


if __name__ == "__main__":
    main(HalfClose, {"half_close": half_close})
