"""What the programs of every client in Python share."""

import json
import os
import sys
import threading
import time
import traceback

PARTITIONS = 3

# The scenarios in whose middle the suite does something.
EVENTS = [
    "restart",
    "broker_killed",
    "broker_stopped",
    "broker_paused",
    "leaders_move",
    "broker_joins",
    "doorkeeper_killed",
    "doorkeeper_drained",
]


class Deadline:
    """A moment by which something must have happened; scenarios poll, never sleep blindly."""

    def __init__(self, seconds, what):
        self.at = time.monotonic() + seconds
        self.what = what

    def check(self, state):
        if time.monotonic() > self.at:
            raise TimeoutError(f"timed out: {self.what}; {state}")


class Pace:
    """Records flow, they do not flood: all that programs can send would keep the brokers busy, and
    this is about what happens to them meanwhile."""

    RECORDS = 2 * PARTITIONS
    SECONDS = 0.05

    def __init__(self):
        self.due = time.monotonic()

    def take(self):
        """How many records are sent now."""
        now = time.monotonic()
        if now < self.due:
            return 0
        self.due = now + self.SECONDS
        return self.RECORDS


class Event:
    """What the suite does in the middle of a scenario: a thread waits for it, records flow on.

    The suite bounds how long it takes. Before and after it, records must move.
    """

    # A session of a group lasts 45 s, and a member whose heartbeat was lost blocks the next
    # rebalance for so long.
    STALL_SECONDS = 120

    def __init__(self, play):
        self.play = play
        self.thread = threading.Thread(target=self.wait, daemon=True)
        self.failure = None
        self.is_over = False
        self.progress = None
        self.deadline = None

    def begin(self):
        """Signals to the suite, once, that its event may begin."""
        if self.thread.ident is None:
            self.thread.start()

    def wait(self):
        try:
            self.play.hand_over()
        except Exception as failure:
            self.failure = failure
        self.is_over = True

    def check(self, progress):
        """Raises what went wrong; `progress` changes as long as records move."""
        if self.failure is not None:
            raise self.failure
        # Read before the comparison: what happens after the event begins with a deadline of its own.
        is_happening = self.thread.ident is not None and not self.is_over
        if self.deadline is None or is_happening or progress != self.progress:
            self.progress = progress
            self.deadline = Deadline(self.STALL_SECONDS, "records to move")
        self.deadline.check(progress)


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_equal(expected, actual, what):
    check(expected == actual, f"{what}: expected {expected}, got {actual}")


class Play:
    """One scenario by one client: names, counters and the one line of JSON at the end."""

    def __init__(self, bootstrap, prefix):
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.sent_bytes = 0
        self.received_bytes = 0

    def name(self, what):
        return f"{self.prefix}-{what}"

    def client_id(self, role):
        """The tap attributes a connection by the part of its client id before the first dot."""
        return f"{self.prefix}.{role}"

    def nodes(self):
        """The addresses that this client has received, by node id."""
        raise NotImplementedError

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


def main(make, scenarios):
    """Runs one scenario: PROGRAM SCENARIO BOOTSTRAP PREFIX."""
    scenario, bootstrap, prefix = sys.argv[1:]
    code = 0
    try:
        play = make(bootstrap, prefix)
        play.report(scenarios[scenario](play))
    except BaseException as failure:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(failure).__name__}: {failure}"}), flush=True)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Clients that are still open must not keep the process alive.
    os._exit(code)
