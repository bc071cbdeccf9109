"""What librdkafka says of each bad certificate."""

import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import tls
from shared import Deadline


# It has one error for both, now _SSL and now _TRANSPORT: its own verdict, and the broker's alert.
REASONS = ["certificate verify failed", "SSL alert number"]


def play(run):
    return {name: failure(run, name, case) for name, case in tls.cases().items()}


def failure(run, name, case):
    reasons = []

    def heard(error):
        print(name, error, file=sys.stderr)
        reasons.extend(reason for reason in REASONS if reason in str(error))

    config = {key: value for key, value in run.base(name).items() if not key.startswith("ssl.")}
    config |= {"bootstrap.servers": case["bootstrap"], "error_cb": heard}
    client = AdminClient({**config, **tls.librdkafka(case["tls"])})
    deadline = Deadline(60, name)
    while not reasons:
        deadline.check("no error")
        try:
            client.list_topics(timeout=0.2)
        except KafkaException:
            # It has had no response; the reason comes by the callback.
            client.poll(0.1)
            continue
        raise AssertionError(f"{name} was let in")
    return reasons[0]
